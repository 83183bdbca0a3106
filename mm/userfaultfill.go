package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Copy is UFFDIO_COPY: it fills the missing pages of dst, one by one, with what read puts
// into a page's bytes; off is the offset in dst. With protect they are write-protected
// from the start. It returns how far it came, in bytes; the error counts if that is
// nowhere. read is called with no lock held and may wait. Nobody is woken.
//
// Errors: EINVAL, ESRCH the memory is gone; ENOENT dst is not one mapping that is
// registered; EEXIST a page that is there; ENOMEM; what read says.
func (u *Userfault) Copy(by *Actor, dst memmap.AddrRange, protect bool, read func(off uint64, page []byte) error) (uint64, error) {
	buf := make([]byte, memmap.PageSize)
	return u.fill(by, dst, protect, func(c *change, todo memmap.AddrRange) (memmap.Addr, error) {
		page := todo.Start.Page()
		if c == nil {
			return page.Start, read(uint64(page.Start-dst.Start), buf)
		}
		return page.End, u.mm.fillWith(c, page, buf, protect)
	})
}

// Zero is UFFDIO_ZEROPAGE: Copy of zeroes. Unlike that it does not fill private pages
// that are protected, poisoned or guarded: EEXIST.
func (u *Userfault) Zero(by *Actor, dst memmap.AddrRange) (uint64, error) {
	return u.fill(by, dst, false, func(c *change, todo memmap.AddrRange) (memmap.Addr, error) {
		if c == nil {
			return todo.Start, nil
		}
		seg, _ := u.mm.vmas.Find(todo.Start)
		if seg.Value.private {
			if todo.End = u.mm.noneUpTo(todo); todo.IsEmpty() {
				return todo.Start, alreadyThere(todo.Start)
			}
		}
		if !seg.Value.anonymous() {
			return todo.Start.Page().End, u.mm.fillWith(c, todo.Start.Page(), make([]byte, memmap.PageSize), false)
		}
		u.mm.putFilled(c, todo, zeroPMA(todo, &seg.Value))
		return todo.End, nil
	})
}

// fill is each for calls that fill missing pages of registered mappings.
func (u *Userfault) fill(by *Actor, dst memmap.AddrRange, protect bool, step func(*change, memmap.AddrRange) (memmap.Addr, error)) (uint64, error) {
	return u.each(by, dst, func(todo memmap.AddrRange) error { return u.mayFill(todo, protect) }, step)
}

// each calls step until dst is full: first with no change, with no lock held, after a
// look at whether there is sense in it, then with all locks held.
func (u *Userfault) each(by *Actor, dst memmap.AddrRange, may func(memmap.AddrRange) error, step func(*change, memmap.AddrRange) (memmap.Addr, error)) (uint64, error) {
	if err := u.checkRange(dst); err != nil {
		return 0, err
	}
	mm := u.mm
	if !mm.IncUsers() {
		return 0, memmap.Refuse("userfaultfd", unix.ESRCH, "the memory is gone")
	}
	defer mm.DecUsers(by)
	pos := dst.Start
	for pos < dst.End {
		todo := memmap.AddrRange{Start: pos, End: dst.End}
		err := u.look(todo, may)
		if err == nil {
			_, err = step(nil, todo)
		}
		if err == nil {
			pos, err = u.fillLocked(by, todo, may, step)
		}
		if err != nil {
			return uint64(pos - dst.Start), err
		}
	}
	return dst.Length(), nil
}

func (u *Userfault) look(dst memmap.AddrRange, may func(memmap.AddrRange) error) error {
	u.mm.mappingMu.RLock()
	defer u.mm.mappingMu.RUnlock()
	return may(dst)
}

func (u *Userfault) fillLocked(by *Actor, dst memmap.AddrRange, may func(memmap.AddrRange) error, step func(*change, memmap.AddrRange) (memmap.Addr, error)) (memmap.Addr, error) {
	mm := u.mm
	c := mm.begin(by)
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	if err := may(dst); err != nil {
		return dst.Start, err
	}
	pos, err := step(c, dst)
	if err != nil {
		pos = dst.Start
	}
	_ = c.flush() // a page more for the host to map: the next access sees to that
	return pos, err
}

// mayFill is what Linux's mfill_atomic asks of the destination.
//
// Preconditions: mm.mappingMu is held.
func (u *Userfault) mayFill(dst memmap.AddrRange, protect bool) error {
	const op = "userfaultfd"
	seg, ok := u.mm.vmas.Find(dst.Start)
	switch {
	case !ok || seg.End < dst.End || seg.Value.uffd == nil:
		return memmap.Refuse(op, unix.ENOENT, "%v is not one mapping that is registered", dst)
	case protect && seg.Value.flags&flagProtected == 0:
		return memmap.Refuse(op, unix.EINVAL, "%v is not registered for write protection", seg.Range)
	case !seg.Value.anonymous() && seg.Value.sparse() == nil:
		return memmap.Refuse(op, unix.EINVAL, "%v is neither private anonymous nor shared memory", seg.Range)
	}
	return nil
}

