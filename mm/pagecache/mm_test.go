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

const page = memmap.PageSize

// ram is a Backing in memory.
type ram []byte

func (r ram) Size() (uint64, error) { return uint64(len(r)), nil }
func (r ram) Close() error          { return nil }

func (r ram) ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error) {
	if off >= uint64(len(r)) {
		return 0, io.EOF
	}
	return safemem.Copy(dsts, safemem.Of(r[off:]))
}

// mapped is a process that maps a file of 16 pages and a bit, privately.
type mapped struct {
	*mm.MemoryManager
	cache *pagecache.Cache
	by    *mm.Actor
	bytes []byte
	at    memmap.Addr
}

func newMapped(t *testing.T) *mapped {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	layout, err := mm.NewLayout(memmap.AddrRange{Start: 0x14000, End: 0x7ffffffff000}, 8<<20, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := &mapped{
		MemoryManager: mm.New(mm.Config{Memory: mem, AS: nullas.New(), Layout: layout}),
		cache:         pagecache.New(mem), by: &mm.Actor{Limits: mm.NoLimits()},
		bytes: make([]byte, 16*page+100),
	}
	for i := range m.bytes {
		m.bytes[i] = byte(i/page + i%253)
	}
	h := pagecache.NewHandle(m.cache.Open(pagecache.Key{Ino: 1}, ram(m.bytes)), "/file")
	o := memmap.MMapOpts{Length: 20 * page, Private: true, Perms: memmap.ReadWrite}
	if err := h.ConfigureMMap(&o); err != nil {
		t.Fatal(err)
	}
	if m.at, err = m.MMap(m.by, o); err != nil {
		t.Fatal(err)
	}
	if err := h.Release(); err != nil { // the mapping keeps the file
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.DecUsers(m.by)
		if err := mem.Close(); err != nil {
			t.Errorf("memory is left: %v", err)
		}
	})
	return m
}

// read returns n bytes from the off-th on.
func (m *mapped) read(t *testing.T, off, n int) []byte {
	b := make([]byte, n)
	k, err := m.CopyIn(m.by, m.at+memmap.Addr(off), b, mm.IOOpts{})
	if err != nil {
		t.Errorf("%d of %d bytes at %d: %v", k, n, off, err)
	}
	return b
}

// Evicted pages are read again; what the process wrote is its own and stays; the
// page behind the last one is a bus error.
func TestEvictionUnderAMapping(t *testing.T) {
	m := newMapped(t)
	if _, err := m.CopyOut(m.by, m.at+3*page+7, []byte("mine"), mm.IOOpts{}); err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(m.bytes)
	copy(want[3*page+7:], "mine")
	for range 3 {
		if got := m.read(t, 0, len(want)); !bytes.Equal(got, want) {
			t.Error("wrong bytes")
		}
		if got := m.read(t, len(want), page-100); bytes.Count(got, []byte{0}) != len(got) {
			t.Error("the rest of the last page is not zero")
		}
		if got := m.cache.Evict(1 << 30); got != 17*page {
			t.Errorf("%d bytes were evicted", got)
		}
		if rss := m.RSS(); rss != page {
			t.Errorf("RSS is %d without pages of the file", rss)
		}
		if errs := m.Check(true); len(errs) != 0 {
			t.Errorf("check: %v", errs)
		}
	}
	var bus *memmap.BusError
	if _, err := m.CopyIn(m.by, m.at+17*page, make([]byte, 1), mm.IOOpts{}); !errors.As(err, &bus) || !errors.Is(err, io.EOF) {
		t.Errorf("beyond the end: %v", err)
	}
}

// Pages that somebody has pinned are not evicted, mapped or not, until they are unpinned.
func TestPinnedPagesAreNotEvicted(t *testing.T) {
	m := newMapped(t)
	h := pagecache.NewHandle(m.cache.Open(pagecache.Key{Ino: 1}, ram(m.bytes)), "/file")
	defer h.Release()
	o := memmap.MMapOpts{Length: 16 * page, Perms: memmap.Read}
	if err := h.ConfigureMMap(&o); err != nil {
		t.Fatal(err)
	}
	at, err := m.MMap(m.by, o)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := m.Pin(m.by, memmap.AddrRange{Start: at + 2*page, End: at + 4*page}, memmap.Read, mm.IOOpts{})
	if err != nil {
		t.Fatal(err)
	}
	left := func(when string, want uint64) {
		m.cache.Evict(1 << 30)
		if n := h.File().Cached(); n != want {
			t.Errorf("%s: %d bytes are left in the cache", when, n)
		}
	}
	m.read(t, 0, 16*page)
	left("mapped", 2*page)
	for _, unmap := range []memmap.AddrRange{{Start: at, End: at + 16*page}, {Start: m.at, End: m.at + 20*page}} {
		if err := m.MUnmap(m.by, unmap.Start, unmap.Length()); err != nil {
			t.Fatal(err)
		}
	}
	left("not mapped", 2*page)
	if _, err := m.Unpin(m.by, pin.ID); err != nil {
		t.Fatal(err)
	}
	left("not pinned", 0)
}

// Pages go while others are being brought in; nobody sees a page that went.
func TestEvictionWhileTouching(t *testing.T) {
	m := newMapped(t)
	var wg sync.WaitGroup
	for n := range 3 {
		wg.Go(func() {
			for i := range 300 {
				off := (i*5 + n*3) % 16 * page
				if got := m.read(t, off, page); !bytes.Equal(got, m.bytes[off:off+page]) {
					t.Errorf("page %d is wrong", off/page)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 300 {
			m.cache.Evict(uint64(i%7) * page)
		}
	})
	wg.Wait()
}
