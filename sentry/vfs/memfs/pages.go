package memfs

import (
	"fmt"
	"io"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/memmap/segment"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// pages is what a regular file holds: the memory that read, write and mappings
// share. What has no page is a hole and reads as zeroes.
type pages struct {
	mem *pgalloc.MemoryFile

	mapsMu sync.Mutex // taken before any memory manager's activeMu
	maps   memmap.MappingSet

	mu   sync.Mutex // taken below activeMu and below FS.mu
	size uint64     // bytes
	runs segment.Set[memmap.MappableOffset, run]
}

// run maps a stretch of the file to one of the MemoryFile.
type run struct{ start memmap.FileOffset }

// Merge implements segment.Value.
func (r run) Merge(a, _ memmap.MappableRange, next run) (run, bool) {
	return r, r.start+memmap.FileOffset(a.Length()) == next.start
}

// Split implements segment.Value.
func (r run) Split(at memmap.MappableRange, k memmap.MappableOffset) (run, run) {
	return r, run{r.start + memmap.FileOffset(k-at.Start)}
}

// fileRange returns where mr, a part of seg, lies in the MemoryFile.
func fileRange(seg segment.Segment[memmap.MappableOffset, run], mr memmap.MappableRange) memmap.FileRange {
	start := seg.Value.start + memmap.FileOffset(mr.Start-seg.Start)
	return memmap.FileRange{Start: start, End: start + memmap.FileOffset(mr.Length())}
}

// maxSize is the largest length of a file: MAX_LFS_FILESIZE.
const maxSize = math.MaxInt64

// around returns the pages that [off, end) touches.
func around(off, end uint64) memmap.MappableRange {
	const mask = memmap.PageSize - 1
	return memmap.MappableRange{Start: memmap.MappableOffset(off &^ mask), End: memmap.MappableOffset((end + mask) &^ mask)}
}

// end returns where the last page ends. p.mu is held.
func (p *pages) end() memmap.MappableOffset { return around(0, p.size).End }

// length returns the file's size in bytes.
func (p *pages) length() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.size)
}

// usage returns the size and what is really there, in bytes.
func (p *pages) usage() (size, resident int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.size), int64(p.runs.Span())
}

