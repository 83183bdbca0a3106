package mm_test

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// mremap in the order of Linux 6.18's mm/mremap.c, by pages.

// remapping is an mremap under way: first and to are pages, old and new numbers of
// pages.
type remapping struct {
	first, old, new, to int
	mm.MRemapOpts
}

func (pl *player) mremap(a [6]int) {
	p := pl.p
	first, old := span(a[0], a[1])
	to, n := span(a[2], a[1]+a[3]/4%3)
	if a[3]%3 == 0 {
		n = old
	}
	switch a[3] % 16 {
	case 5:
		old = 0
	case 6:
		n = 0
	case 7:
		to = first
	case 8: // what is mapped there, whole
		old = p.end[first] - first
	}
	r := remapping{first: first, old: max(old, 0), new: n, to: to}
	r.MayMove = a[4]%8 != 0
	r.Fixed = a[4]/8%2 == 0
	r.DontUnmap = a[4]/16%4 == 0
	r.NewAddr = 0
	if r.Fixed || r.DontUnmap {
		r.NewAddr = addrOf(to)
	}
	addr := addrOf(first)
	switch a[4] / 64 % 24 {
	case 0:
		addr++
	case 1:
		if r.Fixed || r.DontUnmap {
			r.NewAddr += 8
		}
	case 2:
		if r.Fixed || r.DontUnmap {
			r.NewAddr = addrOf(arenaLen)
		}
	}
	src := pl.sources[a[2]%2]
	pl.refusals(src, a[4])
	defer pl.refusals(nil, 0)
	locked := p.lockedIn(first, r.old)
	want, wantErr := p.remap(addr, r)
	got, err := p.mm.MRemap(pl.by, addr, uint64(r.old)*page-uint64(min(r.old, a[3]%2)), uint64(n)*page, r.MRemapOpts)
	if r.DontUnmap {
		p.spreadUnlock(locked)
	}
	if pl.errno("mremap", err, wantErr); err == nil && got != addrOf(want) {
		wrong("mremap is at %v, page %d, want page %d", got, indexOf(got), want)
	}
}

// lockedIn returns the pages of n from first on that are locked.
func (m *modelProcess) lockedIn(first, n int) (locked []int) {
	for i := first; i < min(first+n, arenaLen); i++ {
		if q := m.pages[i]; q != nil && q.lock != memmap.MLockNone {
			locked = append(locked, i)
		}
	}
	return locked
}

// spreadUnlock follows what MREMAP_DONTUNMAP did to the locks of pages that moved, once
// locked: Linux unlocks what is left of the whole mapping, which may meanwhile have become
// one with the moved part and with what lies around. That the model has from the engine.
func (p *process) spreadUnlock(once []int) {
	if len(once) == 0 {
		return
	}
	for _, v := range p.mm.VMAs(p.mm.All()) {
		for i := indexOf(v.AR.Start); v.MLock == memmap.MLockNone && i < indexOf(v.AR.End); i++ {
			if q := p.pages[i]; q != nil {
				q.lock = memmap.MLockNone
			}
		}
	}
}

func (m *modelProcess) remap(addr memmap.Addr, r remapping) (int, error) {
	switch {
	case !addr.IsPageAligned(), r.new == 0:
		return 0, unix.EINVAL
	case !r.Fixed && !r.DontUnmap:
		return m.remapOne(r)
	case r.NewAddr > addrOf(arenaLen-r.new), !r.NewAddr.IsPageAligned(), !r.MayMove, r.DontUnmap && r.old != r.new:
		return 0, unix.EINVAL
	case r.first < r.to+r.new && r.to < r.first+r.old:
		return 0, unix.EINVAL
	case !r.Fixed || r.old != r.new:
		return m.remapOne(r)
	}
	// All that is mapped moves, mapping by mapping, and the holes stay holes.
	if m.pages[r.first] == nil {
		return 0, unix.EFAULT
	}
	end := r.first + r.old
	var parts [][2]int
	for i := r.first; i < end; i++ {
		if m.pages[i] != nil {
			parts = append(parts, [2]int{i, min(m.end[i], end)})
			i = m.end[i] - 1
		}
	}
	for _, part := range parts {
		one := r
		one.first, one.old = part[0], part[1]-part[0]
		one.new, one.to = one.old, r.to+part[0]-r.first
		one.NewAddr = addrOf(one.to)
		if _, err := m.remapOne(one); err != nil {
			return 0, err
		}
	}
	return r.to, nil
}

