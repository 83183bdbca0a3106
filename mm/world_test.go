package mm

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/mm/shmem"
	"mmsh.dev/mmsh/platform"
)

const (
	page = memmap.PageSize
	huge = memmap.HugePageSize
	base = memmap.Addr(0x10000000000) // far from everything
)

// guestRange is what the ptrace platform offers.
var guestRange = memmap.AddrRange{Start: 0x14000, End: 0x7ffffffff000}

// world is a family of processes over one MemoryFile. Its end checks that nothing
// is left.
type world struct {
	t      testing.TB
	mem    *pgalloc.MemoryFile
	window FaultWindow
	asio   ASIO
	ring   *Ring
	procs  []*proc
	files  []*file
}

// proc is a process: its memory, where it runs, and who asks on its behalf.
type proc struct {
	*MemoryManager
	t   testing.TB
	w   *world
	as  *nullas.AddressSpace
	by  *Actor
	end bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, mem: mem, ring: NewRing(1 << 16)}
	w.window.Set(memmap.PageSize)
	t.Cleanup(func() {
		for _, p := range w.procs {
			p.exit()
		}
		for _, f := range w.files {
			f.close()
		}
		if err := mem.Close(); err != nil {
			t.Errorf("memory is left: %v", err)
		}
	})
	return w
}

func (w *world) process() *proc {
	w.t.Helper()
	layout, err := NewLayout(guestRange, 8<<20, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	as := nullas.New()
	m := New(Config{Memory: w.mem, AS: as, Layout: layout, Window: &w.window, ASIO: &w.asio, Events: w.ring, PID: int32(len(w.procs) + 2)})
	return w.add(m, as)
}

func (w *world) add(m *MemoryManager, as *nullas.AddressSpace) *proc {
	p := &proc{MemoryManager: m, t: w.t, w: w, as: as, by: &Actor{Limits: NoLimits(), Origin: memmap.Origin{By: memmap.ByGuest, Op: "test"}}}
	w.procs = append(w.procs, p)
	return p
}

// newProcess is a world of one process.
func newProcess(t testing.TB) *proc {
	t.Helper()
	return newWorld(t).process()
}

func (p *proc) exit() {
	if !p.end {
		p.end = true
		p.check()
		p.DecUsers(p.by)
	}
}

func (p *proc) check() {
	p.t.Helper()
	for _, err := range p.Check(true) {
		p.t.Errorf("check: %v", err)
	}
}

func (p *proc) fork() *proc {
	p.t.Helper()
	as := nullas.New()
	m, err := p.Fork(p.by, as, int32(len(p.w.procs)+2))
	if err != nil {
		p.t.Fatalf("fork: %v", err)
	}
	return p.w.add(m, as)
}

// anon maps private anonymous memory at a fixed place.
func (p *proc) anon(addr memmap.Addr, n uint64, perms memmap.AccessType) memmap.Addr {
	p.t.Helper()
	return p.mmap(memmap.MMapOpts{Addr: addr, Fixed: true, Unmap: true, Length: n, Perms: perms, MaxPerms: memmap.AnyAccess, Private: true})
}

// shared maps fresh shared anonymous memory at a fixed place.
func (p *proc) shared(addr memmap.Addr, n uint64, perms memmap.AccessType) memmap.Addr {
	p.t.Helper()
	s, err := shmem.NewAnonymous(p.w.mem, n, false)
	if err != nil {
		p.t.Fatal(err)
	}
	defer s.DecRef()
	return p.mmap(memmap.MMapOpts{Addr: addr, Fixed: true, Unmap: true, Length: n, Perms: perms, MaxPerms: memmap.AnyAccess, Mappable: s, Identity: s})
}

func (p *proc) mmap(o memmap.MMapOpts) memmap.Addr {
	p.t.Helper()
	addr, err := p.MMap(p.by, o)
	if err != nil {
		p.t.Fatalf("mmap: %v", err)
	}
	return addr
}

func (p *proc) munmap(addr memmap.Addr, n uint64) {
	p.t.Helper()
	p.ok(p.MUnmap(p.by, addr, n))
}

func (p *proc) mprotect(addr memmap.Addr, n uint64, perms memmap.AccessType) {
	p.t.Helper()
	p.ok(p.MProtect(p.by, addr, n, perms, false))
}

func (p *proc) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// store does what a guest's store does: it faults until the host lets it.
func (p *proc) store(addr memmap.Addr, v byte) (memmap.Cause, error) {
	p.t.Helper()
	return p.guest(addr, memmap.Write, func() error { return p.as.Store(addr, v) })
}

// load is store's mirror.
func (p *proc) load(addr memmap.Addr) (v byte, cause memmap.Cause, err error) {
	p.t.Helper()
	cause, err = p.guest(addr, memmap.Read, func() (err error) {
		v, err = p.as.Load(addr)
		return err
	})
	return v, cause, err
}

func (p *proc) guest(addr memmap.Addr, at memmap.AccessType, access func() error) (memmap.Cause, error) {
	p.t.Helper()
	err := access()
	if err == nil {
		return memmap.NoCause, nil
	}
	cause, err := p.HandleUserFault(p.by, addr, at, 0)
	if err != nil {
		return cause, err
	}
	if err := access(); err != nil {
		p.t.Fatalf("%v at %v after %v: %v", at, addr, cause, err)
	}
	return cause, nil
}

// stores stores and expects a cause.
func (p *proc) stores(addr memmap.Addr, v byte, want memmap.Cause) {
	p.t.Helper()
	if cause, err := p.store(addr, v); err != nil || cause != want {
		p.t.Errorf("store at %v: %v (%v), want %v", addr, cause, err, want)
	}
}

// loads loads and expects a value and a cause.
func (p *proc) loads(addr memmap.Addr, want byte, cause memmap.Cause) {
	p.t.Helper()
	if v, got, err := p.load(addr); err != nil || got != cause || v != want {
		p.t.Errorf("load at %v: %d by %v (%v), want %d by %v", addr, v, got, err, want, cause)
	}
}

// maps returns what is mapped from addr on, n bytes, in short.
func (p *proc) maps(addr memmap.Addr, n uint64) string {
	s := ""
	for _, v := range p.VMAs(memmap.AddrRange{Start: addr, End: addr + memmap.Addr(n)}) {
		s += v.AR.String() + " " + v.Perms.String() + "\n"
	}
	return s
}

// errno returns err's errno, 0 for nil.
func errno(err error) unix.Errno {
	var e unix.Errno
	if err != nil && !errors.As(err, &e) {
		return ^unix.Errno(0)
	}
	return e
}

func (p *proc) wantErrno(err error, want unix.Errno, what string) {
	p.t.Helper()
	if got := errno(err); got != want {
		p.t.Errorf("%s: %v, want %v", what, err, unix.ErrnoName(want))
	}
}

var _ platform.AddressSpace = (*nullas.AddressSpace)(nil)

func asError[E error](err error, target *E) bool { return errors.As(err, target) }
