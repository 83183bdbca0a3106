package mm

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
)

// mapIn has the host map the pmas of seg's vma in ar, with no more rights than
// they grant and traps leave, around the faulting page: of all that touches it
// without a hole at most fewOps pieces.
//
// Preconditions: mm.mappingMu is held; mm.activeMu is held for writing.
func (mm *MemoryManager) mapIn(c *change, seg vmaSeg, page, ar memmap.AddrRange) {
	ar = ar.Intersect(seg.Range)
	if page != ar {
		ar = mm.touching(page, ar)
	}
	mm.mapPMAs(c, ar, c.fault.populates(ar))
}

// populates reports whether the host had better fill its page tables for ar at once, page
// by page, than as it is touched. For who writes it had: 0.3 µs a page against 1.5 of a
// fault. Who reads faults once in pgalloc.HostAround, and pays 0.2 against 0.35 µs a page;
// but zeroes come a page a fault.
func (f *fault) populates(ar memmap.AddrRange) bool {
	return f.at.Write || f.cause == memmap.ZeroMap || ar.Length() <= pgalloc.HostAround
}

// fewOps bounds the host calls that an operation makes for convenience only.
const fewOps = 8

// touching narrows ar to the pmas around page, at most fewOps of them and no hole.
func (mm *MemoryManager) touching(page, ar memmap.AddrRange) memmap.AddrRange {
	got := page
	n := 0
	for p := range mm.pmas.In(memmap.AddrRange{Start: page.Start, End: ar.End}) {
		if n++; p.Start > got.End || n > fewOps {
			break
		}
		got.End = p.End
	}
	if p, ok := mm.pmas.Find(page.Start); ok {
		got.Start = p.Start
	}
	return got.Intersect(ar)
}

// mapPMAs appends to c what the host may map of the pmas in ar.
func (mm *MemoryManager) mapPMAs(c *change, ar memmap.AddrRange, populate bool) {
	if c.ops == nil {
		c.ops = mm.scratch.ops[:0]
	}
	for p := range mm.pmas.In(ar) {
		rights := mm.grants(&p.Value, false)
		piece := p.Intersect(ar)
		if mm.traps.IsEmpty() && mm.marks.IsEmpty() {
			c.addOp(&p, piece, rights, populate)
			continue
		}
		mm.leaveTraps(piece, rights, func(part memmap.AddrRange, rights memmap.AccessType) {
			c.addOp(&p, part, rights, populate)
		})
	}
}

// addOp has the host map the part of p at ar with rights, if there are any.
func (c *change) addOp(p *pmaSeg, ar memmap.AddrRange, rights memmap.AccessType, populate bool) {
	if !rights.Any() {
		return
	}
	c.ops = append(c.ops, platform.MapOp{
		AR:       ar,
		File:     p.Value.file,
		Offset:   p.Value.fileRange(p.Range, ar).Start,
		At:       rights,
		Populate: populate && (p.Value.file == memmap.File(c.mm.mem) || !rights.Write), // a host's file would get blocks in its holes
	})
}

// remapStale lets the host map at once what took the place of what it had
// mapped, if that is few calls: an unmap would cost as much, and a fault on top.
func (mm *MemoryManager) remapStale(c *change) {
	if len(c.stale) > fewOps {
		return
	}
	for _, ar := range c.stale {
		mm.mapPMAs(c, ar, false)
	}
	if len(c.ops) > fewOps {
		c.ops = nil
	}
}
