package mm

import (
	"errors"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// breakCOW makes p, a piece of seg's vma that waits for copy-on-write, the
// process's own from rest.Start on, and returns how far. What is around the pages
// asked for comes along as far as copyWidth says and memory lasts.
func (mm *MemoryManager) breakCOW(c *change, seg vmaSeg, p pmaSeg, rest memmap.AddrRange) (memmap.Addr, error) {
	piece := p.Intersect(seg.Range)
	required := rest.Intersect(piece)
	width := mm.copyWidth(seg, required).Intersect(piece)
	if done, err := mm.own(c, seg, required); err != nil {
		return done, err
	}
	if width != required {
		_, _ = mm.own(c, seg, width) // a kindness: nobody has asked for these
	}
	return required.End, nil
}

// copyWidth returns how much a write to ar may privatise, a superset of ar: only ar
// where there is code, since who writes code writes little (a breakpoint, a
// relocation), and of a file, whose other pages go on to follow it; a page more on
// each side of a stack or what wants no huge pages; else the fault window. With a
// window of a page it is always ar.
func (mm *MemoryManager) copyWidth(seg vmaSeg, ar memmap.AddrRange) memmap.AddrRange {
	switch {
	case mm.window.Get() == memmap.PageSize, seg.Value.perms.Execute, !seg.Value.anonymous():
		return ar
	case seg.Value.growsDown || seg.Value.flags&flagNoHuge != 0:
		return memmap.AddrRange{Start: ar.Start - memmap.PageSize, End: ar.End + memmap.PageSize}
	}
	return mm.windowFor(ar)
}

// own makes exactly the pages of ar, a range of seg's vma, that wait for
// copy-on-write the process's own: it takes over those without another owner and
// copies the others. It returns how far it came, and if that is short of ar.End, why.
//
// Preconditions: mm.mappingMu is held; mm.activeMu is held for writing.
func (mm *MemoryManager) own(c *change, seg vmaSeg, ar memmap.AddrRange) (memmap.Addr, error) {
	for ar.Start < ar.End {
		p, ok := mm.pmas.LowerBound(ar.Start)
		if !ok || p.Start >= ar.End {
			break
		}
		piece := p.Intersect(ar)
		if mm.needCOW(&p.Value) {
			var err error
			if piece, err = mm.ownPiece(c, seg, p, piece); err != nil {
				return piece.End, err
			}
		}
		ar.Start = piece.End
	}
	return ar.End, nil
}

// ownPiece takes over or copies the first pages of piece, a part of p, and returns
// which.
func (mm *MemoryManager) ownPiece(c *change, seg vmaSeg, p pmaSeg, piece memmap.AddrRange) (memmap.AddrRange, error) {
	if p.Value.kind == owned {
		run, unique := mm.mem.UniqueRun(p.Value.fileRange(p.Range, piece))
		piece.End = piece.Start + memmap.Addr(run.Length())
		if unique {
			mm.takeOver(c, piece)
			return piece, nil
		}
	}
	fr, err := mm.copyPages(p, piece)
	if fr.IsEmpty() && piece.Length() > memmap.PageSize { // perhaps there is memory for one
		fr, err = mm.copyPages(p, piece.Start.Page())
	}
	piece.End = piece.Start + memmap.Addr(fr.Length())
	if piece.IsEmpty() {
		return piece, err
	}
	mm.replaceByCopy(c, seg, p, piece, fr)
	return piece, err
}

// takeOver makes ar's pages, which have no other owner, writable in place.
// Fork alone makes owners, and it needs activeMu: nobody can join in meanwhile.
func (mm *MemoryManager) takeOver(c *change, ar memmap.AddrRange) {
	event := mm.brought(c, memmap.COWReuse, ar)
	mm.pmas.Update(ar, func(_ memmap.AddrRange, p pma) pma {
		p.gen, p.cause, p.event = mm.gen, memmap.COWReuse, event
		return p
	})
}

// copyPages returns fresh memory with what p has at piece: less if there is no
// more memory, or if p's file cannot be read, with the error.
func (mm *MemoryManager) copyPages(p pmaSeg, piece memmap.AddrRange) (memmap.FileRange, error) {
	near := mm.near(piece)
	if p.Value.kind == zero {
		fr, err := mm.mem.Allocate(piece.Length(), pgalloc.Anonymous, near)
		return fr, copyError(piece, err)
	}
	src, err := p.Value.file.MapInternal(p.Value.fileRange(p.Range, piece), memmap.Read)
	if err != nil {
		return memmap.FileRange{}, &memmap.BusError{Err: err}
	}
	fr, err := mm.mem.AllocateCopy(src, pgalloc.Anonymous, near)
	return fr, copyError(piece, err)
}

// copyError makes of a failed copy what the guest meets.
func copyError(ar memmap.AddrRange, err error) error {
	var bus *memmap.BusError
	var unreadable *safemem.FaultError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bus):
		return bus
	case errors.As(err, &unreadable):
		return &memmap.BusError{Err: err}
	}
	return outOfMemory(ar, err)
}

// replaceByCopy puts the copy fr of p's pages at ar in their place.
func (mm *MemoryManager) replaceByCopy(c *change, seg vmaSeg, p pmaSeg, ar memmap.AddrRange, fr memmap.FileRange) {
	c.spoil(ar)
	if p.Value.kind != zero {
		c.release(p.Value.file, p.Value.fileRange(p.Range, ar))
	}
	next := mm.ownPMA(fr, &seg.Value)
	next.cause = memmap.COWCopy
	next.event = mm.brought(c, memmap.COWCopy, ar)
	mm.rss[p.Value.rss] -= ar.Length()
	mm.addRSS(next.rss, ar.Length())
	mm.pmas.Update(ar, func(memmap.AddrRange, pma) pma { return next })
}

// BreakCOW gives the process its own copy of exactly the pages of ar that wait
// for copy-on-write (taking those over that have no other owner), whatever the
// fault window, and returns how many pages were copied and taken over.
func (mm *MemoryManager) BreakCOW(by *Actor, ar memmap.AddrRange) (copied, reused uint64, err error) {
	ar, err = mm.pagesOf("cow break", ar)
	if err != nil {
		return 0, 0, err
	}
	c := mm.begin(by)
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	before := mm.faults.Causes
	for seg := range mm.vmas.In(ar) {
		if !seg.Value.private {
			continue
		}
		if _, err = mm.own(c, seg, seg.Intersect(ar)); err != nil {
			break
		}
	}
	mm.remapStale(c)
	if died := c.flush(); err == nil {
		err = died
	}
	copied = mm.faults.Causes[memmap.COWCopy] - before[memmap.COWCopy]
	reused = mm.faults.Causes[memmap.COWReuse] - before[memmap.COWReuse]
	return copied, reused, err
}
