package pgalloc

import (
	"fmt"

	"mmsh.dev/mmsh/memmap"
)

// pins is how many pins a page has. Each holds a reference as well.
type pins uint32

// Merge implements segment.Value.
func (n pins) Merge(_, _ memmap.FileRange, next pins) bool { return n == next }

// Split implements segment.Value.
func (n pins) Split(memmap.FileRange, memmap.FileOffset) pins { return n }

// Pin takes a reference on each page of fr, all of which must be allocated, and
// remembers that it is a pin: what Linux calls GUP's bias. Whoever could give a page up
// or put another in its place asks Pinned first.
func (f *MemoryFile) Pin(fr memmap.FileRange) {
	f.IncRef(fr)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.countPins(fr, func(n pins) pins { return n + 1 })
}

// Unpin gives up what Pin took. Pages without another reference are free.
func (f *MemoryFile) Unpin(fr memmap.FileRange) {
	f.mu.Lock()
	f.countPins(fr, func(n pins) pins {
		if n == 0 {
			panic(fmt.Sprintf("pgalloc: a pin dropped in %v, where there is none", fr))
		}
		return n - 1
	})
	f.mu.Unlock()
	f.DecRef(fr)
}

// countPins changes the pins of each page of fr. f.mu is held.
func (f *MemoryFile) countPins(fr memmap.FileRange, change func(pins) pins) {
	put := func(fr memmap.FileRange, n pins) {
		if !fr.IsEmpty() {
			if n = change(n); n > 0 {
				f.pins.Insert(fr, n)
			}
		}
	}
	pos := fr.Start
	for _, seg := range f.pins.Cut(fr, nil) {
		put(memmap.FileRange{Start: pos, End: seg.Start}, 0)
		put(seg.Range, seg.Value)
		pos = seg.End
	}
	put(memmap.FileRange{Start: pos, End: fr.End}, 0)
}

// Pins is a run of pages with the same number of pins.
type Pins struct {
	memmap.FileRange
	Pins uint32
}

// Pinned returns the parts of fr that are pinned, in ascending order.
func (f *MemoryFile) Pinned(fr memmap.FileRange) []Pins {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pins.IsEmpty() {
		return nil
	}
	var runs []Pins
	for seg := range f.pins.In(fr) {
		runs = append(runs, Pins{seg.Intersect(fr), uint32(seg.Value)})
	}
	return runs
}

// checkPinsLocked checks that every pin holds a reference. f.mu is held.
func (f *MemoryFile) checkPinsLocked() error {
	for seg := range f.pins.All() {
		if seg.Value == 0 || seg.End > f.size() {
			return fmt.Errorf("memory file: %v has %d pins, the file ends at %#x", seg.Range, seg.Value, f.size())
		}
		for rest := seg.Range; !rest.IsEmpty(); {
			from := rest.Start
			var pages []page
			pages, rest = f.front(rest)
			for i, p := range pages {
				if p.refs() < uint32(seg.Value) {
					return fmt.Errorf("memory file: the page at %#x has %d pins and %d references", offset(from, i), seg.Value, p.refs())
				}
			}
		}
	}
	return nil
}
