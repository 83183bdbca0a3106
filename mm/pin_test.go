package mm

import (
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// pin pins n bytes at addr.
func (p *proc) pin(addr memmap.Addr, n uint64, at memmap.AccessType) *Pin {
	p.t.Helper()
	pin, err := p.Pin(p.by, memmap.AddrRange{Start: addr, End: addr + memmap.Addr(n)}, at, IOOpts{})
	p.ok(err)
	return pin
}

// device reads and writes the first byte of a pin's i-th page, as what pinned it would.
func (p *proc) device(pin *Pin, i uint64, v byte) (was byte) {
	p.t.Helper()
	for _, r := range pin.Pages {
		if n := r.Source.Length() / page; i >= n {
			i -= n
			continue
		}
		fr := memmap.FileRange{Start: r.Offset + memmap.FileOffset(i*page)}
		fr.End = fr.Start + page
		m, err := r.File.MapInternal(fr, memmap.ReadWrite)
		p.ok(err)
		var b [1]byte
		_, err = safemem.Copy(safemem.Of(b[:]), m)
		p.ok(err)
		_, err = safemem.Copy(m, safemem.Of([]byte{v}))
		p.ok(err)
		return b[0]
	}
	p.t.Fatalf("pin %d has no such page", pin.ID)
	return 0
}

// books checks the references of all processes that still live.
func (w *world) books() {
	w.t.Helper()
	var all []*MemoryManager
	for _, p := range w.procs {
		if !p.end {
			p.check()
			all = append(all, p.MemoryManager)
		}
	}
	for _, err := range CheckReferences(w.mem, all) {
		w.t.Errorf("check: %v", err)
	}
}

// What Linux does (and io_uring's registered buffers show): after a fork the parent has
// the pinned page, and the child a copy of its own; the pages beside it are shared.
func TestForkCopiesPinnedPages(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	for i := range 4 {
		p.stores(base+memmap.Addr(i)*page, byte(10+i), memmap.ZeroFill)
	}
	pin := p.pin(base+page, 2*page, memmap.Write)
	child := p.fork()
	p.w.books()
	if got := p.Pages(memmap.AddrRange{Start: base, End: base + 4*page}); string(pageLetters(got)) != "cPPc" {
		t.Errorf("parent: %s", pageLetters(got))
	}
	if got := child.Pages(memmap.AddrRange{Start: base, End: base + 4*page}); string(pageLetters(got)) != "cWWc" {
		t.Errorf("child: %s", pageLetters(got))
	}
	if rss := child.RSS(); rss != 4*page {
		t.Errorf("the child holds %d bytes", rss)
	}
	p.stores(base+page, 77, memmap.NoCause) // the host has it mapped writable all the while
	if was := p.device(pin, 0, 88); was != 77 {
		t.Errorf("the device sees %d", was)
	}
	p.loads(base+page, 88, memmap.NoCause)
	child.loads(base+page, 11, memmap.Refault)
	child.stores(base+2*page, 99, memmap.Refault)
	if was := p.device(pin, 1, 0); was != 12 {
		t.Errorf("the child wrote %d to the device's page", was)
	}
	if n := child.Stats().Pinned; n != 0 {
		t.Errorf("the child has %d bytes pinned", n)
	}
	child.exit()
	grandchild := p.fork() // pinned still
	p.stores(base+page, 1, memmap.NoCause)
	p.ok(second(p.Unpin(p.by, pin.ID)))
	grandchild.exit()
	p.w.books()
}

func pageLetters(pages []Page) []byte {
	var b []byte
	for _, p := range pages {
		b = append(b, byte(p))
	}
	return b
}

// A fork that finds no memory for the copies leaves the parent as it was.
func TestForkWithoutMemoryForPinnedPages(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	pin := p.pin(base, 4*page, memmap.Write)
	p.anon(base+4*page, 4*page, memmap.ReadWrite)
	p.stores(base+5*page, 1, memmap.ZeroFill)
	p.w.mem.FailAfter(1)
	_, err := p.Fork(p.by, nullas.New(), 99)
	p.wantErrno(err, unix.ENOMEM, "fork")
	p.w.books()
	p.stores(base, 5, memmap.Refault)
	if was := p.device(pin, 0, 6); was != 5 {
		t.Errorf("the device sees %d", was)
	}
}

// Pinning for reading takes private pages from who shares them, too; the zero page and a
// file's pages of private mappings become the process's own.
func TestPinMakesPrivate(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 2*page, memmap.ReadWrite)
	p.stores(base, 7, memmap.ZeroFill)
	p.loads(base+page, 0, memmap.ZeroMap)
	p.file(base+2*page, newFile(p, 1), memmap.Read, true)
	child := p.fork()
	pin := child.pin(base, 3*page, memmap.Read)
	if got := child.Pages(pin.AR); string(pageLetters(got)) != "PPP" {
		t.Errorf("pages: %s", pageLetters(got))
	}
	p.stores(base, 8, memmap.COWReuse)
	child.loads(base, 7, memmap.NoCause)
	if was := child.device(pin, 2, 3); was != 1 {
		t.Errorf("the file's page begins with %d", was)
	}
	child.loads(base+2*page, 3, memmap.NoCause)
	if s := child.Stats(); s.RSSAnon != 3*page || s.RSSFile != 0 {
		t.Errorf("RSS: %d anonymous, %d of files", s.RSSAnon, s.RSSFile)
	}
	p.w.books() // the pin ends with the child
}

