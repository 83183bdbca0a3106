package shmem

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

const page = memmap.PageSize

// newMemory returns a MemoryFile of at most limit bytes that must be empty in the end.
func newMemory(t *testing.T, limit uint64) *pgalloc.MemoryFile {
	mem, err := pgalloc.New(pgalloc.Options{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mem.Close(); err != nil {
			t.Error(err)
		}
	})
	return mem
}

func pagesAt(first, n memmap.MappableOffset) memmap.MappableRange {
	return memmap.MappableRange{Start: first * page, End: (first + n) * page}
}

// space is a memory manager that only remembers what it lost.
type space struct {
	gone    []memmap.AddrRange
	private []bool
}

func (s *space) Invalidate(ar memmap.AddrRange, private bool) {
	s.gone, s.private = append(s.gone, ar), append(s.private, private)
}

// What descriptors and mappings see is one thing, and a hole reads as zeroes.
func TestReadWriteAndTranslateShareThePages(t *testing.T) {
	p := New(newMemory(t, 0))
	defer p.Drop()
	if n, err := p.WriteAt([]byte("hello"), 2*page-2); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	size, resident := p.Usage()
	if size != 2*page+3 || resident != 2*page {
		t.Errorf("size %#x, resident %#x", size, resident)
	}
	ts, err := p.Translate(pagesAt(2, 1), pagesAt(0, 3), memmap.Read)
	if bad := memmap.CheckTranslateResult(pagesAt(2, 1), pagesAt(0, 3), memmap.Read, ts, err); bad != nil || err != nil {
		t.Fatal(bad, err)
	}
	b := make([]byte, 3*page)
	n, err := p.ReadAt(b, 0)
	want := append(make([]byte, 2*page-2), "hello"...)
	if n != len(want) || err != nil || !bytes.Equal(b[:n], want) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := p.ReadAt(b, size); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// A long write to new pages, to some that are there, and to both says the same.
func TestLongWrites(t *testing.T) {
	p := New(newMemory(t, 0))
	defer p.Drop()
	var want []byte
	for i, c := range []struct{ off, n int }{{100, freshWrite + 5}, {3, 2 * freshWrite}, {40 * page, freshWrite}, {38 * page, 9 * page}, {60*page + 1, freshWrite - 1}} {
		b := bytes.Repeat([]byte{byte(i + 1), byte(7 * i), 3}, c.n)[:c.n]
		if n, err := p.WriteAt(b, uint64(c.off)); n != len(b) || err != nil {
			t.Fatalf("%d bytes at %#x: %d, %v", c.n, c.off, n, err)
		}
		if end := c.off + c.n; end > len(want) {
			want = append(want, make([]byte, end-len(want))...)
		}
		copy(want[c.off:], b)
	}
	got := make([]byte, len(want)+page)
	if n, err := p.ReadAt(got, 0); n != len(want) || err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("the file has %d bytes, want %d; %v; the same: %v", n, len(want), err, bytes.Equal(got[:n], want))
	}
}

// A mapping beyond the last page is SIGBUS; anonymous memory has whole pages and
// allocates around the touched one, a file does not.
func TestTranslateEndsWithTheFile(t *testing.T) {
	mem := newMemory(t, 0)
	a, err := NewAnonymous(mem, 3*page-1, false)
	if err != nil {
		t.Fatal(err)
	}
	defer a.DecRef()
	ts, err := a.Translate(pagesAt(0, 1), pagesAt(0, 8), memmap.Write)
	if err != nil || len(ts) != 1 || ts[0].Source != pagesAt(0, 3) {
		t.Errorf("anonymous memory: %v, %v", ts, err)
	}
	var bus *memmap.BusError
	if ts, err := a.Translate(pagesAt(2, 2), pagesAt(2, 2), memmap.Write); !errors.As(err, &bus) || len(ts) != 1 {
		t.Errorf("over the end: %v, %v", ts, err)
	}
	if _, err := a.Translate(pagesAt(3, 1), pagesAt(3, 1), memmap.Write); !errors.As(err, &bus) {
		t.Errorf("beyond the end: %v", err)
	}
	f := New(mem)
	defer f.Drop()
	if err := f.Resize(3 * page); err != nil {
		t.Fatal(err)
	}
	if ts, err := f.Translate(pagesAt(0, 1), pagesAt(0, 3), memmap.Write); err != nil || ts[0].Source != pagesAt(0, 1) {
		t.Errorf("a file: %v, %v", ts, err)
	}
}

