package loader

import (
	"io"
	"os"
	"testing"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// guestRange is where guests have memory.
var guestRange = memmap.AddrRange{Start: 0x14000, End: 0x7ffffffff000}

// process is an empty memory for a program; its end checks that nothing is left.
type process struct {
	*mm.MemoryManager
	mem   *pgalloc.MemoryFile
	cache *pagecache.Cache
	by    *mm.Actor
	huge  bool // files are on a file system that aligns large mappings
}

func newProcess(t testing.TB) *process {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{Limit: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	limits := mm.NoLimits()
	limits.Stack = 8 << 20
	layout, err := mm.NewLayout(guestRange, limits.Stack, 0)
	if err != nil {
		t.Fatal(err)
	}
	by := &mm.Actor{Limits: limits}
	m := mm.New(mm.Config{Memory: mem, AS: nullas.New(), Layout: layout})
	t.Cleanup(func() {
		m.DecUsers(by)
		if err := mem.Close(); err != nil {
			t.Errorf("memory is left: %v", err)
		}
	})
	return &process{m, mem, pagecache.New(mem), by, false}
}

// file is a program in memory.
type file struct {
	content
	*pagecache.Handle
}

// newFile returns content as a File called name, which the caller releases.
func (p *process) newFile(name string, b []byte) *file {
	key := pagecache.Key{Dev: 0xfe00, Ino: 7, Size: int64(len(b))}
	return &file{content(b), pagecache.NewHandle(p.cache.Open(key, backing{b, p.huge}), name)}
}

// load loads b, with o's Path as its name.
func (p *process) load(b []byte, o Options) (*Image, Start, error) {
	f := p.newFile(o.Path, b)
	defer func() { _ = f.Release() }()
	return Load(p.by, p.MemoryManager, f, o)
}

type content []byte

func (c content) Size() (int64, error) { return int64(len(c)), nil }

func (c content) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(c)) {
		return 0, io.EOF
	}
	n := copy(p, c[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

type backing struct {
	bytes []byte
	huge  bool
}

func (b backing) Size() (uint64, error) { return uint64(len(b.bytes)), nil }
func (b backing) Close() error          { return nil }
func (b backing) HugeAligned() bool     { return b.huge }

func (b backing) ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error) {
	if off >= uint64(len(b.bytes)) {
		return 0, io.EOF
	}
	return safemem.Copy(dsts, safemem.Of(b.bytes[off:]))
}

func readTestFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
