package pagecache

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// onDisk is a file of the host as a WritableBacking.
type onDisk struct{ *os.File }

func (d onDisk) FD() int { return int(d.Fd()) }

func (d onDisk) Size() (uint64, error) {
	st, err := d.Stat()
	if err != nil {
		return 0, err
	}
	return uint64(st.Size()), nil
}

func (d onDisk) ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error) {
	n, err := d.ReadAt(dsts.Head(), int64(off))
	return uint64(n), err
}

func (d onDisk) WriteFromBlocksAt(srcs safemem.Seq, off uint64) (uint64, error) {
	n, err := d.WriteAt(srcs.Head(), int64(off))
	return uint64(n), err
}

func (d onDisk) SetMaskedAttributes(mask AttrMask, a Attr) error {
	if mask&AttrSize != 0 {
		return d.Truncate(int64(a.Size))
	}
	return nil
}

// hosted is a Cache that has the host's pages mapped, and a file of so many pages.
type hosted struct {
	*Cache
	t         *testing.T
	path      string
	forgotten map[int]bool
}

func newHosted(t *testing.T, pages int) *hosted {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &hosted{Cache: New(mem), t: t, path: filepath.Join(t.TempDir(), "file"), forgotten: map[int]bool{}}
	h.MapHost(func(fd int) { h.forgotten[fd] = true })
	if err := os.WriteFile(h.path, make([]byte, pages*memmap.PageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mem.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *hosted) onHost(flags int) onDisk {
	h.t.Helper()
	f, err := os.OpenFile(h.path, flags, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return onDisk{f}
}

// translate is Translate for one translation, with a reference on its pages.
func (h *hosted) translate(f *File, mr memmap.MappableRange, at memmap.AccessType) memmap.Translation {
	h.t.Helper()
	ts, err := f.Translate(mr, mr, at)
	if bad := memmap.CheckTranslateResult(mr, mr, at, ts, err); bad != nil || err != nil || len(ts) != 1 {
		h.t.Fatalf("%v: %v, %v, %v", mr, ts, err, bad)
	}
	ts[0].File.IncRef(ts[0].FileRange())
	return ts[0]
}

// A file has one File whatever somebody has done to it in between, and opens for
// reading see through the same memory what is written.
func TestHostPagesAreWhatTheHostHas(t *testing.T) {
	h := newHosted(t, 8)
	read := h.onHost(os.O_RDONLY)
	f := h.Open(Key{Dev: 1, Ino: 2, MTime: 3, Size: 8 * memmap.PageSize}, read)
	tr := h.translate(f, pagesAt(1, 2), memmap.Read)
	if tr.File != memmap.File(f.host) || tr.Perms.Write || tr.Offset != memmap.PageSize {
		t.Errorf("translation %+v", tr)
	}
	memory, err := tr.File.MapInternal(tr.FileRange(), memmap.Read)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.File.MapInternal(tr.FileRange(), memmap.Write); !errors.Is(err, unix.EACCES) {
		t.Errorf("for writing: %v", err)
	}
	write := h.onHost(os.O_RDWR)
	again := h.OpenWritable(Key{Dev: 1, Ino: 2, MTime: 4, Size: 1}, write, WriteOptions{Now: func() int64 { return 0 }})
	if again != f {
		t.Error("there are two of one file")
	}
	wr := h.translate(f, pagesAt(2, 1), memmap.ReadWrite)
	writable, err := wr.File.MapInternal(wr.FileRange(), memmap.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := safemem.Copy(writable, safemem.Of([]byte("mapped"))); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := f.WriteAt([]byte("written"), memmap.PageSize); n != 7 || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, 7)
	for off, want := range map[uint64]string{0: "written", memmap.PageSize: "mapped\x00"} {
		if _, err := safemem.Copy(safemem.Of(got), memory.DropFirst(off)); err != nil || string(got) != want {
			t.Errorf("at %#x: %q, %v", off, got, err)
		}
		if n, err := f.ReadAt(got, memmap.PageSize+off); n != 7 || err != nil || string(got) != want {
			t.Errorf("read at %#x: %q, %v", off, got, err)
		}
	}
	if f.Dirty() != 0 || f.Cached() != 0 {
		t.Errorf("%d dirty of %d bytes in guest memory", f.Dirty(), f.Cached())
	}
	tr.File.DecRef(tr.FileRange())
	wr.File.DecRef(wr.FileRange())
	if len(f.host.chunks) != 0 || !f.host.refs.IsEmpty() {
		t.Errorf("%d chunks stay mapped", len(f.host.chunks))
	}
	fds := []int{read.FD(), write.FD()}
	if err := errors.Join(f.DecRef(), again.DecRef()); err != nil {
		t.Error(err)
	}
	for _, fd := range fds {
		if !h.forgotten[fd] {
			t.Errorf("the platform keeps descriptor %d", fd)
		}
	}
}

// What the host has cut off cannot be copied, exactly from there on, and is beyond the
// end for who asks anew.
func TestHostPagesThatAreCutOff(t *testing.T) {
	h := newHosted(t, 4)
	f := h.Open(Key{Dev: 1, Ino: 2}, h.onHost(os.O_RDONLY))
	tr := h.translate(f, pagesAt(0, 4), memmap.Read)
	memory, err := tr.File.MapInternal(tr.FileRange(), memmap.Read)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(h.path, memmap.PageSize+1); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4*memmap.PageSize)
	var fault *safemem.FaultError
	if n, err := safemem.Copy(safemem.Of(buf), memory); n != 2*memmap.PageSize || !errors.As(err, &fault) {
		t.Errorf("copied %d: %v", n, err)
	}
	if _, err := safemem.LoadUint32(memory.DropFirst(3 * memmap.PageSize).Head()); !errors.As(err, &fault) {
		t.Errorf("a word: %v", err)
	}
	var bus *memmap.BusError
	if ts, err := f.Translate(pagesAt(2, 1), pagesAt(2, 2), memmap.Read); len(ts) != 0 || !errors.As(err, &bus) {
		t.Errorf("behind the end: %v, %v", ts, err)
	}
	if ts, err := f.Translate(pagesAt(1, 2), pagesAt(0, 4), memmap.Read); len(ts) != 1 || ts[0].Source != pagesAt(0, 2) || !errors.As(err, &bus) {
		t.Errorf("across the end: %v, %v", ts, err)
	}
	tr.File.DecRef(tr.FileRange())
	if err := f.DecRef(); err != nil {
		t.Error(err)
	}
}

// Pages are counted one by one, and a chunk is mapped as long as one of them is held.
func TestHostPagesAreCounted(t *testing.T) {
	const pages = 3 * hostChunkSize / memmap.PageSize
	h := newHosted(t, pages)
	f := h.Open(Key{Dev: 1, Ino: 2}, h.onHost(os.O_RDONLY))
	all, some := h.translate(f, pagesAt(0, pages), memmap.Read), h.translate(f, pagesAt(500, 20), memmap.Read)
	if _, err := all.File.MapInternal(all.FileRange(), memmap.Read); err != nil {
		t.Fatal(err)
	}
	count := func() (n [3]uint64) {
		f.host.Counts(memmap.FileRange{End: 1 << 40}, func(r memmap.FileRange, refs uint32) { n[refs] += r.Length() / memmap.PageSize })
		return n
	}
	if got := count(); got != [3]uint64{0, pages - 20, 20} {
		t.Errorf("counts %v", got)
	}
	all.File.DecRef(all.FileRange())
	if got := count(); got != [3]uint64{0, 20, 0} || len(f.host.chunks) != 2 {
		t.Errorf("counts %v, %d chunks", got, len(f.host.chunks))
	}
	if runs := f.Runs(); len(runs) != 1 || runs[0].HostRefs != 1 || runs[0].Pages != pagesAt(500, 20) {
		t.Errorf("runs %v", runs)
	}
	some.File.DecRef(some.FileRange())
	if err := f.DecRef(); err != nil {
		t.Error(err)
	}
}

// Only so many chunks are mapped in the sandbox, of all files together; the next is
// refused, not a mapping too many for the host.
func TestHostChunksAreBounded(t *testing.T) {
	const pages = 3 * hostChunkSize / memmap.PageSize
	h := newHosted(t, pages)
	h.chunks.most = 2
	f := h.Open(Key{Dev: 1, Ino: 2}, h.onHost(os.O_RDONLY))
	tr := h.translate(f, pagesAt(0, pages), memmap.Read)
	if _, err := tr.File.MapInternal(tr.FileRange(), memmap.Read); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("three chunks: %v", err)
	}
	first := memmap.FileRange{End: 2 * hostChunkSize}
	if _, err := tr.File.MapInternal(first, memmap.Read); err != nil {
		t.Errorf("two, which are mapped already: %v", err)
	}
	tr.File.DecRef(tr.FileRange())
	if n := h.chunks.n.Load(); n != 0 {
		t.Errorf("%d chunks are still counted", n)
	}
	if err := f.DecRef(); err != nil {
		t.Error(err)
	}
}
