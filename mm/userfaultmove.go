package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Move is UFFDIO_MOVE: the private pages of src leave their place for the missing ones of
// dst. holes says that a page which is not there may stay so. It returns how far it
// came, in bytes; the error counts if that is nowhere.
//
// Errors: EINVAL ranges that cannot be, mappings that are not alike; ESRCH the memory is
// gone; ENOENT nothing mapped, or without holes a page that is not there; EEXIST a page at
// dst; EBUSY a page that was shared and not written since, or is pinned.
func (u *Userfault) Move(by *Actor, dst, src memmap.AddrRange, holes bool) (uint64, error) {
	if err := u.checkRange(src); err != nil {
		return 0, err
	}
	return u.each(by, dst, u.mayMoveTo(dst, src), func(c *change, todo memmap.AddrRange) (memmap.Addr, error) {
		if c == nil {
			return todo.Start, nil
		}
		from := (src.Start + (todo.Start - dst.Start)).Page()
		return todo.Start.Page().End, u.mm.movePage(c, from, todo.Start.Page(), holes)
	})
}

// mayMoveTo is what Linux's move_pages asks of the mappings.
func (u *Userfault) mayMoveTo(dst, src memmap.AddrRange) func(memmap.AddrRange) error {
	const op = "userfaultfd"
	return func(memmap.AddrRange) error {
		to, there := u.mm.vmas.Find(dst.Start)
		from, here := u.mm.vmas.Find(src.Start)
		if !there || !here {
			return memmap.Refuse(op, unix.ENOENT, "%v or %v is not mapped", dst, src)
		}
		a, b := &from.Value, &to.Value
		locked := (a.mlock != memmap.MLockNone) != (b.mlock != memmap.MLockNone)
		switch {
		case from.End < src.End || to.End < dst.End:
			return memmap.Refuse(op, unix.EINVAL, "%v or %v is not one mapping", src, dst)
		case !a.anonymous() || !b.anonymous():
			return memmap.Refuse(op, unix.EINVAL, "%v or %v is not private anonymous memory", from.Range, to.Range)
		case a.perms != b.perms || locked || !a.perms.Write:
			return memmap.Refuse(op, unix.EINVAL, "%v and %v are not alike, or not writable", from.Range, to.Range)
		case b.uffd != u:
			return memmap.Refuse(op, unix.EINVAL, "%v is not registered", to.Range)
		}
		return nil
	}
}

// movePage moves the page at from to the page at to.
//
// Preconditions: mm.mappingMu is held; mm.activeMu is held for writing.
func (mm *MemoryManager) movePage(c *change, from, to memmap.AddrRange, holes bool) error {
	const op = "userfaultfd"
	if mm.noneUpTo(to) == to.Start {
		return alreadyThere(to.Start)
	}
	p, there := mm.pmas.Find(from.Start)
	switch {
	case !there && holes:
		return nil
	case !there:
		return memmap.Refuse(op, unix.ENOENT, "no page is at %v", from.Start)
	case p.Value.kind != zero && (mm.needCOW(&p.Value) || !mm.mem.HasUniqueRef(p.Value.fileRange(p.Range, from))):
		return memmap.Refuse(op, unix.EBUSY, "the page at %v waits for copy-on-write or is pinned", from.Start)
	}
	var few [1]pmaSeg
	taken := mm.pmas.Cut(from, few[:0])[0]
	mm.marks.Cut(from, nil)
	c.spoil(from)
	if taken.Value.kind == zero {
		taken.Value.off = memmap.FileOffset(to.Start)
	}
	taken.Value.cause = memmap.UserFill
	taken.Value.event = mm.note(c, Event{Kind: EventFault, Cause: memmap.UserFill, Range: to, Addr: to.Start})
	mm.pmas.Insert(to, taken.Value)
	return nil
}

// Poison is UFFDIO_POISON: from now on an access to the missing pages of dst is SIGBUS, as
// if their memory had failed. What it returns, and errors, are as for Copy.
func (u *Userfault) Poison(by *Actor, dst memmap.AddrRange) (uint64, error) {
	return u.fill(by, dst, false, func(c *change, todo memmap.AddrRange) (memmap.Addr, error) {
		page := todo.Start.Page()
		if c == nil {
			return page.Start, nil
		}
		seg, _ := u.mm.vmas.Find(page.Start)
		if s := seg.Value.sparse(); s != nil {
			if _, within := pageOf(s, seg, page.Start); !within {
				return page.Start, memmap.Refuse("userfaultfd", unix.EFAULT, "%v lies beyond the end", page.Start)
			}
		}
		if u.mm.noneUpTo(page) == page.Start {
			return page.Start, alreadyThere(page.Start)
		}
		u.mm.remark(page, markPoisoned, 0)
		return page.End, nil
	})
}

// poisonedAt returns what an access to page meets if it is poisoned, else nil.
//
// Preconditions: mm.activeMu is held.
func (mm *MemoryManager) poisonedAt(page memmap.AddrRange) error {
	if mm.marks.IsEmpty() {
		return nil
	}
	if m, _ := mm.markAt(page); m&markPoisoned == 0 {
		return nil
	}
	return &memmap.BusError{Err: &memmap.Refusal{
		Op: "fault", Errno: unix.EHWPOISON, Why: memmap.IOError,
		Reason: "the page at " + page.Start.String() + " is poisoned (UFFDIO_POISON)",
	}}
}

// unpoisoned clips ar to what is not poisoned around addr, which is not.
func (mm *MemoryManager) unpoisoned(ar memmap.AddrRange, addr memmap.Addr) memmap.AddrRange {
	if mm.marks.IsEmpty() {
		return ar
	}
	for m := range mm.marks.In(ar) {
		switch {
		case m.Value&markPoisoned == 0:
		case m.End <= addr:
			ar.Start = m.End
		default:
			ar.End = m.Start
			return ar
		}
	}
	return ar
}
