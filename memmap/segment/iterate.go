package segment

import (
	"iter"
	"slices"
)

// All iterates over all segments in ascending order.
func (s *Set[K, V]) All() iter.Seq[Segment[K, V]] { return s.In(Range[K]{0, ^K(0)}) }

// In iterates over the segments that overlap r, whole (not clipped to r), in
// ascending order. Nothing overlaps an empty r.
func (s *Set[K, V]) In(r Range[K]) iter.Seq[Segment[K, V]] {
	return func(yield func(Segment[K, V]) bool) {
		if s.n == 0 || r.IsEmpty() {
			return
		}
		t := s.tileOf(r.Start)
		row := t.entries[after(t.entries, r.Start):]
		for {
			for _, e := range row {
				if e.Start >= r.End || !yield(e.segment()) {
					return
				}
			}
			if t.End >= r.End {
				return
			}
			t = s.tileOf(t.End)
			row = t.entries
		}
	}
}

// Backward iterates in descending order over the segments that overlap r.
func (s *Set[K, V]) Backward(r Range[K]) iter.Seq[Segment[K, V]] {
	return func(yield func(Segment[K, V]) bool) {
		if s.n == 0 || r.IsEmpty() {
			return
		}
		t := s.tileOf(r.End - 1)
		row := t.entries
		if i := after(row, r.End-1); i < len(row) && row[i].Start < r.End {
			row = row[:i+1]
		} else {
			row = row[:i]
		}
		for {
			for _, e := range slices.Backward(row) {
				if e.End <= r.Start || !yield(e.segment()) {
					return
				}
			}
			if t.Start <= r.Start {
				return
			}
			t = s.tileOf(t.Start - 1)
			row = t.entries
		}
	}
}

// Gaps iterates over the uncovered stretches of r, clipped to r, in ascending order.
func (s *Set[K, V]) Gaps(r Range[K]) iter.Seq[Range[K]] {
	return func(yield func(Range[K]) bool) {
		from := r.Start
		for seg := range s.In(r) {
			if from < seg.Start && !yield(Range[K]{from, seg.Start}) {
				return
			}
			from = seg.End
		}
		if from < r.End {
			yield(Range[K]{from, r.End})
		}
	}
}
