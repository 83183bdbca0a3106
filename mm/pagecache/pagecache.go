// Package pagecache keeps the pages of files in guest memory: a File is a
// Mappable whose pages are filled from a Backing as they are touched, shared by
// everyone who has the same file open, and given back under memory pressure.
//
// Lock order, outer to inner: Cache.mu → File.mapsMu (mappings; not taken by
// Translate) → memory managers' activeMu → File.dataMu (pages; taken by
// Translate) → pgalloc.MemoryFile and the Backing.
//
// Read file.go, then fill.go.
package pagecache

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Backing is where a file's bytes live.
type Backing interface {
	// ReadToBlocksAt fills dsts from offset off on. A short count without an error
	// is legal; 0 and io.EOF is the end.
	ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error)
	// Size returns the file's size now, in bytes.
	Size() (uint64, error)
	// Close is called when the last user is gone.
	Close() error
}

// Key tells files apart: two opens with one Key share their pages. A file that
// was changed on the host since has another MTime, and new pages.
type Key struct {
	Dev, Ino uint64
	MTime    int64 // nanoseconds
	Size     int64
}

// Cache is all cached files of a world.
type Cache struct {
	_ [0]func()
}

// New returns an empty Cache whose pages come from mem.
func New(mem *pgalloc.MemoryFile) *Cache { panic("pagecache: unwritten") }

// Evict gives back up to want bytes of cached pages, unmapped files' first, and
// returns how many were. No lock of a memory manager may be held.
func (c *Cache) Evict(want uint64) uint64 { panic("pagecache: unwritten") }

// File is a file's pages. It is reference-counted: opens and identities are
// users.
type File struct {
	_ [0]func()
}

// Open returns the File of k with a reference for the caller. If there is none
// yet, it is made over b, which it takes over; else b is closed.
func (c *Cache) Open(k Key, b Backing) *File { panic("pagecache: unwritten") }

// Identity returns what mappings of f through the open file called name show, and
// hold on to: a new reference-counted memmap.MappingIdentity with one reference
// for the caller, which is a user of f.
func (f *File) Identity(name string) memmap.MappingIdentity { panic("pagecache: unwritten") }
