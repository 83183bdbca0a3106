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
// A Set hands out copies, never pointers into its tree but by Peek. It must not be changed
// while one of its iterators runs. It is not safe for concurrent use; several
// readers may share it. A Set is not copied by assignment but by Clone.
type Set[K Key, V Value[K, V]] struct {
	_ [0]func(K, V) // not comparable

	// tree holds the tiles, which share out all keys; it is nil until something is
	// inserted. The set's entries lie in the tiles' runs.
	tree *btree.BTreeG[tile[K, V]]
	// lowest is the tile of key 0, which in a small set is the only one: found without
	// the tree.
	lowest tile[K, V]
	// recent is the tile that was changed last, where the next to look often looks too. Only
	// changes write it, so that readers can share the set.
	recent tile[K, V]
	// owner marks the runs that no clone can see, which alone are changed in place.
	owner *owner
	n     int    // of entries
	span  uint64 // the sum of all lengths
	full  int    // the most entries of a run; 0 stands for runLength
}

// entry is a Segment as a run keeps it: runs are moved about, and three words are
// moved much faster than a value of a hundred bytes. What value points to is never
// written again, as clones share it.
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

// Len returns the number of segments.
func (s *Set[K, V]) Len() int { return s.n }

// IsEmpty reports whether the set has no segments.
func (s *Set[K, V]) IsEmpty() bool { return s.n == 0 }

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
	if s.n == 0 {
		return seg, false
	}
	row := s.tileOf(k).entries
	if i := after(row, k); i < len(row) && row[i].Start <= k {
		return row[i].segment(), true
	}
	return seg, false
}

// LowerBound returns the segment that contains k, else the first one after k.
func (s *Set[K, V]) LowerBound(k K) (seg Segment[K, V], ok bool) {
	r, value, ok := s.Peek(k)
	if !ok {
		return seg, false
	}
	return Segment[K, V]{r, *value}, true
}

// Peek is LowerBound for who only looks, and quickly: value is not a copy. It is valid for
// ever, may be shared with clones, and is never written to.
func (s *Set[K, V]) Peek(k K) (r Range[K], value *V, ok bool) {
	if s.n == 0 {
		return r, nil, false
	}
	t := s.tileOf(k)
	i := after(t.entries, k)
	if i == len(t.entries) {
		if t, ok = s.above(t); !ok {
			return r, nil, false
		}
		i = 0
	}
	return t.entries[i].Range, t.entries[i].value, true
}

// UpperBound returns the segment that contains k, else the last one before k.
func (s *Set[K, V]) UpperBound(k K) (seg Segment[K, V], ok bool) {
	if s.n == 0 {
		return seg, false
	}
	t := s.tileOf(k)
	i := after(t.entries, k)
	if i == len(t.entries) || t.entries[i].Start > k {
		i--
	}
	if i < 0 {
		if t, ok = s.below(t); !ok {
			return seg, false
		}
		i = len(t.entries) - 1
	}
	return t.entries[i].segment(), true
}

// First returns the lowest segment.
func (s *Set[K, V]) First() (seg Segment[K, V], ok bool) { return s.LowerBound(0) }

// Last returns the highest segment.
func (s *Set[K, V]) Last() (seg Segment[K, V], ok bool) { return s.UpperBound(^K(0)) }

// Overlaps reports whether any key of r is covered.
func (s *Set[K, V]) Overlaps(r Range[K]) bool {
	if s.n == 0 || r.IsEmpty() {
		return false
	}
	t := s.tileOf(r.Start)
	i := after(t.entries, r.Start)
	if i == len(t.entries) {
		if r.End <= t.End {
			return false
		}
		t, i = s.tileOf(t.End), 0
	}
	return t.entries[i].Start < r.End
}

// Covers reports whether every key of r is covered. An empty r is.
func (s *Set[K, V]) Covers(r Range[K]) bool {
	for range s.Gaps(r) {
		return false
	}
	return true
}

// Clone returns a set with the same segments. Both may be changed afterwards,
// also at the same time; runs and nodes are copied as they are first written.
// Cost O(1). Clone marks s's own as shared: it excludes readers as a change does.
func (s *Set[K, V]) Clone() Set[K, V] {
	s.owner = nil
	c := Set[K, V]{lowest: s.lowest, recent: s.recent, n: s.n, span: s.span, full: s.full}
	if s.tree != nil {
		c.tree = s.tree.Clone()
	}
	return c
}

// Clear removes every segment.
func (s *Set[K, V]) Clear() { *s = Set[K, V]{full: s.full} }
