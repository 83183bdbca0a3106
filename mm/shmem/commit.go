package shmem

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// What is promised of shared memory is, as on Linux, either all of it, when it is made
// and whenever its size changes, or each page when there is one. Nobody in particular
// asks then, so that nothing is kept back: neither for an administrator nor from one process.

// mayCommit checks that n more bytes may be promised: ENOMEM.
func mayCommit(mem *pgalloc.MemoryFile, n uint64) error {
	return mem.MayCommit(pgalloc.Claim{Op: "shared memory", Bytes: n, Admin: true})
}

// reserve has all of p committed from now on. p has no page yet.
func (p *Pages) reserve() error {
	n := uint64(p.end())
	if err := mayCommit(p.mem, n); err != nil {
		return err
	}
	p.whole = true
	p.mem.Commit(int64(n))
	return nil
}

// recommit changes what is committed by n bytes of pages that are made or go. p.mu is held.
func (p *Pages) recommit(n int64) {
	if !p.whole {
		p.mem.Commit(n)
	}
}

// mayPromise checks that as much may be committed as size needs: ENOMEM. p.mu is held.
func (p *Pages) mayPromise(size uint64) error {
	if more := around(0, size).End; p.whole && more > p.end() {
		return mayCommit(p.mem, uint64(more-p.end()))
	}
	return nil
}

// setSize changes the size, and what is committed with it. p.mu is held.
func (p *Pages) setSize(size uint64) {
	before := p.end()
	p.size = size
	if p.whole {
		p.mem.Commit(int64(p.end()) - int64(before))
	}
}

// allocate returns fresh pages for hole: ENOMEM. p.mu is held.
func (p *Pages) allocate(hole memmap.MappableRange) (memmap.FileRange, error) {
	n := hole.Length()
	if !p.whole {
		if err := mayCommit(p.mem, n); err != nil {
			return memmap.FileRange{}, err
		}
	}
	fr, err := p.mem.Allocate(n, pgalloc.Shmem, p.runs.Near(hole))
	if err == nil {
		p.recommit(int64(n))
	}
	return fr, err
}
