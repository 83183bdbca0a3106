package shmem

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// ReadAt is pread64; it reads nothing at or beyond the end.
func (p *Pages) ReadAt(b []byte, off uint64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if off >= p.size {
		return 0, nil
	}
	b = b[:min(uint64(len(b)), p.size-off)]
	if len(b) == 0 {
		return 0, nil
	}
	start := memmap.MappableOffset(off)
	for hole := range p.runs.Gaps(memmap.MappableRange{Start: start, End: start + memmap.MappableOffset(len(b))}) {
		clear(b[hole.Start-start : hole.End-start])
	}
	err := p.each(b, off, func(memory safemem.Seq, part []byte) (uint64, error) {
		return safemem.Copy(safemem.Of(part), memory)
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// WriteAt is pwrite64: ENOSPC and EPERM (a seal) with what could still be written, EFBIG.
func (p *Pages) WriteAt(b []byte, off uint64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if off >= MaxSize {
		return 0, fmt.Errorf("%w: offset %#x", unix.EFBIG, off)
	}
	b = b[:min(uint64(len(b)), MaxSize-off)]
	p.mu.Lock()
	defer p.mu.Unlock()
	end, full := p.mayWrite(off, off+uint64(len(b)))
	if end == off {
		return 0, full
	}
	fresh := !p.runs.Overlaps(around(off, end))
	filled, err := p.fill(around(off, end))
	if err != nil {
		full = err
	}
	if uint64(filled) <= off {
		return 0, full
	}
	end = min(end, uint64(filled))
	b = b[:end-off]
	if fresh && len(b) >= freshWrite {
		err = p.writeFresh(b, off)
	} else {
		err = p.each(b, off, func(memory safemem.Seq, part []byte) (uint64, error) {
			return safemem.Copy(memory, safemem.Of(part))
		})
	}
	if err != nil {
		return 0, err
	}
	p.setSize(max(p.size, end))
	return len(b), full
}

// freshWrite is from how many bytes on what is written to new pages is given to the host to
// write: it neither clears them first nor faults at each.
const freshWrite = 4 * memmap.PageSize

// writeFresh writes b to pages that were just made. p.mu is held.
func (p *Pages) writeFresh(b []byte, off uint64) error {
	all := memmap.MappableRange{Start: memmap.MappableOffset(off), End: memmap.MappableOffset(off) + memmap.MappableOffset(len(b))}
	for seg := range p.runs.In(all) {
		mr := seg.Intersect(all)
		if err := p.mem.WriteFresh(pgalloc.FrameRange(seg, mr), b[mr.Start-all.Start:mr.End-all.Start]); err != nil {
			return err
		}
	}
	return nil
}

// each gives do the memory of every run in [off, off+len(b)) and the part of b
// that belongs to it. p.mu is held.
func (p *Pages) each(b []byte, off uint64, do func(safemem.Seq, []byte) (uint64, error)) error {
	all := memmap.MappableRange{Start: memmap.MappableOffset(off), End: memmap.MappableOffset(off) + memmap.MappableOffset(len(b))}
	if all.IsEmpty() {
		return nil
	}
	for seg := range p.runs.In(all) {
		mr := seg.Intersect(all)
		memory, err := p.mem.MapInternal(pgalloc.FrameRange(seg, mr), memmap.ReadWrite)
		if err != nil {
			return err
		}
		if _, err := do(memory, b[mr.Start-all.Start:mr.End-all.Start]); err != nil {
			return err
		}
	}
	return nil
}

// zero makes [off, end) zero without changing which pages there are. p.mu is held.
func (p *Pages) zero(off, end uint64) error {
	mr := memmap.MappableRange{Start: memmap.MappableOffset(off), End: memmap.MappableOffset(end)}
	if mr.IsEmpty() {
		return nil
	}
	for seg := range p.runs.In(mr) {
		memory, err := p.mem.MapInternal(pgalloc.FrameRange(seg, seg.Intersect(mr)), memmap.ReadWrite)
		if err != nil {
			return err
		}
		if _, err := safemem.Zero(memory); err != nil {
			return err
		}
	}
	return nil
}

// Resize is ftruncate. What lies beyond the new end goes, from mappings and from
// the copies that private ones made as well; the rest of the last page is zero. EPERM: a seal; ENOMEM:
// overcommit.
func (p *Pages) Resize(size uint64) error {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.mu.Lock()
	old := p.size
	err := p.mayResize(size)
	if err == nil {
		err = p.mayPromise(size)
	}
	if err != nil {
		p.mu.Unlock()
		return err
	}
	p.setSize(size)
	tail := min(old, uint64(around(0, size).End))
	err = p.zero(size, max(tail, size))
	gone := memmap.MappableRange{Start: p.end(), End: everything.End}
	cut := p.runs.Cut(gone, nil)
	p.mu.Unlock()
	if size < old {
		p.maps.Invalidate(gone, true)
	}
	p.release(cut)
	return err
}

// Discard is FALLOC_FL_PUNCH_HOLE for the n bytes at off: whole pages go, what is left
// of others is zero. EPERM: a seal.
func (p *Pages) Discard(off, n uint64) error {
	whole := memmap.MappableRange{Start: around(0, off).End, End: around(off+n, off+n).Start}
	p.mu.Lock()
	err := p.sealed(sealWrites, "fallocate")
	if err == nil {
		err = p.zero(off, min(off+n, uint64(whole.Start)))
	}
	if err == nil && whole.End >= whole.Start {
		err = p.zero(uint64(whole.End), off+n)
	}
	p.mu.Unlock()
	if err != nil || whole.End <= whole.Start {
		return err
	}
	return p.Punch(whole)
}

// Reserve is fallocate's plain mode: pages for the n bytes at off, all or none. EPERM:
// a seal.
func (p *Pages) Reserve(off, n uint64, keepSize bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if off+n > p.size { // also where the size stays
		if err := p.sealed(unix.F_SEAL_GROW, "fallocate"); err != nil {
			return err
		}
	}
	mr := around(off, off+n)
	holes := p.holes(mr)
	if _, err := p.fill(mr); err != nil {
		for _, hole := range holes {
			p.release(p.runs.Cut(hole, nil))
		}
		return err
	}
	if !keepSize {
		p.setSize(max(p.size, off+n))
	}
	return nil
}

// Seek is SEEK_DATA and SEEK_HOLE: ENXIO.
func (p *Pages) Seek(off int64, whence int) (int64, error) {
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
