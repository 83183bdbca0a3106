package mm

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// watcher is a userfaultfd and how often it was notified.
type watcher struct {
	*Userfault
	p     *proc
	calls int
}

func (p *proc) userfaultfd(f UserfaultFeature) *watcher {
	p.t.Helper()
	w := &watcher{p: p}
	w.Userfault = NewUserfault(p.MemoryManager, false, func() { w.calls++ })
	p.ok(w.Enable(f))
	return w
}

func (w *watcher) register(addr memmap.Addr, n uint64, mode UserfaultMode) {
	w.p.t.Helper()
	w.p.ok(second(w.Register(w.p.by, memmap.AddrRange{Start: addr, End: addr + memmap.Addr(n)}, mode)))
}

func (w *watcher) copyPage(addr memmap.Addr, b byte, protect bool) error {
	_, err := w.Copy(w.p.by, addr.Page(), protect, func(_ uint64, page []byte) error {
		copy(page, bytes.Repeat([]byte{b}, len(page)))
		return nil
	})
	return err
}

// waits expects an access to wait, and returns its wait.
func (w *watcher) waits(err error, flags uint64) *UserfaultWait {
	w.p.t.Helper()
	var e *UserfaultError
	if !asError(err, &e) || e.Flags != flags || errno(err) != unix.EFAULT {
		w.p.t.Fatalf("the access: %v, want one that waits with flags %#x", err, flags)
	}
	wait := w.p.AwaitUserfault(e, 7)
	if wait == nil {
		w.p.t.Fatal("nothing to wait for")
	}
	return wait
}

func (w *watcher) goesOn(wait *UserfaultWait, want bool) {
	w.p.t.Helper()
	select {
	case <-wait.Ready:
		if !want {
			w.p.t.Error("the thread went on")
		}
	default:
		if want {
			w.p.t.Error("the thread still waits")
		}
	}
	wait.Done()
}

// A page that a larger window brought in, at mmap or beside another, is missing all the
// same; what was written is not.
func TestUserfaultMissingWithWindows(t *testing.T) {
	for _, window := range []uint64{64 << 10, memmap.HugePageSize, WindowAuto} {
		p := newProcess(t)
		p.w.window.Set(window)
		p.anon(base, 8*page, memmap.ReadWrite)
		p.ok(second(p.store(base+3*page, 9)))
		w := p.userfaultfd(FeatureExactAddress | FeatureThreadID)
		w.register(base, 8*page, ModeMissing)
		_, err := p.store(base, 1)
		w.goesOn(w.waits(err, faultWrite), false)
		_, _, err = p.load(base + 4*page)
		w.goesOn(w.waits(err, 0), false)
		if got, _, err := p.load(base + 3*page); got != 9 || err != nil {
			t.Errorf("window %#x: what was written reads %d, %v", window, got, err)
		}
		p.ok(w.copyPage(base, 5, false))
		if got, _, err := p.load(base); got != 5 || err != nil {
			t.Errorf("window %#x: what was copied reads %d, %v", window, got, err)
		}
	}
}

