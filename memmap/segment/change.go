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
		s.tree = btree.NewG(degree, order[K, V])
	}
	if old, ok := s.tree.Get(over[K, V](r)); ok {
		panic(fmt.Sprintf("segment: insert of %v overlaps %v", r, old.Range))
	}
	s.span += r.Length()
	seg, swallowed := s.join(Segment[K, V]{r, v})
	s.put(seg, swallowed)
	return seg
}

// Cut removes all that the set holds in r, splitting segments at r's ends, and
// returns the removed pieces in ascending order, appended to into.
func (s *Set[K, V]) Cut(r Range[K], into []Segment[K, V]) []Segment[K, V] {
	n := len(into)
	into, left, right := s.pieces(r, into)
	s.remove(r, len(into)-n, left, right)
	for _, cut := range into[n:] {
		s.span -= cut.Length()
	}
	return into
}

// Update replaces the value of every covered piece of r by change's answer:
// segments are split at r's ends, changed in ascending order, and then merged
// inside r and at its edges. change must not touch the set, and sees the set as
// it was.
func (s *Set[K, V]) Update(r Range[K], change func(Range[K], V) V) {
	var few [4]Segment[K, V]
	changed, left, right := s.pieces(r, few[:0])
	if len(changed) == 0 {
		return
	}
	for i := range changed {
		changed[i].Value = change(changed[i].Range, changed[i].Value)
	}
	if len(changed) == 1 {
		s.replaceOne(changed[0], left, right)
		return
	}
	s.remove(r, len(changed), left, right)
	changed = mergeTouching(changed)
	for i, seg := range changed {
		swallowed := 0
		if i == 0 || i == len(changed)-1 {
			seg, swallowed = s.join(seg)
		}
		s.put(seg, swallowed)
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
	if seg, ok := s.tree.Get(over[K, V](r)); !ok {
		return into, left, right
	} else if seg.IsSupersetOf(r) { // the only one, found without a walk
		into = append(into, seg)
	} else {
		into = s.appendIn(r, into)
	}
	if first := &into[n]; first.CanSplitAt(r.Start) {
		left, *first = split(*first, r.Start)
	}
	if last := &into[len(into)-1]; last.CanSplitAt(r.End) {
		*last, right = split(*last, r.End)
	}
	return into, left, right
}

func (s *Set[K, V]) appendIn(r Range[K], into []Segment[K, V]) []Segment[K, V] {
	for seg := range s.In(r) {
		into = append(into, seg)
	}
	return into
}

// remove takes the n segments that overlap r out of the tree but leaves left and
// right, the pieces of the first and the last that lie outside r, unless empty.
func (s *Set[K, V]) remove(r Range[K], n int, left, right Segment[K, V]) {
	// The rests take the places of their whole segments; all else that overlaps r
	// then lies inside it.
	if !left.IsEmpty() {
		s.tree.ReplaceOrInsert(left)
		n--
	}
	if !right.IsEmpty() {
		s.tree.ReplaceOrInsert(right)
		n = max(n-1, 0) // one segment may have left both
	}
	for range n {
		s.tree.Delete(over[K, V](r))
	}
}

// replaceOne puts mid in place of the one segment that it is a piece of; left
// and right are that segment's other pieces, empty if there are none.
func (s *Set[K, V]) replaceOne(mid, left, right Segment[K, V]) {
	old := 1
	if !left.IsEmpty() {
		if both, ok := merge(left, mid); ok {
			mid, left = both, Segment[K, V]{}
		}
	}
	if !right.IsEmpty() {
		if both, ok := merge(mid, right); ok {
			mid, right = both, Segment[K, V]{}
		}
	}
	mid, swallowed := s.join(mid)
	s.put(mid, old+swallowed)
	if !left.IsEmpty() {
		s.tree.ReplaceOrInsert(left)
	}
	if !right.IsEmpty() {
		s.tree.ReplaceOrInsert(right)
	}
}

// join merges seg with the segments of the tree that touch it and agree, and
// returns the union and how many of them it took in. The tree stays as it is.
func (s *Set[K, V]) join(seg Segment[K, V]) (_ Segment[K, V], swallowed int) {
	if seg.Start > 0 {
		if prev, ok := s.tree.Get(at[K, V](seg.Start - 1)); ok && prev.End == seg.Start {
			if both, ok := merge(prev, seg); ok {
				seg = both
				swallowed++
			}
		}
	}
	if next, ok := s.tree.Get(at[K, V](seg.End)); ok && next.Start == seg.End {
		if both, ok := merge(seg, next); ok {
			seg = both
			swallowed++
		}
	}
	return seg, swallowed
}

// put stores seg in place of the old segments of the tree that overlap it.
func (s *Set[K, V]) put(seg Segment[K, V], old int) {
	for ; old > 1; old-- {
		s.tree.Delete(seg)
	}
	s.tree.ReplaceOrInsert(seg)
}

// mergeTouching merges neighbours of segs that touch and agree, in place.
func mergeTouching[K Key, V Value[K, V]](segs []Segment[K, V]) []Segment[K, V] {
	out := segs[:1]
	for _, seg := range segs[1:] {
		last := &out[len(out)-1]
		if last.End == seg.Start {
			if both, ok := merge(*last, seg); ok {
				*last = both
				continue
			}
		}
		out = append(out, seg)
	}
	return out
}

// merge returns the union of a and b, which touch, if their values agree to it.
func merge[K Key, V Value[K, V]](a, b Segment[K, V]) (Segment[K, V], bool) {
	v, ok := a.Value.Merge(a.Range, b.Range, b.Value)
	return Segment[K, V]{Range[K]{a.Start, b.End}, v}, ok
}

// split returns the parts of seg before and from k, which lies inside it.
func split[K Key, V Value[K, V]](seg Segment[K, V], k K) (Segment[K, V], Segment[K, V]) {
	before, from := seg.Value.Split(seg.Range, k)
	return Segment[K, V]{Range[K]{seg.Start, k}, before}, Segment[K, V]{Range[K]{k, seg.End}, from}
}
