package pagecache_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// medium is a WritableBacking in memory.
type medium struct {
	mu    sync.Mutex
	bytes ram
}

func (m *medium) Size() (uint64, error) { return m.bytes.Size() }
func (m *medium) Close() error          { return nil }
func (m *medium) Sync() error           { return nil }
func (m *medium) FD() int               { return -1 }

func (m *medium) ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes.ReadToBlocksAt(dsts, off)
}

func (m *medium) WriteFromBlocksAt(srcs safemem.Seq, off uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resize(max(len(m.bytes), int(off+srcs.NumBytes())))
	return safemem.Copy(safemem.Of(m.bytes[off:]), srcs)
}

func (m *medium) SetMaskedAttributes(mask pagecache.AttrMask, a pagecache.Attr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mask&pagecache.AttrSize != 0 {
		m.resize(int(a.Size))
	}
	return nil
}

func (m *medium) resize(n int) {
	m.bytes = append(m.bytes[:min(n, len(m.bytes))], make([]byte, max(0, n-len(m.bytes)))...)
}

// world is a file of 16 pages on a medium, open for writing, and its cache.
type world struct {
	t      *testing.T
	by     *mm.Actor
	mem    *pgalloc.MemoryFile
	cache  *pagecache.Cache
	medium *medium
	handle *pagecache.Handle
}

func newWorld(t *testing.T) *world {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, by: &mm.Actor{Limits: mm.NoLimits()}, mem: mem,
		cache: pagecache.New(mem), medium: &medium{bytes: make(ram, 16*page)},
	}
	o := pagecache.WriteOptions{Attr: pagecache.Attr{Size: 16 * page}, Now: func() int64 { return 1 }}
	w.handle = pagecache.NewWritableHandle(w.cache.OpenWritable(pagecache.Key{Ino: 1}, w.medium, o), "/file")
	t.Cleanup(func() {
		if err := mem.Close(); err != nil {
			t.Errorf("memory is left: %v", err)
		}
	})
	return w
}

func (w *world) file() *pagecache.File { return w.handle.File() }

