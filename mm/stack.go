package mm

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// mayGrow reports whether addr, which is not mapped, lies below something that
// grows down.
//
// Preconditions: mm.mappingMu is held.
func (mm *MemoryManager) mayGrow(addr memmap.Addr) bool {
	next, ok := mm.vmas.LowerBound(addr)
	return ok && next.Value.growsDown && addr >= mm.layout.Min
}

// growStack extends the mapping above addr down to addr's page: Linux's
// expand_downwards. The refusal says which rule forbids it. tell asks for an event of
// its own; a guest's fault says it itself.
func (mm *MemoryManager) growStack(by *Actor, addr memmap.Addr, tell bool) error {
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	if mm.vmas.Overlaps(addr.Page()) { // somebody else was faster
		return nil
	}
	if !mm.mayGrow(addr) {
		return mm.notMapped("fault", addr)
	}
	seg, _ := mm.vmas.LowerBound(addr)
	grown := memmap.AddrRange{Start: addr.RoundDown(), End: seg.Start}
	if err := mm.checkGrowth(c, seg, grown); err != nil {
		return err
	}
	v := seg.Value
	if tell {
		mm.note(c, Event{Kind: EventMap, Access: v.perms, Range: grown, Addr: grown.Start, Note: "a stack grew for a copy"})
	}
	v.off -= memmap.MappableOffset(grown.Length())
	v.written = true // Linux's expand_downwards makes ready for it
	mm.insertVMA(grown, &v)
	return nil
}

// checkGrowth checks RLIMIT_STACK, the guard gap, then the other limits. What lies
// far below all that the stack may ever be is simply not mapped.
func (mm *MemoryManager) checkGrowth(c *change, seg vmaSeg, grown memmap.AddrRange) error {
	refuse := func(why memmap.Cause, format string, args ...any) error {
		return &memmap.Refusal{Op: "fault", Errno: unix.EFAULT, Why: why, Reason: fmt.Sprintf(format, args...)}
	}
	size, limit := uint64(seg.End-grown.Start), c.by.limits().Stack
	if size > limit && size-limit > stackGap {
		return mm.notMapped("fault", grown.Start)
	}
	if size > limit {
		return refuse(memmap.LimitHit, "the stack %v would grow to %#x bytes, RLIMIT_STACK is %#x", seg.Range, size, limit)
	}
	if prev, ok := mm.vmas.UpperBound(grown.Start); ok {
		inaccessible := !prev.Value.perms.Any()
		if !prev.Value.growsDown && !inaccessible && grown.Start-prev.End < stackGap {
			return refuse(memmap.GuardPage, "%v lies in the guard gap between %v and the stack %v", grown.Start, prev.Range, seg.Range)
		}
	}
	if uint64(grown.Length()) > uint64(seg.Value.off) {
		return refuse(memmap.LimitHit, "the stack %v was moved here and has no offsets left to grow", seg.Range)
	}
	err := mm.mayExpand("fault", c.by, grown.Length(), 0, false)
	if err == nil && seg.Value.mlock != memmap.MLockNone {
		err = mm.mayLock("fault", c.by, grown.Length())
	}
	if err == nil { // whatever it may do now
		err = mm.mayCommit("fault", c.by, grown.Length())
	}
	if err != nil {
		return refuse(memmap.LimitHit, "the stack %v cannot grow: %v", seg.Range, err)
	}
	return nil
}
