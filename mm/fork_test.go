package mm

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
)

// file is a Mappable of a few pages that can refuse, fail, truncate, and act while a
// fork is under way.
type file struct {
	t        testing.TB
	mem      *pgalloc.MemoryFile
	pages    memmap.FileRange
	size     memmap.MappableOffset
	mappings memmap.MappingSet
	refs     int
	lazy     bool  // writes need an upgrade
	refuse   int   // the AddMapping that fails, counted down
	broken   error // what Translate answers
	added    func(memmap.MappingSpace)
}

// newFile returns a file whose page i begins with byte i+1.
func newFile(p *proc, n uint64) *file {
	p.t.Helper()
	fr, err := p.w.mem.Allocate(n*page, pgalloc.PageCache, 0)
	p.ok(err)
	f := &file{t: p.t, mem: p.w.mem, pages: fr, size: memmap.MappableOffset(n * page)}
	m, err := f.mem.MapInternal(fr, memmap.ReadWrite)
	p.ok(err)
	for i := range n {
		_, err := safemem.Copy(m.DropFirst(i*page), safemem.Of([]byte{byte(i + 1)}))
		p.ok(err)
	}
	p.w.files = append(p.w.files, f)
	return f
}

func (f *file) close() {
	if f.refs != 0 || !f.mappings.IsEmpty() {
		f.t.Errorf("the file has %d references, mapped %v", f.refs, !f.mappings.IsEmpty())
	}
	f.mem.DecRef(f.pages)
}

func (f *file) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	if f.refuse > 0 {
		if f.refuse--; f.refuse == 0 {
			return fmt.Errorf("refused: %w", unix.EAGAIN)
		}
	}
	f.mappings.AddMapping(ms, ar, off, writable)
	if f.added != nil {
		f.added(ms)
	}
	return nil
}

func (f *file) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) {
	f.mappings.RemoveMapping(ms, ar, off, writable)
}

func (f *file) CopyMapping(ms memmap.MappingSpace, _, dst memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	return f.AddMapping(ms, dst, off, writable)
}

func (f *file) Translate(required, optional memmap.MappableRange, at memmap.AccessType) ([]memmap.Translation, error) {
	if f.broken != nil {
		return nil, f.broken
	}
	if required.Start >= f.size {
		return nil, &memmap.BusError{Err: errors.New("beyond the end")}
	}
	optional.End = min(optional.End, f.size)
	perms := memmap.AnyAccess
	if f.lazy && !at.Write {
		perms = memmap.ReadExecute
	}
	ts := []memmap.Translation{{Source: optional, File: f.mem, Offset: f.pages.Start + memmap.FileOffset(optional.Start), Perms: perms}}
	if required.End > f.size {
		return ts, &memmap.BusError{Err: errors.New("beyond the end")}
	}
	return ts, nil
}

func (f *file) IncRef()                          { f.refs++ }
func (f *file) DecRef()                          { f.refs-- }
func (f *file) MappedName() string               { return "/file" }
func (f *file) DeviceID() uint64                 { return unix.Mkdev(8, 1) }
func (f *file) InodeID() uint64                  { return 1234 }
func (f *file) Msync(memmap.MappableRange) error { return nil }

// truncate cuts the file to n pages.
func (f *file) truncate(n uint64) {
	old := f.size
	f.size = memmap.MappableOffset(n * page)
	f.mappings.Invalidate(memmap.MappableRange{Start: f.size, End: old}, true)
}

func (p *proc) file(addr memmap.Addr, f *file, perms memmap.AccessType, private bool) {
	p.t.Helper()
	p.mmap(memmap.MMapOpts{
		Addr: addr, Fixed: true, Unmap: true, Length: f.pages.Length(), Mappable: f, Identity: f,
		Perms: perms, MaxPerms: memmap.AnyAccess, Private: private,
	})
}

func TestPrivateFileMapping(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 3)
	p.file(base, f, memmap.ReadWrite, true)
	p.loads(base, 1, memmap.FileMap)
	p.stores(base, 100, memmap.COWCopy)
	p.stores(base+page, 101, memmap.COWCopy) // never read before
	p.loads(base+page+1, 0, memmap.NoCause)
	if s := p.Stats(); s.RSSAnon != 2*page || s.RSSFile != 0 {
		t.Errorf("RSS %+v", s)
	}
	p.loads(base+2*page, 3, memmap.FileMap)
	p.ok(p.Decommit(p.by, base, 3*page))
	p.loads(base, 1, memmap.FileMap) // what the file says again
	f.truncate(1)
	var bus *memmap.BusError
	if _, err := p.store(base+page, 1); !asError(err, &bus) {
		t.Errorf("beyond the end: %v", err)
	}
	p.loads(base, 1, memmap.NoCause)
	p.check()
}

