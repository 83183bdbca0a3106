package mm

import (
	"fmt"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// tally counts, page by page of the MemoryFile.
type tally struct {
	segment.Set[memmap.FileOffset, tallied]
}

type tallied uint32

// Merge implements segment.Value.
func (n tallied) Merge(_, _ memmap.FileRange, next tallied) bool { return n == next }

// Split implements segment.Value.
func (n tallied) Split(memmap.FileRange, memmap.FileOffset) tallied { return n }

// add counts each page of fr once more.
func (t *tally) add(fr memmap.FileRange) {
	put := func(fr memmap.FileRange, n tallied) {
		if !fr.IsEmpty() {
			t.Insert(fr, n)
		}
	}
	pos := fr.Start
	for _, seg := range t.Cut(fr, nil) {
		put(memmap.FileRange{Start: pos, End: seg.Start}, 1)
		put(seg.Range, seg.Value+1)
		pos = seg.End
	}
	put(memmap.FileRange{Start: pos, End: fr.End}, 1)
}

// each calls f for the runs of fr that were counted equally often, 0 times included.
func (t *tally) each(fr memmap.FileRange, f func(memmap.FileRange, uint32)) {
	pos := fr.Start
	for seg := range t.In(fr) {
		part := seg.Intersect(fr)
		if pos < part.Start {
			f(memmap.FileRange{Start: pos, End: part.Start}, 0)
		}
		f(part, uint32(seg.Value))
		pos = part.End
	}
	if pos < fr.End {
		f(memmap.FileRange{Start: pos, End: fr.End}, 0)
	}
}

// CheckReferences verifies what no MemoryManager can see alone: that the references and
// pins which mem has counted are those that all, the users of mem, hold. A file's cache
// and shared memory hold references of their own, of their kinds of page only. The guests
// are held still. Cost: linear.
func CheckReferences(mem *pgalloc.MemoryFile, all []*MemoryManager) []error {
	var held, pinned tally
	for _, mm := range all {
		mm.addReferences(&held, &pinned)
	}
	var errs []error
	everywhere := memmap.FileRange{End: memmap.FileOffset(mem.Stats().FileSize)}
	for u := range mem.Refs(everywhere) {
		held.each(u.FileRange, func(fr memmap.FileRange, n uint32) {
			if n > u.Refs || n < u.Refs && u.Kind == pgalloc.Anonymous {
				errs = append(errs, fmt.Errorf("memory file: %v (%v) has %d references, pmas and pins hold %d", fr, u.Kind, u.Refs, n))
			}
		})
	}
	var counted tally
	for _, run := range mem.Pinned(everywhere) {
		for range run.Pins {
			counted.add(run.FileRange)
		}
	}
	pinned.each(everywhere, func(fr memmap.FileRange, want uint32) {
		counted.each(fr, func(fr memmap.FileRange, have uint32) {
			if have != want {
				errs = append(errs, fmt.Errorf("memory file: %v has %d pins, processes hold %d", fr, have, want))
			}
		})
	})
	return errs
}

// addReferences adds what mm holds of the MemoryFile.
func (mm *MemoryManager) addReferences(held, pinned *tally) {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	for p := range mm.pmas.All() {
		if p.Value.file == memmap.File(mm.mem) {
			held.add(p.Value.fileRange(p.Range, p.Range))
		}
	}
	for _, p := range mm.pins {
		for _, r := range p.Pages {
			if r.File == memmap.File(mm.mem) {
				held.add(r.FileRange())
				pinned.add(r.FileRange())
			}
		}
	}
}
