package pgalloc

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

const pageSize = memmap.PageSize

// newFile makes a MemoryFile that must be empty, and its books in order, at the
// end of the test.
func newFile(t testing.TB, o Options) *MemoryFile {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.CheckInvariants(); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// allocate allocates n anonymous pages.
func allocate(t testing.TB, f *MemoryFile, n uint64, near memmap.FileOffset) memmap.FileRange {
	t.Helper()
	fr, err := f.Allocate(n*pageSize, Anonymous, near)
	if err != nil {
		t.Fatal(err)
	}
	return fr
}

// memoryOf returns fr, which must lie in one chunk, as bytes.
func memoryOf(t testing.TB, f *MemoryFile, fr memmap.FileRange) []byte {
	t.Helper()
	blocks, err := f.MapInternal(fr, memmap.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	return blocks.Head()
}

func isZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

// part returns n pages of fr from its first-th on.
func part(fr memmap.FileRange, first, n int) memmap.FileRange {
	return memmap.FileRange{Start: offset(fr.Start, first), End: offset(fr.Start, first+n)}
}

// wantRefusal checks that err is a refusal with errno whose reason says what.
func wantRefusal(t *testing.T, err error, errno unix.Errno, what string) {
	t.Helper()
	var r *memmap.Refusal
	if !errors.As(err, &r) || r.Errno != errno || !strings.Contains(r.Reason, what) {
		t.Errorf("error is %v, want %v: …%s…", err, unix.ErrnoName(errno), what)
	}
}

func wantPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "pgalloc: ") {
			t.Errorf("%s: panic is %v", name, s)
		}
	}()
	f()
}

func TestPagesAreZeroAgainAfterTheyWereUsed(t *testing.T) {
	for _, pages := range []uint64{1, 7, 300, 2 * keptStale / pageSize} {
		f := newFile(t, Options{})
		first := allocate(t, f, pages, 0)
		b := memoryOf(t, f, first)
		for i := range b {
			b[i] = 0xa5
		}
		f.DecRef(first)
		second := allocate(t, f, pages, 0)
		if second != first {
			t.Errorf("%d pages: freed %v, then allocated %v: not used again at once", pages, first, second)
		}
		if !isZero(memoryOf(t, f, second)) {
			t.Errorf("%d pages: they do not read as zeroes", pages)
		}
		f.DecRef(second)
	}
}

func TestFreedPagesGoBackToTheHost(t *testing.T) {
	f := newFile(t, Options{})
	fr := allocate(t, f, 4*keptStale/pageSize, 0)
	clear(memoryOf(t, f, fr)) // the host finds memory
	if got := f.Stats().HostBytes; got < fr.Length() {
		t.Errorf("touched %d bytes, the host has %d", fr.Length(), got)
	}
	f.DecRef(fr)
	if got := f.Stats().HostBytes; got > keptStale {
		t.Errorf("all is free, the host still has %d", got)
	}
}

func TestConsecutiveAllocationsAreContiguousDownwards(t *testing.T) {
	f := newFile(t, Options{})
	last := allocate(t, f, 3, 0)
	all := last
	for _, n := range []uint64{1, 16, 2, 512} {
		fr := allocate(t, f, n, 0)
		if fr.End != last.Start {
			t.Errorf("%v does not end where %v begins", fr, last)
		}
		last, all.Start = fr, fr.Start
	}
	f.DecRef(all)
}

func TestNearIsHonouredWhereItIsFree(t *testing.T) {
	f := newFile(t, Options{})
	a := allocate(t, f, 10, 0)
	f.DecRef(part(a, 4, 3))
	for _, c := range []struct {
		why  string
		n    uint64
		near memmap.FileOffset
		want memmap.FileRange // empty: anywhere but there
	}{
		{"a hole's end", 1, part(a, 7, 0).Start, part(a, 6, 1)},
		{"inside a hole", 1, part(a, 5, 0).Start, part(a, 4, 1)},
		{"below all", 2, a.Start, memmap.FileRange{Start: a.Start - 2*pageSize, End: a.Start}},
		{"taken", 1, a.End, memmap.FileRange{}},
		{"partly taken", 2, part(a, 5, 0).Start, memmap.FileRange{}},
		{"beyond the file", 1, f.size() + pageSize, memmap.FileRange{}},
		{"too near to the start", 2, pageSize, memmap.FileRange{}},
	} {
		fr := allocate(t, f, c.n, c.near)
		if !c.want.IsEmpty() && fr != c.want || c.want.IsEmpty() && fr.End == c.near {
			t.Errorf("%s: near %#x gave %v, want %v", c.why, c.near, fr, c.want)
		}
		f.DecRef(fr)
	}
	f.DecRef(part(a, 0, 4))
	f.DecRef(part(a, 7, 3))
}