// fillWith puts a page with content at page: into the shared memory that is mapped there,
// or, where the mapping is private, into it alone.
func (mm *MemoryManager) fillWith(c *change, page memmap.AddrRange, content []byte, protect bool) error {
	seg, _ := mm.vmas.Find(page.Start)
	s := seg.Value.sparse()
	if s != nil && !seg.Value.private {
		return mm.fillSharedPage(c, seg, s, page, content, protect)
	}
	if s != nil {
		if _, within := pageOf(s, seg, page.Start); !within {
			return memmap.Refuse("userfaultfd", unix.EFAULT, "%v lies beyond the end", page.Start)
		}
	}
	return mm.fillPage(c, page, content, protect)
}

// fillPage puts a page with content at page, where none may be.
//
// Preconditions: mm.mappingMu is held; mm.activeMu is held for writing; a vma is there.
func (mm *MemoryManager) fillPage(c *change, page memmap.AddrRange, content []byte, protect bool) error {
	if mm.pmas.Overlaps(page) {
		return alreadyThere(page.Start)
	}
	seg, _ := mm.vmas.Find(page.Start)
	fr, err := mm.mem.AllocateCopy(safemem.Of(content), pgalloc.Anonymous, mm.near(page))
	if err != nil {
		return memmap.Refuse("userfaultfd", unix.ENOMEM, "%v", outOfMemory(page, err))
	}
	p := mm.ownPMA(fr, &seg.Value)
	mm.putFilled(c, page, p)
	if protect {
		mm.remark(page, markProtected, 0)
	}
	return nil
}

// noneUpTo returns where in ar the first page is that is there, or of which is remembered
// why not: protected, poisoned, guarded (Linux's markers in page tables).
//
// Preconditions: mm.mappingMu and mm.activeMu are held.
func (mm *MemoryManager) noneUpTo(ar memmap.AddrRange) memmap.Addr {
	if p, ok := mm.pmas.LowerBound(ar.Start); ok {
		ar.End = min(ar.End, max(p.Start, ar.Start))
	}
	if g, ok := mm.guards.LowerBound(ar.Start); ok {
		ar.End = min(ar.End, max(g.Start, ar.Start))
	}
	for m := range mm.marks.In(ar) {
		if m.Value&(markProtected|markPoisoned) != 0 {
			return max(m.Start, ar.Start)
		}
	}
	return ar.End
}

// putFilled inserts p at ar. As in Linux a guard region gives way.
func (mm *MemoryManager) putFilled(c *change, ar memmap.AddrRange, p pma) {
	mm.guards.Cut(ar, nil)
	mm.remark(ar, 0, ^mark(0))
	p.cause = memmap.UserFill
	p.event = mm.note(c, Event{Kind: EventFault, Cause: memmap.UserFill, Range: ar, Addr: ar.Start})
	mm.insertPMA(ar, p)
}

func alreadyThere(addr memmap.Addr) error {
	return memmap.Refuse("userfaultfd", unix.EEXIST, "a page is at %v already", addr)
}

// WriteProtect is UFFDIO_WRITEPROTECT: writes to what is in ar stop from now on, or no
// longer. Private memory that is not there is protected only with FeatureWPUnpopulated.
// Nobody is woken.
//
// Errors: EINVAL a range that cannot be; ESRCH the memory is gone; ENOENT nothing mapped,
// or a mapping that is not registered for it, and all before it is done.
func (u *Userfault) WriteProtect(by *Actor, ar memmap.AddrRange, protect bool) error {
	const op = "userfaultfd"
	if err := u.checkRange(ar); err != nil {
		return err
	}
	mm := u.mm
	if !mm.IncUsers() {
		return memmap.Refuse(op, unix.ESRCH, "the memory is gone")
	}
	defer mm.DecUsers(by)
	c := mm.begin(by)
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	var err error = memmap.Refuse(op, unix.ENOENT, "nothing is mapped in %v", ar)
	for seg := range mm.vmas.In(ar) {
		if seg.Value.flags&flagProtected == 0 {
			err = memmap.Refuse(op, unix.ENOENT, "%v is not registered for write protection", seg.Range)
			break
		}
		err = nil
		if part := seg.Intersect(ar); protect {
			u.protect(c, seg, part)
		} else {
			mm.remark(part, 0, markProtected)
		}
	}
	if died := c.flush(); err == nil {
		err = died
	}
	return err
}

func (u *Userfault) protect(c *change, seg vmaSeg, part memmap.AddrRange) {
	mm := u.mm
	var there memmap.AddrRange // hull
	for p := range mm.pmas.In(part) {
		ar := p.Intersect(part)
		there = hull(there, ar)
		if seg.Value.anonymous() && !u.has(FeatureWPUnpopulated) {
			mm.remark(ar, markProtected, 0)
		}
	}
	if !seg.Value.anonymous() || u.has(FeatureWPUnpopulated) {
		mm.remark(part, markProtected, 0)
	}
	if !there.IsEmpty() {
		c.spoil(there)
	}
}
