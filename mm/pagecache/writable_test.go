package pagecache

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// touchForWrite asks for pages as a store through a mapping does, and returns
// their bytes.
func touchForWrite(t *testing.T, f *File, mr memmap.MappableRange) []byte {
	t.Helper()
	ts, err := f.Translate(mr, mr, memmap.ReadWrite)
	if bad := memmap.CheckTranslateResult(mr, mr, memmap.ReadWrite, ts, err); bad != nil || err != nil {
		t.Fatal(bad, err)
	}
	seq, err := ts[0].File.MapInternal(ts[0].FileRange(), memmap.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	return seq.Head()
}

// The rules of what is dirty, and what stays so.
func TestDirtySet(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*dirtySet)
		want string // of pages 0-3: . clean, d dirty, k kept dirty
	}{
		{"mark", func(s *dirtySet) { s.markDirty(pagesAt(1, 2)) }, ".dd."},
		{"keep", func(s *dirtySet) { s.keepDirty(pagesAt(1, 2)) }, ".kk."},
		{"marking takes no keep", func(s *dirtySet) { s.keepDirty(pagesAt(1, 1)); s.markDirty(pagesAt(0, 4)) }, "dkdd"},
		{"keeping raises", func(s *dirtySet) { s.markDirty(pagesAt(0, 3)); s.keepDirty(pagesAt(2, 2)) }, "ddkk"},
		{"clean leaves keep", func(s *dirtySet) {
			s.markDirty(pagesAt(0, 4))
			s.keepDirty(pagesAt(1, 1))
			s.markClean(pagesAt(0, 3))
		}, ".k.d"},
		{"clean all", func(s *dirtySet) { s.keepDirty(pagesAt(0, 4)); s.keepClean(pagesAt(1, 2)) }, "k..k"},
		{"allow", func(s *dirtySet) { s.keepDirty(pagesAt(0, 3)); s.allowClean(pagesAt(1, 3)) }, "kdd."},
	} {
		var s dirtySet
		c.do(&s)
		got := []byte("....")
		for seg := range s.All() {
			for i := seg.Start / page; i < seg.End/page; i++ {
				got[i] = map[bool]byte{false: 'd', true: 'k'}[seg.Value.keep]
			}
		}
		if string(got) != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A write goes into what is cached, which is dirty then, and past it to the
// Backing; it caches nothing, and the file grows.
func TestWriteAt(t *testing.T) {
	c, s := newCache(t, 0), newStore(4*page)
	s.most = 1000
	f := c.openStore(s, 1)
	if _, err := translate(t, f, pagesAt(1, 1), pagesAt(1, 1)); err != nil {
		t.Fatal(err)
	}
	f.drop(pagesAt(2, 100)) // the readahead
	old := bytes.Clone(s.bytes)
	b := bytes.Repeat([]byte("new"), 5*page/3)
	if n, err := f.WriteAt(b, 10); n != len(b) || err != nil {
		t.Fatal(n, err)
	}
	if f.Cached() != page || f.Dirty() != page || !bytes.Equal(s.bytes[page:2*page], old[page:2*page]) {
		t.Errorf("%d cached, %d dirty", f.Cached(), f.Dirty())
	}
	want := append(bytes.Clone(old[:10]), b...)
	got := make([]byte, 6*page)
	if n, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("read back %d bytes: %v", n, err)
	}
	n, off, err := f.Append([]byte("end"))
	if n != 3 || off != uint64(len(want)) || err != nil {
		t.Error(n, off, err)
	}
	if _, err := f.WriteAt(b, maxSize); !errors.Is(err, unix.EFBIG) {
		t.Error(err)
	}
	drop(t, f)
	if !bytes.Equal(s.bytes, append(want, "end"...)) {
		t.Error("the backing is not what was written")
	}
}

