package pagecache

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

const page = memmap.PageSize

// disk is a Backing in memory that counts, fails where told, and can be cut.
type disk struct {
	mu     sync.Mutex
	bytes  []byte
	broken uint64 // reads of offsets from here on fail; 0: none
	most   int    // bytes that one read gives; 0: any number
	reads  int
	closed int
}

var errBroken = errors.New("the disk is broken")

func (d *disk) ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	end := uint64(len(d.bytes))
	if d.broken != 0 {
		if off >= d.broken {
			return 0, errBroken
		}
		end = min(end, d.broken)
	}
	if off >= uint64(len(d.bytes)) {
		return 0, io.EOF
	}
	src := d.bytes[off:end]
	if d.most > 0 {
		src = src[:min(len(src), d.most)]
	}
	return safemem.Copy(dsts, safemem.Of(src))
}

func (d *disk) Size() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return uint64(len(d.bytes)), nil
}

func (d *disk) Close() error {
	d.closed++
	return nil
}

// newDisk returns n bytes that are different on every page.
func newDisk(n int) *disk {
	d := &disk{bytes: make([]byte, n)}
	for i := range d.bytes {
		d.bytes[i] = byte(i/page) + byte(i%251) + 1
	}
	return d
}

// newCache returns a cache with that limit; its end checks that no page is left.
func newCache(t testing.TB, limit uint64) *Cache {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mem.Close(); err != nil {
			t.Errorf("pages are left: %v", err)
		}
	})
	return New(mem)
}

