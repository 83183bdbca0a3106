package mm_test

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// What the guest does to its pages, and what the debugger does in its name.

// guest is an access by the guest, which faults until the host allows it.
func (pl *player) guest(a [6]int) {
	p := pl.p
	i, _ := span(a[0], 0)
	at := accesses[a[1]%len(accesses)]
	offset := a[2] % page
	addr := addrOf(i) + memmap.Addr(offset)
	pl.scarce(i, 1, func() {
		if p.as.Allows(addr, at) {
			p.full = p.full && !pl.loose // such an access takes no memory
			if got := p.guestAccess(i, at); got != fine {
				wrong("%v of page %d needs no fault, want %v", at, i, got)
			}
			pl.guestDoes(i, offset, at, byte(a[3]))
			return
		}
		_, err := p.mm.HandleUserFault(pl.by, addr, at, 0)
		if p.as.fatal && errors.Is(err, p.as.hit) {
			p.full = false
			err = nil
		}
		got := outcomeOf(err)
		want := pl.accessed(i, at, got)
		if got != want {
			wrong("%v of page %d: %v (%v), want %v", at, i, got, err, want)
		}
		if got == fine && !p.as.fatal {
			pl.guestDoes(i, offset, at, byte(a[3]))
		}
	})
}

// accessed is the model's access. What could fail for want of memory need not where
// the window is wide and pages are there that the model does not know of, or where
// only one allocation fails and the engine tries another: then its word counts.
func (pl *player) accessed(i int, at memmap.AccessType, got outcome) outcome {
	p := pl.p
	if !pl.loose {
		return p.guestAccess(i, at)
	}
	full := p.full
	defer func() { p.full = full }()
	if got == busError && p.guestAccess(i, at) == busError { // with no memory, a stack may have grown
		return busError
	}
	if q := p.pages[i]; got == busError && !pl.exact && at.Write && q.private { // it may have been there before a fork
		return busError
	}
	p.full = false
	return p.guestAccess(i, at)
}

// guestDoes makes the access that the host now allows.
func (pl *player) guestDoes(i, offset int, at memmap.AccessType, v byte) {
	p := pl.p
	addr := addrOf(i) + memmap.Addr(offset)
	switch {
	case !p.as.Allows(addr, at):
		wrong("%v of page %d is fine, and the host does not allow it", at, i)
	case at.Write:
		if err := p.as.Store(addr, v); err != nil {
			wrong("store to page %d: %v", i, err)
		}
		pl.materialise(i)
		p.write(i, offset, []byte{v})
	default:
		if got, err := p.as.Load(addr); err != nil || got != p.pages[i].bytes()[offset] {
			wrong("load from page %d is %#x (%v), want %#x", i, got, err, p.pages[i].bytes()[offset])
		}
	}
}

// materialise is for wide windows: a page that the host lets be written is owned.
func (pl *player) materialise(i int) {
	if q := pl.p.pages[i]; q.private && (q.frame == nil || q.frame.refs > 1) {
		pl.p.full = false
		pl.p.bring(q, memmap.Write)
	}
}

func outcomeOf(err error) outcome {
	var bus *memmap.BusError
	var trap *mm.TrapError
	var user *mm.UserfaultError
	switch {
	case err == nil:
		return fine
	case errors.As(err, &bus):
		return busError
	case errors.As(err, &trap):
		return trapped
	case errors.As(err, &user):
		return waits
	case errnoOf(err) == unix.EPERM:
		return denied
	case errnoOf(err) == unix.EFAULT:
		return notMapped
	}
	return outcome(err.Error())
}

// breakCOW makes pages the process's own. They are brought in first: which are there
// depends on the window.
func (pl *player) breakCOW(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	pl.scarcity, pl.failing = pl.scarcity && pl.exact, 0
	for i := first; i < first+n; i++ {
		if q := p.pages[i]; q != nil && q.private {
			var b [1]byte
			_, err := p.mm.CopyIn(pl.by, addrOf(i), b[:], mm.IOOpts{IgnorePermissions: true})
			if got := p.access(i, memmap.Read, true); (got == fine) != (err == nil) {
				wrong("page %d cannot be read: %v, want %v", i, err, got)
			}
		}
	}
	pl.scarce(first, n, func() {
		_, _, err := p.mm.BreakCOW(pl.by, memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)})
		want := fine
		for i := first; i < first+n && want == fine; i++ {
			if q := p.pages[i]; q != nil && q.private && (q.frame != nil || q.here == present) {
				protected := q.protected // of which only those are told who write
				q.protected = false
				want = p.bring(q, memmap.Write)
				q.protected = protected
			}
		}
		if got := outcomeOf(err); got != want {
			wrong("BreakCOW: %v (%v), want %v", got, err, want)
		}
	})
}

// touch brings pages in one by one until one is refused.
func (pl *player) touch(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	at := accesses[a[2]%len(accesses)]
	pl.scarce(first, n, func() {
		causes, err := p.mm.Touch(pl.by, memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)}, at)
		died := p.as.fatal && errors.Is(err, p.as.hit)
		for k := range causes {
			got := fine
			if k == len(causes)-1 && !died {
				got = outcomeOf(err)
			}
			if want := pl.accessed(first+k, at, got); got != want {
				wrong("touch of page %d: %v (%v), want %v", first+k, got, err, want)
			}
		}
		if len(causes) < n && err == nil {
			wrong("touch ends after %d of %d pages", len(causes), n)
		}
	})
}

// trap sets a watchpoint, or a guard on what is mapped, or takes traps away.
func (pl *player) trap(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	t := mm.Trap{Kind: mm.TrapWatch, At: accesses[a[2]%len(accesses)], ID: int64(a[3] % 3)}
	if a[4]%4 == 0 {
		t = mm.Trap{Kind: mm.TrapGuard, At: memmap.AnyAccess}
		for i := first; i < first+n; i++ {
			if p.pages[i] == nil {
				return
			}
		}
	} else if a[4]%2 == 0 {
		t = mm.Trap{}
	}
	err := p.mm.SetTrap(pl.by, memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)}, t)
	pl.errno("SetTrap", err, nil)
	for i := first; i < first+n; i++ {
		if delete(p.traps, i); t != (mm.Trap{}) {
			p.traps[i] = t
		}
	}
}
