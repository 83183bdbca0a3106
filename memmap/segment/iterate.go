package segment

import "iter"

// All iterates over all segments in ascending order.
func (s *Set[K, V]) All() iter.Seq[Segment[K, V]] {
	return func(yield func(Segment[K, V]) bool) {
		if s.tree == nil {
			return
		}
		s.tree.Ascend(func(e entry[K, V]) bool { return yield(e.segment()) })
	}
}

// In iterates over the segments that overlap r, whole (not clipped to r), in
// ascending order. Nothing overlaps an empty r.
func (s *Set[K, V]) In(r Range[K]) iter.Seq[Segment[K, V]] {
	return func(yield func(Segment[K, V]) bool) {
		if s.tree == nil || r.IsEmpty() {
			return
		}
		s.tree.AscendGreaterOrEqual(at[K, V](r.Start), func(e entry[K, V]) bool {
			return e.Start < r.End && yield(e.segment())
		})
	}
}

// Backward iterates in descending order over the segments that overlap r.
func (s *Set[K, V]) Backward(r Range[K]) iter.Seq[Segment[K, V]] {
	return func(yield func(Segment[K, V]) bool) {
		if s.tree == nil || r.IsEmpty() {
			return
		}
		s.tree.DescendLessOrEqual(at[K, V](r.End-1), func(e entry[K, V]) bool {
			return e.End > r.Start && yield(e.segment())
		})
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
