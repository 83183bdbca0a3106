package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MAP_32BIT places in what Linux calls the low 2 GiB.
const (
	low32Start = 0x40000000
	low32End   = 0x80000000
)

// place is where a new mapping may go.
type place struct {
	addr      memmap.Addr // a hint, or with fixed the place
	length    uint64
	fixed     bool
	unmap     bool // whatever is there will go
	noReplace bool
	low32     bool
	huge      bool                  // lie so that huge pages can be mapped
	off       memmap.MappableOffset // what is mapped there, for huge
}

// findRoom returns where a mapping goes: the hint if it can be had, else the
// highest room (or the lowest, as the layout says), as Linux's
// arch_get_unmapped_area_topdown. ENOMEM, EEXIST, EPERM.
//
// Preconditions: mm.mappingMu is held.
func (mm *MemoryManager) findRoom(op string, p place) (memmap.AddrRange, error) {
	if memmap.Addr(p.length) > mm.layout.Max {
		return memmap.AddrRange{}, memmap.Refuse(op, unix.ENOMEM, "%#x bytes are more than all guest memory", p.length)
	}
	if p.fixed {
		return mm.fixedRoom(op, p)
	}
	if p.huge && !p.low32 {
		if ar, ok := mm.aligned(p); ok {
			return ar, nil
		}
	}
	if ar, ok := mm.hinted(p); ok {
		return ar, nil
	}
	if ar, ok := mm.search(p); ok {
		return ar, nil
	}
	return memmap.AddrRange{}, memmap.Refuse(op, unix.ENOMEM, "no hole has room for %#x bytes", p.length)
}

// fixedRoom checks the place of MAP_FIXED. Guard gaps do not count there.
func (mm *MemoryManager) fixedRoom(op string, p place) (memmap.AddrRange, error) {
	ar, ok := p.addr.ToRange(p.length)
	switch {
	case !ok || ar.End > mm.layout.Max:
		return ar, memmap.Refuse(op, unix.ENOMEM, "%v+%#x ends above guest memory %v", p.addr, p.length, mm.All())
	case ar.Start < mm.layout.Min:
		return ar, memmap.Refuse(op, unix.EPERM, "%v lies below the lowest address that may be mapped, %v", ar, mm.layout.Min)
	case p.unmap:
		return ar, nil
	}
	if seg, ok := mm.vmas.LowerBound(ar.Start); ok && seg.Start < ar.End {
		errno := unix.ENOMEM
		if p.noReplace {
			errno = unix.EEXIST
		}
		return ar, memmap.Refuse(op, errno, "%v is taken by %v", ar, seg.Range)
	}
	return ar, nil
}

// hinted returns the place that p hints at, if it can be had.
func (mm *MemoryManager) hinted(p place) (memmap.AddrRange, bool) {
	ar, ok := p.addr.ToRange(p.length)
	return ar, ok && p.addr != 0 && mm.hintFits(ar, p.low32)
}

// hintFits reports whether ar is free, its guard gap included.
func (mm *MemoryManager) hintFits(ar memmap.AddrRange, low32 bool) bool {
	limit := mm.layout.Max
	if low32 {
		limit = low32End
	}
	if ar.Start < mm.layout.Min || ar.End > limit {
		return false
	}
	next, v, ok := mm.vmas.Peek(ar.Start)
	return !ok || ar.End <= guarded(next, v)
}

// guarded returns the lowest address that belongs to v at ar: its start, or for what
// grows down that of its guard gap.
func guarded(ar memmap.AddrRange, v *vma) memmap.Addr {
	if !v.growsDown || ar.Start < stackGap {
		return ar.Start
	}
	return ar.Start - stackGap
}

// search looks for room. Top-down search that finds none goes bottom-up.
func (mm *MemoryManager) search(p place) (memmap.AddrRange, bool) {
	low := memmap.AddrRange{Start: low32Start, End: low32End}
	up := memmap.AddrRange{Start: mm.layout.BottomUp, End: mm.layout.Max}
	down := memmap.AddrRange{Start: mm.layout.Min, End: mm.layout.TopDownBase}
	if p.low32 {
		return mm.lowest(low.Intersect(mm.All()), p.length)
	}
	if mm.layout.TopDown {
		if ar, ok := mm.highest(down, p.length); ok {
			return ar, true
		}
	}
	return mm.lowest(up, p.length)
}

// aligned looks for a place where p's huge pages lie at multiples of their size, by
// looking for one with room to shift it: Linux's __thp_get_unmapped_area. A hint
// counts only if there is that room as well.
func (mm *MemoryManager) aligned(p place) (memmap.AddrRange, bool) {
	const size = memmap.HugePageSize
	first := (p.off + size - 1) &^ (size - 1) // the first huge page of what is mapped
	if end := p.off + memmap.MappableOffset(p.length); end <= first || end-first < size {
		return memmap.AddrRange{}, false
	}
	padded := p
	padded.length += size
	if ar, ok := mm.hinted(padded); ok {
		ar.End = ar.Start + memmap.Addr(p.length)
		return ar, true
	}
	ar, ok := mm.search(padded)
	shift := memmap.Addr(p.off) - ar.Start&(size-1)
	shift &= size - 1
	if mm.layout.TopDown && shift == 0 {
		shift = size
	}
	ar.Start += shift
	ar.End = ar.Start + memmap.Addr(p.length)
	return ar, ok
}

// highest returns the highest free range of n bytes in bounds that keeps off the
// guard gaps. It looks at more than one hole only where a guard gap is in the way.
func (mm *MemoryManager) highest(bounds memmap.AddrRange, n uint64) (memmap.AddrRange, bool) {
	for {
		hole, ok := mm.gaps.Highest(bounds, n)
		if !ok {
			return hole, false
		}
		end := mm.guardedEnd(hole)
		if start := end - memmap.Addr(n); end >= memmap.Addr(n) && start >= hole.Start {
			return memmap.AddrRange{Start: start, End: end}, true
		}
		bounds.End = hole.Start
	}
}

// lowest is highest's mirror.
func (mm *MemoryManager) lowest(bounds memmap.AddrRange, n uint64) (memmap.AddrRange, bool) {
	for {
		hole, ok := mm.gaps.Lowest(bounds, n)
		if !ok {
			return hole, false
		}
		if end := hole.Start + memmap.Addr(n); end <= mm.guardedEnd(hole) {
			return memmap.AddrRange{Start: hole.Start, End: end}, true
		}
		bounds.Start = hole.End
	}
}

// guardedEnd returns where hole ends for new mappings.
func (mm *MemoryManager) guardedEnd(hole memmap.AddrRange) memmap.Addr {
	next, v, ok := mm.vmas.Peek(hole.End)
	if !ok {
		return hole.End
	}
	return min(hole.End, guarded(next, v))
}
