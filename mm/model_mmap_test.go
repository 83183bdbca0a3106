package mm_test

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

func (pl *player) mmap(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	q := modelPage{perms: rights[a[2]%len(rights)], max: memmap.AnyAccess, private: true, dirty: true}
	switch a[3] % 32 {
	case 5:
		q.lock = memmap.MLockLazy
	case 6:
		q.lock = memmap.MLockEager
	}
	o := memmap.MMapOpts{Addr: addrOf(first), Length: uint64(n)*page - uint64(a[1]%3), Populate: a[3]%11 == 7}
	switch a[3] % 8 {
	case 0, 1, 2:
		q.src, q.private = pl.sources[a[4]%len(pl.sources)], a[3]%3 == 0
		q.off = a[4] / 8 % 10
		if !q.private && a[4]%3 == 0 {
			q.max = memmap.ReadExecute
		}
		o.Mappable = q.src.mappable
		o.Identity = q.src.identities[a[4]/4%len(q.src.identities)]
		o.Offset = mappableOffset(q.off)
	case 3:
		q.growsDown = true
		o.Stack = a[4]%2 == 0
	}
	var want error
	switch a[4] / 80 % 16 {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		o.Fixed, o.Unmap = true, true
	case 8:
		o.Fixed, o.NoReplace = true, true
	case 9:
		o.Fixed = true
	case 10:
		o.Map32Bit = true
	case 11:
		o.Addr = 0
	case 12:
		o.Map32Bit, o.Addr = true, 0
	case 13:
		o.Addr += memmap.Addr(a[1] % page) // a hint is rounded
	case 14:
		want = oddMap(&o, a[2]%9)
	}
	o.Perms, o.MaxPerms, o.Private, o.GrowsDown = q.perms, q.max, q.private, q.growsDown
	o.MLock = q.lock
	q.lock = max(q.lock, p.future)
	pl.refusals(q.src, a[2])
	defer pl.refusals(nil, 0)
	if want == nil && !q.max.SupersetOf(q.perms) {
		want = unix.EACCES
	} else if want != nil {
		o.MaxPerms = memmap.AnyAccess // one thing wrong at a time
	}
	var at int
	if want == nil {
		place, errno := p.place(&o, n)
		if at = place; errno != 0 {
			want = errno
		}
		room, err := p.mm.FindRoom(pl.by, o)
		if pl.errno("FindRoom", err, want); err == nil && room != addrOf(at) {
			wrong("FindRoom is %v, page %d, want page %d", room, indexOf(room), at)
		}
	}
	if want == nil && o.Unmap && p.sealedIn(at, n) {
		want = unix.EPERM
	}
	if want == nil {
		p.unmap(at, n)
		want = q.src.add()
	}
	got, err := p.mm.MMap(pl.by, o)
	if pl.errno("mmap", err, want); err != nil {
		return
	}
	if got != addrOf(at) {
		wrong("mmap is at %v, page %d, want page %d", got, indexOf(got), at)
	}
	p.mapPages(at, n, q)
	if o.Populate || q.lock == memmap.MLockEager {
		p.populate(at, n)
	}
}

// mapPages puts n pages like q at i.
func (m *modelProcess) mapPages(i, n int, q modelPage) {
	for j := range n {
		c := q
		c.off += j
		c.frame, c.here, c.guard, c.dirty, c.protected = nil, absent, false, true, false
		m.pages[i+j] = &c
	}
}

// populate brings in the pages of one mapping, and reports whether that went well.
func (m *modelProcess) populate(first, n int) bool {
	q := m.pages[first]
	at := memmap.Read
	if q.private && q.perms.Write {
		at = memmap.Write
	}
	if q.lock == memmap.MLockLazy { // Linux's populate_vma_page_range leaves it
		return true
	}
	if !q.perms.Any() {
		return false
	}
	for i := first; i < first+n; i++ {
		if m.pages[i].guard || m.traps[i].At.Intersect(at).Any() || m.bring(m.pages[i], at) != fine {
			return false
		}
	}
	return true
}

// oddMap makes o what no guest should ask for, and says how it is refused.
func oddMap(o *memmap.MMapOpts, how int) error {
	switch how {
	case 0:
		o.Length = 0
		return unix.EINVAL
	case 1:
		o.Length = ^uint64(0) - 5
		return unix.ENOMEM
	case 2:
		o.Fixed, o.Addr = true, o.Addr+1
		return unix.EINVAL
	case 3:
		o.Unmap = true
		return unix.EINVAL
	case 4:
		o.NoReplace = true
		return unix.EINVAL
	case 5:
		if o.Mappable != nil {
			o.Offset++
			return unix.EINVAL
		}
	case 6:
		if o.Mappable != nil {
			o.Offset = ^memmap.MappableOffset(page - 1)
			return unix.EOVERFLOW
		}
	case 7:
		o.Fixed, o.Unmap, o.Addr = true, true, addrOf(arenaLen)-page
		if o.Length > page {
			return unix.ENOMEM
		}
	case 8:
		o.Fixed, o.Addr = true, arena-page
		return unix.EPERM
	}
	return nil
}

// refusals makes a file refuse one of its next mappings, sometimes.
func (pl *player) refusals(s *source, a int) {
	for _, s := range pl.sources {
		if s.file != nil {
			s.refuse, s.file.refuse = 0, 0
		}
	}
	if s != nil && s.file != nil && a%13 == 4 {
		s.refuse = 1 + a/13%3
		s.file.refuse = s.refuse
	}
}