func (m *modelProcess) remapOne(r remapping) (int, error) {
	q := m.pages[r.first]
	if q == nil {
		return 0, unix.EFAULT
	}
	if q.advice.Has(mm.Sealed) {
		return 0, unix.EPERM
	}
	elsewhere := r.Fixed || r.DontUnmap
	if !elsewhere && r.new <= r.old {
		if r.first+r.old > arenaLen && r.new < r.old {
			return 0, unix.EINVAL
		}
		if m.sealedIn(r.first+r.new, r.old-r.new) {
			return 0, unix.EPERM
		}
		m.unmap(r.first+r.new, r.old-r.new)
		return r.first, nil
	}
	switch {
	case r.old == 0 && q.private:
		return 0, unix.EINVAL
	case min(r.old, r.new) > m.end[r.first]-r.first:
		return 0, unix.EFAULT
	}
	if elsewhere {
		if r.Fixed && m.sealedIn(r.to, r.new) {
			return 0, unix.EPERM
		}
		if r.Fixed {
			m.unmap(r.to, r.new)
		}
		if r.new < r.old && m.sealedIn(r.first+r.new, min(r.old, arenaLen-r.first)-r.new) {
			return 0, unix.EPERM
		}
		if r.new < r.old {
			m.unmap(r.first+r.new, min(r.old, arenaLen-r.first)-r.new)
			r.old = r.new
		}
		if m.pages[r.first] == nil {
			return 0, unix.EFAULT
		}
		return m.moveTo(r)
	}
	if end := r.first + r.old; end == m.end[r.first] && r.first+r.new <= arenaLen && !m.mapped(end, r.new-r.old) {
		if err := q.src.add(); err != nil {
			return 0, err
		}
		more := *m.pages[end-1]
		more.off++
		m.mapPages(end, r.new-r.old, more)
		if more.lock == memmap.MLockEager {
			m.populate(end, r.new-r.old)
		}
		return r.first, nil
	}
	if !r.MayMove {
		return 0, unix.ENOMEM
	}
	return m.moveTo(r)
}

// moveTo finds the new place and moves the pages there.
func (m *modelProcess) moveTo(r remapping) (int, error) {
	q := *m.pages[r.first]
	if !r.Fixed {
		place, errno := m.place(&memmap.MMapOpts{Addr: r.NewAddr}, r.new)
		if errno != 0 {
			return 0, errno
		}
		r.to = place
	}
	if err := q.src.add(); err != nil {
		return 0, err
	}
	q.watch = 0 // it is not told of moves, and loses what moves
	m.mapPages(r.to, r.new, q)
	for i := range r.old {
		old, moved := m.pages[r.first+i], m.pages[r.to+i]
		moved.frame, moved.here, moved.guard = old.frame, old.here, old.guard
		old.frame, old.here, old.guard, old.protected = nil, absent, false, false
		if r.DontUnmap {
			old.lock, old.dirty = memmap.MLockNone, false
			if m.traps[r.first+i].Kind == mm.TrapGuard {
				delete(m.traps, r.first+i)
			}
		} else {
			m.clearPage(r.first + i)
		}
	}
	if q.lock == memmap.MLockEager && r.new > r.old {
		m.populate(r.to+r.old, r.new-r.old)
	}
	return r.to, nil
}