// read is pread64.
func (p *pages) read(b []byte, off int64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if uint64(off) >= p.size {
		return 0, nil
	}
	b = b[:min(uint64(len(b)), p.size-uint64(off))]
	clear(b) // the holes
	err := p.each(b, uint64(off), func(memory safemem.Seq, part []byte) (uint64, error) {
		return safemem.Copy(safemem.Of(part), memory)
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// write is pwrite64: ENOSPC with what could still be written, EFBIG.
func (p *pages) write(b []byte, off int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if off == maxSize {
		return 0, fmt.Errorf("%w: offset %#x", unix.EFBIG, off)
	}
	b = b[:min(uint64(len(b)), maxSize-uint64(off))]
	p.mu.Lock()
	defer p.mu.Unlock()
	from, end := uint64(off), uint64(off)+uint64(len(b))
	filled, full := p.fill(around(from, end))
	if uint64(filled) <= from {
		return 0, full
	}
	end = min(end, uint64(filled))
	b = b[:end-from]
	err := p.each(b, from, func(memory safemem.Seq, part []byte) (uint64, error) {
		return safemem.Copy(memory, safemem.Of(part))
	})
	if err != nil {
		return 0, err
	}
	p.size = max(p.size, end)
	return len(b), full
}

// each gives do the memory of every run in [off, off+len(b)) and the part of b
// that belongs to it. p.mu is held.
func (p *pages) each(b []byte, off uint64, do func(safemem.Seq, []byte) (uint64, error)) error {
	all := memmap.MappableRange{Start: memmap.MappableOffset(off), End: memmap.MappableOffset(off) + memmap.MappableOffset(len(b))}
	if all.IsEmpty() {
		return nil
	}
	for seg := range p.runs.In(all) {
		mr := seg.Intersect(all)
		memory, err := p.mem.MapInternal(fileRange(seg, mr), memmap.ReadWrite)
		if err != nil {
			return err
		}
		if _, err := do(memory, b[mr.Start-all.Start:mr.End-all.Start]); err != nil {
			return err
		}
	}
	return nil
}

// fill makes pages where mr has none, from its start on, and returns how far it
// came: ENOSPC. p.mu is held.
func (p *pages) fill(mr memmap.MappableRange) (memmap.MappableOffset, error) {
	var holes []memmap.MappableRange
	for hole := range p.runs.Gaps(mr) {
		holes = append(holes, hole)
	}
	for _, hole := range holes {
		for !hole.IsEmpty() {
			n := hole.Length()
			fr, err := p.mem.Allocate(n, pgalloc.Shmem, 0)
			if err != nil && n > memmap.PageSize { // what still fits, page by page
				n = memmap.PageSize
				fr, err = p.mem.Allocate(n, pgalloc.Shmem, 0)
			}
			if err != nil {
				return hole.Start, fmt.Errorf("%w: %w", unix.ENOSPC, err)
			}
			made := memmap.MappableRange{Start: hole.Start, End: hole.Start + memmap.MappableOffset(n)}
			p.runs.Insert(made, run{fr.Start})
			hole.Start = made.End
		}
	}
	return mr.End, nil
}

// zero makes [off, end) zero without changing which pages there are. p.mu is held.
func (p *pages) zero(off, end uint64) error {
	mr := memmap.MappableRange{Start: memmap.MappableOffset(off), End: memmap.MappableOffset(end)}
	if mr.IsEmpty() {
		return nil
	}
	for seg := range p.runs.In(mr) {
		memory, err := p.mem.MapInternal(fileRange(seg, seg.Intersect(mr)), memmap.ReadWrite)
		if err != nil {
			return err
		}
		if _, err := safemem.Zero(memory); err != nil {
			return err
		}
	}
	return nil
}

// resize is ftruncate. What lies beyond the new end goes, from mappings and from
// the copies that private ones made as well; the rest of the last page is zero.
func (p *pages) resize(size uint64) error {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.mu.Lock()
	old := p.size
	p.size = size
	tail := min(old, uint64(around(0, size).End))
	err := p.zero(size, max(tail, size))
	gone := memmap.MappableRange{Start: p.end(), End: memmap.MappableOffset(1) << 63}
	cut := p.runs.Cut(gone, nil)
	p.mu.Unlock()
	if size < old {
		p.maps.Invalidate(gone, true)
	}
	p.release(cut)
	return err
}

// Punch implements mm.Puncher: mr becomes a hole. Who touches a page meanwhile
// finds a fresh one.
func (p *pages) Punch(mr memmap.MappableRange) error {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.mu.Lock()
	cut := p.runs.Cut(mr, nil)
	p.mu.Unlock()
	p.maps.Invalidate(mr, false)
	p.release(cut)
	return nil
}

// punch is FALLOC_FL_PUNCH_HOLE: whole pages go, what is left of others is zero.
func (p *pages) punch(off, n uint64) error {
	whole := memmap.MappableRange{Start: around(0, off).End, End: around(off+n, off+n).Start}
	p.mu.Lock()
	err := p.zero(off, min(off+n, uint64(whole.Start)))
	if err == nil && uint64(whole.End) >= uint64(whole.Start) {
		err = p.zero(uint64(whole.End), off+n)
	}
	p.mu.Unlock()
	if err != nil || whole.End <= whole.Start {
		return err
	}
	return p.Punch(whole)
}

// reserve is fallocate's plain mode: all or nothing.
func (p *pages) reserve(off, n uint64, keepSize bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	mr := around(off, off+n)
	var holes []memmap.MappableRange
	for hole := range p.runs.Gaps(mr) {
		holes = append(holes, hole)
	}
	if _, err := p.fill(mr); err != nil {
		for _, hole := range holes {
			p.release(p.runs.Cut(hole, nil))
		}
		return err
	}
	if !keepSize {
		p.size = max(p.size, off+n)
	}
	return nil
}

// seek is SEEK_DATA and SEEK_HOLE: ENXIO.
func (p *pages) seek(off int64, whence int) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if off < 0 || uint64(off) >= p.size {
		return 0, fmt.Errorf("%w: offset %d in a file of %d bytes", unix.ENXIO, off, p.size)
	}
	rest := memmap.MappableRange{Start: memmap.MappableOffset(off), End: p.end()}
	if whence == unix.SEEK_HOLE {
		for hole := range p.runs.Gaps(rest) {
			return int64(min(uint64(hole.Start), p.size)), nil
		}
		return int64(p.size), nil
	}
	for seg := range p.runs.In(rest) {
		return int64(seg.Intersect(rest).Start), nil
	}
	return 0, fmt.Errorf("%w: no data behind offset %d", unix.ENXIO, off)
}

// drop gives all pages back. Nothing maps the file any more.
func (p *pages) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(p.runs.Cut(memmap.MappableRange{End: memmap.MappableOffset(1) << 63}, nil))
}

func (p *pages) release(cut []segment.Segment[memmap.MappableOffset, run]) {
	for _, seg := range cut {
		p.mem.DecRef(fileRange(seg, seg.Range))
	}
}

// Resident says that the pages are shared memory.
func (p *pages) Resident() mm.Residency { return mm.ResidentShmem }

// MappableEnd returns where the last page ends.
func (p *pages) MappableEnd() memmap.MappableOffset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end()
}

// Cached calls f for the stretches of mr that have pages, in order.
func (p *pages) Cached(mr memmap.MappableRange, f func(memmap.MappableRange)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seg := range p.runs.In(mr) {
		f(seg.Intersect(mr))
	}
}

// AddMapping implements memmap.Mappable.
func (p *pages) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.maps.AddMapping(ms, ar, off, writable)
	return nil
}

// RemoveMapping implements memmap.Mappable.
func (p *pages) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.maps.RemoveMapping(ms, ar, off, writable)
}

// CopyMapping implements memmap.Mappable.
func (p *pages) CopyMapping(ms memmap.MappingSpace, _, dst memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	return p.AddMapping(ms, dst, off, writable)
}

// Translate implements memmap.Mappable. Pages are made as they are touched, also by
// reading, as tmpfs does; beyond the file's last page is SIGBUS.
func (p *pages) Translate(required, optional memmap.MappableRange, _ memmap.AccessType) ([]memmap.Translation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := p.end()
	if required.Start >= end {
		return nil, &memmap.BusError{Err: io.EOF}
	}
	beyond := required.End > end
	required.End = min(required.End, end)
	optional.End = min(optional.End, end)
	_, full := p.fill(required)
	var ts []memmap.Translation
	at := required.Start
	for seg := range p.runs.In(required) {
		if seg.Start > at {
			break
		}
		src := seg.Intersect(optional)
		ts = append(ts, memmap.Translation{Source: src, File: p.mem, Offset: fileRange(seg, src).Start, Perms: memmap.AnyAccess})
		at = seg.End
	}
	switch {
	case at < required.End:
		return ts, &memmap.BusError{Err: full}
	case beyond:
		return ts, &memmap.BusError{Err: io.EOF}
	}
	return ts, nil
}