// A shorter file is gone from mappings too, from private copies as well; its rest of a
// page is zero when it grows again.
func TestResize(t *testing.T) {
	p := New(newMemory(t, 0))
	defer p.Drop()
	if _, err := p.WriteAt(bytes.Repeat([]byte{7}, 3*page), 0); err != nil {
		t.Fatal(err)
	}
	ms := &space{}
	ar := memmap.AddrRange{Start: 0x10000, End: 0x10000 + 3*page}
	if err := p.AddMapping(ms, ar, 0, true); err != nil {
		t.Fatal(err)
	}
	if err := p.Resize(page + 1); err != nil {
		t.Fatal(err)
	}
	if len(ms.gone) != 1 || ms.gone[0] != (memmap.AddrRange{Start: 0x10000 + 2*page, End: ar.End}) || !ms.private[0] {
		t.Errorf("invalidated %v", ms.gone)
	}
	if err := p.Punch(pagesAt(0, 1)); err != nil || len(ms.gone) != 2 || ms.private[1] {
		t.Errorf("punched: %v, %v", err, ms.gone)
	}
	p.RemoveMapping(ms, ar, 0, true)
	if err := p.Resize(2 * page); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2*page)
	want := make([]byte, 2*page)
	want[page] = 7
	if n, err := p.ReadAt(b, 0); n != 2*page || err != nil || !bytes.Equal(b, want) {
		t.Errorf("after growing: %d, %v", n, err)
	}
	if _, resident := p.Usage(); resident != page {
		t.Errorf("resident %#x", resident)
	}
}

// A full memory cuts a write short, fails a reservation whole, and is SIGBUS.
func TestFullMemory(t *testing.T) {
	p := New(newMemory(t, 4*page))
	defer p.Drop()
	if n, err := p.WriteAt(make([]byte, 6*page), 0); n != 4*page || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("write: %d, %v", n, err)
	}
	if err := p.Punch(pagesAt(0, 1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Reserve(0, 6*page, false); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("reserve: %v", err)
	}
	if size, resident := p.Usage(); size != 4*page || resident != 3*page {
		t.Errorf("after a failed reservation %#x, %#x", size, resident)
	}
	if err := p.Resize(8 * page); err != nil {
		t.Fatal(err)
	}
	var bus *memmap.BusError
	if ts, err := p.Translate(pagesAt(6, 2), pagesAt(6, 2), memmap.Read); !errors.As(err, &bus) || !errors.Is(err, unix.ENOSPC) || len(ts) != 1 {
		t.Errorf("translate: %v, %v", ts, err)
	}
}

// Data and holes are whole pages; behind the end there is neither.
func TestSeek(t *testing.T) {
	p := New(newMemory(t, 0))
	defer p.Drop()
	if err := p.Resize(4*page + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteAt([]byte{1}, page+5); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		off, want int64
		whence    int
		errno     unix.Errno
	}{
		{0, page, unix.SEEK_DATA, 0},
		{page + 9, page + 9, unix.SEEK_DATA, 0},
		{2 * page, 0, unix.SEEK_DATA, unix.ENXIO},
		{0, 0, unix.SEEK_HOLE, 0},
		{page, 2 * page, unix.SEEK_HOLE, 0},
		{4*page + 1, 0, unix.SEEK_HOLE, unix.ENXIO},
	} {
		got, err := p.Seek(tt.off, tt.whence)
		if got != tt.want || tt.errno != 0 && !errors.Is(err, tt.errno) || tt.errno == 0 && err != nil {
			t.Errorf("seek %#x, %d: %#x, %v", tt.off, tt.whence, got, err)
		}
	}
	if err := p.Discard(page, page); err != nil {
		t.Fatal(err)
	}
	if _, resident := p.Usage(); resident != 0 {
		t.Errorf("resident %#x", resident)
	}
}

// Who writes from page to page through a mapping gets more and more at once, within what
// may be mapped; who writes here and there, or reads, the pages that he touches, and with
// a window of one page nobody gets more.
func TestWindowOfSequentialWriters(t *testing.T) {
	const pages = 4096
	p := New(newMemory(t, 0))
	defer p.Drop()
	if err := p.Resize(pages * page); err != nil {
		t.Fatal(err)
	}
	resident := func() uint64 { _, n := p.Usage(); return n / page }
	touch := func(i memmap.MappableOffset, optional memmap.MappableRange, at memmap.AccessType) memmap.MappableOffset {
		t.Helper()
		ts, err := p.Translate(pagesAt(i, 1), optional, at)
		if err != nil || memmap.CheckTranslateResult(pagesAt(i, 1), optional, at, ts, err) != nil {
			t.Fatalf("page %d: %v, %v", i, ts, err)
		}
		return ts[len(ts)-1].Source.End / page
	}
	all := pagesAt(0, pages)
	for _, i := range []memmap.MappableOffset{900, 7, 905, 3} {
		touch(i, all, memmap.ReadWrite)
	}
	for i := memmap.MappableOffset(100); i < 110; i++ {
		touch(i, all, memmap.Read)
	}
	for i := memmap.MappableOffset(200); i < 210; i++ {
		touch(i, pagesAt(i, 1), memmap.ReadWrite)
	}
	if n := resident(); n != 24 {
		t.Errorf("%d pages are there, 24 were touched", n)
	}
	var ends []memmap.MappableOffset
	for i := memmap.MappableOffset(1024); len(ends) < 6; i = ends[len(ends)-1] {
		block := pagesAt(i&^511, 512) // as a fault may reach
		ends = append(ends, touch(i, block, memmap.ReadWrite))
	}
	if want := []memmap.MappableOffset{1025, 1041, 1105, 1361, 1536, 2048}; !slices.Equal(ends, want) {
		t.Errorf("the windows end at pages %v, want %v", ends, want)
	}
}
