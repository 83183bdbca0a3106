package mm

import (
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
)

// attached is shared memory whose mappings are counted.
type attached struct{ *shmem.Anonymous }

func (a attached) AttachedSize() uint64 { return a.Size() }

func (p *proc) attach(addr memmap.Addr, n uint64) attached {
	p.t.Helper()
	s, err := shmem.NewAnonymous(p.w.mem, n, false)
	p.ok(err)
	a := attached{s}
	defer a.DecRef()
	p.mmap(memmap.MMapOpts{Addr: addr, Fixed: true, Unmap: true, Length: n, Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Mappable: a, Identity: a})
	return a
}

// Pieces of an attachment stay pieces, but what mremap adds at its end; shmdt takes
// those that are still where they were.
func TestDetachTakesAllPieces(t *testing.T) {
	p := newProcess(t)
	a := p.attach(base, 4*page)
	p.ok(p.MProtect(p.by, base+page, page, memmap.Read, false))
	p.ok(p.MProtect(p.by, base+page, page, memmap.ReadWrite, false))
	if n := p.MappingsOf(a); n != 3 {
		t.Errorf("%d pieces after mprotect there and back", n)
	}
	_, err := p.MRemap(p.by, base+3*page, page, 3*page, MRemapOpts{})
	p.ok(err)
	if n := p.MappingsOf(a); n != 3 {
		t.Errorf("%d pieces after growing", n)
	}
	p.ok(p.MUnmap(p.by, base+5*page, page))
	_, err = p.MRemap(p.by, base+page, page, page, MRemapOpts{MayMove: true, Fixed: true, NewAddr: base + 64*page})
	p.ok(err)
	p.check()
	p.wantErrno(p.Detach(p.by, base+1), unix.EINVAL, "not aligned")
	p.wantErrno(p.Detach(p.by, base+page), unix.EINVAL, "not where it was attached")
	p.ok(p.Detach(p.by, base))
	if n := p.MappingsOf(a); n != 2 { // what was moved, and what is beyond the segment's size
		t.Errorf("%d pieces after shmdt", n)
	}
	p.ok(p.Detach(p.by, base)) // which is found as the first piece now, as on Linux
	p.wantErrno(p.Detach(p.by, base), unix.EINVAL, "nothing is left there")
	p.check()
}
