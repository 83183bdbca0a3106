package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MProtect is mprotect(2); growsDown is PROT_GROWSDOWN.
//
// Errors: EINVAL addr not page-aligned; ENOMEM an overflow, a hole; EINVAL
// growsDown of what does not; EACCES more than may ever be given; EPERM a sealed
// mapping; ENOMEM
// RLIMIT_DATA, overcommit, vm.max_map_count. What lies before the vma that refuses is changed.
func (mm *MemoryManager) MProtect(by *Actor, addr memmap.Addr, length uint64, perms memmap.AccessType, growsDown bool) error {
	const op = "mprotect"
	if !addr.IsPageAligned() {
		return unaligned(op, addr)
	}
	if length == 0 {
		return nil
	}
	ar, err := roundedRange(op, addr, length, ^memmap.Addr(0), unix.ENOMEM)
	if err != nil {
		return err
	}
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	first, ar, err := mm.protectRange(ar, growsDown)
	if err != nil {
		return err
	}
	mm.activeMu.Lock()
	err = mm.protect(c, first, ar, perms)
	if died := c.flush(); err == nil {
		err = died
	}
	mm.activeMu.Unlock()
	for _, locked := range c.toFill {
		_ = mm.populateRange(c, locked, true)
	}
	return err
}

// protectRange checks where ar begins. With growsDown it begins where its first
// vma does. It returns that vma too.
func (mm *MemoryManager) protectRange(ar memmap.AddrRange, growsDown bool) (vmaSeg, memmap.AddrRange, error) {
	const op = "mprotect"
	first, ok := mm.vmas.LowerBound(ar.Start)
	if !ok || first.Start >= ar.End {
		return first, ar, mm.holeRefused(op, ar.Start)
	}
	switch {
	case growsDown && !first.Value.growsDown:
		return first, ar, memmap.Refuse(op, unix.EINVAL, "%v does not grow down", first.Range)
	case growsDown:
		ar.Start = first.Start
	case first.Start > ar.Start:
		return first, ar, mm.holeRefused(op, ar.Start)
	}
	return first, ar, nil
}

// holeRefused is the ENOMEM of calls that want no holes.
func (mm *MemoryManager) holeRefused(op string, addr memmap.Addr) error {
	return memmap.Refuse(op, unix.ENOMEM, "%v is not mapped (%s)", addr, mm.holeAt(addr))
}

// protect changes vma after vma from seg on, where ar starts, until one refuses. An
// event is appended for each.
func (mm *MemoryManager) protect(c *change, seg vmaSeg, ar memmap.AddrRange, asked memmap.AccessType) error {
	for {
		perms := asked
		if c.by.ReadImpliesExec && asked.Read && seg.Value.maxPerms.Execute {
			perms.Execute = true
		}
		part := seg.Intersect(ar)
		if err := mm.mayProtect(c.by, seg, part, perms); err != nil {
			return err
		}
		if seg.Value.perms != perms {
			event := mm.note(c, Event{Kind: EventProtect, Access: perms, Range: part, Addr: part.Start})
			mm.keepWritten(seg.Range, &seg.Value, part)
			written := perms.Write || seg.Value.accounted && (seg.Value.written || mm.holdsOwned(seg.Range))
			mm.updateVMAs(part, func(v *vma) {
				v.perms, v.protected = perms, event
				v.reaccount(written)
			})
			mm.protectPMAs(c, part, perms.Effective())
			if v := &seg.Value; v.private && v.mlock == memmap.MLockEager && !v.perms.Write && perms.Write {
				c.toFill = append(c.toFill, part) // locked memory waits for no write
			}
		}
		if part.End == ar.End {
			return nil
		}
		var ok bool
		if seg, ok = mm.vmas.Find(part.End); !ok {
			return mm.holeRefused("mprotect", part.End)
		}
		ar.Start = part.End
	}
}

// reaccount follows Linux's mprotect_fixup: memory is accounted from when it may be
// written, and no longer once it may not, if by then nobody has written it.
func (v *vma) reaccount(written bool) {
	switch {
	case v.perms.Write:
		v.accounted = accountable(v.private, true, v.noReserve)
	case v.anonymous() && !written:
		v.accounted = false
	}
}