// The pages stay, whatever becomes of the addresses.
func TestPinOutlivesItsMapping(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 8*page, memmap.ReadWrite)
	pin := p.pin(base, 4*page, memmap.Write)
	p.munmap(base, page)
	p.device(pin, 0, 1)
	p.ok(p.Decommit(p.by, base+page, page))
	p.loads(base+page, 0, memmap.ZeroMap)
	if was := p.device(pin, 1, 2); was != 0 {
		t.Errorf("the dropped page begins with %d", was)
	}
	p.loads(base+page, 0, memmap.NoCause)
	to, err := p.MRemap(p.by, base+2*page, page, page, MRemapOpts{MayMove: true, Fixed: true, NewAddr: base + 64*page})
	p.ok(err)
	p.device(pin, 2, 3)
	p.loads(to, 3, memmap.NoCause)
	if n := p.StillThere(pin); n != page {
		t.Errorf("%d bytes are where they were pinned", n)
	}
	child := p.fork() // what moved is pinned still
	if got := p.Pages(to.Page()); got[0] != PagePinned {
		t.Errorf("the moved page is %c", got[0])
	}
	if got := child.Pages(to.Page()); got[0] != PagePrivate {
		t.Errorf("the child's is %c", got[0])
	}
	p.w.books()
	p.ok(second(p.Unpin(p.by, pin.ID)))
	p.w.books()
}

// Shared memory is pinned in place: truncation and invalidation take the mapping's page.
func TestPinOfShared(t *testing.T) {
	p := newProcess(t)
	p.shared(base, 2*page, memmap.ReadWrite)
	pin := p.pin(base, 2*page, memmap.Write)
	child := p.fork()
	child.stores(base, 5, memmap.FileMap)
	if was := p.device(pin, 0, 6); was != 5 {
		t.Errorf("the device sees %d", was)
	}
	p.Invalidate(pin.AR, true)
	p.loads(base, 6, memmap.FileMap)
	f := newFile(p, 2)
	p.file(base+4*page, f, memmap.ReadWrite, false)
	q := p.pin(base+4*page, 2*page, memmap.Write)
	f.truncate(1)
	if _, err := p.store(base+5*page, 1); err == nil {
		t.Error("a store behind the end is made")
	}
	if was := p.device(q, 1, 0); was != 2 {
		t.Errorf("the pinned page begins with %d", was)
	}
	p.w.books()
}

