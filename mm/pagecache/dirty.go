package pagecache

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
)

// dirtySet says which cached pages the Backing does not have yet. Every page in
// it is cached.
type dirtySet struct {
	segment.Set[memmap.MappableOffset, dirt]
}

// dirt is a dirty range. keep says that a mapping may be writing to it right now:
// then it stays dirty when it has been written back.
type dirt struct{ keep bool }

// Merge implements segment.Value.
func (d dirt) Merge(_, _ memmap.MappableRange, next dirt) bool { return d == next }

// Split implements segment.Value.
func (d dirt) Split(memmap.MappableRange, memmap.MappableOffset) dirt { return d }

// markDirty makes mr dirty; what is kept dirty stays so.
func (s *dirtySet) markDirty(mr memmap.MappableRange) { s.fillGaps(mr, dirt{}) }

// keepDirty makes mr dirty until allowClean or keepClean.
func (s *dirtySet) keepDirty(mr memmap.MappableRange) {
	s.Update(mr, func(memmap.MappableRange, dirt) dirt { return dirt{keep: true} })
	s.fillGaps(mr, dirt{keep: true})
}

// markClean makes mr clean but for what is kept dirty.
func (s *dirtySet) markClean(mr memmap.MappableRange) {
	for _, seg := range s.in(mr) {
		if !seg.Value.keep {
			s.Cut(seg.Range, nil)
		}
	}
}

// keepClean makes all of mr clean.
func (s *dirtySet) keepClean(mr memmap.MappableRange) { s.Cut(mr, nil) }

// allowClean lets writeback make mr clean again; it is as dirty as before.
func (s *dirtySet) allowClean(mr memmap.MappableRange) {
	s.Update(mr, func(memmap.MappableRange, dirt) dirt { return dirt{} })
}

// in returns what is dirty in mr, clipped to it.
func (s *dirtySet) in(mr memmap.MappableRange) []segment.Segment[memmap.MappableOffset, dirt] {
	var segs []segment.Segment[memmap.MappableOffset, dirt]
	for seg := range s.In(mr) {
		seg.Range = seg.Intersect(mr)
		segs = append(segs, seg)
	}
	return segs
}

func (s *dirtySet) fillGaps(mr memmap.MappableRange, d dirt) {
	var gaps []memmap.MappableRange
	for gap := range s.Gaps(mr) {
		gaps = append(gaps, gap)
	}
	for _, gap := range gaps {
		s.Insert(gap, d)
	}
}
