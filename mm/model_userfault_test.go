package mm_test

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// A userfaultfd for each process. Only where the window is a page does the model know
// which pages are missing.

func (pl *player) userfault() *mm.Userfault {
	p := pl.p
	if p.user == nil {
		p.user = mm.NewUserfault(p.mm, false, func() {})
		if err := p.user.Enable(mm.FeatureFaultWP); err != nil {
			wrong("UFFDIO_API: %v", err)
		}
	}
	return p.user
}

// watch registers memory, or ends that.
func (pl *player) watch(a [6]int) {
	if !pl.exact {
		return
	}
	p := pl.p
	first, n := span(a[0], a[1])
	ar := memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)}
	mode := []mm.UserfaultMode{mm.ModeMissing, mm.ModeMissing | mm.ModeWP, mm.ModeWP, 0}[a[2]%4]
	want := error(unix.EINVAL) // nothing is mapped
	for i := first; i < first+n; i++ {
		q := p.pages[i]
		if q == nil {
			continue
		}
		if want = nil; q.src != nil && q.src.file != nil {
			want = unix.EINVAL
		} else if mode != 0 && !q.max.Write {
			want = unix.EPERM
		}
		if want != nil {
			break
		}
	}
	for i := first; i < first+n; i++ { // shared memory: what it is told of, and how that outlives pages, is not modelled
		if q := p.pages[i]; q != nil && q.src != nil && want == nil {
			return
		}
	}
	var err error
	if mode == 0 {
		err = pl.userfault().Unregister(pl.by, ar)
	} else {
		_, err = pl.userfault().Register(pl.by, ar, mode)
	}
	if pl.errno("watch", err, want); want != nil {
		return
	}
	for i := first; i < first+n; i++ {
		if q := p.pages[i]; q != nil && (mode == 0 || q.watch&mode != mode) { // who has all of mode keeps what it has
			q.watch = mode
			q.protected = q.protected && mode&mm.ModeWP != 0
		}
	}
}

// fill is UFFDIO_COPY or UFFDIO_ZEROPAGE of a page.
func (pl *player) fill(a [6]int) {
	if !pl.exact {
		return
	}
	p := pl.p
	i, _ := span(a[0], 0)
	protect, zeroed := a[1]%3 == 0, a[1]%2 == 0
	q := p.pages[i]
	var want error
	switch {
	case q == nil || q.watch == 0:
		want = unix.ENOENT
	case protect && !zeroed && q.watch&mm.ModeWP == 0:
		want = unix.EINVAL
	case q.frame != nil || q.here == present:
		want = unix.EEXIST
	case zeroed && (q.guard || q.protected): // zeroes go where nothing is, not even a marker
		want = unix.EEXIST
	}
	ar := addrOf(i).Page()
	content := filled(page, a[2])
	var err error
	if zeroed {
		_, err = pl.userfault().Zero(pl.by, ar)
	} else {
		_, err = pl.userfault().Copy(pl.by, ar, protect, func(_ uint64, b []byte) error { copy(b, content); return nil })
	}
	if pl.errno("fill", err, want); want != nil {
		return
	}
	if q.guard = false; zeroed {
		q.here = present
		return
	}
	q.frame = &frame{data: content, refs: 1}
	q.protected = protect
}

// protect is UFFDIO_WRITEPROTECT: of private memory what is there is protected.
func (pl *player) protect(a [6]int) {
	if !pl.exact {
		return
	}
	p := pl.p
	first, n := span(a[0], a[1])
	on := a[2]%3 > 0
	want := error(unix.ENOENT)
	for i := first; i < first+n; i++ {
		q := p.pages[i]
		if q == nil {
			continue
		}
		if want = nil; q.watch&mm.ModeWP == 0 {
			want = unix.ENOENT
			break
		}
		q.protected = on && (q.protected || q.frame != nil || q.here == present)
	}
	err := pl.userfault().WriteProtect(pl.by, memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)}, on)
	pl.errno("protect", err, want)
}