// keepWritten is called before part, a part of v at ar, becomes a mapping of its own: that
// v was written to holds for every piece of it (Linux's anon_vma goes to each).
//
// Preconditions: mm.mappingMu is held for writing, mm.activeMu at all.
func (mm *MemoryManager) keepWritten(ar memmap.AddrRange, v *vma, part memmap.AddrRange) {
	if v.anonymous() && v.accounted && !v.written && part != ar && mm.holdsOwned(ar) {
		mm.updateVMAs(ar, func(v *vma) { v.written = true })
	}
}

// keepWrittenLocking is keepWritten for callers that do not hold mm.activeMu.
func (mm *MemoryManager) keepWrittenLocking(seg vmaSeg, part memmap.AddrRange) {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	mm.keepWritten(seg.Range, &seg.Value, part)
}

// holdsOwned reports whether private pages lie in ar.
//
// Preconditions: mm.activeMu is held.
func (mm *MemoryManager) holdsOwned(ar memmap.AddrRange) bool {
	for p := range mm.pmas.In(ar) {
		if p.Value.kind == owned {
			return true
		}
	}
	return false
}

func (mm *MemoryManager) mayProtect(by *Actor, seg vmaSeg, part memmap.AddrRange, perms memmap.AccessType) error {
	const op = "mprotect"
	v := seg.Value
	if !v.maxPerms.SupersetOf(perms.Effective()) {
		return memmap.Refuse(op, unix.EACCES, "%v may have %v at most, not %v", seg.Range, v.maxPerms, perms)
	}
	if err := mm.mayExecute(op, v.perms, perms); err != nil {
		return err
	}
	if v.sealed() {
		return sealedRefused(op, seg)
	}
	if v.perms == perms {
		return nil
	}
	if perms.Write { // Linux's mprotect_fixup
		old := v.isData()
		v.perms = perms
		err := mm.mayExpand(op, by, part.Length(), 0, v.isData())
		if err != nil && mm.mayExpand(op, by, part.Length(), 0, old) == nil {
			return err
		}
		if !v.accounted && accountable(v.private, true, v.noReserve) {
			if err := mm.mayCommit(op, by, part.Length()); err != nil {
				return err
			}
		}
	}
	return mm.maySplit(op, part)
}

// maySplit checks that vm.max_map_count allows what a change of part, a part of one
// vma, makes of it, and that it is no piece of the kernel's own.
func (mm *MemoryManager) maySplit(op string, part memmap.AddrRange) error {
	if err := mm.wholeSpecials(op, part); err != nil {
		return err
	}
	if mm.vmas.Len()+2 <= MaxMapCount { // three at most
		return nil
	}
	return mm.mayCount(op, mm.splits(part))
}

// protectPMAs mirrors a vma's new effective permissions. Where that takes rights
// away the host hears of it; rights that are added come with the next fault, or,
// where the window is wide and the calls are few, at once.
func (mm *MemoryManager) protectPMAs(c *change, ar memmap.AddrRange, effective memmap.AccessType) {
	var all, weaker memmap.AddrRange // hulls
	pieces := 0
	mm.pmas.Update(ar, func(r memmap.AddrRange, p pma) pma {
		before := mm.grants(&p, false)
		p.perms = effective
		if !mm.grants(&p, false).SupersetOf(before) {
			weaker = hull(weaker, r)
		}
		all = hull(all, r)
		pieces++
		return p
	})
	if !weaker.IsEmpty() {
		c.spoil(weaker)
	}
	few := len(c.ops)+pieces <= fewOps
	switch wide := mm.window.Get() != memmap.PageSize; {
	case few && wide:
		mm.mapPMAs(c, all, false)
	case few:
		mm.mapPMAs(c, weaker, false)
	}
}

// hull returns the smallest range that holds a, which may be empty, and b.
func hull(a, b memmap.AddrRange) memmap.AddrRange {
	if a.IsEmpty() {
		return b
	}
	return memmap.AddrRange{Start: min(a.Start, b.Start), End: max(a.End, b.End)}
}
