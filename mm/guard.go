package mm

import "mmsh.dev/mmsh/memmap"

// A guard region (MADV_GUARD_INSTALL) is pages that no access gets through,
// whatever their vma allows. It is a trap in a set of its own: unlike a watchpoint,
// which belongs to addresses, it takes the place of pages, moves and is copied with
// them, and both may lie at one address.
//
// No pma lies under a guard, so that only what makes pmas, and what explains why
// there are none, has to know.

// guardTrap is what an access to a guard region meets.
var guardTrap = Trap{Kind: TrapGuard, At: memmap.AnyAccess}

// guardInstall is Linux's madvise_guard_install: the pages go, guards come.
func guardInstall(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
	switch {
	case seg.Value.special():
		return notAdvisable(seg, "is the kernel's own")
	case seg.Value.mlock != memmap.MLockNone:
		return notAdvisable(seg, "is locked")
	}
	mm.cutPMAs(c, part, everything)
	mm.guards.Cut(part, nil)
	mm.guards.Insert(part, guardTrap)
	if !seg.Value.guarded { // all of it, for good; and Linux makes an anon_vma ready
		mm.updateVMAs(seg.Range, func(v *vma) { v.guarded, v.written = true, true })
	}
	mm.marks.Cut(part, nil)
	return nil
}

// guardRemove is Linux's madvise_guard_remove. Locked memory does not mind.
func guardRemove(mm *MemoryManager, _ *change, seg vmaSeg, part memmap.AddrRange) error {
	if seg.Value.special() {
		return notAdvisable(seg, "is the kernel's own")
	}
	mm.guards.Cut(part, nil)
	return nil
}

// guardAt returns the *TrapError of an access to a guard region, nil if there is
// none at addr.
//
// Preconditions: mm.mappingMu or mm.activeMu is held.
func (mm *MemoryManager) guardAt(addr memmap.Addr, at memmap.AccessType) error {
	if mm.guards.IsEmpty() {
		return nil
	}
	if _, ok := mm.guards.Find(addr); !ok {
		return nil
	}
	return &TrapError{Trap: guardTrap, Addr: addr, At: at}
}

// unguarded clips ar to what lies before the first guard region, and returns the
// error of an access to that.
func (mm *MemoryManager) unguarded(ar memmap.AddrRange, at memmap.AccessType) (memmap.AddrRange, error) {
	for seg := range mm.guards.In(ar) {
		ar.End = max(ar.Start, seg.Start)
		return ar, &TrapError{Trap: guardTrap, Addr: ar.End, At: at}
	}
	return ar, nil
}

// holeBetweenGuards clips hole, which contains addr, to what no guard region takes.
func (mm *MemoryManager) holeBetweenGuards(hole memmap.AddrRange, addr memmap.Addr) memmap.AddrRange {
	if mm.guards.IsEmpty() {
		return hole
	}
	if prev, ok := mm.guards.UpperBound(addr); ok {
		hole.Start = max(hole.Start, prev.End)
	}
	if next, ok := mm.guards.LowerBound(addr); ok {
		hole.End = min(hole.End, next.Start)
	}
	return hole
}

// moveGuards gives the guard regions in old their place in dst.
//
// Preconditions: mm.mappingMu and mm.activeMu are held for writing.
func (mm *MemoryManager) moveGuards(old, dst memmap.AddrRange) {
	if mm.guards.IsEmpty() {
		return
	}
	for _, seg := range mm.guards.Cut(old, nil) {
		to := memmap.AddrRange{Start: dst.Start + (seg.Start - old.Start), End: dst.Start + (seg.End - old.Start)}
		mm.guards.Insert(to, seg.Value)
	}
}

// copyGuards gives child the guard regions of what it gets pages of.
//
// Preconditions: both managers' locks are held for writing.
func (mm *MemoryManager) copyGuards(child *MemoryManager) {
	if mm.guards.IsEmpty() {
		return
	}
	child.guards = mm.guards.Clone()
	for seg := range mm.vmas.All() {
		if seg.Value.flags&(flagDontFork|flagWipeOnFork) != 0 {
			child.guards.Cut(seg.Range, nil)
		}
	}
}
