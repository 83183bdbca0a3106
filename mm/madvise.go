package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Decommit is madvise(MADV_DONTNEED): the pages go, the mapping stays.
//
// Errors: EINVAL addr not page-aligned, an overflow, a locked mapping (what lies
// before it is done); ENOMEM a hole (all the rest is done).
func (mm *MemoryManager) Decommit(by *Actor, addr memmap.Addr, length uint64) error {
	const op = "madvise"
	if !addr.IsPageAligned() {
		return unaligned(op, addr)
	}
	ar, err := roundedRange(op, addr, length, ^memmap.Addr(0), unix.EINVAL)
	if err != nil {
		return err
	}
	if ar.IsEmpty() {
		return nil
	}
	c := mm.begin(by)
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	at := ar.Start
	for seg := range mm.vmas.In(ar) {
		part := seg.Intersect(ar)
		if part.Start > at && err == nil {
			err = mm.holeRefused(op, at)
		}
		if refused := mayDecommit(seg); refused != nil {
			err = refused
			break
		}
		mm.cutPMAs(c, part, everything)
		at = part.End
	}
	if at < ar.End && err == nil {
		err = mm.holeRefused(op, at)
	}
	if at > ar.Start {
		mm.note(c, Event{Kind: EventAdvise, Range: memmap.AddrRange{Start: ar.Start, End: at}, Addr: ar.Start, Number: unix.MADV_DONTNEED})
	}
	if died := c.flush(); err == nil {
		err = died
	}
	return err
}

// mayDecommit refuses what Linux's madvise_dontneed_free_valid_vma does: locked
// memory, and pages that are no memory ([vvar]).
func mayDecommit(seg vmaSeg) error {
	if seg.Value.mlock != memmap.MLockNone {
		return memmap.Refuse("madvise", unix.EINVAL, "%v is locked", seg.Range)
	}
	if s, ok := seg.Value.mappable.(*Special); ok && s.Resident() == ResidentNever {
		return memmap.Refuse("madvise", unix.EINVAL, "%v is %s", seg.Range, s.name)
	}
	return nil
}

// Touch brings the pages of ar in as accesses of kind at would, page by page, and
// stops at the first refusal. It returns what each page's fault did, in order:
// NoCause for a page that was there, which the host may not have mapped.
func (mm *MemoryManager) Touch(by *Actor, ar memmap.AddrRange, at memmap.AccessType) ([]memmap.Cause, error) {
	var causes []memmap.Cause
	for addr := ar.Start.RoundDown(); addr < ar.End; addr += memmap.PageSize {
		cause, err := mm.userFault(by, max(addr, ar.Start), at, false)
		causes = append(causes, cause)
		if err != nil {
			return causes, err
		}
		if addr+memmap.PageSize < addr {
			break
		}
	}
	return causes, nil
}

// Invalidate implements memmap.MappingSpace. It is called by Mappables, on no
// guest's behalf.
func (mm *MemoryManager) Invalidate(ar memmap.AddrRange, private bool) {
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	if mm.captured != nil {
		*mm.captured = append(*mm.captured, invalidation{ar, private})
		return
	}
	mm.invalidate(ar, private)
}

func (mm *MemoryManager) invalidate(ar memmap.AddrRange, private bool) {
	c := mm.begin(&Actor{})
	mm.cutPMAs(c, ar, func(p pma) bool { return private || p.kind == shared || p.kind == clean })
	if len(c.stale) == 0 {
		return
	}
	mm.note(c, Event{Kind: EventInvalidate, Range: ar, Addr: ar.Start})
	_ = c.flush() // a host that died has nothing mapped
}