// TestPagesTouchedUpwardsAreContiguous does what faults of two guests do that go
// through their memory page by page at the same time.
func TestPagesTouchedUpwardsAreContiguous(t *testing.T) {
	f := newFile(t, Options{})
	var held []memmap.FileRange
	var runs int
	var ends [2]memmap.FileOffset
	for i := range 400 {
		who := i % 2
		near := ends[who]
		if near != 0 {
			near += pageSize
		}
		fr := allocate(t, f, 1, near)
		if fr.Start != ends[who] {
			runs++
		}
		ends[who] = fr.End
		held = append(held, fr)
	}
	if runs > 4 {
		t.Errorf("%d runs, want a few", runs)
	}
	for _, fr := range held {
		f.DecRef(fr)
	}
}

func TestTheFileGrows(t *testing.T) {
	f := newFile(t, Options{})
	a := allocate(t, f, chunkSize/pageSize-1, 0)
	b := allocate(t, f, 5, 0) // does not fit below
	if got := f.Stats().FileSize; got != 2*chunkSize || f.size() != 2*chunkSize {
		t.Errorf("file size is %d", got)
	}
	c := allocate(t, f, 2*chunkSize/pageSize, 0)
	d := allocate(t, f, 1, 0)
	for i, fr := range []memmap.FileRange{b, c, d} {
		if fr.Overlaps(a) {
			t.Errorf("allocation %d, %v, overlaps %v", i, fr, a)
		}
	}
	// c lies across chunks: it is mapped in as many blocks.
	middle := memmap.FileRange{Start: c.Start, End: c.End}
	blocks, err := f.MapInternal(middle, memmap.Read)
	if err != nil || blocks.NumBytes() != c.Length() || uint64(len(blocks.Head())) == c.Length() {
		t.Errorf("%v is %d bytes, the first block %d, %v", c, blocks.NumBytes(), len(blocks.Head()), err)
	}
	f.IncRef(c)
	if f.HasUniqueRef(c) {
		t.Error("c has two references")
	}
	f.DecRef(c)
	if !f.HasUniqueRef(c) {
		t.Error("c has one reference")
	}
	for _, fr := range []memmap.FileRange{a, b, c, d} {
		f.DecRef(fr)
	}
	if free := slices.Collect(f.free.All()); len(free) != 1 {
		t.Errorf("free pages of all chunks do not join: %v", free)
	}
}

func TestRefsAndRuns(t *testing.T) {
	f := newFile(t, Options{})
	a := allocate(t, f, 6, 0)
	b, _ := f.Allocate(2*pageSize, PageCache, 0) // ends where a begins
	f.IncRef(part(a, 2, 2))
	f.IncRef(part(a, 3, 1))
	want := []Usage{
		{b, PageCache, 1},
		{part(a, 0, 2), Anonymous, 1},
		{part(a, 2, 1), Anonymous, 2},
		{part(a, 3, 1), Anonymous, 3},
		{part(a, 4, 2), Anonymous, 1},
	}
	if got := slices.Collect(f.Refs(memmap.FileRange{End: 1 << 40})); !slices.Equal(got, want) {
		t.Errorf("Refs: %v, want %v", got, want)
	}
	if got := slices.Collect(f.Refs(part(a, 1, 2))); !slices.Equal(got, []Usage{{part(a, 1, 1), Anonymous, 1}, {part(a, 2, 1), Anonymous, 2}}) {
		t.Errorf("Refs, clipped: %v", got)
	}
	for _, c := range []struct {
		in, run memmap.FileRange
		unique  bool
	}{
		{a, part(a, 0, 2), true},
		{part(a, 2, 4), part(a, 2, 2), false},
		{part(a, 4, 2), part(a, 4, 2), true},
		{part(a, 3, 1), part(a, 3, 1), false},
	} {
		if run, unique := f.UniqueRun(c.in); run != c.run || unique != c.unique {
			t.Errorf("UniqueRun(%v) = %v, %v", c.in, run, unique)
		}
		if f.HasUniqueRef(c.run) != c.unique {
			t.Errorf("HasUniqueRef(%v) = %v", c.run, !c.unique)
		}
	}
	s := f.Stats()
	if s.Allocated != [4]uint64{Anonymous: 6 * pageSize, PageCache: 2 * pageSize} || s.Total != 8*pageSize {
		t.Errorf("stats: %+v", s)
	}
	f.DecRef(b)
	f.DecRef(a)
	if s := f.Stats(); s.Total != 3*pageSize-pageSize || s.Allocated[PageCache] != 0 {
		t.Errorf("after one DecRef each: %+v", s)
	}
	f.DecRef(part(a, 2, 2))
	f.DecRef(part(a, 3, 1))
}

