package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MUnmap removes what is mapped in [addr, addr+length). Holes are fine.
//
// Errors: EINVAL addr not page-aligned, length 0, an end beyond guest memory;
// ENOMEM a split that vm.max_map_count forbids; EPERM a sealed mapping.
func (mm *MemoryManager) MUnmap(by *Actor, addr memmap.Addr, length uint64) error {
	const op = "munmap"
	if !addr.IsPageAligned() {
		return unaligned(op, addr)
	}
	if length == 0 {
		return memmap.Refuse(op, unix.EINVAL, "length is 0")
	}
	ar, err := roundedRange(op, addr, length, mm.layout.Max, unix.EINVAL)
	if err != nil {
		return err
	}
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	return mm.unmapIfMapped(c, op, ar)
}

// unmapIfMapped is unmapRange of a range that may be empty, if all of it may go.
func (mm *MemoryManager) unmapIfMapped(c *change, op string, ar memmap.AddrRange) error {
	first, v, ok := mm.vmas.Peek(ar.Start)
	if !ok || first.Start >= ar.End {
		return nil
	}
	if err := mm.mayUnmap(op, first, v, ar); err != nil {
		return err
	}
	return mm.unmapRange(c, ar)
}

// mayUnmap refuses what may not be unmapped: a hole in the middle of a vma where
// vm.max_map_count forbids one more, sealed mappings. ar's first vma is v, at first.
func (mm *MemoryManager) mayUnmap(op string, first memmap.AddrRange, v *vma, ar memmap.AddrRange) error {
	if first.CanSplitAt(ar.Start) && first.CanSplitAt(ar.End) {
		if err := mm.mayCount(op, 1); err != nil {
			return err
		}
	}
	if v.sealed() {
		return sealedRefused(op, vmaSeg{Range: first, Value: *v})
	}
	if err := mm.wholeSpecials(op, ar); err != nil {
		return err
	}
	if first.End >= ar.End {
		return nil
	}
	return mm.unsealed(op, memmap.AddrRange{Start: first.End, End: ar.End})
}

// keepWrittenAround is keepWritten for what is left of the mappings at ar's ends.
func (mm *MemoryManager) keepWrittenAround(ar memmap.AddrRange) {
	first, v, ok := mm.vmas.Peek(ar.Start)
	if ok && first.Overlaps(ar) {
		mm.keepWritten(first, v, first.Intersect(ar))
	}
	if !ok || first.End >= ar.End {
		return
	}
	if last, v, ok := mm.vmas.Peek(ar.End - 1); ok && last.Start < ar.End {
		mm.keepWritten(last, v, last.Intersect(ar))
	}
}

// unmapRange removes all that is mapped in ar, pages first, and appends the event.
// The error is the host's; ar is empty all the same.
//
// Preconditions: mm.mappingMu is held for writing; something is mapped in ar.
func (mm *MemoryManager) unmapRange(c *change, ar memmap.AddrRange) error {
	mm.activeMu.Lock()
	mm.keepWrittenAround(ar)
	mm.cutPMAs(c, ar, everything)
	err := c.flush()
	mm.guards.Cut(ar, nil)
	mm.cutTraps(ar)
	mm.marks.Cut(ar, nil)
	mm.activeMu.Unlock()
	mm.note(c, Event{Kind: EventUnmap, Range: ar, Addr: ar.Start})
	mm.cutVMAs(c, ar)
	return err
}