// A read-only translation of a shared mapping is asked for again at the first write.
func TestUpgrade(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 2)
	f.lazy = true
	p.file(base, f, memmap.ReadWrite, false)
	p.loads(base, 1, memmap.FileMap)
	p.stores(base, 50, memmap.Upgrade)
	p.stores(base+page, 51, memmap.FileMap)
	p.file(base+16*page, f, memmap.Read, false)
	p.loads(base+16*page, 50, memmap.FileMap)
	p.check()
}

// What a fork of a mapped file shares, and what its child finds again.
func TestForkOfFileMappings(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 4)
	p.file(base, f, memmap.Read, true)
	p.file(base+16*page, f, memmap.ReadWrite, true)
	p.file(base+32*page, f, memmap.ReadWrite, false)
	p.loads(base, 1, memmap.FileMap)
	p.loads(base+17*page, 2, memmap.FileMap)
	p.stores(base+16*page, 9, memmap.COWCopy)
	p.stores(base+32*page, 10, memmap.FileMap)
	child := p.fork()
	if s := child.Stats(); s.RSSAnon != page || s.RSSFile != page {
		t.Errorf("the child has %d anonymous, %d of files", s.RSSAnon, s.RSSFile)
	}
	child.loads(base, 10, memmap.FileMap)
	child.loads(base+17*page, 2, memmap.Refault)
	child.loads(base+16*page, 9, memmap.Refault)
	child.stores(base+32*page, 11, memmap.FileMap)
	p.loads(base+32*page, 11, memmap.NoCause)
	child.check()
	p.check()
}

// What the host could not map anew it does not keep as it was: the old page is somebody
// else's by then.
func TestNothingStaysMappedThatWasReleased(t *testing.T) {
	p := newProcess(t)
	p.anon(base, page, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	child := p.fork()
	child.loads(base, 1, memmap.Refault)
	child.as.Fail(unix.EACCES)
	if n, err := child.CopyOut(child.by, base, []byte{2}, IOOpts{}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if v, err := child.as.Load(base); err == nil && v != 2 {
		t.Errorf("the guest still sees %d", v)
	}
	child.loads(base, 2, memmap.Refault)
	p.loads(base, 1, memmap.NoCause)
	child.check()
	p.check()
}

// A Mappable that refuses ends a fork with everything as it was.
func TestForkThatIsRefused(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 2)
	p.file(base, f, memmap.ReadWrite, true)
	p.anon(base+8*page, page, memmap.ReadWrite)
	p.file(base+16*page, f, memmap.ReadWrite, true)
	p.stores(base+8*page, 1, memmap.ZeroFill)
	f.refuse = 2
	as := nullas.New()
	if _, err := p.Fork(p.by, as, 9); errno(err) != unix.EAGAIN {
		t.Errorf("fork: %v", err)
	}
	if !as.Released() {
		t.Error("the child's address space is still there")
	}
	p.stores(base+8*page, 2, memmap.NoCause)
	p.check()
}

// An invalidation that comes while a fork is under way reaches the child, though it
// has no pages yet.
func TestForkCapturesInvalidations(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 2)
	p.file(base, f, memmap.ReadWrite, true)
	p.stores(base, 9, memmap.COWCopy)
	f.added = func(ms memmap.MappingSpace) {
		ms.Invalidate(memmap.AddrRange{Start: base, End: base + page}, true)
	}
	child := p.fork()
	child.loads(base, 1, memmap.FileMap)
	p.loads(base, 9, memmap.NoCause)
	child.check()
}

func TestForkLeavesOut(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 2)
	p.anon(base, 2*page, memmap.ReadWrite)
	p.file(base+8*page, f, memmap.ReadWrite, true)
	p.stores(base, 1, memmap.ZeroFill)
	p.stores(base+8*page, 1, memmap.COWCopy)
	p.mappingMu.Lock()
	p.updateVMAs(memmap.AddrRange{Start: base, End: base + page}, func(v *vma) { v.flags |= flagDontFork })
	p.updateVMAs(memmap.AddrRange{Start: base + 8*page, End: base + 10*page}, func(v *vma) { v.flags |= flagDontFork })
	p.updateVMAs(memmap.AddrRange{Start: base + page, End: base + 2*page}, func(v *vma) { v.mlock = memmap.MLockLazy })
	p.mappingMu.Unlock()
	child := p.fork()
	if got, want := child.maps(base, 32*page), "[0x10000001000, 0x10000002000) rw-\n"; got != want {
		t.Errorf("the child has\n%s", got)
	}
	if s := child.Stats(); s.Locked != 0 || s.RSS != 0 || s.Virtual != page {
		t.Errorf("the child has %+v", s)
	}
	child.check()
	p.check()
}

