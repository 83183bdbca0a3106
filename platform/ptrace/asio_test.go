package ptrace

import (
	"fmt"
	"testing"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// TestAddressSpaceIO: copies go as far as the host's mappings allow, by the page, and
// never to the stub's own pages.
func TestAddressSpaceIO(t *testing.T) {
	as := newGuest(t, testPlatform(t)).as.(*AddressSpace)
	const base = memmap.Addr(0x1000_0000)
	f := newMemFile(t, 1<<20)
	at := func(i memmap.Addr, n uint64) memmap.AddrRange {
		return memmap.AddrRange{Start: base + i*memmap.PageSize, End: base + i*memmap.PageSize + memmap.Addr(n)}
	}
	err := as.Apply(nil, []platform.MapOp{
		{AR: at(0, 2*memmap.PageSize), File: f, At: memmap.ReadWrite},
		{AR: at(2, memmap.PageSize), File: f, Offset: 2 * memmap.PageSize, At: memmap.Read},
		{AR: at(4, memmap.PageSize), File: zeroes, At: memmap.Read},
	})
	if err != nil {
		t.Fatal(err)
	}
	stub := as.p.at.stubRange().Start
	for _, c := range []struct {
		what    string
		addr    memmap.Addr
		n       int
		out, in int // bytes that CopyOut and CopyIn do
	}{
		{"mapped", base + 100, 5000, 5000, 5000},
		{"into read-only", base + memmap.PageSize, 2 * memmap.PageSize, memmap.PageSize, 2 * memmap.PageSize},
		{"read-only", base + 2*memmap.PageSize, 8, 0, 8},
		{"into a hole", base + 3*memmap.PageSize - 4, 8, 0, 4},
		{"hole", base + 3*memmap.PageSize, 8, 0, 0},
		{"zeroes", base + 4*memmap.PageSize, 8, 0, 8},
		{"nothing", base, 0, 0, 0},
		{"the stub's pages", stub, 8, 0, 0},
		{"no address", ^memmap.Addr(0) - 3, 8, 0, 0},
	} {
		b := make([]byte, c.n)
		if n := as.CopyOut(c.addr, b); n != c.out {
			t.Errorf("%s: CopyOut did %d bytes of %d, not %d", c.what, n, c.n, c.out)
		}
		if n := as.CopyIn(c.addr, b); n != c.in {
			t.Errorf("%s: CopyIn did %d bytes of %d, not %d", c.what, n, c.n, c.in)
		}
	}
	word, got := []byte("mmsh"), make([]byte, 4)
	if as.CopyOut(base+8, word) != 4 || as.CopyIn(base+8, got) != 4 || string(got) != "mmsh" {
		t.Errorf("read back %q", got)
	}
}

// BenchmarkAddressSpaceIO is what mm.BenchmarkCopyOut costs through the host.
func BenchmarkAddressSpaceIO(b *testing.B) {
	as := newGuest(b, testPlatform(b)).as.(*AddressSpace)
	const base = memmap.Addr(0x1000_0000)
	f := newMemFile(b, 1<<20)
	ar := memmap.AddrRange{Start: base, End: base + 64<<10}
	if err := as.Apply(nil, []platform.MapOp{{AR: ar, File: f, At: memmap.ReadWrite, Populate: true}}); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{8, 4096, 31 << 10} {
		b.Run(fmt.Sprintf("CopyOut/%d", n), func(b *testing.B) {
			src := make([]byte, n)
			for b.Loop() {
				if as.CopyOut(base, src) != n {
					b.Fatal("a short copy")
				}
			}
		})
	}
}
