package mm

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// pmaKind says whose the pages of a pma are.
type pmaKind uint8

const (
	shared pmaKind = iota // a shared vma's translation: written in place
	clean                 // a private vma's translation: copied before it is written
	zero                  // the zero page: likewise
	owned                 // private memory: ours to write if no fork shared it since
)

// rssKind is the sum that a pma's bytes are part of.
type rssKind uint8

const (
	rssNone rssKind = iota // the zero page, [vvar]
	rssAnon
	rssFile
	rssShmem
	rssKinds
)

// pma is pages that a process holds at a range of addresses. It has a reference on
// each, but for the zero page. perms and maxPerms are the vma's, so that pieces
// with different rights never merge and a pma alone can answer most accesses.
type pma struct {
	file      memmap.File
	off       memmap.FileOffset
	event     uint64 // what made it; not compared: merged pages keep the first's
	gen       uint32 // of owned: the generation that wrote it
	kind      pmaKind
	rss       rssKind
	cause     memmap.Cause      // what made it
	perms     memmap.AccessType // the vma's, effective
	maxPerms  memmap.AccessType // the vma's
	translate memmap.AccessType // what the File's pages may be used for
}

type (
	pmaSet = segment.Set[memmap.Addr, pma]
	pmaSeg = segment.Segment[memmap.Addr, pma]
)

// Merge implements segment.Value.
func (p pma) Merge(a, _ memmap.AddrRange, next pma) bool {
	if p.off+memmap.FileOffset(a.Length()) != next.off {
		return false
	}
	next.off, next.event = p.off, p.event
	return next == p
}

// Split implements segment.Value.
func (p pma) Split(r memmap.AddrRange, at memmap.Addr) pma {
	p.off += memmap.FileOffset(at - r.Start)
	return p
}

// fileRange returns the pages of p, at r, that lie at ar.
func (p *pma) fileRange(r, ar memmap.AddrRange) memmap.FileRange {
	start := p.off + memmap.FileOffset(ar.Start-r.Start)
	return memmap.FileRange{Start: start, End: start + memmap.FileOffset(ar.Length())}
}

// needCOW reports whether a write must first give the process a page of its own,
// or find out that it has no other owner. It is derived: what a process wrote
// since its last fork is its own, all else that is private is not.
func (mm *MemoryManager) needCOW(p *pma) bool {
	switch p.kind {
	case clean, zero:
		return true
	case owned:
		return p.gen != mm.gen
	}
	return false
}

// grants returns the accesses that p allows as it is; all says that what mprotect
// could give counts.
func (mm *MemoryManager) grants(p *pma, all bool) memmap.AccessType {
	g := p.perms
	if all {
		g = p.maxPerms
	}
	if p.kind != owned {
		g = g.Intersect(p.translate)
	}
	if g.Write && mm.needCOW(p) {
		g.Write = false
	}
	return g
}

// insertPMA adds p at ar and its bytes to the resident sums. The reference on its
// pages becomes the set's.
//
// Preconditions: mm.activeMu is held for writing; ar holds no pma.
func (mm *MemoryManager) insertPMA(ar memmap.AddrRange, p pma) {
	mm.addRSS(p.rss, ar.Length())
	mm.pmas.Insert(ar, p)
}

func (mm *MemoryManager) addRSS(kind rssKind, n uint64) {
	mm.rss[kind] += n
	if kind != rssNone {
		mm.maxRSS = max(mm.maxRSS, mm.residentLocked())
	}
}

func (mm *MemoryManager) residentLocked() uint64 {
	return mm.rss[rssAnon] + mm.rss[rssFile] + mm.rss[rssShmem]
}

// cutPMAs removes the pmas in ar that drop agrees to. Their host mappings become
// stale in c, which releases their pages after the host was told. What lies between
// two of them is stale as well if it is a hole: the host has nothing there.
//
// Preconditions: mm.activeMu is held for writing; ar is page-aligned.
func (mm *MemoryManager) cutPMAs(c *change, ar memmap.AddrRange, drop func(pma) bool) {
	var few [4]pmaSeg
	var stale memmap.AddrRange
	for _, seg := range mm.pmas.Cut(ar, few[:0]) {
		if drop(seg.Value) {
			stale = hull(stale, seg.Range)
			mm.letGo(c, seg)
			continue
		}
		mm.pmas.Insert(seg.Range, seg.Value)
		if !stale.IsEmpty() {
			c.spoil(stale)
			stale = memmap.AddrRange{}
		}
	}
	if !stale.IsEmpty() {
		c.spoil(stale)
	}
}

// letGo ends the books of a pma that was taken out of the set.
func (mm *MemoryManager) letGo(c *change, seg pmaSeg) {
	mm.rss[seg.Value.rss] -= seg.Length()
	if seg.Value.kind != zero {
		c.release(seg.Value.file, seg.Value.fileRange(seg.Range, seg.Range))
	}
}

func everything(pma) bool { return true }

// near returns where in the MemoryFile pages for ar should end, so that they
// continue a neighbour's; 0 if no neighbour has private memory.
func (mm *MemoryManager) near(ar memmap.AddrRange) memmap.FileOffset {
	prev, _ := mm.pmas.Find(ar.Start - 1)
	next, _ := mm.pmas.Find(ar.End)
	return continuing(ar, prev, next)
}

// continuing is near for who knows the pmas before and behind ar, whether they touch
// it or not; they are empty if there are none.
func continuing(ar memmap.AddrRange, prev, next pmaSeg) memmap.FileOffset {
	if prev.End >= ar.Start && prev.Value.kind == owned {
		return prev.Value.off + memmap.FileOffset(prev.Length()+ar.Length())
	}
	if next.Start <= ar.End && next.Value.kind == owned {
		return next.Value.off
	}
	return 0
}

// zeroPMA is the zero page for a private anonymous vma.
func zeroPMA(ar memmap.AddrRange, v *vma) pma {
	return pma{
		file:      pgalloc.Zero,
		off:       memmap.FileOffset(ar.Start),
		kind:      zero,
		rss:       rssNone,
		perms:     v.effective(),
		maxPerms:  v.maxPerms,
		translate: memmap.Read,
	}
}

// ownPMA is private memory at fr for v.
func (mm *MemoryManager) ownPMA(fr memmap.FileRange, v *vma) pma {
	return pma{
		file:      mm.mem,
		off:       fr.Start,
		gen:       mm.gen,
		kind:      owned,
		rss:       rssAnon,
		perms:     v.effective(),
		maxPerms:  v.maxPerms,
		translate: memmap.AnyAccess,
	}
}

// translatedPMA is what a Mappable answered for v.
func translatedPMA(t memmap.Translation, v *vma) pma {
	p := pma{
		file:      t.File,
		off:       t.Offset,
		kind:      shared,
		rss:       rssKindOf(v.mappable),
		perms:     v.effective(),
		maxPerms:  v.maxPerms,
		translate: t.Perms,
	}
	if v.private {
		p.kind = clean
	}
	return p
}

// rssKindOf asks a Mappable which sum its pages are part of. One that does not
// say is a file.
func rssKindOf(m memmap.Mappable) rssKind {
	switch r := m.(type) {
	case interface{ Resident() memmap.Residency }:
		switch r.Resident() {
		case memmap.ResidentShmem:
			return rssShmem
		case memmap.ResidentNever:
			return rssNone
		}
	}
	return rssFile
}