func (c *Cache) openTest(t testing.TB, ino uint64, d *disk) *File {
	t.Helper()
	f := c.Open(Key{Ino: ino}, d)
	t.Cleanup(func() {
		if err := f.DecRef(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// pagesAt returns the range of n pages from the i-th on.
func pagesAt(i, n uint64) memmap.MappableRange {
	return memmap.MappableRange{Start: memmap.MappableOffset(i * page), End: memmap.MappableOffset((i + n) * page)}
}

// translate asks for required within optional, checks the form of the answer, and
// returns the bytes that it leads to.
func translate(t *testing.T, f *File, required, optional memmap.MappableRange) ([]byte, error) {
	t.Helper()
	ts, err := f.Translate(required, optional, memmap.Read)
	if bad := memmap.CheckTranslateResult(required, optional, memmap.Read, ts, err); bad != nil {
		t.Fatalf("Translate(%v, %v): %v", required, optional, bad)
	}
	var got []byte
	for _, tr := range ts {
		seq, err := tr.File.MapInternal(tr.FileRange(), memmap.Read)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, seq.NumBytes())
		if _, err := safemem.Copy(safemem.Of(b), seq); err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	if len(ts) > 0 { // from required's start on
		got = got[required.Start-ts[0].Source.Start:]
	}
	return got, err
}

// padded returns d's bytes in mr, with zeroes behind its end to the end of the page.
func (d *disk) padded(mr memmap.MappableRange) []byte {
	all := append(bytes.Clone(d.bytes), make([]byte, page)...)
	all = all[:(len(d.bytes)+page-1)/page*page]
	return all[min(int(mr.Start), len(all)):min(int(mr.End), len(all))]
}

// Who reads on and on has more and more read ahead of him; who jumps begins anew.
func TestReadaheadGrows(t *testing.T) {
	c := newCache(t, 0)
	f := c.openTest(t, 1, newDisk(2000*page))
	cached := uint64(0)
	for _, tt := range []struct{ at, more uint64 }{{0, 16}, {16, 64}, {80, 256}, {336, 256}, {1000, 16}, {1016, 64}, {592, 16}, {1999, 1}} {
		if _, err := translate(t, f, pagesAt(tt.at, 1), pagesAt(tt.at, 1)); err != nil {
			t.Fatal(err)
		}
		if got := f.Cached()/page - cached; got != tt.more {
			t.Errorf("at page %d: %d pages more, want %d", tt.at, got, tt.more)
		}
		cached = f.Cached() / page
		if _, err := translate(t, f, pagesAt(tt.at, 1), pagesAt(tt.at, 1)); err != nil || f.Cached()/page != cached {
			t.Errorf("page %d, which is there: %d pages, %v", tt.at, f.Cached()/page-cached, err)
		}
	}
}

// A page is read when it is touched, with what follows up to the readahead, once.
// The rest of the last page is zero; beyond it is a bus error.
func TestPagesAreReadAsTheyAreTouched(t *testing.T) {
	c := newCache(t, 0)
	d := newDisk(20*page + 100)
	f := c.openTest(t, 1, d)
	for _, tt := range []struct {
		required, optional memmap.MappableRange
		cached             uint64 // pages, afterwards
		eof                bool
	}{
		{pagesAt(3, 1), pagesAt(0, 30), 16, false},
		{pagesAt(3, 1), pagesAt(3, 1), 16, false},
		{pagesAt(0, 5), pagesAt(0, 5), 19, false},
		{pagesAt(20, 1), pagesAt(19, 3), 20, false}, // page 19 is left
		{pagesAt(19, 2), pagesAt(0, 40), 21, false},
		{pagesAt(19, 4), pagesAt(0, 40), 21, true},
		{pagesAt(21, 1), pagesAt(0, 40), 21, true},
		{pagesAt(1000, 1), pagesAt(1000, 1), 21, true},
	} {
		got, err := translate(t, f, tt.required, tt.optional)
		if want := d.padded(tt.required); !bytes.HasPrefix(got, want) {
			t.Errorf("%v: wrong bytes, or %d instead of %d", tt.required, len(got), len(want))
		}
		var bus *memmap.BusError
		if tt.eof != errors.Is(err, io.EOF) || tt.eof != errors.As(err, &bus) {
			t.Errorf("%v: %v", tt.required, err)
		}
		if got := f.Cached() / page; got != tt.cached {
			t.Errorf("%v: %d pages are cached, want %d", tt.required, got, tt.cached)
		}
	}
	if d.reads > 8 {
		t.Errorf("%d reads: pages were read again", d.reads)
	}
	if f.MappableEnd() != 21*page {
		t.Errorf("end %#x", f.MappableEnd())
	}
}

// Backings may give few bytes at a time.
func TestShortReadsAreContinued(t *testing.T) {
	c := newCache(t, 0)
	d := newDisk(3*page + 7)
	d.most = 1000
	f := c.openTest(t, 1, d)
	if got, err := translate(t, f, pagesAt(0, 4), pagesAt(0, 4)); err != nil || !bytes.Equal(got, d.padded(pagesAt(0, 4))) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// What cannot be read is a bus error that says why; what was read before it is
// translated. An error in the readahead is nobody's.
func TestBrokenDisk(t *testing.T) {
	c := newCache(t, 0)
	d := newDisk(10 * page)
	d.broken = 4*page + 100
	f := c.openTest(t, 1, d)
	if got, err := translate(t, f, pagesAt(1, 2), pagesAt(0, 10)); err != nil || !bytes.HasPrefix(got, d.bytes[page:3*page]) {
		t.Errorf("%v", err)
	}
	got, err := translate(t, f, pagesAt(3, 3), pagesAt(0, 10))
	if !errors.Is(err, errBroken) || errors.Is(err, io.EOF) || len(got) < page || !bytes.Equal(got[:page], d.bytes[3*page:4*page]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := translate(t, f, pagesAt(6, 1), pagesAt(6, 1)); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// Nobody writes: not through a translation, not through a shared mapping.
func TestFilesAreReadOnly(t *testing.T) {
	c := newCache(t, 0)
	f := c.openTest(t, 1, newDisk(page))
	var bus *memmap.BusError
	if _, err := f.Translate(pagesAt(0, 1), pagesAt(0, 1), memmap.ReadWrite); !errors.As(err, &bus) || !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
	if err := f.AddMapping(&space{}, memmap.AddrRange{Start: page, End: 2 * page}, 0, true); !errors.Is(err, unix.EACCES) {
		t.Error(err)
	}
}

// A file that became shorter has no pages behind its new end.
func TestTruncatedFile(t *testing.T) {
	c := newCache(t, 0)
	d := newDisk(4 * page)
	f := c.openTest(t, 1, d)
	if _, err := translate(t, f, pagesAt(0, 4), pagesAt(0, 4)); err != nil {
		t.Fatal(err)
	}
	d.bytes = d.bytes[:page+1]
	if _, err := translate(t, f, pagesAt(2, 1), pagesAt(0, 4)); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	b := make([]byte, 2*page)
	if n, err := f.ReadAt(b, 0); n != page+1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Reading finds what is cached and what is not, at any place and length.
func TestReadAt(t *testing.T) {
	c := newCache(t, 0)
	d := newDisk(9*page + 13)
	d.most = 700
	f := c.openTest(t, 1, d)
	for _, i := range []uint64{2, 6} {
		f.dataMu.Lock()
		if err := f.fillGaps(pagesAt(i, 2), pagesAt(i, 2)); err != nil {
			t.Fatal(err)
		}
		f.dataMu.Unlock()
	}
	for off := 0; off < len(d.bytes)+page; off += 511 {
		for _, n := range []int{0, 1, 600, page, 5 * page, 20 * page} {
			b := make([]byte, n)
			got, err := f.ReadAt(b, uint64(off))
			want := d.bytes[min(off, len(d.bytes)):min(off+n, len(d.bytes))]
			if err != nil || !bytes.Equal(b[:got], want) {
				t.Fatalf("ReadAt(%d, %d): %d bytes, want %d; %v", n, off, got, len(want), err)
			}
		}
	}
	if f.Cached() != 4*page {
		t.Errorf("reading cached something: %d bytes", f.Cached())
	}
}

// Opens of one file share it; another's Backing is closed at once, the file's with
// its last user, of whatever kind.
func TestSharingAndTheLastUser(t *testing.T) {
	c := newCache(t, 0)
	d, spare := newDisk(page), newDisk(page)
	f := c.Open(Key{Ino: 1}, d)
	if c.Open(Key{Ino: 1}, spare) != f || spare.closed != 1 {
		t.Error("not shared")
	}
	changed := c.Open(Key{Ino: 1, MTime: 1}, newDisk(page))
	if changed == f {
		t.Error("a changed file shares pages with what it was")
	}
	h := NewHandle(f, "/name")
	var o memmap.MMapOpts
	if err := h.ConfigureMMap(&o); err != nil {
		t.Fatal(err)
	}
	o.Identity.IncRef() // a vma
	if _, err := translate(t, f, pagesAt(0, 1), pagesAt(0, 1)); err != nil {
		t.Fatal(err)
	}
	for _, drop := range []func() error{f.DecRef, changed.DecRef, h.Release} {
		if err := drop(); err != nil {
			t.Fatal(err)
		}
	}
	if d.closed != 0 || f.Cached() != page {
		t.Error("gone while it is mapped")
	}
	o.Identity.DecRef()
	if d.closed != 1 || f.Cached() != 0 {
		t.Error("not gone with its last user")
	}
}

// space is a memory manager as a File sees it.
type space struct {
	mu      sync.Mutex
	dropped []memmap.AddrRange
}

func (s *space) Invalidate(ar memmap.AddrRange, private bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if private {
		panic("private copies are no pages of the file")
	}
	s.dropped = append(s.dropped, ar)
}

// Eviction takes what nobody maps first, tells those who map the rest, and is
// repaired by reading again.
func TestEviction(t *testing.T) {
	c := newCache(t, 0)
	mapped, d := c.openTest(t, 1, newDisk(8*page)), newDisk(8*page)
	idle := c.openTest(t, 2, d)
	s := &space{}
	ar := memmap.AddrRange{Start: 0x10000, End: 0x10000 + 8*page}
	if err := mapped.AddMapping(s, ar, 0, false); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*File{mapped, idle} {
		if _, err := translate(t, f, pagesAt(0, 8), pagesAt(0, 8)); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Evict(page); got != 8*page || idle.Cached() != 0 || mapped.Cached() != 8*page || len(s.dropped) != 0 {
		t.Errorf("%d bytes; %d idle, %d mapped; %v", got, idle.Cached(), mapped.Cached(), s.dropped)
	}
	want := memmap.AddrRange{Start: 0x10000, End: 0x10000 + 3*page}
	if got := c.Evict(3*page - 5); got != 3*page || len(s.dropped) != 1 || s.dropped[0] != want {
		t.Errorf("%d bytes, dropped %v", got, s.dropped)
	}
	if got := c.Evict(1 << 30); got != 5*page || mapped.Cached() != 0 {
		t.Errorf("%d bytes", got)
	}
	if got, err := translate(t, idle, pagesAt(0, 8), pagesAt(0, 8)); err != nil || !bytes.Equal(got, d.bytes) {
		t.Errorf("read again: %v", err)
	}
	mapped.RemoveMapping(s, ar, 0, false)
}

// Where memory is short a fault takes the pages of files that nobody maps, and does
// without readahead.
func TestFillUnderPressure(t *testing.T) {
	c := newCache(t, 20*page)
	idle, f := c.openTest(t, 1, newDisk(16*page)), c.openTest(t, 2, newDisk(16*page))
	if _, err := translate(t, idle, pagesAt(0, 16), pagesAt(0, 16)); err != nil {
		t.Fatal(err)
	}
	if _, err := translate(t, f, pagesAt(0, 1), pagesAt(0, 1)); err != nil || idle.Cached() != 0 || f.Cached() != page {
		t.Errorf("%v; %d and %d bytes are cached", err, idle.Cached(), f.Cached())
	}
	big := c.openTest(t, 3, newDisk(64*page))
	if _, err := translate(t, big, pagesAt(0, 64), pagesAt(0, 64)); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("more than there is: %v", err)
	}
}

// Everything at once: no page is lost, none is read wrongly.
func TestManyAtOnce(t *testing.T) {
	// Room for a File that each goroutine is just giving back, and the one in use: who
	// meets a full MemoryFile while pages are on their way out may be told so.
	c := newCache(t, 5*33*page)
	d := newDisk(32*page + 5)
	var wg sync.WaitGroup
	for n := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(200) {
				f := c.Open(Key{Ino: 1}, &disk{bytes: d.bytes})
				at := (i*7 + n*5) % 32
				if ts, err := f.Translate(pagesAt(at, 1), pagesAt(at, 1), memmap.Read); err != nil || len(ts) != 1 {
					t.Errorf("page %d: %v", at, err)
				}
				b := make([]byte, 3*page)
				got, err := f.ReadAt(b, at*page)
				if err != nil || !bytes.Equal(b[:got], d.bytes[at*page:min(int(at+3)*page, len(d.bytes))]) {
					t.Errorf("ReadAt %d: %d bytes, %v", at, got, err)
				}
				if i%10 == n {
					c.Evict(5 * page)
				}
				if err := f.DecRef(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
