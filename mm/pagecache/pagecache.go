// Package pagecache keeps the pages of files in guest memory: a File is a
// Mappable whose pages are read from a Backing as they are touched, shared by
// everyone who has the same file open, and given back under memory pressure.
//
// A file that is opened for writing (Cache.OpenWritable) is written into its
// pages, which are written back later: a dirty page is never dropped before its
// Backing has it, and a failure to write is told to every open of the file once.
//
// Lock order, outer to inner: File.attrMu (attributes, the size's changes) →
// File.mapsMu (who maps what; not taken by Translate) → memory managers' activeMu
// → File.dataMu (pages, what is dirty; taken by Translate) → the Backing,
// Cache.mu, hostFile.mu, pgalloc.MemoryFile: leaves. Memory managers call AddMapping and its
// sisters with their mappingMu held, which lies between attrMu and mapsMu.
//
// With Cache.MapHost the pages of files that have a descriptor are the host's own, and
// nothing of the above is kept: see hostfile.go.
//
// Read cache.go, then file.go and fill.go; for writing writable.go, dirty.go,
// write.go, truncate.go and writeback.go.
package pagecache

import (
	"mmsh.dev/mmsh/memmap/safemem"
)

// Backing is where a file's bytes live. It is used by several goroutines at once.
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
	Dev, Ino uint64 // Dev is a dev_t
	MTime    int64  // nanoseconds
	Size     int64  // bytes
}

// readahead is how much is read from a file at once, in bytes, where less is
// asked for. It fills the cache only: what is mapped is the fault window's affair.
const readahead = 64 << 10

// mostAhead is the most that is read at once for who reads on and on.
const mostAhead = 1 << 20
