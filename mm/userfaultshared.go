package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Sparse is shared memory as a userfaultfd sees it: a Mappable whose pages are there or
// not, whoever maps them.
type Sparse interface {
	memmap.Mappable

	// Cached calls f for the stretches of mr that have pages, in order.
	Cached(mr memmap.MappableRange, f func(memmap.MappableRange))

	// FillPage makes the page at off with that content: EEXIST if it is there, EFAULT
	// beyond the end, ENOMEM.
	FillPage(off memmap.MappableOffset, content []byte) error

	// Narrow makes pages come in one by one from now on.
	Narrow()
}

// sparse returns the shared memory below v, nil if it maps something else.
func (v *vma) sparse() Sparse {
	m := v.mappable
	if m == nil || rssKindOf(m) != rssShmem {
		return nil
	}
	for over, ok := m.(interface{ Unwrap() memmap.Mappable }); ok; over, ok = m.(interface{ Unwrap() memmap.Mappable }) {
		m = over.Unwrap()
	}
	s, _ := m.(Sparse)
	return s
}

// pageOf returns whether the page at addr of seg, which maps s, is there, and whether it
// could be.
func pageOf(s Sparse, seg vmaSeg, addr memmap.Addr) (there, within bool) {
	mr := mappableRange(seg, addr.Page())
	s.Cached(mr, func(memmap.MappableRange) { there = true })
	end, known := endOf(s)
	return there, !known || mr.Start < end
}

// fillShared is fillHole for shared memory that a userfaultfd watches: it is told of
// pages that nobody has yet (missing), and of those that only this mapping has not (minor).
func (mm *MemoryManager) fillShared(c *change, seg vmaSeg, s Sparse, rest memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	v := &seg.Value
	page := rest.Start.Page()
	there, within := pageOf(s, seg, page.Start)
	switch {
	case within && there && v.flags&flagMinor != 0:
		return rest.Start, mm.userfault(c, v.uffd, rest.Start, missingFlags(at)|faultMinor)
	case within && !there && v.flags&flagMissing != 0:
		return rest.Start, mm.userfault(c, v.uffd, rest.Start, missingFlags(at))
	}
	return mm.translate(c, seg, page, page, at)
}

// fillSharedPage puts a page with content into the shared memory at page and maps it.
//
// Preconditions: mm.mappingMu is held; mm.activeMu is held for writing; seg is there, and
// maps s.
func (mm *MemoryManager) fillSharedPage(c *change, seg vmaSeg, s Sparse, page memmap.AddrRange, content []byte, protect bool) error {
	if mm.pmas.Overlaps(page) {
		return alreadyThere(page.Start)
	}
	if err := s.FillPage(offsetOf(seg, page.Start), content); err != nil {
		return err
	}
	return mm.mapShared(c, seg, page, protect)
}

// mapShared maps the page that shared memory has for page.
func (mm *MemoryManager) mapShared(c *change, seg vmaSeg, page memmap.AddrRange, protect bool) error {
	at := memmap.Read
	if seg.Value.perms.Write && !seg.Value.private {
		at = memmap.ReadWrite
	}
	ts, err := mm.askMappable(seg, page, page, at)
	if err != nil || len(ts) != 1 {
		return memmap.Refuse("userfaultfd", unix.EFAULT, "%v: %v", page, err)
	}
	ts[0].File.IncRef(ts[0].FileRange())
	mm.putFilled(c, page, translatedPMA(ts[0], &seg.Value))
	if protect {
		mm.remark(page, markProtected, 0)
	}
	return nil
}

// Continue is UFFDIO_CONTINUE: it maps the pages that shared memory has for dst. What it
// returns, and errors, are as for Copy; EFAULT a page that is not there, EINVAL one beyond
// the end.
func (u *Userfault) Continue(by *Actor, dst memmap.AddrRange, protect bool) (uint64, error) {
	return u.fill(by, dst, protect, func(c *change, todo memmap.AddrRange) (memmap.Addr, error) {
		page := todo.Start.Page()
		if c == nil {
			return page.Start, nil
		}
		seg, _ := u.mm.vmas.Find(page.Start)
		s := seg.Value.sparse()
		if s == nil {
			return page.Start, memmap.Refuse("userfaultfd", unix.EINVAL, "%v is not shared memory", seg.Range)
		}
		switch there, within := pageOf(s, seg, page.Start); {
		case !within:
			return page.Start, memmap.Refuse("userfaultfd", unix.EINVAL, "%v lies beyond the end", page.Start)
		case !there:
			return page.Start, memmap.Refuse("userfaultfd", unix.EFAULT, "shared memory has no page for %v", page.Start)
		}
		if u.mm.pmas.Overlaps(page) {
			return page.Start, alreadyThere(page.Start)
		}
		return page.End, u.mm.mapShared(c, seg, page, protect)
	})
}
