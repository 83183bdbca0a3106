package mm

import (
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Pin is memory that stays where it is, as for a device that reads and writes it behind
// the processor's back: Linux's pin_user_pages with FOLL_LONGTERM. It holds a reference
// on each page. What becomes of the addresses does not concern it: they may be
// unmapped, moved or mapped anew.
type Pin struct {
	ID    int64            // 1, 2, 3, … in a MemoryManager's life
	AR    memmap.AddrRange // where the pages were when they were pinned; whole pages
	Write bool             // they were pinned to be written
	Pages []PinnedRange    // all of AR, in order
	Event uint64           // 0 if unknown
}

// PinnedRange is a run of pinned pages that lie in one File.
type PinnedRange struct {
	Source memmap.AddrRange
	File   memmap.File
	Offset memmap.FileOffset
}

// FileRange returns the pages.
func (r PinnedRange) FileRange() memmap.FileRange {
	return memmap.FileRange{Start: r.Offset, End: r.Offset + memmap.FileOffset(r.Source.Length())}
}

// pinner is a File that keeps in mind which of its pages are pinned.
type pinner interface {
	Pin(memmap.FileRange)
	Unpin(memmap.FileRange)
}

// Pin brings the pages of ar in, whole, as accesses of kind at would, and pins them. What
// is private becomes the process's own first, also for reading: no other process sees or
// shares a pinned page. All of ar is pinned, or nothing. It ends with Unpin, or with the
// memory's last user. As in Linux every pin counts, also of a page that has one, against
// RLIMIT_MEMLOCK.
//
// Errors: EINVAL no range of guest memory; ENOMEM RLIMIT_MEMLOCK; EFAULT what may not be accessed
// so, is no memory, or cannot come in.
func (mm *MemoryManager) Pin(by *Actor, ar memmap.AddrRange, at memmap.AccessType, o IOOpts) (*Pin, error) {
	const op = "pin"
	ar, err := mm.pagesOf(op, ar)
	if err != nil {
		return nil, err
	}
	if err := mm.mayPin(by, ar.Length()); err != nil {
		return nil, err
	}
	o.pin = true
	_, short := mm.lockMemory(by, []memmap.AddrRange{ar}, at, o)
	defer mm.activeMu.Unlock()
	if short != nil {
		return nil, ioError(short)
	}
	if err := mm.mayPinLocked(by, ar.Length()); err != nil { // others may have pinned meanwhile
		return nil, err
	}
	p := &Pin{ID: mm.lastPin + 1, AR: ar, Write: at.Write}
	for seg := range mm.pmas.In(ar) {
		part := seg.Intersect(ar)
		r := PinnedRange{Source: part, File: seg.Value.file, Offset: seg.Value.fileRange(seg.Range, part).Start}
		if f, ok := r.File.(pinner); ok {
			f.Pin(r.FileRange())
		} else {
			r.File.IncRef(r.FileRange())
		}
		p.Pages = append(p.Pages, r)
	}
	mm.lastPin++
	mm.pins = append(mm.pins, p)
	mm.pinned += ar.Length()
	p.Event = mm.note(mm.begin(by), Event{Kind: EventPin, Access: at, Range: ar, Addr: ar.Start, Number: p.ID})
	return p, nil
}

func (mm *MemoryManager) mayPin(by *Actor, n uint64) error {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	return mm.mayPinLocked(by, n)
}

func (mm *MemoryManager) mayPinLocked(by *Actor, n uint64) error {
	limit := by.limits().MemLock
	if by.LockCap || n <= limit && mm.pinned <= limit-n {
		return nil
	}
	r := memmap.Refuse("pin", unix.ENOMEM, "%#x bytes are pinned, %#x more would be; RLIMIT_MEMLOCK is %#x", mm.pinned, n, limit)
	r.Why = memmap.LimitHit
	return r
}

// Unpin ends the pin with that number. Pages that nothing else holds are free.
//
// Errors: EINVAL there is no such pin.
func (mm *MemoryManager) Unpin(by *Actor, id int64) (*Pin, error) {
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	i := slices.IndexFunc(mm.pins, func(p *Pin) bool { return p.ID == id })
	if i < 0 {
		return nil, memmap.Refuse("unpin", unix.EINVAL, "process %d has no pin %d", mm.pid, id)
	}
	p := mm.pins[i]
	mm.pins = slices.Delete(mm.pins, i, i+1)
	mm.pinned -= p.AR.Length()
	p.release()
	mm.note(mm.begin(by), Event{Kind: EventPin, Range: p.AR, Addr: p.AR.Start, Number: p.ID})
	return p, nil
}

func (p *Pin) release() {
	for _, r := range p.Pages {
		if f, ok := r.File.(pinner); ok {
			f.Unpin(r.FileRange())
		} else {
			r.File.DecRef(r.FileRange())
		}
	}
}

// unpinAll ends all pins, with the memory.
//
// Preconditions: mm.activeMu is held for writing.
func (mm *MemoryManager) unpinAll() {
	for _, p := range mm.pins {
		p.release()
	}
	mm.pins, mm.pinned = nil, 0
}

// Pins returns the pins that have not ended, oldest first. They are not to be changed.
func (mm *MemoryManager) Pins() []*Pin {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	return slices.Clone(mm.pins)
}

// pinsOf returns the numbers of this memory's pins that hold the page at off of file,
// oldest first.
//
// Preconditions: mm.activeMu is held.
func (mm *MemoryManager) pinsOf(file memmap.File, off memmap.FileOffset) []int64 {
	var ids []int64
	for _, p := range mm.pins {
		for _, r := range p.Pages {
			if r.File == file && r.FileRange().Contains(off) {
				ids = append(ids, p.ID)
			}
		}
	}
	return ids
}

func (mm *MemoryManager) pinEvent(id int64) uint64 {
	for _, p := range mm.pins {
		if p.ID == id {
			return p.Event
		}
	}
	return 0
}

// pinnedIn returns the parts of ar, a part of p, that are pinned: in place until they are
// not, whatever p's generation. No two processes share one.
//
// Preconditions: mm.activeMu is held.
func (mm *MemoryManager) pinnedIn(p pmaSeg, ar memmap.AddrRange) []memmap.AddrRange {
	if len(mm.pins) == 0 || p.Value.file != memmap.File(mm.mem) {
		return nil
	}
	fr := p.Value.fileRange(p.Range, ar)
	var parts []memmap.AddrRange
	for _, r := range mm.mem.Pinned(fr) {
		start := ar.Start + memmap.Addr(r.Start-fr.Start)
		if n := len(parts); n > 0 && parts[n-1].End == start {
			parts[n-1].End += memmap.Addr(r.Length())
			continue
		}
		parts = append(parts, memmap.AddrRange{Start: start, End: start + memmap.Addr(r.Length())})
	}
	return parts
}

// dropUnpinned removes the pmas in ar but for pages that are pinned, which the engine
// takes from nobody unasked.
//
// Preconditions: mm.activeMu is held for writing.
func (mm *MemoryManager) dropUnpinned(c *change, ar memmap.AddrRange) {
	var stay []memmap.AddrRange
	if len(mm.pins) > 0 {
		for p := range mm.pmas.In(ar) {
			stay = append(stay, mm.pinnedIn(p, p.Intersect(ar))...)
		}
	}
	for _, s := range stay {
		if before := (memmap.AddrRange{Start: ar.Start, End: s.Start}); !before.IsEmpty() {
			mm.cutPMAs(c, before, everything)
		}
		ar.Start = s.End
	}
	if !ar.IsEmpty() {
		mm.cutPMAs(c, ar, everything)
	}
}

// StillThere returns how many bytes of p are mapped where they were pinned.
func (mm *MemoryManager) StillThere(p *Pin) uint64 {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	n := uint64(0)
	for _, r := range p.Pages {
		for seg := range mm.pmas.In(r.Source) {
			part := seg.Intersect(r.Source)
			off := r.Offset + memmap.FileOffset(part.Start-r.Source.Start)
			if seg.Value.file == r.File && seg.Value.fileRange(seg.Range, part).Start == off {
				n += part.Length()
			}
		}
	}
	return n
}
