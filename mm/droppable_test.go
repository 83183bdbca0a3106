package mm

import (
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Where memory is short droppable pages make room, written or not, but for pinned ones;
// whoever reads them finds zeroes.
func TestDroppablePagesMakeRoom(t *testing.T) {
	p := newProcess(t)
	p.mmap(memmap.MMapOpts{Addr: base, Fixed: true, Length: 4 * page, Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Private: true, Droppable: true})
	for i := range 4 {
		p.stores(base+memmap.Addr(i)*page, 9, memmap.ZeroFill)
	}
	p.pin(base+3*page, page, memmap.Write)
	p.anon(base+8*page, 4*page, memmap.ReadWrite)
	p.w.mem.SetLimit(4 * page)
	p.stores(base+8*page, 1, memmap.ZeroFill)
	if got := pageLetters(p.Pages(memmap.AddrRange{Start: base, End: base + 4*page})); string(got) != "...P" {
		t.Errorf("pages: %s", got)
	}
	p.loads(base, 0, memmap.ZeroMap)
	p.stores(base+page, 5, memmap.ZeroFill)
	p.loads(base+page, 5, memmap.NoCause)
	p.stores(base+9*page, 1, memmap.ZeroFill)
	p.stores(base+10*page, 1, memmap.ZeroFill)
	p.loads(base+page, 0, memmap.ZeroMap)
	if _, err := p.store(base+11*page, 1); err == nil {
		t.Error("there is no memory left, but a page came in")
	}
	p.w.mem.SetLimit(0)
	p.w.books()
}

func TestDroppableRefusals(t *testing.T) {
	p := newProcess(t)
	for _, o := range []memmap.MMapOpts{{MLock: memmap.MLockEager}, {GrowsDown: true}, {Mappable: newFile(p, 1)}} {
		o.Length, o.Perms, o.MaxPerms, o.Private, o.Droppable = page, memmap.ReadWrite, memmap.AnyAccess, true, true
		_, err := p.MMap(p.by, o)
		p.wantErrno(err, unix.EINVAL, "droppable with something else")
	}
}