func TestTheLimitRefuses(t *testing.T) {
	f := newFile(t, Options{Limit: 8 * pageSize})
	a := allocate(t, f, 6, 0)
	_, err := f.Allocate(3*pageSize, Anonymous, 0)
	wantRefusal(t, err, unix.ENOMEM, "limit of the sandbox's memory: 24 of 32 kB")
	_, err = f.Allocate(1<<63, Anonymous, 0)
	wantRefusal(t, err, unix.ENOMEM, "limit")
	f.IncRef(a) // a second reference is no second page
	b := allocate(t, f, 2, 0)
	f.SetLimit(4 * pageSize)
	f.DecRef(b)
	_, err = f.Allocate(pageSize, Anonymous, 0)
	wantRefusal(t, err, unix.ENOMEM, "24 of 16 kB")
	f.SetLimit(0)
	f.DecRef(allocate(t, f, 100, 0))
	_, err = f.Allocate(1<<63, Anonymous, 0)
	wantRefusal(t, err, unix.ENOMEM, "a file can hold")
	f.DecRef(a)
	f.DecRef(a)
}

func TestFailAfter(t *testing.T) {
	f := newFile(t, Options{})
	f.FailAfter(2)
	a := allocate(t, f, 1, 0)
	_, err := f.AllocateFill(pageSize, Anonymous, 0, &source{})
	wantRefusal(t, err, unix.ENOMEM, "set to fail")
	f.DecRef(allocate(t, f, 1, 0))
	f.FailAfter(1)
	f.FailAfter(0)
	f.DecRef(allocate(t, f, 1, 0))
	f.DecRef(a)
}

// source fills blocks with bytes of one value, n of them, and then returns err.
type source struct {
	n   int
	err error
}

func (s *source) ReadToBlocks(dst safemem.Seq) (uint64, error) {
	n, err := safemem.Copy(dst, safemem.Of(bytes.Repeat([]byte{'s'}, s.n)))
	if err == nil && n < dst.NumBytes() {
		err = s.err
	}
	s.n -= int(n)
	return n, err
}

func TestAllocateFill(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		err  error
		kept uint64 // pages
	}{
		{"full", 3 * pageSize, io.EOF, 3},
		{"short", 2*pageSize + 5, nil, 3},
		{"short with an error", 2*pageSize - 1, io.EOF, 2},
		{"whole pages", pageSize, io.EOF, 1},
		{"nothing", 0, io.ErrUnexpectedEOF, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFile(t, Options{})
			// Pages that are not zero already.
			old := allocate(t, f, 3, 0)
			copy(memoryOf(t, f, old), bytes.Repeat([]byte{'x'}, 3*pageSize))
			f.DecRef(old)

			fr, err := f.AllocateFill(3*pageSize, PageCache, 0, &source{c.n, c.err})
			if fr.Length() != c.kept*pageSize {
				t.Fatalf("kept %v, want %d pages", fr, c.kept)
			}
			if want := c.err; c.n == 3*pageSize && err != nil || c.n < 3*pageSize && err != want {
				t.Errorf("error is %v", err)
			}
			if s := f.Stats(); s.Allocated[PageCache] != c.kept*pageSize {
				t.Errorf("%d bytes allocated", s.Allocated[PageCache])
			}
			if fr.IsEmpty() {
				return
			}
			b := memoryOf(t, f, fr)
			if !bytes.Equal(b[:c.n], bytes.Repeat([]byte{'s'}, c.n)) || !isZero(b[c.n:]) {
				t.Error("contents are wrong")
			}
			f.DecRef(fr)
		})
	}
}

