package mm

import (
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/mm/shmem"
)

// newStrict is a world where less than n bytes may be promised, to an administrator.
func newStrict(t *testing.T, n uint64) *proc {
	p := newProcess(t)
	p.by.AdminCap = true
	p.w.mem.SetOvercommit(pgalloc.Overcommit{Mode: pgalloc.OvercommitNever, KBytes: n >> 10})
	return p
}

func (p *proc) committed(want uint64, what string) {
	p.t.Helper()
	if got := p.w.mem.Committed(); got != want {
		p.t.Errorf("%s: %d pages are committed, want %d", what, got/page, want/page)
	}
	p.check()
}

func privateAt(addr memmap.Addr, n uint64, perms memmap.AccessType) memmap.MMapOpts {
	return memmap.MMapOpts{Addr: addr, Fixed: true, Unmap: true, Length: n, Perms: perms, MaxPerms: memmap.AnyAccess, Private: true}
}

// What is promised is what may be written and is private, from when it may be; what was
// written stays promised, and what goes is promised no more.
func TestWhatIsCommitted(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 16*page, memmap.ReadWrite)
	p.committed(16*page, "a private mapping")
	p.anon(base+32*page, 16*page, memmap.Read)
	p.committed(16*page, "one that cannot be written")
	p.mprotect(base+32*page, 4*page, memmap.ReadWrite)
	p.committed(20*page, "a part of it that can")
	p.mprotect(base+32*page, 4*page, memmap.Read)
	p.committed(16*page, "and cannot any more, unwritten")
	p.stores(base, 1, memmap.ZeroFill)
	p.mprotect(base, 16*page, memmap.Read)
	p.committed(16*page, "written memory that cannot be written any more")
	o := privateAt(base+64*page, 8*page, memmap.ReadWrite)
	o.NoReserve = true
	p.mmap(o)
	p.committed(16*page, "MAP_NORESERVE")
	p.munmap(base+4*page, 4*page)
	p.committed(12*page, "a hole in it")
	child := p.fork()
	p.committed(24*page, "two processes")
	child.anon(base, 2*page, memmap.Read)
	p.committed(22*page, "replaced by what is not promised")
	child.exit()
	p.committed(12*page, "the child is gone")
	p.shared(base+128*page, 8*page, memmap.ReadWrite)
	p.committed(20*page, "shared memory")
	p.munmap(base+128*page, 4*page)
	p.committed(20*page, "a part of it is mapped no more")
	p.munmap(base+128*page, 8*page)
	p.committed(12*page, "all of it is gone")
	addr, err := p.MRemap(p.by, base+8*page, 8*page, 24*page, MRemapOpts{MayMove: true})
	p.ok(err)
	p.committed(28*page, "grown and moved")
	_, err = p.MRemap(p.by, addr, 24*page, 24*page, MRemapOpts{MayMove: true, DontUnmap: true})
	p.ok(err)
	p.committed(52*page, "left behind as well")
}

// A private file mapping is promised when it becomes writable.
func TestCommitOfFiles(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 8)
	p.file(base, f, memmap.Read, true)
	p.file(base+32*page, f, memmap.ReadWrite, false)
	p.committed(0, "files")
	p.mprotect(base, 2*page, memmap.ReadWrite)
	p.committed(2*page, "two pages that may be copied")
	p.mprotect(base, 2*page, memmap.Read)
	p.committed(2*page, "Linux takes that back for anonymous memory only")
}

