package segment

import (
	"fmt"

	"github.com/google/btree"
)

// Insert adds r with value v, merges it with its neighbours where they agree, and
// returns the segment that now holds r. It panics if r is empty or overlaps.
func (s *Set[K, V]) Insert(r Range[K], v V) Segment[K, V] {
	if r.IsEmpty() {
		panic(fmt.Sprintf("segment: insert of the empty range %v", r))
	}
	if s.tree == nil {
		s.tree = btree.NewG(degree, before[K, V])
	}
	seg, swallowed := Segment[K, V]{r, v}, 0
	prev, next := s.around(r)
	swallowed += joinPrev(prev, &seg)
	swallowed += joinNext(&seg, next)
	s.span += r.Length()
	s.put(seg, swallowed)
	return seg
}

// around returns the entries that touch r, with a nil value where there is none,
// in one descent. It panics if anything overlaps r.
func (s *Set[K, V]) around(r Range[K]) (prev, next entry[K, V]) {
	s.tree.AscendGreaterOrEqual(at[K, V](max(r.Start, 1)-1), func(e entry[K, V]) bool {
		switch {
		case e.End == r.Start:
			prev = e
		case e.Start == r.End:
			next = e
		case e.Overlaps(r):
			panic(fmt.Sprintf("segment: insert of %v overlaps %v", r, e.Range))
		}
		return e.Start < r.Start
	})
	return prev, next
}

// Cut removes all that the set holds in r, splitting segments at r's ends, and
// returns the removed pieces in ascending order, appended to into.
func (s *Set[K, V]) Cut(r Range[K], into []Segment[K, V]) []Segment[K, V] {
	n := len(into)
	into, left, right := s.pieces(r, into)
	cut := into[n:]
	for i := range cut {
		s.span -= cut[i].Length()
	}
	// The rests take the places of the first and the last segment in the tree; all
	// else that overlaps r then lies inside it.
	inside := len(cut)
	if !left.IsEmpty() {
		s.put(left, 1)
		inside--
	}
	if !right.IsEmpty() {
		s.put(right, min(inside, 1)) // one segment may have left both
		inside = max(inside-1, 0)
	}
	for range inside {
		s.tree.Delete(over[K, V](r))
	}
	return into
}

// Update replaces the value of every covered piece of r by change's answer:
// segments are split at r's ends, changed in ascending order, and then merged
// inside r and at its edges. change must not touch the set; it sees the set as
// it was before.
func (s *Set[K, V]) Update(r Range[K], change func(Range[K], V) V) {
	var few [2]Segment[K, V]
	segs, left, right := s.pieces(r, few[:0])
	if len(segs) == 0 {
		return
	}
	for i := range segs {
		segs[i].Value = change(segs[i].Range, segs[i].Value)
	}
	// At each end of r either a rest of a split segment touches what was changed, or
	// a neighbour may.
	var prev, next entry[K, V]
	first, last := &segs[0], &segs[len(segs)-1]
	if left.IsEmpty() {
		prev = s.endingAt(first.Start)
	} else if merge(&left, first) {
		*first, left = left, Segment[K, V]{}
	}
	if right.IsEmpty() {
		next = s.startingAt(last.End)
	} else if merge(last, &right) {
		right = Segment[K, V]{}
	}
	s.putAll(prev, segs, next)
	if !left.IsEmpty() {
		s.put(left, 0)
	}
	if !right.IsEmpty() {
		s.put(right, 0)
	}
}

// pieces appends to into copies of all segments that overlap r, clipped to r. left
// and right are what the first and the last of them have outside r, else empty.
// The set stays as it is.
func (s *Set[K, V]) pieces(r Range[K], into []Segment[K, V]) (_ []Segment[K, V], left, right Segment[K, V]) {
	if s.tree == nil || r.IsEmpty() {
		return into, left, right
	}
	n := len(into)
	if e, ok := s.tree.Get(over[K, V](r)); !ok {
		return into, left, right
	} else if e.IsSupersetOf(r) { // it is the only one
		into = append(into, e.segment())
	} else {
		for seg := range s.In(r) {
			into = append(into, seg)
		}
	}
	if first := &into[n]; first.CanSplitAt(r.Start) {
		left, *first = split(first, r.Start)
	}
	if last := &into[len(into)-1]; last.CanSplitAt(r.End) {
		*last, right = split(last, r.End)
	}
	return into, left, right
}

// putAll stores segs, in ascending order, each in place of the one segment of the
// tree that it is made of, after merging them with each other, and the outer two
// with prev and next.
func (s *Set[K, V]) putAll(prev entry[K, V], segs []Segment[K, V], next entry[K, V]) {
	for i := 0; i < len(segs); {
		seg, old := segs[i], 1
		if i == 0 {
			old += joinPrev(prev, &seg)
		}
		for i++; i < len(segs) && seg.End == segs[i].Start && merge(&seg, &segs[i]); i++ {
			old++
		}
		if i == len(segs) {
			old += joinNext(&seg, next)
		}
		s.put(seg, old)
	}
}

// endingAt returns the entry that ends at k, with a nil value if there is none.
func (s *Set[K, V]) endingAt(k K) entry[K, V] {
	if k == 0 {
		return entry[K, V]{}
	}
	if e, ok := s.tree.Get(at[K, V](k - 1)); ok && e.End == k {
		return e
	}
	return entry[K, V]{}
}

// startingAt returns the entry that starts at k, with a nil value if there is none.
func (s *Set[K, V]) startingAt(k K) entry[K, V] {
	if e, ok := s.tree.Get(at[K, V](k)); ok && e.Start == k {
		return e
	}
	return entry[K, V]{}
}

// joinPrev extends seg by e, the entry that ends where it starts, if there is one
// and it agrees. It returns how many entries seg took in.
func joinPrev[K Key, V Value[K, V]](e entry[K, V], seg *Segment[K, V]) int {
	if e.value == nil {
		return 0
	}
	prev := e.segment()
	if !merge(&prev, seg) {
		return 0
	}
	*seg = prev
	return 1
}

// joinNext is joinPrev's mirror.
func joinNext[K Key, V Value[K, V]](seg *Segment[K, V], e entry[K, V]) int {
	if e.value == nil {
		return 0
	}
	if next := e.segment(); !merge(seg, &next) {
		return 0
	}
	return 1
}

// put stores seg in place of the old segments of the tree that overlap it.
func (s *Set[K, V]) put(seg Segment[K, V], old int) {
	for ; old > 1; old-- {
		s.tree.Delete(over[K, V](seg.Range))
	}
	value := new(V)
	*value = seg.Value
	s.tree.ReplaceOrInsert(entry[K, V]{seg.Range, value})
}

// merge extends a by b, which it touches, if their values agree to it.
func merge[K Key, V Value[K, V]](a, b *Segment[K, V]) bool {
	v, ok := a.Value.Merge(a.Range, b.Range, b.Value)
	if ok {
		a.End, a.Value = b.End, v
	}
	return ok
}

// split returns the parts of seg before and from k, which lies inside it.
func split[K Key, V Value[K, V]](seg *Segment[K, V], k K) (before, from Segment[K, V]) {
	before.Range, from.Range = Range[K]{seg.Start, k}, Range[K]{k, seg.End}
	before.Value, from.Value = seg.Value.Split(seg.Range, k)
	return before, from
}
