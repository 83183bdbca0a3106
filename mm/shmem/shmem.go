// Package shmem keeps the pages of shared memory: what shared anonymous mappings,
// files of a tmpfs, memfds and System V segments are made of. It knows no process, no
// name and no permission.
//
// Read this file first, then mapping.go (what memory managers see of it) and io.go
// (what descriptors do with it), seal.go (what nobody may do any more), commit.go (what
// it counts as promised).
//
// Lock order: Pages.mapsMu, memory managers' activeMu, Pages.mu, the MemoryFile's.
package shmem

import (
	"fmt"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// MaxSize is the most bytes that Pages may have: Linux's MAX_LFS_FILESIZE.
const MaxSize = math.MaxInt64

// everything is all offsets that may have pages.
var everything = memmap.MappableRange{End: 1 << 63}

// Pages is shared memory, a memmap.Mappable: what read, write and mappings have in
// common. What has no page is a hole and reads as zeroes. It is safe for concurrent use.
type Pages struct {
	mem    *pgalloc.MemoryFile
	window uint64 // at most so many bytes are allocated where one page is touched

	narrow bool     // only what is touched is made; mu
	writes sequence // through mappings; mu

	mapsMu sync.Mutex // taken before any memory manager's activeMu
	maps   memmap.MappingSet

	mu    sync.Mutex // taken below activeMu
	size  uint64     // bytes
	seals uint32     // F_SEAL_*
	whole bool       // all of size is committed, not only the pages that there are
	runs  pgalloc.Frames
}

// New returns an empty file. Its pages are made one by one, as they are touched.
func New(mem *pgalloc.MemoryFile) *Pages {
	return &Pages{mem: mem, window: memmap.PageSize, seals: unix.F_SEAL_SEAL}
}

// around returns the pages that [off, end) touches.
func around(off, end uint64) memmap.MappableRange {
	const mask = memmap.PageSize - 1
	return memmap.MappableRange{Start: memmap.MappableOffset(off &^ mask), End: memmap.MappableOffset((end + mask) &^ mask)}
}

// end returns where the last page ends. p.mu is held.
func (p *Pages) end() memmap.MappableOffset { return around(0, p.size).End }

// Size returns the size in bytes.
func (p *Pages) Size() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// Usage returns the size and what is really there, in bytes.
func (p *Pages) Usage() (size, resident uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size, p.runs.Span()
}

// holes returns the parts of mr that have no pages. p.mu is held.
func (p *Pages) holes(mr memmap.MappableRange) []memmap.MappableRange {
	var all []memmap.MappableRange
	for hole := range p.runs.Gaps(mr) {
		all = append(all, hole)
	}
	return all
}

// fill makes pages where mr has none, from its start on, and returns how far it
// came: ENOSPC. p.mu is held.
func (p *Pages) fill(mr memmap.MappableRange) (memmap.MappableOffset, error) {
	for _, hole := range p.holes(mr) {
		for !hole.IsEmpty() {
			made := hole
			fr, err := p.allocate(made)
			if err != nil && made.Length() > memmap.PageSize { // what still fits, page by page
				made.End = made.Start + memmap.PageSize
				fr, err = p.allocate(made)
			}
			if err != nil {
				return hole.Start, fmt.Errorf("%w: %w", unix.ENOSPC, err)
			}
			p.runs.Insert(made, pgalloc.Frame(fr.Start))
			hole.Start = made.End
		}
	}
	return mr.End, nil
}

// Drop gives all pages back. Nothing maps them any more.
func (p *Pages) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(p.runs.Cut(everything, nil))
	if p.whole {
		p.mem.Commit(-int64(around(0, p.size).End))
		p.whole = false
	}
}

func (p *Pages) release(cut []pgalloc.FrameRun) {
	for _, seg := range cut {
		p.mem.DecRef(pgalloc.FrameRange(seg, seg.Range))
		p.recommit(-int64(seg.Length()))
	}
}