func TestUserfaultMissing(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.stores(base+3*page, 9, memmap.ZeroFill)
	w := p.userfaultfd(FeatureExactAddress | FeatureThreadID)
	w.register(base, 4*page, ModeMissing)
	p.stores(base+3*page, 8, memmap.NoCause) // what is there is nobody's business

	_, cause, err := p.loadErr(base + 5)
	if cause != 0 {
		t.Errorf("a load from a missing page read %d", cause)
	}
	wait := w.waits(err, 0)
	msg, ok := w.Read()
	if !ok || msg.Addr != base+5 || msg.TID != 7 || msg.Event != eventPagefault || w.calls != 1 || w.Readable() {
		t.Errorf("the message: %+v %v, %d calls", msg, ok, w.calls)
	}
	p.ok(w.copyPage(base, 'a', false))
	w.goesOn(wait, false) // a copy wakes nobody by itself
	p.loads(base, 'a', memmap.Refault)
	p.wantErrno(w.copyPage(base, 'b', false), unix.EEXIST, "a copy over a page")
	p.wantErrno(w.copyPage(base+9*page, 'b', false), unix.ENOENT, "a copy to where nothing is")

	// A copy on the guest's behalf waits as well, with no lock held, and then goes on.
	p.by.Await = func(err error) error {
		wait := w.waits(err, faultWrite)
		p.ok(w.copyPage(base+page, 'c', false))
		p.ok(w.Wake((base + page).Page()))
		w.goesOn(wait, true)
		return nil
	}
	p.ok(second(p.CopyOut(p.by, base+page, []byte("x"), IOOpts{})))
	p.loads(base+page, 'x', memmap.Refault)
	p.loads(base+page+1, 'c', memmap.NoCause)
	// One that may not wait, and a person, find nothing.
	p.by.Await = nil
	_, err = p.CopyIn(p.by, base+2*page, make([]byte, 1), IOOpts{})
	p.wantErrno(err, unix.EFAULT, "a copy that cannot wait")
	_, err = p.CopyIn(p.by, base+2*page, make([]byte, 1), IOOpts{IgnorePermissions: true})
	p.wantErrno(err, unix.EFAULT, "a person's copy")

	// Zeroes as far as there is room; what is answered meanwhile needs no wait.
	_, _, err = p.loadErr(base + 2*page)
	var e *UserfaultError
	asError(err, &e)
	if n, err := w.Zero(p.by, memmap.AddrRange{Start: base + 2*page, End: base + 4*page}); n != page || err == nil {
		t.Errorf("zeroes: %#x, %v", n, err)
	}
	if p.AwaitUserfault(e, 7) != nil {
		t.Error("it waits for what is there")
	}
	p.loads(base+2*page, 0, memmap.Refault)

	// Forks have nothing of it, and closing lets all go.
	child := p.fork()
	p.ok(p.Decommit(p.by, base, page))
	child.ok(child.Decommit(child.by, base, page))
	child.loads(base, 0, memmap.ZeroMap)
	_, err = p.store(base, 1)
	wait = w.waits(err, faultWrite)
	w.Close(p.by)
	w.goesOn(wait, true)
	p.stores(base, 1, memmap.ZeroFill)
	if got, want := p.maps(base, 4*page), "[0x10000000000, 0x10000004000) rw-\n"; got != want {
		t.Errorf("mapped: %q", got)
	}
	child.check()
}

func TestUserfaultWriteProtect(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 3*page, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	p.stores(base+page, 1, memmap.ZeroFill)
	w := p.userfaultfd(FeatureFaultWP)
	all := memmap.AddrRange{Start: base, End: base + 3*page}
	p.wantErrno(w.WriteProtect(p.by, all, true), unix.ENOENT, "what is not registered")
	w.register(base, 3*page, ModeWP)
	p.ok(w.WriteProtect(p.by, all, true))
	p.check()
	p.loads(base, 1, memmap.Refault)
	_, err := p.store(base, 2)
	w.goesOn(w.waits(err, faultWrite|faultProtected), false)
	p.stores(base+2*page, 1, memmap.ZeroFill) // was not there: it is not protected
	n, err := p.CopyOut(p.by, base, []byte{1}, IOOpts{})
	p.wantErrno(err, unix.EFAULT, "a copy")
	if n != 0 {
		t.Error("a copy got through")
	}
	p.mprotect(base, 3*page, memmap.Read)
	p.mprotect(base, 3*page, memmap.ReadWrite)
	_, err = p.store(base, 2)
	w.waits(err, faultWrite|faultProtected).Done()
	child := p.fork()
	child.stores(base, 3, memmap.COWCopy)
	p.ok(w.WriteProtect(p.by, base.Page(), false))
	p.stores(base, 4, memmap.COWReuse)
	_, err = p.store(base+page, 4)
	w.waits(err, faultWrite|faultProtected).Done() // protection comes before copy-on-write
	p.check()

	// Moved memory and what was let go is not protected any more.
	p.ok(w.Unregister(p.by, (base + page).Page()))
	p.stores(base+page, 5, memmap.COWCopy)
	p.ok(w.WriteProtect(p.by, base.Page(), true))
	_, err = p.MRemap(p.by, base, page, page, MRemapOpts{MayMove: true, Fixed: true, NewAddr: base + 16*page})
	p.ok(err)
	p.stores(base+16*page, 6, memmap.NoCause)
	w.Close(p.by)
}

func TestUserfaultAsync(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 3*page, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	w := p.userfaultfd(FeatureWPAsync)
	w.register(base, 3*page, ModeWP)
	all := memmap.AddrRange{Start: base, End: base + 3*page}
	p.ok(w.WriteProtect(p.by, all, true))
	p.stores(base, 2, memmap.Refault)
	p.stores(base+page, 2, memmap.ZeroFill)
	bits := p.Pagemap(all)
	for i, want := range []uint64{0, 0, PagemapProtected | PagemapSwap} {
		if got := bits[i] & (PagemapProtected | PagemapSwap); got != want {
			t.Errorf("page %d: %#x, want %#x", i, got, want)
		}
	}
	w.Close(p.by)
	p.check()
}
