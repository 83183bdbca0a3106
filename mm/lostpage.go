package mm

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// HandleLostPage answers an access that the host's mappings allow and that the host
// could not make all the same (SIGBUS): the page is a host file's, which was made
// shorter behind our back or cannot be read, or the host has no memory for one of ours.
// It returns the cause and a *memmap.BusError, and the event is appended. Translations
// that lead nowhere any more are dropped, so that the next access asks the file anew.
func (mm *MemoryManager) HandleLostPage(by *Actor, addr memmap.Addr, at memmap.AccessType) (memmap.Cause, error) {
	if !at.Any() {
		at = memmap.Read
	}
	c := change{mm: mm, by: by, byGuest: true, fault: fault{addr: addr, at: at}}
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	seg, mapped := mm.vmas.Find(addr)
	p, held := mm.pmas.Find(addr)
	why := memmap.BusError{Err: fmt.Errorf("%w: the host could not bring the page in", unix.EIO)}
	if mapped && held && p.Value.kind == owned {
		why.Err = fmt.Errorf("%w: the host has no memory for the page", unix.ENOMEM)
	}
	if mapped && held {
		lost := addr.Page()
		if end, ok := mm.lostBehind(seg, p, addr); ok {
			why.Err = fmt.Errorf("beyond the file's end: %w", io.EOF)
			lost = memmap.AddrRange{Start: max(seg.Start, seg.End-memmap.Addr(offsetOf(seg, seg.End)-max(end, seg.Value.off))), End: seg.End}
		}
		mm.cutPMAs(&c, lost, func(p pma) bool { return p.kind == shared || p.kind == clean })
		_ = c.flush() // the refusal is what counts
	}
	return mm.refusedLocked(&c, &why)
}

// lostBehind reports whether addr, where seg's page p is, lies behind the end that the
// file has by now, and returns that.
func (mm *MemoryManager) lostBehind(seg vmaSeg, p pmaSeg, addr memmap.Addr) (memmap.MappableOffset, bool) {
	if p.Value.kind != shared && p.Value.kind != clean || seg.Value.special() {
		return 0, false
	}
	end, ok := endOf(seg.Value.mappable)
	return end, ok && offsetOf(seg, addr) >= end
}
