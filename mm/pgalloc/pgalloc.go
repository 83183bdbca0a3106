// Package pgalloc keeps the guest's physical memory: one memfd whose pages are
// handed out, counted and taken back.
//
// Placement is synchronous and deterministic: no goroutine decides it, freed
// pages can be used again at once, and the same calls give the same offsets.
package pgalloc

import (
	"iter"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// Kind is what a page is used for; accounting is by kind.
type Kind uint8

// The kinds.
const (
	Anonymous Kind = iota // private memory of a process, shared or not yet copied after forks
	PageCache             // pages of a file
	Shmem                 // shared anonymous memory, memfds, tmpfs
	System                // the sandbox's own: vdso, rings
)

// Options of a MemoryFile.
type Options struct {
	Limit uint64 // most bytes that may be allocated; 0 is no limit
}

// MemoryFile implements memmap.File. It is safe for concurrent use; its lock is
// a leaf.
type MemoryFile struct {
	_ [0]func()
}

// New makes an empty MemoryFile.
func New(o Options) (*MemoryFile, error) { panic("pgalloc: unwritten") }

// Close gives all back to the host. It returns an error that names what is still
// allocated, if anything is.
func (f *MemoryFile) Close() error { panic("pgalloc: unwritten") }

// Allocate returns n bytes (whole pages) of zeroes with one reference a page,
// owned by the caller. near, if not zero, is the File offset that the caller
// would like the range to end at, so that host mappings merge. ENOMEM: over the
// limit.
func (f *MemoryFile) Allocate(n uint64, kind Kind, near memmap.FileOffset) (memmap.FileRange, error) {
	panic("pgalloc: unwritten")
}

// AllocateCopy is Allocate of src's length filled from src. A fault in src is a
// *memmap.BusError and the whole pages copied before it are returned with it.
func (f *MemoryFile) AllocateCopy(src safemem.Seq, kind Kind, near memmap.FileOffset) (memmap.FileRange, error) {
	panic("pgalloc: unwritten")
}

// AllocateFill is Allocate of n bytes filled by r until r is short or fails. The
// rest of the last page touched is zero; whole pages that r did not reach are
// given back. It returns what was kept (perhaps empty) and r's error.
func (f *MemoryFile) AllocateFill(n uint64, kind Kind, r safemem.Reader) (memmap.FileRange, error) {
	panic("pgalloc: unwritten")
}

// IncRef takes a reference on each page of fr; all must be allocated.
func (f *MemoryFile) IncRef(fr memmap.FileRange) { panic("pgalloc: unwritten") }

// DecRef drops a reference on each page of fr. Pages without references are free
// at once.
func (f *MemoryFile) DecRef(fr memmap.FileRange) { panic("pgalloc: unwritten") }

// HasUniqueRef reports whether every page of fr has exactly one reference.
func (f *MemoryFile) HasUniqueRef(fr memmap.FileRange) bool { panic("pgalloc: unwritten") }

// UniqueRun returns the longest prefix of fr in which either every page has
// exactly one reference (unique) or none has.
func (f *MemoryFile) UniqueRun(fr memmap.FileRange) (run memmap.FileRange, unique bool) {
	panic("pgalloc: unwritten")
}

// Usage is a run of pages with the same kind and reference count.
type Usage struct {
	memmap.FileRange
	Kind Kind
	Refs uint32
}

// Refs iterates, over a snapshot, the allocated runs that overlap fr, clipped to it.
func (f *MemoryFile) Refs(fr memmap.FileRange) iter.Seq[Usage] { panic("pgalloc: unwritten") }

// Decommit gives the host the memory behind fr back: its bytes become zero. All
// pages must have exactly one reference.
func (f *MemoryFile) Decommit(fr memmap.FileRange) error { panic("pgalloc: unwritten") }

// MapInternal implements memmap.File. Execute is EACCES.
func (f *MemoryFile) MapInternal(fr memmap.FileRange, at memmap.AccessType) (safemem.Seq, error) {
	panic("pgalloc: unwritten")
}

// FD implements memmap.File.
func (f *MemoryFile) FD() int { panic("pgalloc: unwritten") }

// Stats is what a MemoryFile holds, in bytes.
type Stats struct {
	Allocated [System + 1]uint64 // by Kind
	Total     uint64             // all kinds
	Limit     uint64             // 0: none
	FileSize  uint64             // of the memfd
	HostBytes uint64             // what the host has committed for it (st_blocks)
}

// Stats returns the current numbers.
func (f *MemoryFile) Stats() Stats { panic("pgalloc: unwritten") }

// SetLimit changes the limit; what is over it already stays.
func (f *MemoryFile) SetLimit(bytes uint64) { panic("pgalloc: unwritten") }

// FailAfter makes the n-th Allocate from now fail with ENOMEM, once; for tests.
func (f *MemoryFile) FailAfter(n int) { panic("pgalloc: unwritten") }

// Zero is the zero page, as a File of zeroes without end that is never written:
// every offset reads as zero and references mean nothing. The engine maps it at
// the File offset equal to the address, so that neighbouring zero pages are one
// pma and one host mapping however many there are.
var Zero memmap.File = zeroFile{}

type zeroFile struct{}

func (zeroFile) IncRef(memmap.FileRange) {}
func (zeroFile) DecRef(memmap.FileRange) {}
func (zeroFile) FD() int                 { return -1 }
func (zeroFile) MapInternal(fr memmap.FileRange, at memmap.AccessType) (safemem.Seq, error) {
	panic("pgalloc: unwritten")
}
