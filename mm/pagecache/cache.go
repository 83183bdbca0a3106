package pagecache

import (
	"slices"
	"sync"

	"mmsh.dev/mmsh/mm/pgalloc"
)

// Cache is all cached files of a world. It is safe for concurrent use.
type Cache struct {
	mem *pgalloc.MemoryFile

	mu    sync.Mutex
	files map[Key]*File
	order []*File // oldest first: the order of eviction
}

// New returns an empty Cache whose pages come from mem.
func New(mem *pgalloc.MemoryFile) *Cache {
	return &Cache{mem: mem, files: make(map[Key]*File)}
}

// Memory returns where the pages come from.
func (c *Cache) Memory() *pgalloc.MemoryFile { return c.mem }

// Open returns the File of k with a reference for the caller. If there is none
// yet, it is made over b, which it takes over; else b is closed.
func (c *Cache) Open(k Key, b Backing) *File {
	c.mu.Lock()
	f, shared := c.files[k]
	if !shared {
		f = &File{cache: c, key: k, backing: b}
		c.files[k] = f
		c.order = append(c.order, f)
	}
	f.users++
	c.mu.Unlock()
	if shared {
		_ = b.Close() // it was never used
	}
	return f
}

// release drops a user of f, and f with its last one.
func (c *Cache) release(f *File) error {
	c.mu.Lock()
	f.users--
	last := f.users == 0
	if f.users < 0 {
		panic("pagecache: file released twice")
	}
	if last {
		delete(c.files, f.key)
		c.order = slices.DeleteFunc(c.order, func(o *File) bool { return o == f })
	}
	c.mu.Unlock()
	if !last {
		return nil
	}
	f.drop(everything)
	return f.backing.Close()
}

// Evict gives back up to want bytes of cached pages, or little more, those of
// files that nobody maps first, and returns how many were. Mapped pages are taken
// from their memory managers: no lock of one may be held.
func (c *Cache) Evict(want uint64) uint64 {
	files := c.snapshot()
	got := c.evictUnmapped(want, files)
	for _, f := range files {
		if got >= want {
			break
		}
		got += f.evictMapped(want - got)
	}
	return got
}

// evictUnmapped is Evict of files without mappings; it waits for no lock of a
// File, so that a Translate may call it.
func (c *Cache) evictUnmapped(want uint64, files []*File) uint64 {
	got := uint64(0)
	for _, f := range files {
		if got >= want {
			break
		}
		got += f.tryEvictUnmapped()
	}
	return got
}

func (c *Cache) snapshot() []*File {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}
