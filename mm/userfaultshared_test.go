package mm

import (
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// why returns the last rule of what Explain says, and its cause.
func (p *proc) why(addr memmap.Addr, at memmap.AccessType) (string, memmap.Cause) {
	e := p.Explain(p.by, addr, at, 0)
	return e.Rules[len(e.Rules)-1].Text, e.Cause
}

// A page that another mapping of the memory has is a minor fault, one that nobody has a
// missing fault; a file's page that was continued is the one that the other sees.
func TestUserfaultMinor(t *testing.T) {
	p := newProcess(t)
	w := p.userfaultfd(0)
	p.shared(base, 4*page, memmap.ReadWrite)
	p.stores(base, 5, memmap.FileMap)
	other, err := p.MRemap(p.by, base, 0, 4*page, MRemapOpts{MayMove: true, Fixed: true, NewAddr: base + 64*page})
	p.ok(err)
	w.register(other, 4*page, ModeMissing|ModeMinor)
	_, _, fault := p.load(other)
	wait := w.waits(fault, faultMinor)
	if text, cause := p.why(other, memmap.Read); cause != memmap.UserFault {
		t.Errorf("why: %s, %v", text, cause)
	}
	p.ok(second(w.Continue(p.by, other.Page(), false)))
	p.ok(w.Wake(other.Page()))
	w.goesOn(wait, true)
	p.loads(other, 5, memmap.Refault)
	p.wantErrno(second(w.Continue(p.by, other.Page(), false)), unix.EEXIST, "continue again")
	p.wantErrno(second(w.Continue(p.by, (other+3*page).Page(), false)), unix.EFAULT, "continue what nobody has")
	if got := string(pageLetters(p.Pages(memmap.AddrRange{Start: other, End: other + 4*page}))); got[3] != 'm' {
		t.Errorf("pages: %s", got)
	}
	p.ok(w.copyPage(other+3*page, 9, false))
	p.loads(base+3*page, 9, memmap.FileMap)
	p.check()
}

// A poisoned page is SIGBUS until it is filled or dropped, and is told as such.
func TestUserfaultPoison(t *testing.T) {
	for _, window := range []uint64{memmap.PageSize, 64 << 10} {
		p := newProcess(t)
		p.w.window.Set(window)
		w := p.userfaultfd(FeatureSigbus)
		p.anon(base, 4*page, memmap.ReadWrite)
		w.register(base, 4*page, ModeMissing)
		p.ok(second(w.Poison(p.by, (base + page).Page())))
		p.wantErrno(second(w.Poison(p.by, (base+page).Page())), unix.EEXIST, "poison again")
		w.Close(p.by)
		if cause, err := p.store(base+page, 1); cause != memmap.IOError || errno(err) != unix.EHWPOISON {
			t.Errorf("a store: %v, %v", cause, err)
		}
		p.stores(base, 1, memmap.ZeroFill) // whose window ends there
		p.ok(second(p.store(base+2*page, 1)))
		if _, err := p.CopyOut(p.by, base+page, []byte{1}, IOOpts{}); errno(err) != unix.EFAULT {
			t.Errorf("a copy: %v", err)
		}
		if got := string(pageLetters(p.Pages(memmap.AddrRange{Start: base + page, End: base + 2*page}))); got != "x" {
			t.Errorf("pages: %s", got)
		}
		if text, cause := p.why(base+page, memmap.Read); cause != memmap.IOError {
			t.Errorf("why: %s, %v", text, cause)
		}
		p.check()
		p.ok(p.Decommit(p.by, base+page, page))
		p.stores(base+page, 1, memmap.ZeroFill)
		p.check()
	}
}

// Moved pages are the same pages: nothing is copied, and what is shared stays.
func TestUserfaultMove(t *testing.T) {
	p := newProcess(t)
	w := p.userfaultfd(0)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.anon(base+8*page, 4*page, memmap.ReadWrite)
	w.register(base, 4*page, ModeMissing)
	for i := range 3 {
		p.stores(base+8*page+memmap.Addr(i)*page, byte(i+1), memmap.ZeroFill)
	}
	before := p.w.mem.Stats().Total
	p.pin(base+9*page, page, memmap.Write)
	ar := func(a memmap.Addr) memmap.AddrRange { return memmap.AddrRange{Start: a, End: a + 2*page} }
	n, err := w.Move(p.by, ar(base), ar(base+8*page), false)
	if n != page || errno(err) != unix.EBUSY {
		t.Errorf("moved %#x bytes up to the pinned page, %v", n, err)
	}
	p.loads(base, 1, memmap.Refault)
	if total := p.w.mem.Stats().Total; total != before {
		t.Errorf("%d bytes are allocated, before it were %d", total, before)
	}
	n, err = w.Move(p.by, ar(base+page), ar(base+10*page), true)
	if n != 2*page || err != nil {
		t.Errorf("moved %#x bytes with a hole, %v", n, err)
	}
	p.loads(base+page, 3, memmap.Refault)
	p.w.books()
}

// A scan tells what is there and protects it, in one step; a write ends that.
func TestScanPagesProtects(t *testing.T) {
	p := newProcess(t)
	w := p.userfaultfd(FeatureWPAsync)
	p.anon(base, 8*page, memmap.ReadWrite)
	w.register(base, 8*page, ModeWP)
	p.stores(base+page, 1, memmap.ZeroFill)
	p.stores(base+2*page, 1, memmap.ZeroFill)
	scan := func() PageScanResult {
		r, err := p.ScanPages(p.by, PageScan{
			AR: memmap.AddrRange{Start: base, End: base + 8*page}, Protect: true, Mask: PageWritten | PagePresent, Return: PageWritten,
			MaxPages: Infinity, Regions: 10,
		})
		p.ok(err)
		return r
	}
	if r := scan(); len(r.Regions) != 1 || r.Pages != 2 || r.End != base+8*page {
		t.Errorf("scan: %+v", r)
	}
	if got := string(pageLetters(p.Pages(memmap.AddrRange{Start: base, End: base + 4*page}))); got != ".uu." {
		t.Errorf("pages: %s", got)
	}
	p.stores(base+2*page, 1, memmap.Refault)
	if r := scan(); r.Pages != 1 || r.Regions[0].AR.Start != base+2*page {
		t.Errorf("scan after a write: %+v", r)
	}
	p.check()
}
