package mm_test

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// What stays in memory: locks and pins.

var lockModes = []memmap.MLockMode{memmap.MLockEager, memmap.MLockNone, memmap.MLockLazy, memmap.MLockNone, memmap.MLockNone}

// lock is mlock, mlock2 and munlock.
func (pl *player) lock(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	mode := lockModes[a[2]%len(lockModes)]
	var want error
	for i := first; i < first+n && want == nil; i++ {
		if q := p.pages[i]; q == nil {
			want = unix.ENOMEM
		} else {
			q.lock = mode
		}
	}
	err := p.mm.MLock(pl.by, addrOf(first), uint64(n)*page, mode)
	if want == nil && mode == memmap.MLockEager && !pl.populateMappings(first, first+n, false) {
		want = unix.ENOMEM
	}
	pl.errno("mlock", err, want)
}

// populateMappings brings in [first, end), mapping by mapping as the engine has them now,
// until one fails or, if failures are ignored, to the end. It reports whether none did.
func (pl *player) populateMappings(first, end int, ignore bool) bool {
	p, good := pl.p, true
	for _, v := range p.mm.VMAs(memmap.AddrRange{Start: addrOf(first), End: addrOf(end)}) {
		from, to := max(first, indexOf(v.AR.Start)), min(end, indexOf(v.AR.End))
		if !p.populate(from, to-from) {
			if good = false; !ignore {
				break
			}
		}
	}
	return good
}

// lockAll is mlockall and munlockall.
func (pl *player) lockAll(a [6]int) {
	p := pl.p
	o := mm.MLockAllOpts{Current: a[0]%4 == 0, Future: a[0]%6 == 0, OnFault: a[1]%2 == 0}
	mode := memmap.MLockNone
	if o.Current || o.Future {
		if mode = memmap.MLockEager; o.OnFault {
			mode = memmap.MLockLazy
		}
	}
	pl.errno("mlockall", p.mm.MLockAll(pl.by, o), nil)
	if p.future = memmap.MLockNone; o.Future {
		p.future = mode
	}
	if o.Future && !o.Current {
		return
	}
	for _, q := range p.pages {
		if q != nil {
			q.lock = mode
		}
	}
	if mode == memmap.MLockEager {
		pl.populateMappings(0, arenaLen, true)
	}
}

// pin is what a process has pinned: its frames outlive their mapping.
type pin struct {
	id     int64
	frames []*frame
}

// pinnable reports whether nothing refuses a pin of n pages.
func (m *modelProcess) pinnable(first, n int, at memmap.AccessType) bool {
	for i := first; i < first+n; i++ {
		q := m.pages[i]
		if q == nil || q.guard || q.watch != 0 || m.traps[i].At.Any() || !q.perms.Effective().SupersetOf(at) || q.src != nil && q.src.fails(q.off) {
			return false
		}
	}
	return true
}

// pin makes pages the process's own, whoever only reads them, and holds them.
func (pl *player) pin(a [6]int) {
	p := pl.p
	first, n := span(a[0], 1+a[1]%4)
	at := []memmap.AccessType{memmap.Read, memmap.Write}[a[2]%2]
	if !p.pinnable(first, n, at) {
		return
	}
	got, err := p.mm.Pin(pl.by, memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)}, at, mm.IOOpts{})
	if pl.errno("pin", err, nil); err != nil {
		return
	}
	held := pin{id: got.ID}
	for i := first; i < first+n; i++ {
		q := p.pages[i]
		if !q.private {
			p.bring(q, at)
			continue
		}
		p.bring(q, memmap.Write)
		q.frame.pins++
		held.frames = append(held.frames, q.frame)
	}
	p.pins = append(p.pins, held)
}

func (pl *player) unpin(a [6]int) {
	p := pl.p
	if len(p.pins) == 0 {
		if _, err := p.mm.Unpin(pl.by, 1<<40); errnoOf(err) != unix.EINVAL {
			wrong("unpin of nothing: %v", err)
		}
		return
	}
	i := a[0] % len(p.pins)
	_, err := p.mm.Unpin(pl.by, p.pins[i].id)
	pl.errno("unpin", err, nil)
	for _, f := range p.pins[i].frames {
		f.pins--
	}
	p.pins = append(p.pins[:i], p.pins[i+1:]...)
}
