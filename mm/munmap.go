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
	if err := mm.mayUnmap(op, ar); err != nil {
		return err
	}
	if !mm.vmas.Overlaps(ar) {
		return nil
	}
	return mm.unmapRange(c, ar)
}

// mayUnmap refuses what may not be unmapped: a hole that vm.max_map_count forbids,
// sealed mappings.
func (mm *MemoryManager) mayUnmap(op string, ar memmap.AddrRange) error {
	if err := mm.mayPunch(op, ar); err != nil {
		return err
	}
	return mm.unsealed(op, ar)
}

// mayPunch refuses a hole in the middle of a vma where one more may not be.
func (mm *MemoryManager) mayPunch(op string, ar memmap.AddrRange) error {
	if seg, ok := mm.vmas.Find(ar.Start); ok && seg.CanSplitAt(ar.Start) && seg.CanSplitAt(ar.End) {
		return mm.mayCount(op, 1)
	}
	return nil
}

// unmapRange removes all that is mapped in ar, pages first, and appends the event.
// The error is the host's; ar is empty all the same.
//
// Preconditions: mm.mappingMu is held for writing; something is mapped in ar.
func (mm *MemoryManager) unmapRange(c *change, ar memmap.AddrRange) error {
	mm.activeMu.Lock()
	mm.cutPMAs(c, ar, everything)
	err := c.flush()
	mm.guards.Cut(ar, nil)
	mm.cutTraps(ar)
	mm.activeMu.Unlock()
	mm.note(c, Event{Kind: EventUnmap, Range: ar, Addr: ar.Start})
	mm.cutVMAs(c, ar)
	return err
}