// holed returns five pages of which the fourth faults.
func holed(t *testing.T) []byte {
	t.Helper()
	p, err := unix.MmapPtr(-1, 0, nil, 5*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.MunmapPtr(p, 5*pageSize) })
	b := unsafe.Slice((*byte)(p), 5*pageSize)
	for i := range b {
		b[i] = 'h'
	}
	if err := unix.Mprotect(b[3*pageSize:4*pageSize], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAllocateCopy(t *testing.T) {
	f := newFile(t, Options{})
	src := bytes.Repeat([]byte("0123456789abcdef"), 2*pageSize/16)
	fr, err := f.AllocateCopy(safemem.Of(src), Anonymous, 0)
	if err != nil || fr.Length() != 2*pageSize || !bytes.Equal(memoryOf(t, f, fr), src) {
		t.Fatalf("copied to %v, %v", fr, err)
	}
	f.DecRef(fr)
}

func TestAllocateCopyKeepsWholePagesBeforeAFault(t *testing.T) {
	for _, c := range []struct {
		from int // bytes into the pages
		kept uint64
	}{{0, 3}, {1, 2}, {2*pageSize + 100, 0}, {3 * pageSize, 0}} {
		f := newFile(t, Options{})
		src := holed(t)[c.from:]
		n := len(src) - len(src)%pageSize
		fr, err := f.AllocateCopy(safemem.Of(src[:n]), Anonymous, 0)
		var bus *memmap.BusError
		if !errors.As(err, &bus) || !errors.Is(err, unix.EFAULT) {
			t.Fatalf("error is %v, want a bus error", err)
		}
		if fr.Length() != c.kept*pageSize || f.Stats().Total != c.kept*pageSize {
			t.Fatalf("from %d: kept %v, %d bytes allocated", c.from, fr, f.Stats().Total)
		}
		if c.kept == 0 {
			continue
		}
		if !bytes.Equal(memoryOf(t, f, fr), src[:fr.Length()]) {
			t.Error("what was kept differs")
		}
		f.DecRef(fr)
	}
}

// TestNoHostMemoryIsENOMEM lets a fresh page fault, as it does when the host finds
// no memory for it.
func TestNoHostMemoryIsENOMEM(t *testing.T) {
	f := newFile(t, Options{})
	fr := allocate(t, f, 3, 0)
	b := memoryOf(t, f, fr)
	b[0] = 1
	f.DecRef(fr)
	protect := func(prot int) {
		if err := unix.Mprotect(b[:pageSize:pageSize], prot); err != nil {
			t.Fatal(err)
		}
	}
	protect(unix.PROT_NONE)
	_, err := f.Allocate(3*pageSize, Anonymous, 0)
	wantRefusal(t, err, unix.ENOMEM, "the host has no memory")
	_, err = f.AllocateCopy(safemem.Of(make([]byte, 3*pageSize)), Anonymous, 0)
	wantRefusal(t, err, unix.ENOMEM, "the host has no memory")
	if got := f.Stats().Total; got != 0 {
		t.Errorf("%d bytes stay allocated", got)
	}
	protect(unix.PROT_READ | unix.PROT_WRITE)
	fr = allocate(t, f, 3, 0)
	if !isZero(memoryOf(t, f, fr)) {
		t.Error("the pages that could not be cleared are not zero later")
	}
	f.DecRef(fr)
}

// TestTheHostRefuses lets each call to the host fail.
func TestTheHostRefuses(t *testing.T) {
	f := newFile(t, Options{})
	withoutFD := func(do func()) {
		fd := f.fd
		f.fd = -1
		do()
		f.fd = fd
	}
	withoutFD(func() {
		_, err := f.Allocate(pageSize, Anonymous, 0)
		wantRefusal(t, err, unix.ENOMEM, "does not let the memory file grow")
	})
	fr := allocate(t, f, 1, 0) // grows
	f.DecRef(fr)
	withoutFD(func() {
		for name, got := range map[string]func() (memmap.FileRange, error){
			"Allocate of a page to clear": func() (memmap.FileRange, error) { return f.Allocate(pageSize, Anonymous, 0) },
			"AllocateCopy": func() (memmap.FileRange, error) {
				return f.AllocateCopy(safemem.Of(make([]byte, pageSize)), Anonymous, 0)
			},
			"AllocateFill": func() (memmap.FileRange, error) { return f.AllocateFill(pageSize, Anonymous, 0, &source{n: 1}) },
		} {
			if _, err := got(); !errors.Is(err, unix.EBADF) && !errors.Is(err, unix.ENOMEM) || f.Stats().Total != 0 {
				t.Errorf("%s without a mapping: %v, %d bytes allocated", name, err, f.Stats().Total)
			}
		}
	})

	// Holes cannot be punched: pages stay the host's, and read as zeroes all the same.
	big := allocate(t, f, 2*keptStale/pageSize, 0)
	memoryOf(t, f, big)[5] = 1
	withoutFD(func() {
		if err := f.Decommit(big); !errors.Is(err, unix.EBADF) {
			t.Errorf("Decommit: %v", err)
		}
		f.DecRef(big)
	})
	big = allocate(t, f, 2*keptStale/pageSize, 0)
	if !isZero(memoryOf(t, f, big)) {
		t.Error("pages that could not be given back are not zero")
	}
	f.DecRef(big)
}

func TestDecommit(t *testing.T) {
	f := newFile(t, Options{})
	fr := allocate(t, f, 4, 0)
	b := memoryOf(t, f, fr)
	for i := range b {
		b[i] = 1
	}
	before := f.Stats().HostBytes
	if err := f.Decommit(part(fr, 1, 2)); err != nil {
		t.Fatal(err)
	}
	if after := f.Stats().HostBytes; after != before-2*pageSize {
		t.Errorf("the host had %d bytes and has %d", before, after)
	}
	if b[pageSize-1] != 1 || !isZero(b[pageSize:3*pageSize]) || b[3*pageSize] != 1 {
		t.Error("the wrong bytes are zero")
	}
	f.IncRef(part(fr, 2, 1))
	wantPanic(t, "decommit of a shared page", func() { f.Decommit(fr) })
	f.DecRef(part(fr, 2, 1))
	f.DecRef(fr)
}

func TestMisusePanics(t *testing.T) {
	f := newFile(t, Options{})
	fr := allocate(t, f, 2, 0)
	half := memmap.FileRange{Start: fr.Start, End: fr.Start + 100}
	below := memmap.FileRange{Start: fr.Start - pageSize, End: fr.End}
	beyond := memmap.FileRange{Start: fr.Start, End: f.size() + pageSize}
	empty := memmap.FileRange{Start: fr.Start, End: fr.Start}
	for name, do := range map[string]func(){
		"IncRef of free pages":      func() { f.IncRef(below) },
		"DecRef of free pages":      func() { f.DecRef(below) },
		"IncRef of half a page":     func() { f.IncRef(half) },
		"DecRef of half a page":     func() { f.DecRef(half) },
		"IncRef beyond the file":    func() { f.IncRef(beyond) },
		"DecRef of nothing":         func() { f.DecRef(empty) },
		"HasUniqueRef of nothing":   func() { f.HasUniqueRef(empty) },
		"UniqueRun of half a page":  func() { f.UniqueRun(half) },
		"Decommit beyond the file":  func() { f.Decommit(beyond) },
		"MapInternal beyond":        func() { f.MapInternal(beyond, memmap.Read) },
		"MapInternal of nothing":    func() { f.MapInternal(empty, memmap.Read) },
		"Allocate of nothing":       func() { f.Allocate(0, Anonymous, 0) },
		"Allocate of half a page":   func() { f.Allocate(100, Anonymous, 0) },
		"Allocate of no kind":       func() { f.Allocate(pageSize, System+1, 0) },
		"Allocate near half a page": func() { f.Allocate(pageSize, Anonymous, 100) },
		"AllocateCopy of half":      func() { f.AllocateCopy(safemem.Of(make([]byte, 100)), Anonymous, 0) },
	} {
		wantPanic(t, name, do)
	}
	f.DecRef(fr) // the lock is free and the books are right
	wantPanic(t, "DecRef of what is free", func() { f.DecRef(fr) })
	wantPanic(t, "AllocateFill by a braggart", func() { f.AllocateFill(pageSize, Anonymous, 0, braggart{}) })
	f.DecRef(memmap.FileRange{Start: fr.End - pageSize, End: fr.End}) // what the braggart took
}

// braggart says that it has filled more than it was given.
type braggart struct{}

func (braggart) ReadToBlocks(dst safemem.Seq) (uint64, error) { return dst.NumBytes() + 1, nil }

func TestCloseNamesWhatIsLeft(t *testing.T) {
	f, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := f.Allocate(2*pageSize, Shmem, 0)
	f.IncRef(a)
	err = f.Close()
	if err == nil || !strings.Contains(err.Error(), a.String()+" shmem with 2 references") {
		t.Errorf("Close: %v", err)
	}

	f, _ = New(Options{})
	all, _ := f.Allocate(40*pageSize, Anonymous, 0)
	for i := range 20 {
		f.DecRef(part(all, 2*i, 1))
	}
	if err := f.Close(); err == nil || !strings.Contains(err.Error(), "and 12 more") {
		t.Errorf("Close: %v", err)
	}
}

func TestTheDescriptor(t *testing.T) {
	f := newFile(t, Options{})
	fr := allocate(t, f, 1, 0)
	memoryOf(t, f, fr)[0] = 0xc3
	if err := unix.Ftruncate(f.FD(), 0); err != unix.EPERM {
		t.Errorf("the file can be shrunk: %v", err)
	}
	if flags, err := unix.FcntlInt(uintptr(f.FD()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v: not closed on exec", flags, err)
	}
	p, err := unix.MmapPtr(f.FD(), int64(fr.Start), nil, pageSize, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED)
	if err != nil {
		t.Fatalf("guest text cannot be mapped: %v", err)
	}
	if *(*byte)(p) != 0xc3 {
		t.Error("another mapping shows something else")
	}
	unix.MunmapPtr(p, pageSize)
	f.DecRef(fr)
}

func TestMapInternal(t *testing.T) {
	f := newFile(t, Options{})
	fr := allocate(t, f, 2, 0)
	_, err := f.MapInternal(fr, memmap.ReadExecute)
	wantRefusal(t, err, unix.EACCES, "executes no guest memory")
	b := memoryOf(t, f, fr)
	b[pageSize+3] = 9
	odd := memoryOf(t, f, memmap.FileRange{Start: fr.Start + pageSize + 3, End: fr.Start + pageSize + 5})
	if len(odd) != 2 || odd[0] != 9 {
		t.Errorf("an unaligned range is %v", odd)
	}
	if n := testing.AllocsPerRun(100, func() { f.MapInternal(fr, memmap.Read) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	f.DecRef(fr)
}

// TestChunksAreMappedOnce lets many goroutines be the first.
func TestChunksAreMappedOnce(t *testing.T) {
	f := newFile(t, Options{})
	fr := allocate(t, f, 1, 0)
	var all sync.WaitGroup
	got := make([]*byte, 8)
	for i := range got {
		all.Go(func() { got[i] = unsafe.SliceData(memoryOf(t, f, fr)) })
	}
	all.Wait()
	for _, p := range got {
		if p != got[0] {
			t.Errorf("mapped at %p and %p", p, got[0])
		}
	}
	f.DecRef(fr)
}

func TestZero(t *testing.T) {
	for _, fr := range []memmap.FileRange{
		{Start: 0x7ffff7fff000, End: 0x7ffff7fff000 + pageSize},
		{Start: 4*pageSize + 12, End: 4*pageSize + 16},
		{Start: 100, End: 100 + 5*memmap.HugePageSize},
	} {
		blocks, err := Zero.MapInternal(fr, memmap.Read)
		if err != nil || blocks.NumBytes() != fr.Length() {
			t.Fatalf("%v is %d bytes, %v", fr, blocks.NumBytes(), err)
		}
		b := bytes.Repeat([]byte{1}, int(fr.Length()))
		if n, err := safemem.Copy(safemem.Of(b), blocks); n != fr.Length() || err != nil || !isZero(b) {
			t.Errorf("%v: %d bytes, %v, zero: %v", fr, n, err, isZero(b))
		}
		if addr := uintptr(unsafe.Pointer(unsafe.SliceData(blocks.Head()))); uint64(addr)%pageSize != uint64(fr.Start)%pageSize {
			t.Errorf("%v begins at %#x: another alignment", fr, addr)
		}
		var fault *safemem.FaultError
		if _, err := safemem.Zero(blocks); !errors.As(err, &fault) {
			t.Errorf("zeroes can be written: %v", err)
		}
	}
	for _, at := range []memmap.AccessType{memmap.Write, memmap.ReadWrite, memmap.ReadExecute} {
		_, err := Zero.MapInternal(memmap.FileRange{End: pageSize}, at)
		wantRefusal(t, err, unix.EACCES, "only be read")
	}
	if Zero.FD() != -1 {
		t.Error("the zero page has a descriptor")
	}
	Zero.IncRef(memmap.FileRange{End: pageSize})
	Zero.DecRef(memmap.FileRange{End: pageSize})
}
