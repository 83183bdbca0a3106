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
	prev, next := s.neighbours(r, func(e entry[K, V]) {
		panic(fmt.Sprintf("segment: insert of %v overlaps %v", r, e.Range))
	})
	swallowed += joinPrev(prev, &seg)
	swallowed += joinNext(&seg, next)
	s.span += r.Length()
	s.put(seg, swallowed)
	return seg
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
		s.put(right, 1)
		inside-- // to -1, if one segment has left both
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
	if s.tree == nil || r.IsEmpty() {
		return
	}
	var few [2]Segment[K, V]
	segs := few[:0]
	prev, next := s.neighbours(r, func(e entry[K, V]) { segs = append(segs, e.segment()) })
	if len(segs) == 0 {
		return
	}
	left, right := clip(segs, r)
	for i := range segs {
		segs[i].Value = change(segs[i].Range, segs[i].Value)
	}
	if first := &segs[0]; !left.IsEmpty() && merge(&left, first) {
		*first, left = left, Segment[K, V]{}
	}
	if last := &segs[len(segs)-1]; !right.IsEmpty() && merge(last, &right) {
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

// neighbours calls overlap for each entry that overlaps r, in ascending order, and
// returns those that end at r's start and start at its end, with a nil value if
// there is none: all in one descent.
func (s *Set[K, V]) neighbours(r Range[K], overlap func(entry[K, V])) (prev, next entry[K, V]) {
	s.tree.AscendGreaterOrEqual(at[K, V](max(r.Start, 1)-1), func(e entry[K, V]) bool {
		switch {
		case e.End == r.Start:
			prev = e
		case e.Start == r.End:
			next = e
		case e.Start < r.End:
			overlap(e)
		}
		return e.End <= r.End && e.Start < r.End
	})
	return prev, next
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
	left, right = clip(into[n:], r)
	return into, left, right
}

// clip clips segs, which overlap r, to it and returns what the first and the last
// had outside, else empty.
func clip[K Key, V Value[K, V]](segs []Segment[K, V], r Range[K]) (left, right Segment[K, V]) {
	if first := &segs[0]; first.CanSplitAt(r.Start) {
		left, *first = split(first, r.Start)
	}
	if last := &segs[len(segs)-1]; last.CanSplitAt(r.End) {
		*last, right = split(last, r.End)
	}
	return left, right
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

// joinPrev extends seg by e, if that is an entry that ends where seg starts and
// both agree. It returns how many entries seg took in.
func joinPrev[K Key, V Value[K, V]](e entry[K, V], seg *Segment[K, V]) int {
	if e.value == nil || e.End != seg.Start {
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
	if e.value == nil || e.Start != seg.End {
		return 0
	}
	if next := e.segment(); !merge(seg, &next) {
		return 0
	}
	return 1
}

// put stores seg in place of the segments of the tree that overlap it, of which
// there are old; 0 and 1 are the same.
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