// In mappings that children do not get the parent keeps its pages as well.
func TestPinAndAdvice(t *testing.T) {
	for _, advice := range []int{unix.MADV_DONTFORK, unix.MADV_WIPEONFORK} {
		p := newProcess(t)
		p.anon(base, 2*page, memmap.ReadWrite)
		pin := p.pin(base, 2*page, memmap.Write)
		p.ok(p.MAdvise(p.by, base, 2*page, advice))
		child := p.fork()
		p.stores(base, 4, memmap.Refault)
		if was := p.device(pin, 0, 0); was != 4 {
			t.Errorf("advice %d: the device sees %d", advice, was)
		}
		if child.RSS() != 0 {
			t.Errorf("advice %d: the child holds %d bytes", advice, child.RSS())
		}
		p.w.books()
	}
}

// Memory that is given away goes when memory is short, but not pinned pages.
func TestPinnedPagesAreNotReclaimed(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	for i := range 4 {
		p.stores(base+memmap.Addr(i)*page, 9, memmap.ZeroFill)
	}
	p.ok(p.MAdvise(p.by, base, 4*page, unix.MADV_FREE))
	p.pin(base+page, page, memmap.Read)
	p.anon(base+8*page, 4*page, memmap.ReadWrite)
	p.w.mem.SetLimit(4 * page)
	p.stores(base+8*page, 1, memmap.ZeroFill)
	if got := pageLetters(p.Pages(memmap.AddrRange{Start: base, End: base + 4*page})); string(got) != ".P.." {
		t.Errorf("pages: %s", got)
	}
	p.loads(base+page, 9, memmap.Refault)
	p.w.mem.SetLimit(0)
	p.w.books()
}

// What cannot be pinned leaves nothing pinned; every pin counts, of the same page too.
func TestPinRefusals(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.anon(base+4*page, page, memmap.NoAccess)
	try := func(from, to memmap.Addr, at memmap.AccessType) error {
		_, err := p.Pin(p.by, memmap.AddrRange{Start: from, End: to}, at, IOOpts{})
		return err
	}
	p.wantErrno(try(base, base, memmap.Read), unix.EINVAL, "nothing")
	p.wantErrno(try(base+3*page, base+5*page, memmap.Read), unix.EFAULT, "PROT_NONE")
	p.wantErrno(try(base+4*page, base+7*page, memmap.Read), unix.EFAULT, "a hole")
	p.mprotect(base, page, memmap.Read)
	p.wantErrno(try(base, base+page, memmap.Write), unix.EFAULT, "read-only")
	p.ok(p.MAdvise(p.by, base+2*page, page, MadvGuardInstall))
	p.wantErrno(try(base+page, base+3*page, memmap.Write), unix.EFAULT, "a guard region")
	if n := p.Stats().Pinned; n != 0 {
		t.Errorf("%d bytes are pinned", n)
	}
	p.by.Limits.MemLock = 2 * page
	a, b := p.pin(base+page, page, memmap.Write), p.pin(base+page+1, 1, memmap.Read)
	p.wantErrno(try(base+page, base+2*page, memmap.Read), unix.ENOMEM, "RLIMIT_MEMLOCK")
	p.by.LockCap = true
	c := p.pin(base+page, page, memmap.Write)
	if n := p.Stats().Pinned; n != 3*page || c.ID != 3 {
		t.Errorf("%d bytes are pinned, the last as pin %d", n, c.ID)
	}
	p.w.books()
	for _, pin := range []*Pin{b, a, c} {
		p.ok(second(p.Unpin(p.by, pin.ID)))
		p.w.books()
	}
	p.wantErrno(second(p.Unpin(p.by, a.ID)), unix.EINVAL, "a second time")
}

// A reference or a pin too many is found.
func TestCheckFindsUnbalancedPins(t *testing.T) {
	p := newProcess(t)
	p.anon(base, page, memmap.ReadWrite)
	pin := p.pin(base, page, memmap.Write)
	fr := pin.Pages[0].FileRange()
	p.w.mem.Pin(fr)
	if errs := CheckReferences(p.w.mem, []*MemoryManager{p.MemoryManager}); len(errs) != 2 {
		t.Errorf("a pin that nobody holds: %v", errs)
	}
	p.w.mem.Unpin(fr)
	p.w.books()
}
