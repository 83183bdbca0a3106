package mm

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
)

// What cannot be checked against the host's kernel without harm is checked here,
// against what it answered once.

func TestMMapErrors(t *testing.T) {
	rw := func(o memmap.MMapOpts) memmap.MMapOpts {
		o.Private = o.Mappable == nil
		if !o.Perms.Any() {
			o.Perms = memmap.ReadWrite
		}
		if !o.MaxPerms.Any() {
			o.MaxPerms = memmap.AnyAccess
		}
		return o
	}
	p := newProcess(t)
	s, err := shmem.NewAnonymous(p.w.mem, page, false)
	p.ok(err)
	defer s.DecRef()
	p.anon(base, page, memmap.ReadWrite)
	top := p.Layout().Max
	for _, c := range []struct {
		name string
		o    memmap.MMapOpts
		want unix.Errno
	}{
		{"length 0", memmap.MMapOpts{}, unix.EINVAL},
		{"length 0 before all else", memmap.MMapOpts{Fixed: true, Addr: 1}, unix.EINVAL},
		{"length overflows", memmap.MMapOpts{Length: math.MaxUint64}, unix.ENOMEM},
		{"length beyond guest memory", memmap.MMapOpts{Length: 1 << 47}, unix.ENOMEM},
		{"offset not aligned", memmap.MMapOpts{Length: page, Mappable: s, Identity: s, Offset: 1}, unix.EINVAL},
		{"offset overflows", memmap.MMapOpts{Length: 2 * page, Mappable: s, Identity: s, Offset: math.MaxUint64 - page + 1}, unix.EOVERFLOW},
		{"offset of anonymous memory means nothing", memmap.MMapOpts{Length: page, Offset: 1}, 0},
		{"fixed, not aligned", memmap.MMapOpts{Length: page, Fixed: true, Addr: base + 1}, unix.EINVAL},
		{"hint, not aligned", memmap.MMapOpts{Length: page, Addr: base + 5*page + 1}, 0},
		{"more than the file allows", memmap.MMapOpts{Length: page, MaxPerms: memmap.Read}, unix.EACCES},
		{"unmap without fixed", memmap.MMapOpts{Length: page, Unmap: true}, unix.EINVAL},
		{"noreplace without fixed", memmap.MMapOpts{Length: page, NoReplace: true}, unix.EINVAL},
		{"noreplace with unmap", memmap.MMapOpts{Length: page, NoReplace: true, Fixed: true, Unmap: true, Addr: base}, unix.EINVAL},
		{"shared memory grows down", memmap.MMapOpts{Length: page, Mappable: s, Identity: s, GrowsDown: true}, unix.EINVAL},
		{"fixed above guest memory", memmap.MMapOpts{Length: page, Fixed: true, Addr: top}, unix.ENOMEM},
		{"fixed across its end", memmap.MMapOpts{Length: 2 * page, Fixed: true, Unmap: true, Addr: top - page}, unix.ENOMEM},
		{"fixed below mmap_min_addr", memmap.MMapOpts{Length: page, Fixed: true, Unmap: true, Addr: page}, unix.EPERM},
		{"fixed over a mapping, not to unmap", memmap.MMapOpts{Length: page, Fixed: true, Addr: base}, unix.ENOMEM},
		{"noreplace over a mapping", memmap.MMapOpts{Length: page, Fixed: true, NoReplace: true, Addr: base}, unix.EEXIST},
		{"noreplace next to it", memmap.MMapOpts{Length: page, Fixed: true, NoReplace: true, Addr: base + page}, 0},
		{"hint above guest memory", memmap.MMapOpts{Length: page, Addr: 1 << 47}, 0},
	} {
		_, err := p.MMap(p.by, rw(c.o))
		p.wantErrno(err, c.want, c.name)
		p.check()
	}
}

func TestWhereMappingsGo(t *testing.T) {
	p := newProcess(t)
	anon := memmap.MMapOpts{Length: page, Private: true, MaxPerms: memmap.AnyAccess}
	with := func(change func(*memmap.MMapOpts)) memmap.MMapOpts {
		o := anon
		change(&o)
		return o
	}
	const top = 0x7ffff7fff000
	for _, c := range []struct {
		name string
		o    memmap.MMapOpts
		want memmap.Addr
	}{
		{"the highest room below the mmap base", anon, top - page},
		{"and then below that", anon, top - 2*page},
		{"a hint that is free", with(func(o *memmap.MMapOpts) { o.Addr = base + 7 }), base},
		{"a hint that is taken", with(func(o *memmap.MMapOpts) { o.Addr = base }), top - 3*page},
		{"a hint below all", with(func(o *memmap.MMapOpts) { o.Addr = page }), guestRange.Start},
		{"MAP_32BIT", with(func(o *memmap.MMapOpts) { o.Map32Bit = true }), 0x40000000},
		{"MAP_32BIT again", with(func(o *memmap.MMapOpts) { o.Map32Bit = true }), 0x40001000},
		{"MAP_32BIT with a hint", with(func(o *memmap.MMapOpts) { o.Map32Bit, o.Addr = true, 0x30000000 }), 0x30000000},
		{"MAP_32BIT with a hint above", with(func(o *memmap.MMapOpts) { o.Map32Bit, o.Addr = true, base+page }), 0x40002000},
		{"4 MiB start on a huge page", with(func(o *memmap.MMapOpts) { o.Length = 4 << 20 }), 0x7ffff7a00000},
		{"4 MiB and a page do not", with(func(o *memmap.MMapOpts) { o.Length = 4<<20 + page }), 0x7ffff75ff000},
		{"a stack does not", with(func(o *memmap.MMapOpts) { o.Length, o.Stack = 1<<20, true }), 0x7ffff7efc000},
	} {
		addr, err := p.MMap(p.by, c.o)
		if err != nil || addr != c.want {
			t.Errorf("%s: %v (%v), want %v", c.name, addr, err, c.want)
		}
	}
	p.check()
}