// The host's map is full: it is dropped, and the call tried again.
func TestHostWithoutRoom(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 2*page, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	p.as.Fail(unix.ENOMEM)
	p.stores(base+page, 2, memmap.ZeroFill)
	p.loads(base, 1, memmap.Refault)
	p.as.Fail(unix.ENOMEM)
	p.munmap(base, page)
	p.loads(base+page, 2, memmap.Refault)
	p.as.Fail(unix.ENOMEM, nil, unix.ENOMEM)
	p.wantErrno(p.MProtect(p.by, base+page, page, memmap.Read, false), unix.ENOMEM, "a host without room at all")
	p.check()
}

// The stub is gone: calls say so, and memory is what it would be with one.
func TestHostThatDied(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	died := func(what string, f func() error) {
		t.Helper()
		p.as.Fail(platform.ErrDied)
		if err := f(); !errors.Is(err, platform.ErrDied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	died("fault", func() error { return second(p.HandleUserFault(p.by, base+page, memmap.Write, 0)) })
	died("mprotect", func() error { return p.MProtect(p.by, base, page, memmap.Read, false) })
	died("fork", func() error { return second(p.Fork(p.by, nullas.New(), 9)) })
	died("munmap", func() error { return p.MUnmap(p.by, base, 4*page) })
	if got := p.maps(base, 4*page); got != "" {
		t.Errorf("still mapped: %s", got)
	}
	if rss := p.RSS(); rss != 0 {
		t.Errorf("RSS is %d", rss)
	}
}

func TestNoMemory(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 16*page, memmap.ReadWrite)
	p.w.window.Set(64 << 10)
	p.w.mem.SetOvercommit(pgalloc.Overcommit{Mode: pgalloc.OvercommitAlways})
	p.w.mem.SetLimit(2 * page)
	p.stores(base, 1, memmap.ZeroFill) // the page alone: the window has no room
	p.stores(base+page, 2, memmap.ZeroFill)
	cause, err := p.store(base+2*page, 1)
	var bus *memmap.BusError
	if cause != memmap.LimitHit || !asError(err, &bus) {
		t.Errorf("no page is left: %v, %v", cause, err)
	}
	child := p.fork()
	cause, err = child.store(base, 1)
	if cause != memmap.LimitHit || !asError(err, &bus) {
		t.Errorf("no page is left to copy to: %v, %v", cause, err)
	}
	child.loads(base, 1, memmap.Refault)
	n, err := p.CopyOut(p.by, base+page, make([]byte, 3*page), IOOpts{})
	if n != 0 || errno(err) != unix.EFAULT {
		t.Errorf("a copy without memory: %d, %v", n, err)
	}
	p.check()
	child.check()
}

// A copy that runs on beyond the end of a mapped file writes the process's own
// copies of the pages before it, never the file's.
func TestCopyAcrossTheEndOfAFile(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 4)
	f.truncate(2)
	p.file(base, f, memmap.ReadWrite, true)
	n, err := p.CopyOut(p.by, base+100, make([]byte, 3*page), IOOpts{})
	if n != 2*page-100 || errno(err) != unix.EFAULT {
		t.Errorf("copied %d: %v", n, err)
	}
	p.ok(second(p.CopyOut(p.by, base, []byte{9}, IOOpts{})))
	p.ok(p.Decommit(p.by, base, 4*page))
	p.loads(base, 1, memmap.FileMap)
	p.loads(base+page, 2, memmap.FileMap)
	p.check()
}

// A copy for which memory runs out does what there was memory for.
func TestCopyWithoutMemoryIsPartial(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	p.stores(base+3*page, 1, memmap.ZeroFill)
	child := p.fork()
	p.w.mem.SetLimit(4 * page)
	n, err := child.CopyOut(child.by, base, make([]byte, 4*page), IOOpts{})
	if n != 2*page || errno(err) != unix.EFAULT {
		t.Errorf("copied %d: %v", n, err)
	}
	p.loads(base, 1, memmap.NoCause)
	child.check()
}
