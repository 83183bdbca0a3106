package segment

import (
	"fmt"
	"slices"
)

// Insert adds r with value v, merges it with its neighbours where they agree, and
// returns the segment that now holds r. It panics if r is empty or overlaps.
func (s *Set[K, V]) Insert(r Range[K], v V) Segment[K, V] {
	var few [3]entry[K, V]
	t, old, row := s.around(r, few[:0])
	return s.insert(t, old, join(row, r, v), r).segment()
}

// Put is Insert of a value that is the set's from now on, and no more written to.
func (s *Set[K, V]) Put(r Range[K], v *V) {
	var few [3]entry[K, V]
	t, old, row := s.around(r, few[:0])
	s.insert(t, old, joinEntry(row, entry[K, V]{r, v}), r)
}

// around returns what touches r, which is about to be inserted, as touching does, and
// row with what ends at r's start.
func (s *Set[K, V]) around(r Range[K], row []entry[K, V]) (tile[K, V], []entry[K, V], []entry[K, V]) {
	if r.IsEmpty() {
		panic(fmt.Sprintf("segment: insert of the empty range %v", r))
	}
	s.start()
	t, old := s.touching(r)
	for _, e := range old {
		if e.Overlaps(r) {
			panic(fmt.Sprintf("segment: insert of %v overlaps %v", r, e.Range))
		}
		if e.End == r.Start {
			row = append(row, e)
		}
	}
	return t, old, row
}

// insert puts row, whose last entry holds r, in place of old, and returns that entry.
func (s *Set[K, V]) insert(t tile[K, V], old, row []entry[K, V], r Range[K]) entry[K, V] {
	holder := len(row) - 1
	if n := len(old); n > 0 && old[n-1].Start == r.End {
		row = joinEntry(row, old[n-1])
	}
	old, row = s.absorb(old, row)
	s.span += r.Length()
	s.splice(t, old, row)
	return row[holder]
}

// Cut removes all that the set holds in r, splitting segments at r's ends, and
// returns the removed pieces in ascending order, appended to into.
func (s *Set[K, V]) Cut(r Range[K], into []Segment[K, V]) []Segment[K, V] {
	if s.n == 0 || r.IsEmpty() {
		return into
	}
	t := s.tileOf(r.Start)
	old := s.rowFrom(t, after(t.entries, r.Start), r.End-1)
	if len(old) == 0 {
		return into
	}
	for _, e := range old {
		piece := e.clipped(r)
		s.span -= piece.Length()
		into = append(into, piece)
	}
	var edges [2]entry[K, V]
	row := edges[:0]
	if first := old[0]; first.CanSplitAt(r.Start) {
		row = append(row, first.head(r.Start))
	}
	if last := old[len(old)-1]; last.CanSplitAt(r.End) {
		row = append(row, last.tail(r.End))
	}
	s.splice(t, old, row)
	return into
}

// Update replaces the value of every covered piece of r by change's answer:
// segments are split at r's ends, changed in ascending order, and then merged
// inside r and at its edges. change must not touch the set; it sees the set as
// it was before.
func (s *Set[K, V]) Update(r Range[K], change func(Range[K], V) V) {
	if s.n == 0 || r.IsEmpty() {
		return
	}
	t, old := s.touching(r)
	var few [5]entry[K, V]
	row := few[:0]
	if len(old)+2 > len(few) {
		row = make([]entry[K, V], 0, len(old)+2)
	}
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
	old, row = s.absorb(old, row)
	s.splice(t, old, row)
}

// absorb goes on where row's last entry has taken in old's last: what follows it may now
// agree, though it did not with what was there.
func (s *Set[K, V]) absorb(old, row []entry[K, V]) (_, _ []entry[K, V]) {
	for len(old) > 0 {
		was, is := old[len(old)-1], row[len(row)-1]
		if was.End != is.End || was.Start == is.Start || is.End == ^K(0) {
			break
		}
		t := s.tileOf(is.End)
		i := after(t.entries, is.End)
		if i == len(t.entries) || !extend(row, t.entries[i].Range, *t.entries[i].value) {
			break
		}
		old = append(slices.Clip(old), t.entries[i])
	}
	return old, row
}

// touching returns the entries that overlap r, end at its start or start at its end, in
// ascending order, and the tile of r's first key. The row is the set's own: it is not
// written to, and gone with the next change.
func (s *Set[K, V]) touching(r Range[K]) (tile[K, V], []entry[K, V]) {
	t := s.tileOf(r.Start)
	first, i := t, after(t.entries, r.Start)
	if i > 0 && t.entries[i-1].End == r.Start {
		i--
	} else if i == 0 && t.Start == r.Start {
		if prev, ok := s.below(t); ok && prev.entries[len(prev.entries)-1].End == r.Start {
			first, i = prev, len(prev.entries)-1
		}
	}
	return t, s.rowFrom(first, i, r.End)
}

// rowFrom returns the entries from t's i-th on that start at or before last. The row is
// the set's own, as touching's.
func (s *Set[K, V]) rowFrom(t tile[K, V], i int, last K) []entry[K, V] {
	row := t.entries[i:]
	for j, e := range row {
		if e.Start > last {
			return row[:j]
		}
	}
	row = slices.Clip(row)
	for t.End <= last {
		var ok bool
		if t, ok = s.above(t); !ok {
			break
		}
		for _, e := range t.entries {
			if e.Start > last {
				return row
			}
			row = append(row, e)
		}
	}
	return row
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

func box[V any](v V) *V { return &v }