// The 256 pages below what grows down are nobody's.
func TestGuardGapIsKeptFree(t *testing.T) {
	p := newProcess(t)
	stack, err := p.MapStack(p.by, 128<<10)
	p.ok(err)
	if stack.End != 0x7ffffffff000 {
		t.Errorf("the stack ends at %v", stack.End)
	}
	hint := memmap.MMapOpts{Length: page, Private: true, MaxPerms: memmap.AnyAccess, Addr: stack.Start - stackGap}
	if addr := p.mmap(hint); addr == hint.Addr {
		t.Error("a hint in the guard gap was taken")
	}
	hint.Addr -= page
	if addr := p.mmap(hint); addr != hint.Addr {
		t.Error("a hint below the guard gap was not taken")
	}
	// Top-down search skips the gap of what grows down below the mmap base.
	low := p.Layout().TopDownBase - 64<<20
	p.mmap(memmap.MMapOpts{Addr: low, Fixed: true, Unmap: true, Length: 64 << 20, Private: true, MaxPerms: memmap.AnyAccess, GrowsDown: true})
	if addr := p.mmap(memmap.MMapOpts{Length: page, Private: true, MaxPerms: memmap.AnyAccess}); addr != low-stackGap-page {
		t.Errorf("the next mapping is at %v, %v below what grows down", addr, low-addr)
	}
	p.check()
}

func TestTopDownSearchFallsBack(t *testing.T) {
	p := newProcess(t)
	l := p.Layout()
	p.mmap(memmap.MMapOpts{Addr: l.Min, Fixed: true, Length: uint64(l.TopDownBase - l.Min), Private: true, MaxPerms: memmap.AnyAccess, NoReserve: true})
	addr := p.mmap(memmap.MMapOpts{Length: page, Private: true, MaxPerms: memmap.AnyAccess})
	if addr != l.TopDownBase {
		t.Errorf("with nothing below the mmap base: %v", addr)
	}
	if _, err := p.MMap(p.by, memmap.MMapOpts{Length: 1 << 40, Private: true, MaxPerms: memmap.AnyAccess}); errno(err) != unix.ENOMEM {
		t.Errorf("no room at all: %v", err)
	}
}

func TestLimits(t *testing.T) {
	p := newProcess(t)
	p.by.Limits = &Limits{AS: 8 * page, Data: 4 * page, Stack: 2 * page, MemLock: 2 * page}
	mmap := func(n uint64, perms memmap.AccessType, lock memmap.MLockMode) error {
		_, err := p.MMap(p.by, memmap.MMapOpts{Length: n * page, Perms: perms, MaxPerms: memmap.AnyAccess, Private: true, MLock: lock})
		return err
	}
	p.wantErrno(mmap(9, memmap.Read, 0), unix.ENOMEM, "RLIMIT_AS")
	p.wantErrno(mmap(5, memmap.ReadWrite, 0), unix.ENOMEM, "RLIMIT_DATA")
	p.wantErrno(mmap(3, memmap.Read, memmap.MLockEager), unix.EAGAIN, "RLIMIT_MEMLOCK")
	_, err := p.MapStack(p.by, 3*page)
	p.wantErrno(err, unix.ENOMEM, "RLIMIT_STACK")
	p.anon(base, 3*page, memmap.ReadWrite)
	p.anon(base+4*page, 4*page, memmap.Read)
	p.wantErrno(mmap(2, memmap.Read, 0), unix.ENOMEM, "RLIMIT_AS with 7 pages mapped")
	p.anon(base, 3*page, memmap.ReadWrite) // in the place of the old ones it is no more than before
	p.wantErrno(p.MProtect(p.by, base+4*page, 2*page, memmap.ReadWrite, false), 0, "mprotect whose old rights would be refused as well: Linux's quirk")
	p.by.Limits.AS = Infinity
	p.wantErrno(p.MProtect(p.by, base+6*page, page, memmap.ReadWrite, false), unix.ENOMEM, "mprotect over RLIMIT_DATA")
	p.by.Limits.MemLock = 0
	p.wantErrno(mmap(1, memmap.Read, memmap.MLockEager), unix.EPERM, "RLIMIT_MEMLOCK 0")
	p.by.LockCap = true
	p.wantErrno(mmap(1, memmap.Read, memmap.MLockEager), 0, "with CAP_IPC_LOCK")
	p.BrkSetup(p.by, base+1<<30)
	p.by.Limits.Data = 2 * page
	_, err = p.Brk(p.by, base+1<<30+3*page)
	p.wantErrno(err, unix.ENOMEM, "brk over RLIMIT_DATA")
	p.check()
}