func (w *world) process() *mm.MemoryManager {
	w.t.Helper()
	layout, err := mm.NewLayout(memmap.AddrRange{Start: 0x14000, End: 0x7ffffffff000}, 8<<20, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return mm.New(mm.Config{Memory: w.mem, AS: nullas.New(), Layout: layout})
}

// mmap maps 20 pages of the file.
func (w *world) mmap(m *mm.MemoryManager, private bool) memmap.Addr {
	w.t.Helper()
	o := memmap.MMapOpts{Length: 20 * page, Private: private, Perms: memmap.ReadWrite}
	if err := w.handle.ConfigureMMap(&o); err != nil {
		w.t.Fatal(err)
	}
	at, err := m.MMap(w.by, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func (w *world) store(m *mm.MemoryManager, at memmap.Addr, s string) {
	w.t.Helper()
	if n, err := m.CopyOut(w.by, at, []byte(s), mm.IOOpts{}); err != nil {
		w.t.Errorf("%d bytes stored: %v", n, err)
	}
}

func (w *world) see(what string, m *mm.MemoryManager, at memmap.Addr, want string) {
	w.t.Helper()
	b := make([]byte, len(want))
	if n, err := m.CopyIn(w.by, at, b, mm.IOOpts{}); err != nil || string(b) != want {
		w.t.Errorf("%s: %q (%d bytes), %v; want %q", what, b, n, err, want)
	}
}

// Shared mappings, in two processes and a child, and the descriptor see each
// other's writes; private copies do not; all of it with pages evicted and written
// back in between. A truncation takes pages and copies, and is SIGBUS.
func TestMappingsAreCoherent(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(), w.process()
	sa, sb, pb := w.mmap(a, false), w.mmap(b, false), w.mmap(b, true)
	w.see("untouched", b, sb+page, "\x00")
	w.store(b, pb+page+100, "mine")
	w.store(a, sa+page, "from a")
	child, err := a.Fork(w.by, nullas.New(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, settle := range []func() error{
		func() error { return nil },
		func() error { _, err := w.cache.WriteSome(1 << 30); return err },
		func() error { w.cache.Evict(1 << 30); return nil },
		w.file().InvalidateUnsavable,
	} {
		w.store(child, sa+2*page, "from child")
		if err := settle(); err != nil {
			t.Error(err)
		}
		w.see("shared", b, sb+page, "from a")
		w.see("child's", b, sb+2*page, "from child")
		w.see("private, its page not written", b, pb+2*page, "from child")
		w.see("private", b, pb+page+100, "mine")
		w.see("not private", b, sb+page+100, "\x00")
		if _, err := w.file().WriteAt([]byte("by write"), 3*page-4); err != nil {
			t.Error(err)
		}
		w.see("written", a, sa+3*page-4, "by write")
		w.see("written", b, sb+3*page-4, "by write")
		got := make([]byte, 6)
		if _, err := w.file().ReadAt(got, page); err != nil || string(got) != "from a" {
			t.Errorf("read: %q, %v", got, err)
		}
	}
	w.store(a, sa+5*page, "synced")
	if err := a.MSync(w.by, sa, 16*page, mm.MSyncOpts{Sync: true}); err != nil || string(w.medium.bytes[5*page:5*page+6]) != "synced" {
		t.Errorf("msync: %v", err)
	}
	if err := w.file().Truncate(page); err != nil {
		t.Error(err)
	}
	for _, at := range []memmap.Addr{sb + page, pb + page} {
		var bus *memmap.BusError
		if _, err := b.CopyIn(w.by, at, make([]byte, 1), mm.IOOpts{}); !errors.As(err, &bus) || !errors.Is(err, io.EOF) {
			t.Errorf("beyond the end: %v", err)
		}
	}
	for _, m := range []*mm.MemoryManager{a, b, child} {
		if errs := m.Check(true); len(errs) != 0 {
			t.Errorf("check: %v", errs)
		}
		m.DecUsers(w.by)
	}
	if err := w.handle.Release(); err != nil {
		t.Error(err)
	}
}

// Processes, writes, writeback and eviction at once: each byte is at last what its
// only writer wrote.
func TestWritingAtOnce(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(), w.process()
	sa, sb := w.mmap(a, false), w.mmap(b, false)
	const turns = 300
	var wg sync.WaitGroup
	for n, write := range []func(off int, s []byte) error{
		func(off int, s []byte) error {
			_, err := a.CopyOut(w.by, sa+memmap.Addr(off), s, mm.IOOpts{})
			return err
		},
		func(off int, s []byte) error {
			_, err := b.CopyOut(w.by, sb+memmap.Addr(off), s, mm.IOOpts{})
			return err
		},
		func(off int, s []byte) error { _, err := w.file().WriteAt(s, uint64(off)); return err },
	} {
		wg.Go(func() {
			for i := range turns {
				s := bytes.Repeat([]byte{byte(i)}, 16)
				off := i*7%16*page + n*64
				if err := write(off, s); err != nil {
					t.Error(err)
				}
				got := make([]byte, len(s))
				if _, err := w.file().ReadAt(got, uint64(off)); err != nil || !bytes.Equal(got, s) {
					t.Errorf("writer %d, turn %d: %v, %v", n, i, got, err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := range turns {
			w.cache.Evict(uint64(i%5) * page)
			if _, err := w.cache.WriteSome(uint64(i%4) * page); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	a.DecUsers(w.by)
	b.DecUsers(w.by)
	if err := w.handle.Release(); err != nil {
		t.Error(err)
	}
	for i := turns - 16; i < turns; i++ {
		for n := range 3 {
			off := i*7%16*page + n*64
			if got := w.medium.bytes[off : off+16]; !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 16)) {
				t.Errorf("writer %d: page %d holds %v, want %d", n, off/page, got[0], byte(i))
			}
		}
	}
}
