package mm

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
)

const to = base + 0x100000 // somewhere else

func TestMRemapErrors(t *testing.T) {
	const none = ^memmap.Addr(0) // no address is expected
	move := MRemapOpts{MayMove: true}
	fixed := func(a memmap.Addr) MRemapOpts { return MRemapOpts{MayMove: true, Fixed: true, NewAddr: a} }
	for _, c := range []struct {
		name     string
		old, new uint64
		addr     memmap.Addr
		o        MRemapOpts
		errno    unix.Errno
		want     memmap.Addr
	}{
		// At base: private rw 4 pages, a hole of 4, shared rw 4 pages, private rw 1 page.
		{"address not aligned", page, page, base + 1, move, unix.EINVAL, none},
		{"new size 0", page, 0, base, move, unix.EINVAL, none},
		{"new size overflows", page, math.MaxUint64, base, move, unix.EINVAL, none},
		{"new size beyond guest memory", page, 1 << 47, base, move, unix.EINVAL, none},
		{"old size overflows to 0", math.MaxUint64, page, base, MRemapOpts{}, unix.EINVAL, none},
		{"nothing there", page, page * 2, base + 5*page, move, unix.EFAULT, none},
		{"grow over a hole", 5 * page, 6 * page, base, move, unix.EFAULT, none},
		{"same size over a hole", 5 * page, 5 * page, base, MRemapOpts{}, 0, base},
		{"shrink over a hole", 9 * page, 2 * page, base, MRemapOpts{}, 0, base},
		{"shrink", 4 * page, page, base, MRemapOpts{}, 0, base},
		{"grow in place", 4 * page, 8 * page, base, MRemapOpts{}, 0, base},
		{"grow, no room, not to move", 4 * page, 9 * page, base, MRemapOpts{}, unix.ENOMEM, none},
		{"grow a part, not to move", 2 * page, 3 * page, base, MRemapOpts{}, unix.ENOMEM, none},
		{"duplicate private memory", 0, page, base, move, unix.EINVAL, none},
		{"duplicate shared memory, not to move", 0, page, base + 8*page, MRemapOpts{}, unix.ENOMEM, none},
		{"duplicate shared memory to a place", 0, 2 * page, base + 8*page, fixed(to), 0, to},
		{"duplicate onto itself", 0, page, base + 8*page, fixed(base + 8*page), unix.EFAULT, none}, // Appendix B.2
		{"fixed without maymove", page, page, base, MRemapOpts{Fixed: true, NewAddr: to}, unix.EINVAL, none},
		{"fixed, not aligned", page, page, base, fixed(to + 1), unix.EINVAL, none},
		{"fixed, above guest memory", page, page, base, fixed(1<<47 - page), unix.EINVAL, none},
		{"fixed, overlapping", 2 * page, 2 * page, base, fixed(base + page), unix.EINVAL, none},
		{"fixed, same place", page, page, base, fixed(base), unix.EINVAL, none},
		{"fixed, move", 2 * page, 2 * page, base, fixed(to), 0, to},
		{"fixed, move and grow", 4 * page, 8 * page, base, fixed(to), 0, to},
		{"fixed, move and shrink", 4 * page, page, base, fixed(to), 0, to},
		{"fixed, move and grow over the vma's end", 5 * page, 6 * page, base, fixed(to), unix.EFAULT, none},
		{"fixed, move of many mappings", 13 * page, 13 * page, base, fixed(to), 0, to},
		{"fixed, move that starts in a hole", 5 * page, 5 * page, base + 4*page, fixed(to), unix.EFAULT, none},
		{"dontunmap that resizes", page, 2 * page, base, MRemapOpts{MayMove: true, DontUnmap: true}, unix.EINVAL, none},
		{"dontunmap without maymove", page, page, base, MRemapOpts{DontUnmap: true}, unix.EINVAL, none},
		{"dontunmap with a hint", page, page, base, MRemapOpts{MayMove: true, DontUnmap: true, NewAddr: to}, 0, to},
	} {
		p := newProcess(t)
		p.anon(base, 4*page, memmap.ReadWrite)
		p.shared(base+8*page, 4*page, memmap.ReadWrite)
		p.anon(base+12*page, page, memmap.ReadWrite)
		got, err := p.MRemap(p.by, c.addr, c.old, c.new, c.o)
		p.wantErrno(err, c.errno, c.name)
		if c.errno == 0 && got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		p.check()
		p.exit()
	}
}

// Pages move with their mapping: nothing is copied, nothing faults anew.
func TestMoveKeepsPages(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.stores(base+page, 5, memmap.ZeroFill)
	p.loads(base+2*page, 0, memmap.ZeroMap)
	if _, err := p.MRemap(p.by, base, 4*page, 8*page, MRemapOpts{MayMove: true, Fixed: true, NewAddr: to}); err != nil {
		t.Fatal(err)
	}
	p.loads(to+page, 5, memmap.NoCause)
	p.loads(to+2*page, 0, memmap.NoCause)
	p.loads(to+7*page, 0, memmap.ZeroMap)
	if p.as.Allows(base+page, memmap.Read) {
		t.Error("the host still has the old place mapped")
	}
	if rss := p.RSS(); rss != page {
		t.Errorf("RSS is %d", rss)
	}
	p.check()
}

// Appendix B.3: the offset that counts is the one at the old address.
func TestMRemapOffsetOverflow(t *testing.T) {
	p := newProcess(t)
	s, err := shmem.NewAnonymous(p.w.mem, page, false)
	p.ok(err)
	defer s.DecRef()
	p.mmap(memmap.MMapOpts{
		Addr: base, Fixed: true, Length: 4 * page, Mappable: s, Identity: s,
		Offset: math.MaxUint64 - 6*page + 1, MaxPerms: memmap.AnyAccess,
	})
	_, err = p.MRemap(p.by, base+3*page, page, 2*page, MRemapOpts{MayMove: true})
	p.wantErrno(err, 0, "up to the last offset but one page")
	_, err = p.MRemap(p.by, base+2*page, page, 4*page, MRemapOpts{MayMove: true})
	p.wantErrno(err, unix.EINVAL, "beyond the last offset")
}

// A second mapping of shared memory is the same memory.
func TestDuplicateSharedMemory(t *testing.T) {
	p := newProcess(t)
	p.shared(base, 2*page, memmap.ReadWrite)
	p.stores(base, 3, memmap.FileMap)
	dup, err := p.MRemap(p.by, base, 0, 2*page, MRemapOpts{MayMove: true})
	p.ok(err)
	p.loads(dup, 3, memmap.FileMap)
	p.stores(dup+page, 4, memmap.FileMap)
	p.loads(base+page, 4, memmap.FileMap)
	p.check()
}

// Shared memory does not grow with its mapping.
func TestBeyondTheEndIsSIGBUS(t *testing.T) {
	p := newProcess(t)
	p.shared(base, page, memmap.ReadWrite)
	_, err := p.MRemap(p.by, base, page, 2*page, MRemapOpts{})
	p.ok(err)
	_, err = p.store(base+page, 1)
	var bus *memmap.BusError
	if !asError(err, &bus) {
		t.Errorf("beyond the end: %v", err)
	}
	e := p.Explain(p.by, base+page, memmap.Write, 0)
	if e.Signal != unix.SIGBUS || e.Cause != memmap.BeyondEOF {
		t.Errorf("explained: %+v", e)
	}
}