func TestMapCount(t *testing.T) {
	p := newProcess(t)
	for i := range memmap.Addr(MaxMapCount + 1) {
		p.anon(base+2*i*page, page, memmap.Read)
	}
	_, err := p.MMap(p.by, memmap.MMapOpts{Length: page, Private: true, MaxPerms: memmap.AnyAccess})
	p.wantErrno(err, unix.ENOMEM, "one mapping too many")
	p.munmap(base, 6*page)
	p.anon(base, 3*page, memmap.Read)
	p.wantErrno(p.MUnmap(p.by, base+page, page), 0, "a split up to the limit")
	p.anon(base+2*page, 2*page, memmap.Read)
	p.anon(base+4*page, page, memmap.ReadWrite)
	p.wantErrno(p.MUnmap(p.by, base+page, page), 0, "cutting a part off")
}

func TestBrk(t *testing.T) {
	p := newProcess(t)
	start := base + 0x123
	p.BrkSetup(p.by, start)
	brk := func(addr, want memmap.Addr, errno unix.Errno) {
		t.Helper()
		got, err := p.Brk(p.by, addr)
		if got != want {
			t.Errorf("brk %v is %v, want %v", addr, got, want)
		}
		p.wantErrno(err, errno, "brk")
	}
	brk(0, start, unix.EINVAL)
	brk(start+1, start+1, 0) // within the page below, which is not ours
	if got := p.maps(base, 4*page); got != "" {
		t.Errorf("a break within its first page mapped %s", got)
	}
	brk(start+2*page, start+2*page, 0)
	p.stores(base+page+8, 7, memmap.ZeroFill)
	if v, _ := p.FindVMA(base + page); v.Name != "[heap]" {
		t.Errorf("the heap is called %q", v.Name)
	}
	brk(start+page, start+page, 0)
	brk(base+page+0x10, base+page+0x10, 0)
	brk(start+2*page, start+2*page, 0) // bytes above a break within a page stay
	p.loads(base+page+8, 7, memmap.NoCause)
	p.anon(base+6*page, page, memmap.Read)
	brk(base+6*page, start+2*page, unix.ENOMEM) // a page must stay free
	brk(base+5*page, base+5*page, 0)
	brk(math.MaxUint64-5, base+5*page, unix.EFAULT)
	p.check()
}

// The heap does not join the zero-initialised data below it, as natively; what is
// mapped behind its end joins it.
func TestHeapMerges(t *testing.T) {
	p := newProcess(t)
	p.anon(base, page, memmap.ReadWrite)
	p.BrkSetup(p.by, base+page)
	for _, end := range []memmap.Addr{base + 2*page, base + 3*page} {
		if _, err := p.Brk(p.by, end); err != nil {
			t.Fatal(err)
		}
	}
	p.anon(base+3*page, page, memmap.ReadWrite)
	want := "[0x10000000000, 0x10000001000) rw-\n[0x10000001000, 0x10000004000) rw-\n"
	if got := p.maps(base, 8*page); got != want {
		t.Errorf("mapped:\n%s", got)
	}
	if v, _ := p.FindVMA(base); v.Name != "" {
		t.Errorf("the data is called %q", v.Name)
	}
	if v, _ := p.FindVMA(base + page); v.Name != "[heap]" {
		t.Errorf("the heap is called %q", v.Name)
	}
	p.check()
}

// hugeFile is a file whose file system wants huge pages to be possible.
type hugeFile struct{ *file }

func (hugeFile) HugeAligned() bool { return true }

// As on ext4: what of a file can be huge pages lies at their multiples.
func TestFilesLieForHugePages(t *testing.T) {
	p := newProcess(t)
	f := hugeFile{newFile(p, 1)}
	for _, c := range []struct {
		length uint64
		off    memmap.MappableOffset
		hint   memmap.Addr
		want   memmap.Addr
	}{
		{huge - page, 0, 0, 0x7ffff7e00000}, // too short to matter
		{2*huge + page, 0, 0, 0x7ffff7800000},
		{2*huge + page, page, 0, 0x7ffff7201000},
		{2 * huge, 0, base + page, base + page}, // a hint with room to spare
	} {
		got, err := p.FindRoom(p.by, memmap.MMapOpts{
			Length: c.length, Offset: c.off, Addr: c.hint, Mappable: f, Identity: f, Private: true, MaxPerms: memmap.AnyAccess,
		})
		p.ok(err)
		made := p.mmap(memmap.MMapOpts{
			Length: c.length, Offset: c.off, Addr: c.hint, Mappable: f, Identity: f, Private: true, MaxPerms: memmap.AnyAccess,
		})
		if got != c.want || made != c.want {
			t.Errorf("%#x bytes from %#x: %v, foretold %v, want %v", c.length, uint64(c.off), made, got, c.want)
		}
	}
}
