package mm

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MLock is mlock(2), mlock2(2) and, with MLockNone, munlock(2), for all pages that
// [addr, addr+length) touches. Memory is never locked on the host: the mode is
// kept, counted, reported, and makes pages come in.
//
// Errors: EPERM RLIMIT_MEMLOCK is 0; ENOMEM it would be passed; EINVAL an overflow;
// ENOMEM a hole, vm.max_map_count, or (with MLockEager) a page that cannot come in;
// EAGAIN no memory for one. What lies before a hole, and all where pages cannot
// come in, is locked all the same.
func (mm *MemoryManager) MLock(by *Actor, addr memmap.Addr, length uint64, mode memmap.MLockMode) error {
	op := "mlock"
	if mode == memmap.MLockNone {
		op = "munlock"
	}
	length, _ = memmap.PageRoundUp(length + addr.PageOffset()) // as in Linux an overflow is 0
	addr = addr.RoundDown()
	c := mm.begin(by)
	err := mm.lockPages(c, op, addr, length, mode)
	if len(c.short) > 0 {
		err = notLocked(c.refill())
	}
	return err
}

// lockPages is MLock of whole pages; what had no memory is c's to refill.
func (mm *MemoryManager) lockPages(c *change, op string, addr memmap.Addr, length uint64, mode memmap.MLockMode) error {
	by := c.by
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	if mode != memmap.MLockNone {
		if err := mm.mayLockRange(op, by, addr, length); err != nil {
			return err
		}
	}
	ar, ok := addr.ToRange(length)
	if !ok {
		return memmap.Refuse(op, unix.EINVAL, "%v+%#x ends above all addresses", addr, length)
	}
	if ar.IsEmpty() {
		return nil
	}
	if err := mm.lockRange(c, op, ar, mode); err != nil || mode == memmap.MLockNone {
		return err
	}
	return notLocked(mm.populateRange(c, ar, false))
}

// mayLockRange is the check of RLIMIT_MEMLOCK that counts what is locked already
// only once.
func (mm *MemoryManager) mayLockRange(op string, by *Actor, addr memmap.Addr, length uint64) error {
	limit := by.limits().MemLock
	switch {
	case by.LockCap:
		return nil
	case limit == 0:
		return memmap.Refuse(op, unix.EPERM, "RLIMIT_MEMLOCK is 0")
	}
	already := uint64(0)
	if ar, ok := addr.ToRange(length); ok && mm.lockedAS+length > limit {
		already = mm.lockedIn(ar)
	}
	const shift = 12 // as in Linux pages are added up, which do not overflow
	if pages := (mm.lockedAS-already)>>shift + length>>shift; pages > limit>>shift {
		return memmap.Refuse(op, unix.ENOMEM, "%d pages would be locked, RLIMIT_MEMLOCK is %#x", pages, limit)
	}
	return nil
}

// lockRange sets the mode of all in ar up to the first hole.
//
// Preconditions: mm.mappingMu is held for writing; ar is not empty.
func (mm *MemoryManager) lockRange(c *change, op string, ar memmap.AddrRange, mode memmap.MLockMode) error {
	for pos := ar.Start; pos < ar.End; {
		seg, ok := mm.vmas.Find(pos)
		if !ok {
			return mm.holeRefused(op, pos)
		}
		part := seg.Intersect(memmap.AddrRange{Start: pos, End: ar.End})
		if err := mm.setLock(c, op, seg, part, mode); err != nil {
			return err
		}
		pos = part.End
	}
	return nil
}

// setLock sets the mode of part, a part of seg. The kernel's own pages
// and those that may be dropped take none, but come in.
func (mm *MemoryManager) setLock(c *change, op string, seg vmaSeg, part memmap.AddrRange, mode memmap.MLockMode) error {
	if seg.Value.mlock == mode || !seg.Value.lockable() {
		return nil
	}
	if err := mm.maySplit(op, part); err != nil {
		return err
	}
	mm.note(c, Event{Kind: EventLock, Range: part, Addr: part.Start, Number: int64(mode)})
	mm.keepWrittenLocking(seg, part)
	mm.updateVMAs(part, func(v *vma) { v.mlock = mode })
	return nil
}

// lockable reports whether v can be locked: Linux's VM_SPECIAL cannot, nor VM_DROPPABLE.
func (v *vma) lockable() bool { return !v.special() && v.flags&flagDroppable == 0 }

// special reports whether v is the kernel's own: [vdso] and [vvar].
func (v *vma) special() bool {
	_, special := v.mappable.(*Special)
	return special
}

// notLocked makes of why locked memory could not be populated what POSIX wants of mlock.
func notLocked(err error) error {
	var errno unix.Errno
	errors.As(err, &errno)
	switch {
	case err == nil:
		return nil
	case errno == unix.ENOMEM:
		return memmap.Refuse("mlock", unix.EAGAIN, "%v", err)
	}
	return memmap.Refuse("mlock", unix.ENOMEM, "%v", err)
}

// populateRange is Linux's __mm_populate: it brings in what is in ar, but for what
// is locked only as it is touched. Unless failures are ignored it stops at the
// first.
//
// Preconditions: mm.mappingMu is held for writing.
func (mm *MemoryManager) populateRange(c *change, ar memmap.AddrRange, ignoreFailures bool) error {
	for seg := range mm.vmas.In(ar) {
		v := &seg.Value
		if v.mlock == memmap.MLockLazy || v.pageless() {
			continue
		}
		if err := mm.populate(c, seg, seg.Intersect(ar)); err != nil && !ignoreFailures {
			if n := len(c.short); noRoom(err) {
				c.short[n-1].End = ar.End // with what comes behind
			}
			return err
		}
	}
	return nil
}

// MLockAllOpts says what MLockAll locks. With neither Current nor Future it unlocks
// all, also what is still to come: munlockall(2).
type MLockAllOpts struct {
	Current, Future bool
	OnFault         bool // MCL_ONFAULT
}

// MLockAll is mlockall(2) and munlockall(2). As on Linux it forgets what an earlier
// call said of the future.
//
// Errors: EPERM RLIMIT_MEMLOCK is 0; ENOMEM with Current, all memory is more than
// that. Pages that cannot come in are no error.
func (mm *MemoryManager) MLockAll(by *Actor, o MLockAllOpts) error {
	const op = "mlockall"
	mode := memmap.MLockNone
	switch {
	case !o.Current && !o.Future:
	case !mayLockAtAll(by):
		return memmap.Refuse(op, unix.EPERM, "RLIMIT_MEMLOCK is 0")
	case o.OnFault:
		mode = memmap.MLockLazy
	default:
		mode = memmap.MLockEager
	}
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	if limit := by.limits().MemLock; o.Current && !by.LockCap && mm.vmas.Span() > limit {
		return memmap.Refuse(op, unix.ENOMEM, "%#x bytes are mapped, RLIMIT_MEMLOCK is %#x", mm.vmas.Span(), limit)
	}
	mm.defMLock = memmap.MLockNone
	if o.Future {
		mm.defMLock = mode
	}
	if o.Future && !o.Current {
		return nil
	}
	if mode == memmap.MLockNone && mm.lockedAS == 0 {
		return nil
	}
	mm.note(c, Event{Kind: EventLock, Range: mm.All(), Number: int64(mode)})
	mm.updateVMAs(mm.All(), func(v *vma) {
		if v.lockable() {
			v.mlock = mode
		}
	})
	if mode != memmap.MLockNone {
		_ = mm.populateRange(c, mm.All(), true)
	}
	return nil
}
