package mm

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// eachWay runs a test of copies with AddressSpaceIO and without.
func eachWay(t *testing.T, test func(t *testing.T, newProcess func(testing.TB) *proc)) {
	t.Helper()
	for _, way := range []struct {
		name string
		mode ASIOMode
	}{{"as-io on", ASIOOn}, {"as-io off", ASIOOff}} {
		t.Run(way.name, func(t *testing.T) {
			test(t, func(t testing.TB) *proc {
				w := newWorld(t)
				w.asio.Set(way.mode)
				return w.process()
			})
		})
	}
}

// With AddressSpaceIO the host makes the copies that its mappings allow; where they do
// not, for want of a page, for a fork or for a trap, the engine's own way goes on.
func TestAddressSpaceIOCopiesWhatTheHostMaps(t *testing.T) {
	w := newWorld(t)
	w.asio.Set(ASIOOn)
	p := w.process()
	p.anon(base, 3*page, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	data := bytes.Repeat([]byte("z"), 2*page)
	p.ok(second(p.CopyOut(p.by, base, data, IOOpts{})))
	got := make([]byte, len(data))
	p.ok(second(p.CopyIn(p.by, base, got, IOOpts{})))
	if !bytes.Equal(got, data) {
		t.Error("read back something else")
	}
	if n := p.as.Counts().Copies; n != 2 {
		t.Errorf("the host made %d copies, not 2", n)
	}
	child := p.fork()
	p.ok(second(child.CopyOut(child.by, base, []byte("child"), IOOpts{})))
	p.ok(second(p.CopyIn(p.by, base, got[:5], IOOpts{})))
	if string(got[:5]) != "zzzzz" {
		t.Errorf("a child's copy reached its parent: %q", got[:5])
	}
	watched := memmap.AddrRange{Start: base + page, End: base + 2*page}
	p.ok(p.SetTrap(p.by, watched, Trap{Kind: TrapWatch, At: memmap.Write}))
	n, err := p.CopyOut(p.by, base, data, IOOpts{})
	if n != page || errno(err) != unix.EFAULT {
		t.Errorf("a copy into a watched page: %d bytes, %v", n, err)
	}
	p.mprotect(base, page, memmap.Read)
	if n, err := p.CopyOut(p.by, base, data[:8], IOOpts{}); n != 0 || errno(err) != unix.EFAULT {
		t.Errorf("a copy to read-only memory: %d bytes, %v", n, err)
	}
	child.check()
	p.check()
}

func TestAddressSpaceIOIsForSmallCopies(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	p.anon(base, 1<<20, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	for _, c := range []struct {
		mode   ASIOMode
		n      int
		o      IOOpts
		copies int
	}{
		{ASIOOn, 8, IOOpts{}, 1},
		{ASIOOn, maxASIO, IOOpts{}, 0},
		{ASIOOn, 8, IOOpts{IgnorePermissions: true}, 0},
		{ASIOAuto, 8, IOOpts{}, 0},
		{ASIOOff, 8, IOOpts{}, 0},
	} {
		w.asio.Set(c.mode)
		before := p.as.Counts().Copies
		p.ok(second(p.CopyIn(p.by, base, make([]byte, c.n), c.o)))
		if n := p.as.Counts().Copies - before; n != c.copies {
			t.Errorf("mode %d, %d bytes, %+v: the host made %d copies, not %d", c.mode, c.n, c.o, n, c.copies)
		}
	}
}
