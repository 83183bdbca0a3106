package segment

import "github.com/google/btree"

// Value is what a Set keeps for a range. A value is copied freely and holds no
// reference of its own accord: who owns what a value names is the affair of the
// set's owner, who sees every segment that Cut takes out.
type Value[K Key, V any] interface {
	// Merge reports whether a, which ends at b's start, and b can be one: the
	// receiver belongs to a, and then to their union as well, next to b.
	Merge(a, b Range[K], next V) bool
	// Split returns the value of the part of r from at, which lies strictly inside
	// r. The part before keeps the receiver.
	Split(r Range[K], at K) V
}

// Segment is one entry of a Set.
type Segment[K Key, V any] struct {
	Range[K]
	Value V
}

// Set is an ordered map from disjoint, non-empty ranges to values. Neighbours
// whose values agree to it are kept merged. The zero Set is empty and ready.
// The last key, 2^64-1, can be in no range.
//
// A Set hands out copies, never pointers into its tree. It must not be changed
// while one of its iterators runs. It is not safe for concurrent use; several
// readers may share it. A Set is not copied by assignment but by Clone.
type Set[K Key, V Value[K, V]] struct {
	_ [0]func(K, V) // not comparable

	// tree is nil until something is inserted. Its order is that of before: ranges
	// that overlap are equal, so the tree itself finds what overlaps a range, and
	// an entry is replaced by whatever overlaps it and nothing else.
	tree *btree.BTreeG[entry[K, V]]
	span uint64 // the sum of all lengths
}

// entry is a Segment as the tree keeps it. google/btree compares and moves its
// items by copying them: three words are several times faster there than a
// value of a hundred bytes, and a Clone's copied nodes are smaller. What value
// points to is never written again, as clones share it.
type entry[K Key, V Value[K, V]] struct {
	Range[K]
	value *V
}

func (e entry[K, V]) segment() Segment[K, V] { return Segment[K, V]{e.Range, *e.value} }

// head returns the part of e before k, which lies inside e.
func (e entry[K, V]) head(k K) entry[K, V] { return entry[K, V]{Range[K]{e.Start, k}, e.value} }

// tail returns the part of e from k, which lies inside e.
func (e entry[K, V]) tail(k K) entry[K, V] {
	return entry[K, V]{Range[K]{k, e.End}, box((*e.value).Split(e.Range, k))}
}

// clipped returns the part of e that lies in r, which it overlaps.
func (e entry[K, V]) clipped(r Range[K]) Segment[K, V] {
	seg := e.segment()
	if e.CanSplitAt(r.Start) {
		seg.Start, seg.Value = r.Start, seg.Value.Split(e.Range, r.Start)
	}
	seg.End = min(seg.End, r.End)
	return seg
}

// degree is half the number of children of a full node, as measured: with more,
// inserting becomes slower, with fewer, finding.
const degree = 16

// before is a strict weak order of non-empty ranges as long as each that it is
// asked about overlaps at most one in the tree.
func before[K Key, V Value[K, V]](a, b entry[K, V]) bool { return a.End <= b.Start }

// over returns an entry that the tree holds equal to those that overlap r.
func over[K Key, V Value[K, V]](r Range[K]) entry[K, V] { return entry[K, V]{Range: r} }

// at returns an entry that the tree holds equal to the one that contains k.
func at[K Key, V Value[K, V]](k K) entry[K, V] {
	if k+1 == 0 { // beyond every segment
		return over[K, V](Range[K]{k, k})
	}
	return over[K, V](Range[K]{k, k + 1})
}

// opt turns what the tree found into what the Set returns.
func opt[K Key, V Value[K, V]](e entry[K, V], ok bool) (seg Segment[K, V], found bool) {
	if !ok {
		return seg, false
	}
	return e.segment(), true
}

// Len returns the number of segments.
func (s *Set[K, V]) Len() int {
	if s.tree == nil {
		return 0
	}
	return s.tree.Len()
}

// IsEmpty reports whether the set has no segments.
func (s *Set[K, V]) IsEmpty() bool { return s.Len() == 0 }

// Span returns the number of keys covered, in O(1).
func (s *Set[K, V]) Span() uint64 { return s.span }

// SpanIn returns the number of keys of r that are covered.
func (s *Set[K, V]) SpanIn(r Range[K]) uint64 {
	n := uint64(0)
	for seg := range s.In(r) {
		n += seg.Intersect(r).Length()
	}
	return n
}

// Find returns the segment that contains k.
func (s *Set[K, V]) Find(k K) (seg Segment[K, V], ok bool) {
	if s.tree == nil {
		return seg, false
	}
	return opt(s.tree.Get(at[K, V](k)))
}

// LowerBound returns the segment that contains k, else the first one after k.
func (s *Set[K, V]) LowerBound(k K) (seg Segment[K, V], ok bool) {
	if s.tree == nil {
		return seg, false
	}
	var found entry[K, V]
	s.tree.AscendGreaterOrEqual(at[K, V](k), func(e entry[K, V]) bool {
		found, ok = e, true
		return false
	})
	return opt(found, ok)
}

// UpperBound returns the segment that contains k, else the last one before k.
func (s *Set[K, V]) UpperBound(k K) (seg Segment[K, V], ok bool) {
	if s.tree == nil {
		return seg, false
	}
	var found entry[K, V]
	s.tree.DescendLessOrEqual(at[K, V](k), func(e entry[K, V]) bool {
		found, ok = e, true
		return false
	})
	return opt(found, ok)
}

// First returns the lowest segment.
func (s *Set[K, V]) First() (seg Segment[K, V], ok bool) {
	if s.tree == nil {
		return seg, false
	}
	return opt(s.tree.Min())
}

// Last returns the highest segment.
func (s *Set[K, V]) Last() (seg Segment[K, V], ok bool) {
	if s.tree == nil {
		return seg, false
	}
	return opt(s.tree.Max())
}

// Overlaps reports whether any key of r is covered.
func (s *Set[K, V]) Overlaps(r Range[K]) bool {
	return s.tree != nil && !r.IsEmpty() && s.tree.Has(over[K, V](r))
}

// Covers reports whether every key of r is covered. An empty r is.
func (s *Set[K, V]) Covers(r Range[K]) bool {
	for range s.Gaps(r) {
		return false
	}
	return true
}

// Clone returns a set with the same segments. Both may be changed afterwards,
// also at the same time; nodes are copied as they are first written. Cost O(1).
// Clone marks s's own nodes as shared: it excludes readers as a change does.
func (s *Set[K, V]) Clone() Set[K, V] {
	if s.tree == nil {
		return Set[K, V]{}
	}
	return Set[K, V]{tree: s.tree.Clone(), span: s.span}
}

// Clear removes every segment.
func (s *Set[K, V]) Clear() { s.tree, s.span = nil, 0 }