// A File that was only read becomes writable for all its users; who opens it later,
// whatever its times are by then, shares it.
func TestReadersAndWritersShare(t *testing.T) {
	c, d := newCache(t, 0), newDisk(2*page)
	r := c.Open(Key{Ino: 1}, d)
	if _, err := r.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
	if err := r.Truncate(0); !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
	s, spare := newStore(2*page), newStore(2*page)
	w := c.openStore(s, 1)
	again := c.OpenWritable(Key{Ino: 1, MTime: 5}, spare, WriteOptions{Now: clock()})
	later := c.Open(Key{Ino: 1, MTime: 7, Size: 8}, newDisk(1))
	if w != r || again != r || later != r || spare.closed != 1 {
		t.Error("not shared")
	}
	rh := NewHandle(r, "/ro")
	o := memmap.MMapOpts{Perms: memmap.ReadWrite}
	if err := rh.ConfigureMMap(&o); !errors.Is(err, unix.EACCES) {
		t.Error(err)
	}
	wh := NewWritableHandle(w, "/rw")
	if err := wh.ConfigureMMap(&o); err != nil || o.MaxPerms != memmap.AnyAccess {
		t.Error(err, o.MaxPerms)
	}
	for _, release := range []func() error{rh.Release, wh.Release, again.DecRef, later.DecRef} {
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	if s.closed != 1 || d.closed != 1 || len(c.Files()) != 0 {
		t.Error("not closed with the last user")
	}
}

// A failure that the background meets again and again is one failure: who listens is told
// once, until somebody has heard of it, or it is another.
func TestFailuresThatRepeatAreOne(t *testing.T) {
	c, s := newCache(t, 0), newStore(page)
	told := 0
	c.OnFailure(func(*File, error) { told++ })
	f := c.openStore(s, 1)
	f.IncRef()
	h := NewWritableHandle(f, "/a")
	touchForWrite(t, f, pagesAt(0, 1))[0] = 'x'
	check := func(what string, wantTold, wantTries int) {
		t.Helper()
		if told != wantTold || f.LastTries() != wantTries {
			t.Errorf("%s: told %d times of %d tries, want %d of %d", what, told, f.LastTries(), wantTold, wantTries)
		}
	}
	s.fail = errDisk
	for range 3 {
		if _, err := c.WriteSome(page); !errors.Is(err, errDisk) {
			t.Error(err)
		}
	}
	check("three steps", 1, 3)
	s.fail = errBroken
	_, _ = c.WriteSome(page)
	check("another failure", 2, 1)
	if err := h.Sync(); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	_, _ = c.WriteSome(page)
	check("after a sync that heard of it", 3, 1)
	s.fail = nil
	if err := errors.Join(h.Release(), f.DecRef()); err != nil && !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// Every open hears of a failed writeback once, and of each new one; the pages stay.
func TestFailuresAreToldOnce(t *testing.T) {
	c, s := newCache(t, 0), newStore(page)
	f := c.openStore(s, 1)
	f.IncRef()
	a, b := NewWritableHandle(f, "/a"), NewWritableHandle(f, "/b")
	touchForWrite(t, f, pagesAt(0, 1))[0] = 'x'
	s.fail = errDisk
	if err := a.Sync(); !errors.Is(err, errDisk) || f.Dirty() != page || !errors.Is(f.LastError(), errDisk) {
		t.Errorf("%v, %d dirty", err, f.Dirty())
	}
	s.fail = nil
	for _, h := range []struct {
		name string
		h    *Handle
		want error
	}{{"a again", a, nil}, {"b", b, errDisk}, {"b again", b, nil}} {
		if err := h.h.Sync(); !errors.Is(err, h.want) {
			t.Errorf("%s: %v", h.name, err)
		}
	}
	if s.bytes[0] != 'x' {
		t.Error("not written")
	}
	s.noSync = errDisk
	var o memmap.MMapOpts
	if err := a.ConfigureMMap(&o); err != nil {
		t.Fatal(err)
	}
	if err := o.Identity.Msync(pagesAt(0, 1)); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	s.noSync = nil
	if err := a.Sync(); err != nil { // one open: its mappings heard it for it
		t.Error(err)
	}
	f.allowCleanForTest()
	if err := b.Release(); !errors.Is(err, errDisk) {
		t.Error("close does not tell", err)
	}
	if err := a.Release(); err != nil {
		t.Error(err)
	}
}

// allowCleanForTest is what happens when the last mapping goes.
func (f *File) allowCleanForTest() {
	f.dataMu.Lock()
	f.dirty.allowClean(everything)
	f.dataMu.Unlock()
}

// What nobody has heard of yet is told to who opens next.
func TestOpenHearsOfWhatNobodyHas(t *testing.T) {
	var s failures
	early := s.sample()
	_ = s.record(errDisk)
	_ = s.record(errDisk) // nobody has heard: the same failure
	late := s.sample()
	if s.report(&late) == nil || s.report(&late) != nil || s.report(&early) == nil || s.report(&early) != nil {
		t.Error("not once each")
	}
	if after := s.sample(); s.report(&after) != nil {
		t.Error("old news")
	}
}

// When the last writable mapping of pages goes they are written, and become clean.
func TestLastUnmapWritesBack(t *testing.T) {
	c, s := newCache(t, 0), newStore(4*page)
	f := c.openStore(s, 1)
	sp := &space{}
	two := memmap.AddrRange{Start: 0x10000, End: 0x10000 + 2*page}
	one := memmap.AddrRange{Start: 0x50000, End: 0x50000 + page}
	for _, err := range []error{f.AddMapping(sp, two, 0, true), f.AddMapping(sp, one, page, true), f.AddMapping(sp, one, 0, false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b := touchForWrite(t, f, pagesAt(0, 2))
	b[0], b[page] = 'x', 'y'
	sp.dropped = nil
	if err := f.WriteOut(); err != nil || f.Dirty() != 0 || s.bytes[0] != 'x' || len(sp.dropped) != 3 {
		t.Errorf("%v, %d dirty, %v may still write", err, f.Dirty(), sp.dropped)
	}
	b = touchForWrite(t, f, pagesAt(0, 2)) // who writes on asks again
	b[0], b[page] = 'X', 'Y'
	f.RemoveMapping(sp, two, 0, true)
	if f.Dirty() != page || s.bytes[0] != 'X' || s.bytes[page] != 'y' {
		t.Errorf("%d dirty", f.Dirty())
	}
	if runs := f.Runs(); len(runs) != 3 || runs[0].Dirty || len(runs[0].Maps) != 1 || !runs[1].Keep || !runs[1].Maps[0].Writable || runs[1].Pages != pagesAt(1, 1) {
		t.Errorf("%+v", runs)
	}
	f.RemoveMapping(sp, one, page, true)
	f.RemoveMapping(sp, one, 0, false)
	if f.Dirty() != 0 || s.bytes[page] != 'Y' {
		t.Error("not written")
	}
	drop(t, f)
}

// Pages that cannot be written are not evicted, others are; with the last user the
// file stays, is told of, and goes when it could be written.
func TestUnwrittenStays(t *testing.T) {
	c, s := newCache(t, 0), newStore(8*page)
	f := c.openStore(s, 1)
	copy(touchForWrite(t, f, pagesAt(3, 1)), "precious")
	f.allowCleanForTest()
	s.fail = unix.ENOSPC
	if got := c.Evict(1 << 30); got != 4*page || f.Cached() != page || f.Dirty() != page {
		t.Errorf("%d evicted, %d left (readahead is %d pages)", got, f.Cached(), 5)
	}
	if err := f.InvalidateUnsavable(); !errors.Is(err, unix.ENOSPC) || f.Dirty() != page {
		t.Error(err)
	}
	if err := f.DecRef(); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	if _, err := c.WriteSome(100); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	if un := c.Unwritten(); len(un) != 1 || un[0] != f || s.closed != 0 {
		t.Errorf("unwritten: %v", un)
	}
	if g := c.openStore(newStore(page), 1); g != f {
		t.Error("an open does not find what is unwritten")
	}
	if err := f.DecRef(); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	s.fail = nil
	if err := c.Sync(); err != nil || len(c.Unwritten()) != 0 || s.closed != 1 || string(s.bytes[3*page:3*page+8]) != "precious" {
		t.Errorf("%v; %d unwritten", err, len(c.Unwritten()))
	}
	g := c.openStore(s, 2)
	touchForWrite(t, g, pagesAt(0, 1))
	s.fail = errDisk
	if _, err := g.Abandon(); !errors.Is(err, unix.EBUSY) {
		t.Error(err)
	}
	if err := g.DecRef(); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if lost, err := g.Abandon(); lost != page || err != nil || s.closed != 2 {
		t.Error(lost, err)
	}
}

// The background's step writes no more than it may, goes round, and passes what
// fails.
func TestWriteSome(t *testing.T) {
	c, s := newCache(t, 0), newStore(6*page)
	f := c.openStore(s, 1)
	sp := &space{}
	ar := memmap.AddrRange{Start: 0x10000, End: 0x10000 + 6*page}
	if err := f.AddMapping(sp, ar, 0, true); err != nil {
		t.Fatal(err)
	}
	touchForWrite(t, f, pagesAt(0, 6))
	for i, want := range []uint64{4, 2, 0} {
		n, err := c.WriteSome(2*page - 5)
		if err != nil || f.Dirty() != want*page || len(sp.dropped) != i+1 {
			t.Errorf("step %d: %d written, %d dirty, %v; %v", i, n, f.Dirty(), sp.dropped, err)
		}
	}
	if n, err := c.WriteSome(page); n != 0 || err != nil {
		t.Error(n, err)
	}
	touchForWrite(t, f, pagesAt(0, 6))
	s.room = page // all but the first page fail
	for range 7 {
		_, _ = c.WriteSome(page)
	}
	if f.Dirty() != 5*page {
		t.Errorf("%d dirty", f.Dirty())
	}
	s.room = 0
	f.RemoveMapping(sp, ar, 0, true)
	drop(t, f)
}

// Attributes come first: if they cannot be set nothing is changed. Then pages go,
// with private copies, and the last page's rest is zero, now and if the file grows.
func TestTruncate(t *testing.T) {
	c, s := newCache(t, 0), newStore(4*page)
	f := c.openStore(s, 1)
	sp := &truncated{f: f}
	ar := memmap.AddrRange{Start: 0x10000, End: 0x10000 + 4*page}
	if err := f.AddMapping(sp, ar, 0, true); err != nil {
		t.Fatal(err)
	}
	b := touchForWrite(t, f, pagesAt(0, 4))
	s.noAttr = errDisk
	if err := f.Truncate(5); !errors.Is(err, errDisk) || f.Cached() != 4*page || sp.calls != 0 {
		t.Errorf("%v: something has changed", err)
	}
	s.noAttr = nil
	if err := f.Truncate(page + 5); err != nil || f.Cached() != 2*page || f.Dirty() != 2*page || len(s.bytes) != page+5 {
		t.Errorf("%v: %d cached, %d dirty", err, f.Cached(), f.Dirty())
	}
	if sp.calls != 1 || sp.ar != (memmap.AddrRange{Start: ar.Start + 2*page, End: ar.End}) || sp.cached != 4*page {
		t.Errorf("%+v", sp)
	}
	if bytes.Count(b[page+5:2*page], []byte{0}) != page-5 {
		t.Error("the last page's rest is not zero")
	}
	if _, err := f.Translate(pagesAt(2, 1), pagesAt(2, 1), memmap.Read); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	b[page+9] = 'x' // behind the end
	if err := f.Truncate(3 * page); err != nil || b[page+9] != 0 {
		t.Errorf("%v: what lay behind the end is part of the file now", err)
	}
	if err := f.Truncate(maxSize + 1); !errors.Is(err, unix.EFBIG) {
		t.Error(err)
	}
	f.RemoveMapping(sp, ar, 0, true)
	drop(t, f)
}

// truncated sees how much is cached when it is told of an Invalidate.
type truncated struct {
	f      *File
	calls  int
	ar     memmap.AddrRange
	cached uint64
}

func (s *truncated) Invalidate(ar memmap.AddrRange, private bool) {
	if !private {
		panic("private copies stay")
	}
	s.calls++
	s.ar, s.cached = ar, s.f.Cached()
}

// Attributes are set in the Backing first, kept, and written out with the pages.
func TestAttributes(t *testing.T) {
	c, s := newCache(t, 0), newStore(page)
	f := c.OpenWritable(Key{Ino: 1}, s, WriteOptions{Attr: Attr{Size: page, UID: 7, Perms: 0o600, Links: 1}, Now: clock()})
	uid := uint32(5)
	s.noAttr = errDisk
	for _, err := range []error{f.SetPermissions(0o777), f.SetOwner(&uid, nil), f.SetTimestamps(SetTime{Set: true, Now: true}, SetTime{})} {
		if !errors.Is(err, errDisk) {
			t.Error(err)
		}
	}
	if err := errors.Join(f.SetOwner(nil, nil), f.SetTimestamps(SetTime{}, SetTime{})); err != nil { // no-ops
		t.Error(err)
	}
	if a, ok := f.Attr(); !ok || a != (Attr{Size: page, UID: 7, Perms: 0o600, Links: 1}) {
		t.Errorf("%+v", a)
	}
	s.noAttr = nil
	if err := errors.Join(f.SetPermissions(0o640), f.SetOwner(&uid, nil), f.SetTimestamps(SetTime{Set: true, At: 42}, SetTime{Set: true, Now: true})); err != nil {
		t.Error(err)
	}
	f.IncLinks()
	f.IncLinks()
	f.DecLinks()
	a, _ := f.Attr()
	if a.Perms != 0o640 || a.UID != 5 || a.GID != 0 || a.Links != 2 || a.ATime != 42 || a.MTime <= 1000 || a.CTime < a.MTime {
		t.Errorf("%+v", a)
	}
	f.UpdateAttr(Attr{Perms: 1, UID: 1, GID: 9, Size: page, Links: 3})
	if b, _ := f.Attr(); b.Perms != 1 || b.UID != 1 || b.GID != 9 || b.Links != 3 || b.CTime != a.CTime { // all but ctime the backing knows
		t.Errorf("told by the backing: %+v", b)
	}
	if n, err := f.ReadAt(make([]byte, 1), 0); n != 1 || err != nil {
		t.Error(err)
	}
	if b, _ := f.Attr(); b.ATime == 42 || b.CTime != a.CTime {
		t.Errorf("read: %+v", b)
	}
	if err := f.WriteOut(); err != nil || s.syncs != 1 || s.set&AttrATime == 0 || s.set&AttrCTime == 0 || f.unwritten() {
		t.Errorf("%v: %+v", err, s.attr)
	}
	drop(t, f)
	quiet := c.OpenWritable(Key{Ino: 2}, newStore(page), WriteOptions{Attr: Attr{Size: page}, NoATime: true, Now: clock()})
	if _, err := quiet.ReadAt(make([]byte, 1), 0); err != nil || quiet.unwritten() {
		t.Error("noatime", err)
	}
	drop(t, quiet)
}

// retaker asks for a page again as soon as it was taken from it.
type retaker struct {
	f *File
	t *testing.T
}

func (r *retaker) Invalidate(memmap.AddrRange, bool) {
	if _, err := r.f.Translate(pagesAt(1, 1), pagesAt(1, 1), memmap.Read); err != nil {
		r.t.Error(err)
	}
}

// A page that is mapped again while it is being evicted stays: else two processes
// would see two pages.
func TestEvictionLeavesWhatIsMappedAgain(t *testing.T) {
	c := newCache(t, 0)
	f := c.openStore(newStore(4*page), 1)
	r := &retaker{f, t}
	ar := memmap.AddrRange{Start: 0x10000, End: 0x10000 + 4*page}
	if err := f.AddMapping(r, ar, 0, true); err != nil {
		t.Fatal(err)
	}
	touchForWrite(t, f, pagesAt(0, 4))
	if got := c.Evict(1 << 30); got != 3*page || f.Cached() != page || f.Dirty() != 0 {
		t.Errorf("%d evicted, %d left, %d dirty", got, f.Cached(), f.Dirty())
	}
	if err := f.InvalidateUnsavable(); !errors.Is(err, unix.EBUSY) {
		t.Error(err)
	}
	f.RemoveMapping(r, ar, 0, true)
	drop(t, f)
}
