package mm

import (
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// softDirty returns a letter a page: d soft-dirty, c not.
func (p *proc) softDirty(addr memmap.Addr, n uint64) string {
	s := ""
	for _, e := range p.Pagemap(memmap.AddrRange{Start: addr, End: addr + memmap.Addr(n)}) {
		if e&PagemapSoftDirty != 0 {
			s += "d"
		} else {
			s += "c"
		}
	}
	return s
}

func TestSoftDirty(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 5*page, memmap.ReadWrite)
	for i := range memmap.Addr(3) {
		p.stores(base+i*page, 1, memmap.ZeroFill)
	}
	want := func(what, want string) {
		t.Helper()
		if got := p.softDirty(base, 5*page); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("new memory", "ddddd")
	p.ClearSoftDirty(p.by)
	p.check()
	want("cleared", "ccccc")
	p.loads(base, 1, memmap.Refault)
	p.stores(base+page, 2, memmap.Refault)
	p.ok(second(p.CopyOut(p.by, base+2*page, []byte{3}, IOOpts{})))
	p.stores(base+3*page, 4, memmap.ZeroFill)
	want("written by guest, copy and first touch", "cdddc")
	p.stores(base+page, 3, memmap.NoCause) // once is enough
	p.ok(p.Decommit(p.by, base+page, page))
	want("dropped", "ccddc")
	child := p.fork()
	if got := child.softDirty(base, 5*page); got != "ccddc" {
		t.Errorf("the child's: %q", got)
	}
	p.ok(second(p.MRemap(p.by, base, page, page, MRemapOpts{MayMove: true, Fixed: true, NewAddr: base + 16*page})))
	if got := p.softDirty(base+16*page, page); got != "d" {
		t.Errorf("moved memory: %q", got)
	}
	p.anon(base, page, memmap.ReadWrite)
	want("mapped anew", "dcddc")
	child.check()
}

func TestResetMaxRSS(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	for i := range memmap.Addr(4) {
		p.stores(base+i*page, 1, memmap.ZeroFill)
	}
	p.ok(p.Decommit(p.by, base, 3*page))
	p.ResetMaxRSS()
	if s := p.Stats(); s.MaxRSS != page {
		t.Errorf("VmHWM is %#x", s.MaxRSS)
	}
}

func TestLazyFreeUnderPressure(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	for i := range memmap.Addr(3) {
		p.stores(base+i*page, 7, memmap.ZeroFill)
	}
	p.ok(p.MAdvise(p.by, base, 2*page, unix.MADV_FREE))
	p.check()
	p.loads(base, 7, memmap.Refault)
	p.stores(base+page, 8, memmap.Refault) // takes it back
	if s := p.Smaps(base.Page())[0].Sums; s.LazyFree != page || s.PrivateClean != page {
		t.Errorf("LazyFree %#x, clean %#x", s.LazyFree, s.PrivateClean)
	}
	p.w.mem.SetLimit(3 * page)
	p.stores(base+3*page, 9, memmap.ZeroFill)
	p.loads(base, 0, memmap.ZeroMap)
	p.loads(base+page, 8, memmap.NoCause)
	p.w.mem.SetLimit(0)
}
