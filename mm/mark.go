package mm

import "mmsh.dev/mmsh/memmap"

// mark is what is remembered of a page until it is written, as bits. A marked page is
// never mapped writable, so that the write stops: marks are traps that belong to pages
// rather than to addresses. They lie in mappings only, go with them, and a write ends
// them, if it is let through.
//
// They are guarded by activeMu alone: a fault, which holds mappingMu for reading, changes
// them.
type mark uint8

const (
	markProtected mark = 1 << iota // by a userfaultfd
	markClean                      // not written since clear_refs: not soft-dirty
	markLazy                       // MADV_FREE: its contents may be dropped
	markPoisoned                   // UFFDIO_POISON: no page is there, nor ever comes by itself
)

// Merge implements segment.Value.
func (m mark) Merge(_, _ memmap.AddrRange, next mark) bool { return m == next }

// Split implements segment.Value.
func (m mark) Split(memmap.AddrRange, memmap.Addr) mark { return m }

// remark sets and clears bits in all of ar.
//
// Preconditions: mm.activeMu is held for writing. Where bits are set the host has
// nothing mapped writable, or c.spoil was called.
func (mm *MemoryManager) remark(ar memmap.AddrRange, set, clear mark) {
	if set == 0 && mm.marks.IsEmpty() {
		return
	}
	put := func(ar memmap.AddrRange, m mark) {
		if m != 0 && !ar.IsEmpty() {
			mm.marks.Insert(ar, m)
		}
	}
	pos := ar.Start
	for _, seg := range mm.marks.Cut(ar, nil) {
		put(memmap.AddrRange{Start: pos, End: seg.Start}, set)
		put(seg.Range, seg.Value&^clear|set)
		pos = seg.End
	}
	put(memmap.AddrRange{Start: pos, End: ar.End}, set)
}

// markAt returns the marks at the start of ar and how far they are the same.
func (mm *MemoryManager) markAt(ar memmap.AddrRange) (mark, memmap.AddrRange) {
	switch seg, ok := mm.marks.LowerBound(ar.Start); {
	case !ok:
		return 0, ar
	case seg.Start > ar.Start:
		ar.End = min(ar.End, seg.Start)
		return 0, ar
	default:
		return seg.Value, seg.Intersect(ar)
	}
}

// writeMarked is bringIn for writing, where pages may be marked: what a userfaultfd
// protects stops it, all other marks end.
func (mm *MemoryManager) writeMarked(c *change, seg vmaSeg, ar memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	for pos := ar.Start; pos < ar.End; {
		m, part := mm.markAt(memmap.AddrRange{Start: pos, End: ar.End})
		if m&markProtected != 0 && !seg.Value.uffd.has(FeatureWPAsync) {
			return pos, mm.writeProtected(c, seg, pos, at)
		}
		end, err := mm.bringInPages(c, seg, part, at)
		if m != 0 {
			mm.remark(memmap.AddrRange{Start: pos, End: end}, 0, ^mark(0))
		}
		if pos = end; err != nil {
			return pos, err
		}
	}
	return ar.End, nil
}

// writeProtected refuses a write to the page at pos, which a userfaultfd protects. As in
// Linux a page that is not there yet comes in first.
func (mm *MemoryManager) writeProtected(c *change, seg vmaSeg, pos memmap.Addr, at memmap.AccessType) error {
	if _, ok := mm.pmas.Find(pos); !ok {
		if _, err := mm.bringInPages(c, seg, pos.Page(), at); err != nil {
			return err
		}
	}
	return mm.userfault(c, seg.Value.uffd, pos, faultWrite|faultProtected)
}

// leaveMarks calls f for the parts of ar, with rights but for the right to write what is
// marked.
func (mm *MemoryManager) leaveMarks(ar memmap.AddrRange, rights memmap.AccessType, f func(memmap.AddrRange, memmap.AccessType)) {
	if mm.marks.IsEmpty() || !rights.Write {
		f(ar, rights)
		return
	}
	for ar.Start < ar.End {
		m, part := mm.markAt(ar)
		left := rights
		left.Write = m == 0
		if left.Any() {
			f(part, left)
		}
		ar.Start = part.End
	}
}

// moveMarks gives the marks in old their place in dst; watched says that the mapping there
// has a userfaultfd, which does not come along else. What is moved is soft-dirty.
func (mm *MemoryManager) moveMarks(old, dst memmap.AddrRange, watched bool) {
	if mm.marks.IsEmpty() {
		return
	}
	for _, seg := range mm.marks.Cut(old, nil) {
		to := memmap.AddrRange{Start: dst.Start + (seg.Start - old.Start), End: dst.Start + (seg.End - old.Start)}
		if !watched {
			seg.Value &^= markProtected
		}
		mm.remark(to, seg.Value&^markClean, 0)
	}
}

// copyMarks gives child the marks of what it gets pages of; a userfaultfd is the
// parent's alone.
//
// Preconditions: both managers' locks are held for writing.
func (mm *MemoryManager) copyMarks(child *MemoryManager) {
	if mm.gives {
		child.giveLazy()
	}
	if mm.marks.IsEmpty() {
		return
	}
	child.marks = mm.marks.Clone()
	child.remark(child.All(), 0, markProtected)
	for seg := range mm.vmas.All() {
		if seg.Value.flags&(flagDontFork|flagWipeOnFork) != 0 {
			child.marks.Cut(seg.Range, nil)
		}
	}
}