// With never each call that would promise too much fails and changes nothing; what
// replaces promised memory counts for the difference.
func TestOvercommitNever(t *testing.T) {
	p := newStrict(t, 34*page) // of which a 32nd of what is mapped is kept from the process
	p.anon(base, 16*page, memmap.ReadWrite)
	p.anon(base+32*page, 32*page, memmap.Read)
	refused := func(err error, what string) {
		t.Helper()
		p.wantErrno(err, unix.ENOMEM, what)
		p.committed(16*page, what)
	}
	_, err := p.MMap(p.by, privateAt(base+128*page, 17*page, memmap.ReadWrite))
	refused(err, "mmap")
	o := privateAt(base+128*page, 17*page, memmap.ReadWrite)
	o.NoReserve = true
	_, err = p.MMap(p.by, o)
	refused(err, "mmap with MAP_NORESERVE, which never does not heed")
	_, err = p.MMap(p.by, privateAt(base+8*page, 25*page, memmap.ReadWrite))
	refused(err, "mmap over promised memory")
	refused(p.MProtect(p.by, base+32*page, 17*page, memmap.ReadWrite, false), "mprotect")
	_, err = p.MRemap(p.by, base, 16*page, 33*page, MRemapOpts{MayMove: true})
	refused(err, "mremap that moves")
	_, err = p.MRemap(p.by, base, 16*page, 33*page, MRemapOpts{})
	refused(err, "mremap in place")
	_, err = p.MRemap(p.by, base, 16*page, 16*page, MRemapOpts{MayMove: true, DontUnmap: true})
	p.ok(err)
	p.committed(32*page, "the most that may be")
	_, err = shmem.NewAnonymous(p.w.mem, 2*page, true)
	p.wantErrno(err, unix.ENOMEM, "shared memory")
	child := nullas.New()
	if _, err := p.Fork(p.by, child, 9); errno(err) != unix.ENOMEM || !child.Released() {
		t.Errorf("fork: %v", err)
	}
	p.committed(32*page, "fork")
	p.anon(base, 16*page, memmap.ReadWrite)
	p.committed(32*page, "promised memory replaced by as much")
}

// The heap and stacks are promised as they grow.
func TestCommitOfGrowth(t *testing.T) {
	p := newStrict(t, 9*page)
	p.BrkSetup(p.by, base)
	if _, err := p.Brk(p.by, base+4*page); err != nil {
		t.Fatal(err)
	}
	_, err := p.Brk(p.by, base+10*page)
	p.wantErrno(err, unix.ENOMEM, "brk")
	p.committed(4*page, "the heap")
	o := privateAt(base+(4<<20), page, memmap.ReadWrite)
	o.GrowsDown = true
	p.mmap(o)
	p.stores(base+(4<<20)-3*page, 1, memmap.StackGrow)
	p.committed(8*page, "the stack grew")
	if cause, err := p.store(base+(4<<20)-4*page, 1); cause != memmap.LimitHit || err == nil {
		t.Errorf("a stack beyond what may be promised: %v, %v", cause, err)
	}
}

// Mode heuristic refuses one thing only: more at once than there is memory.
func TestOvercommitHeuristic(t *testing.T) {
	p := newProcess(t)
	p.w.mem.SetLimit(64 * page)
	defer p.w.mem.SetLimit(0)
	_, err := p.MMap(p.by, privateAt(base, 65*page, memmap.ReadWrite))
	p.wantErrno(err, unix.ENOMEM, "65 pages of 64")
	for i := range memmap.Addr(3) {
		p.anon(base+i*128*page, 64*page, memmap.ReadWrite)
	}
	p.committed(192*page, "three times all memory")
	p.fork().exit()
	o := privateAt(base+512*page, 65*page, memmap.ReadWrite)
	o.NoReserve = true
	p.mmap(o)
	p.w.mem.SetOvercommit(pgalloc.Overcommit{Mode: pgalloc.OvercommitAlways})
	p.anon(base+1024*page, 65*page, memmap.ReadWrite)
	p.w.mem.SetOvercommit(pgalloc.DefaultOvercommit)
	if _, err := p.Fork(p.by, nullas.New(), 9); errno(err) != unix.ENOMEM {
		t.Errorf("fork of a mapping larger than memory: %v", err)
	}
	p.committed(257*page, "a fork that failed")
}
