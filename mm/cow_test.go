package mm

import (
	"testing"

	"mmsh.dev/mmsh/memmap"
)

// A page is read, written, shared by a fork, copied by one side and taken over by
// the other.
func TestLifeOfAPage(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.loads(base, 0, memmap.ZeroMap)
	if rss := p.RSS(); rss != 0 {
		t.Errorf("RSS with the zero page is %d", rss)
	}
	p.stores(base, 1, memmap.COWCopy)
	p.stores(base+page, 2, memmap.ZeroFill)
	if rss := p.RSS(); rss != 2*page {
		t.Errorf("RSS is %d, want 2 pages", rss)
	}
	child := p.fork()
	p.check()
	child.check()
	child.loads(base, 1, memmap.Refault)
	child.stores(base, 11, memmap.COWCopy)
	p.loads(base, 1, memmap.NoCause) // the fork left it readable
	p.stores(base, 12, memmap.COWReuse)
	child.loads(base, 11, memmap.NoCause)
	p.stores(base+page, 13, memmap.COWCopy)
	child.stores(base+page, 14, memmap.COWReuse)
	p.loads(base+page, 13, memmap.NoCause)
	if rss := child.RSS(); rss != 2*page {
		t.Errorf("the child's RSS is %d, want 2 pages", rss)
	}
}

// Appendix B.1: a fork took the right to write from two pages with different
// rights, which made them one pma; breaking COW then gave both the first's rights.
func TestForkDoesNotLeakPermissions(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		p := newProcess(t)
		p.anon(base, 2*page, memmap.ReadWrite)
		p.w.window.Set(memmap.HugePageSize)
		p.stores(base, 1, memmap.ZeroFill) // both pages
		p.mprotect(base+page, page, memmap.Read)
		child := p.fork()
		want := memmap.COWCopy
		if takeover {
			p.munmap(base, 2*page)
			want = memmap.COWReuse
		}
		child.stores(base, 3, want)
		if cause, err := child.store(base+page, 4); cause != memmap.Permission || err == nil {
			t.Errorf("takeover %v: a store to the read-only page: %v, %v", takeover, cause, err)
		}
		child.check()
	}
}

// Exactly the pages that wait are copied, whatever the window.
func TestBreakCOWCopiesWhatItIsTold(t *testing.T) {
	p := newProcess(t)
	p.w.window.Set(memmap.HugePageSize)
	p.anon(base, 8*page, memmap.ReadWrite)
	p.ok(second(p.CopyOut(p.by, base, make([]byte, 8*page), IOOpts{})))
	child := p.fork()
	copied, reused, err := p.BreakCOW(p.by, memmap.AddrRange{Start: base + page, End: base + 3*page})
	if copied != 2 || reused != 0 || err != nil {
		t.Errorf("break of two pages: %d copied, %d reused, %v", copied, reused, err)
	}
	child.exit()
	copied, reused, err = p.BreakCOW(p.by, memmap.AddrRange{Start: base, End: base + 8*page})
	if copied != 0 || reused != 6 || err != nil {
		t.Errorf("break of the rest: %d copied, %d reused, %v", copied, reused, err)
	}
	p.check()
}

// A whole window is one fault: its width is the setting's.
func TestFaultWindow(t *testing.T) {
	for _, c := range []struct {
		window uint64
		want   uint64 // resident after one store
	}{{memmap.PageSize, page}, {64 << 10, 64 << 10}, {memmap.HugePageSize, memmap.HugePageSize}, {WindowAuto, autoFirst}} {
		p := newProcess(t)
		p.anon(base, 4*huge, memmap.ReadWrite)
		p.w.window.Set(c.window)
		p.stores(base+huge+5*page, 1, memmap.ZeroFill)
		if rss := p.RSS(); rss != c.want {
			t.Errorf("window %d: RSS %d, want %d", c.window, rss, c.want)
		}
		p.check()
	}
}

// Who reads a file sees at once what is there of it, and the host fills its page tables as
// they are read; who may write it gets a window, filled at once.
func TestAutoWindowOfFile(t *testing.T) {
	p := newProcess(t)
	p.w.window.Set(WindowAuto)
	f := newFile(p, 2*huge/page)
	f.lazy = true
	p.file(base+page, f, memmap.ReadWrite, false)
	counts := func() (walks, faults int) {
		return p.as.Counts().Walks, int(p.Stats().MinorFaults)
	}
	p.loads(base+page+5*page, 6, memmap.FileMap)
	if walks, faults := counts(); p.RSS() != 2*huge || walks != 0 || faults != 1 {
		t.Errorf("one read: RSS %d, %d walks, %d faults", p.RSS(), walks, faults)
	}
	p.stores(base+huge, 9, memmap.Upgrade)
	if walks, faults := counts(); walks != 1 || faults != 2 {
		t.Errorf("a write after it: %d walks, %d faults", walks, faults)
	}
	writable := uint64(0)
	for _, pma := range p.PMAs(p.All()) {
		if pma.Effective.Write {
			writable += pma.AR.Length()
		}
	}
	if writable != autoFirst {
		t.Errorf("%d bytes may be written after one store, want %d", writable, autoFirst)
	}
	p.check()
}

// A private copy of one page of a file leaves the others following the file, whatever
// the window.
func TestFaultWindowOfPrivateFile(t *testing.T) {
	for _, window := range []uint64{memmap.PageSize, 64 << 10, memmap.HugePageSize, WindowAuto} {
		p := newProcess(t)
		p.w.window.Set(window)
		f := newFile(p, 4)
		p.file(base, f, memmap.ReadWrite, true)
		p.file(base+8*page, f, memmap.ReadWrite, false)
		p.stores(base+page, 9, memmap.COWCopy)
		p.ok(second(p.store(base+10*page, 77)))
		if got, _, err := p.load(base + 2*page); got != 77 || err != nil {
			t.Errorf("window %d: the page beside the copy reads %d, %v", window, got, err)
		}
		p.check()
	}
}

// Sequential use makes the automatic window grow, upwards and downwards.
func TestAutoWindowGrows(t *testing.T) {
	for _, up := range []bool{true, false} {
		p := newProcess(t)
		p.w.window.Set(WindowAuto)
		p.anon(base, 16*huge, memmap.ReadWrite)
		for i := range memmap.Addr(4 * huge / page) {
			addr := base + i*page
			if !up {
				addr = base + 8*huge - page - i*page
			}
			if _, err := p.store(addr, 1); err != nil {
				t.Fatal(err)
			}
		}
		if n := p.Stats().MinorFaults; n > 8 {
			t.Errorf("up %v: %d faults for 8 MiB", up, n)
		}
		p.check()
	}
}

// What a fork shared and nobody wrote costs no copy when the other side is gone.
func TestTakeOverRunsOfDifferentOwners(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 16*page, memmap.ReadWrite)
	p.w.window.Set(64 << 10)
	p.stores(base, 1, memmap.ZeroFill)
	child := p.fork()
	child.munmap(base+4*page, 4*page) // those are the parent's alone again
	p.stores(base, 2, memmap.COWCopy)
	s := p.Stats()
	if s.COWWaiting != 0 {
		t.Errorf("%d bytes wait after a window of 64 KiB", s.COWWaiting)
	}
	p.check()
	child.loads(base, 1, memmap.Refault)
}

func second[A any](_ A, err error) error { return err }
