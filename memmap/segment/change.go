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
	var few, made [3]entry[K, V]
	old, row := s.touching(r, few[:0]), made[:0]
	for _, e := range old {
		if e.Overlaps(r) {
			panic(fmt.Sprintf("segment: insert of %v overlaps %v", r, e.Range))
		}
		if e.End == r.Start {
			row = append(row, e)
		}
	}
	row = join(row, r, v)
	holder := len(row) - 1
	if n := len(old); n > 0 && old[n-1].Start == r.End {
		row = joinEntry(row, old[n-1])
	}
	s.span += r.Length()
	s.replace(old, row)
	return row[holder].segment()
}

// Cut removes all that the set holds in r, splitting segments at r's ends, and
// returns the removed pieces in ascending order, appended to into.
func (s *Set[K, V]) Cut(r Range[K], into []Segment[K, V]) []Segment[K, V] {
	if s.tree == nil || r.IsEmpty() {
		return into
	}
	first, ok := s.tree.Get(over[K, V](r))
	if !ok {
		return into
	}
	last, n := first, len(into)
	if first.IsSupersetOf(r) { // it is the only one
		into = append(into, first.clipped(r))
	} else {
		s.tree.AscendGreaterOrEqual(at[K, V](r.Start), func(e entry[K, V]) bool {
			if e.Start >= r.End {
				return false
			}
			if len(into) == n {
				first = e
			}
			last = e
			into = append(into, e.clipped(r))
			return true
		})
	}
	for i := range into[n:] {
		s.span -= into[n+i].Length()
	}
	s.uncover(r, first, last, len(into)-n)
	return into
}

// uncover takes r out of the tree, where n segments overlap it, from first to last.
// What those two have outside r takes their places; all else that overlaps r then
// lies inside it.
func (s *Set[K, V]) uncover(r Range[K], first, last entry[K, V], n int) {
	if first.CanSplitAt(r.Start) {
		s.tree.ReplaceOrInsert(first.head(r.Start))
		n--
	}
	if last.CanSplitAt(r.End) {
		s.tree.ReplaceOrInsert(last.tail(r.End))
		n-- // to -1, if one segment has left both
	}
	for range n {
		s.tree.Delete(over[K, V](r))
	}
}

// Update replaces the value of every covered piece of r by change's answer:
// segments are split at r's ends, changed in ascending order, and then merged
// inside r and at its edges. change must not touch the set; it sees the set as
// it was before.
func (s *Set[K, V]) Update(r Range[K], change func(Range[K], V) V) {
	if s.tree == nil || r.IsEmpty() {
		return
	}
	var few, made [4]entry[K, V]
	old, row := s.touching(r, few[:0]), made[:0]
	for _, e := range old {
		if !e.Overlaps(r) { // a neighbour
			row = joinEntry(row, e)
			continue
		}
		if e.CanSplitAt(r.Start) {
			row = append(row, e.head(r.Start))
		}
		piece := e.clipped(r)
		row = join(row, piece.Range, change(piece.Range, piece.Value))
		if e.CanSplitAt(r.End) {
			row = join(row, Range[K]{r.End, e.End}, (*e.value).Split(e.Range, r.End))
		}
	}
	s.replace(old, row)
}

// touching appends to into the entries that overlap r, end at its start or start at
// its end, in ascending order: all in one descent.
func (s *Set[K, V]) touching(r Range[K], into []entry[K, V]) []entry[K, V] {
	s.tree.AscendGreaterOrEqual(at[K, V](max(r.Start, 1)-1), func(e entry[K, V]) bool {
		if e.Start <= r.End {
			into = append(into, e)
		}
		return e.End <= r.End
	})
	return into
}

// join appends r with value v to row, or extends row's last by it if both agree.
func join[K Key, V Value[K, V]](row []entry[K, V], r Range[K], v V) []entry[K, V] {
	if extend(row, r, v) {
		return row
	}
	return append(row, entry[K, V]{r, box(v)})
}

// joinEntry is join of an entry.
func joinEntry[K Key, V Value[K, V]](row []entry[K, V], e entry[K, V]) []entry[K, V] {
	if extend(row, e.Range, *e.value) {
		return row
	}
	return append(row, e)
}

// extend extends row's last entry by r with value v if they touch and agree.
func extend[K Key, V Value[K, V]](row []entry[K, V], r Range[K], v V) bool {
	if len(row) == 0 {
		return false
	}
	last := &row[len(row)-1]
	if last.End != r.Start || !(*last.value).Merge(last.Range, r, v) {
		return false
	}
	last.End = r.End
	return true
}

// replace puts row in place of old, which the tree holds. Both are in ascending order,
// and row covers all of old.
func (s *Set[K, V]) replace(old, row []entry[K, V]) {
	for _, e := range row {
		n := 0
		for n < len(old) && old[n].Start < e.End {
			n++
		}
		if n != 1 || old[0] != e {
			s.put(e, n)
		}
		old = old[n:]
	}
}

// put stores e in place of the entries of the tree that overlap it, of which
// there are old; 0 and 1 are the same.
func (s *Set[K, V]) put(e entry[K, V], old int) {
	for ; old > 1; old-- {
		s.tree.Delete(e)
	}
	s.tree.ReplaceOrInsert(e)
}

func box[V any](v V) *V { return &v }
