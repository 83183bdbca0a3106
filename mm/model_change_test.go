package mm_test

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// What changes or takes away what is mapped, but for mremap.

func (pl *player) munmap(a [6]int) {
	first, n := span(a[0], a[1])
	addr, length := addrOf(first), uint64(n)*page-uint64(a[2]%2)
	var want error
	switch a[3] % 24 {
	case 0:
		addr, want = addr+1, unix.EINVAL
	case 1:
		length, want = 0, unix.EINVAL
	case 2:
		length, want = uint64(addrOf(arenaLen)-addr)+1, unix.EINVAL
	case 3:
		length, want = ^uint64(0), unix.EINVAL
	}
	if want == nil && pl.p.sealedIn(first, n) {
		want = unix.EPERM
	}
	pl.errno("munmap", pl.p.mm.MUnmap(pl.by, addr, length), want)
	if want == nil {
		pl.p.unmap(first, n)
	}
}

func (pl *player) mprotect(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	perms, down := rights[a[2]%len(rights)], a[3]%12 == 0
	addr, length := addrOf(first), uint64(n)*page-uint64(a[2]%2)
	if a[3]%20 == 3 {
		pl.errno("mprotect", p.mm.MProtect(pl.by, addr+1, length, perms, down), unix.EINVAL)
		pl.errno("mprotect", p.mm.MProtect(pl.by, addr, 0, perms, down), nil)
		pl.errno("mprotect", p.mm.MProtect(pl.by, addr, ^uint64(0), perms, down), unix.ENOMEM)
		return
	}
	err := p.mm.MProtect(pl.by, addr, length, perms, down)
	pl.errno("mprotect", err, p.protect(first, first+n, perms, down))
}

func (m *modelProcess) protect(first, end int, perms memmap.AccessType, down bool) error {
	if !m.mapped(first, end-first) {
		return unix.ENOMEM
	}
	if down {
		for m.pages[first] == nil {
			first++
		}
		if !m.pages[first].growsDown {
			return unix.EINVAL
		}
		first = m.start[first]
	}
	var fill [][2]int // locked memory that may be written now
	defer func() {
		for _, part := range fill {
			m.populate(part[0], part[1]-part[0])
		}
	}()
	for first < end {
		q := m.pages[first]
		switch {
		case q == nil:
			return unix.ENOMEM
		case !q.max.SupersetOf(perms):
			return unix.EACCES
		case q.advice.Has(mm.Sealed):
			return unix.EPERM
		}
		part := min(m.end[first], end)
		if q.private && q.lock == memmap.MLockEager && perms.Write && !q.perms.Write {
			fill = append(fill, [2]int{first, part})
		}
		for ; first < part; first++ {
			m.pages[first].perms = perms
		}
	}
	return nil
}

func (pl *player) brk(a [6]int) {
	p := pl.p
	addr := heapStart + memmap.Addr(a[0]%14)*page + memmap.Addr(a[1]%3*100)
	switch a[2] % 16 {
	case 0:
		addr = heapStart - 1
	case 1:
		addr = ^memmap.Addr(0)
	}
	want, ok := p.moveBreak(addr)
	got, err := p.mm.Brk(pl.by, addr)
	if got != want || (err == nil) != ok {
		wrong("brk(%v) is %v (%v), want %v, %v", addr, got, err, want, ok)
	}
}

// moveBreak is brk(2), whose errno nobody sees. As on Linux a shrinking heap must
// still have something mapped where it shrinks.
func (m *modelProcess) moveBreak(addr memmap.Addr) (now memmap.Addr, ok bool) {
	up, fits := addr.RoundUp()
	if addr < heapStart || !fits {
		return m.brk, false
	}
	oldUp, _ := m.brk.RoundUp()
	from, to := indexOf(oldUp), indexOf(up)
	switch {
	case to > from:
		if to+1 > m.limitAt(from) && m.limitAt(from) != arenaLen || to > arenaLen || m.mapped(from, to-from) {
			return m.brk, false
		}
		m.mapPages(from, to-from, modelPage{perms: memmap.ReadWrite, max: memmap.AnyAccess, private: true, lock: m.future})
		if m.future == memmap.MLockEager {
			m.populate(from, to-from)
		}
	case to < from:
		if !m.mapped(to, from-to) || m.sealedIn(to, from-to) {
			return m.brk, false
		}
		m.unmap(to, from-to)
	}
	m.brk = addr
	return addr, true
}

func (pl *player) dontneed(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	if a[2]%20 == 3 {
		pl.errno("madvise", p.mm.Decommit(pl.by, addrOf(first)+1, page), unix.EINVAL)
		pl.errno("madvise", p.mm.Decommit(pl.by, addrOf(first), ^uint64(0)), unix.EINVAL)
		pl.errno("madvise", p.mm.Decommit(pl.by, addrOf(first), 0), nil)
		return
	}
	var want error
	for i := first; i < first+n; i++ {
		q := p.pages[i]
		if q == nil {
			want = unix.ENOMEM
			continue
		}
		if q.keepsContents() {
			want = unix.EPERM
			break
		}
		if q.lock != memmap.MLockNone {
			want = unix.EINVAL
			break
		}
		q.drop()
	}
	pl.errno("madvise", p.mm.Decommit(pl.by, addrOf(first), uint64(n)*page), want)
}
