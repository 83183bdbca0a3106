package segment

import "iter"

// Value is what a Set keeps for a range. A value is copied freely and holds no
// reference of its own accord: who owns what a value names is the affair of the
// set's owner, who sees every segment that Cut takes out.
type Value[K Key, V any] interface {
	// Merge returns the value of the union of a and b, where a ends at b's start,
	// the receiver belongs to a and next to b; false if the two must stay apart.
	Merge(a, b Range[K], next V) (V, bool)
	// Split returns the values of the parts of r before and from at, which lies
	// strictly inside r.
	Split(r Range[K], at K) (V, V)
}

// Segment is one entry of a Set.
type Segment[K Key, V any] struct {
	Range[K]
	Value V
}

// Set is an ordered map from disjoint, non-empty ranges to values. Neighbours
// whose values agree to it are kept merged. The zero Set is empty and ready.
//
// A Set hands out copies, never pointers into its tree. It must not be changed
// while one of its iterators runs. It is not safe for concurrent use.
type Set[K Key, V Value[K, V]] struct {
	_ [0]func(K, V) // not comparable
}

// Len returns the number of segments.
func (s *Set[K, V]) Len() int { panic("segment: unwritten") }

// Span returns the number of keys covered, in O(1).
func (s *Set[K, V]) Span() uint64 { panic("segment: unwritten") }

// SpanIn returns the number of keys of r that are covered.
func (s *Set[K, V]) SpanIn(r Range[K]) uint64 { panic("segment: unwritten") }

// Find returns the segment that contains k.
func (s *Set[K, V]) Find(k K) (Segment[K, V], bool) { panic("segment: unwritten") }

// LowerBound returns the segment that contains k, else the first one after k.
func (s *Set[K, V]) LowerBound(k K) (Segment[K, V], bool) { panic("segment: unwritten") }

// UpperBound returns the segment that contains k, else the last one before k.
func (s *Set[K, V]) UpperBound(k K) (Segment[K, V], bool) { panic("segment: unwritten") }

// First returns the lowest segment.
func (s *Set[K, V]) First() (Segment[K, V], bool) { panic("segment: unwritten") }

// Last returns the highest segment.
func (s *Set[K, V]) Last() (Segment[K, V], bool) { panic("segment: unwritten") }

// Overlaps reports whether any key of r is covered.
func (s *Set[K, V]) Overlaps(r Range[K]) bool { panic("segment: unwritten") }

// Covers reports whether every key of r is covered.
func (s *Set[K, V]) Covers(r Range[K]) bool { panic("segment: unwritten") }

// Insert adds r with value v, merges it with its neighbours where they agree, and
// returns the segment that now holds r. It panics if r is empty or overlaps.
func (s *Set[K, V]) Insert(r Range[K], v V) Segment[K, V] { panic("segment: unwritten") }

// Cut removes all that the set holds in r, splitting segments at r's ends, and
// returns the removed pieces in ascending order, appended to into.
func (s *Set[K, V]) Cut(r Range[K], into []Segment[K, V]) []Segment[K, V] {
	panic("segment: unwritten")
}

// Update replaces the value of every covered piece of r by change's answer:
// segments are split at r's ends, changed in ascending order, and then merged
// inside r and at its edges. change must not touch the set.
func (s *Set[K, V]) Update(r Range[K], change func(Range[K], V) V) { panic("segment: unwritten") }

// All iterates over all segments in ascending order.
func (s *Set[K, V]) All() iter.Seq[Segment[K, V]] { panic("segment: unwritten") }

// In iterates over the segments that overlap r, whole (not clipped to r), in
// ascending order.
func (s *Set[K, V]) In(r Range[K]) iter.Seq[Segment[K, V]] { panic("segment: unwritten") }

// Backward iterates in descending order over the segments that overlap r.
func (s *Set[K, V]) Backward(r Range[K]) iter.Seq[Segment[K, V]] { panic("segment: unwritten") }

// Gaps iterates over the uncovered stretches of r, clipped to r, in ascending order.
func (s *Set[K, V]) Gaps(r Range[K]) iter.Seq[Range[K]] { panic("segment: unwritten") }

// Clone returns a set with the same segments. Both may be changed afterwards;
// nodes are copied as they are first written. Cost O(1).
func (s *Set[K, V]) Clone() Set[K, V] { panic("segment: unwritten") }

// Clear removes every segment.
func (s *Set[K, V]) Clear() { panic("segment: unwritten") }
