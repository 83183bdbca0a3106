package segment

import (
	"slices"

	"github.com/google/btree"
)

// A set of many segments is stored in two levels: runs of a few dozen neighbours,
// each a sorted slice, and a tree of the runs. Splitting a segment and joining it again
// then moves a few entries inside one run and leaves the tree as it is; with a
// tree of the entries themselves it was up to six descents.

// run is a row of neighbouring entries in ascending order. It is changed in place by
// the set that owns it, and copied by others. No run is empty but a set's only one.
type run[K Key, V Value[K, V]] struct {
	entries []entry[K, V]
	owner   *owner
}

// tile is the range of keys in which all of a run lies. Tiles do not overlap and leave
// no key out but the last, so a key belongs to one, and the tree finds it in one descent.
type tile[K Key, V Value[K, V]] struct {
	Range[K]
	*run[K, V]
}

// runLength is the most entries of a run, as measured: with more, changing becomes
// slower, with fewer, finding.
const runLength = 48

// degree is half the number of children of a full node.
const degree = 16

// before is the tree's order. Ranges that overlap are equal by it, so that Get finds the
// tile that overlaps a range inside it.
func before[K Key, V Value[K, V]](a, b tile[K, V]) bool { return a.End <= b.Start }

// at returns a tile that the tree holds equal to the one that contains k.
func at[K Key, V Value[K, V]](k K) tile[K, V] {
	k = min(k, ^K(0)-1)
	return tile[K, V]{Range: Range[K]{k, k + 1}}
}

// after returns the index of the first entry of row that ends after k: the one that
// contains k or follows it.
func after[K Key, V Value[K, V]](row []entry[K, V], k K) int {
	low, high := 0, len(row)
	for low < high {
		if mid := int(uint(low+high) >> 1); row[mid].End <= k {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// tileOf returns the tile that contains k, the last one if k is the last key. The tree
// is not nil.
func (s *Set[K, V]) tileOf(k K) tile[K, V] {
	if s.lowest.Contains(k) {
		return s.lowest
	}
	if s.recent.Contains(k) {
		return s.recent
	}
	t, _ := s.tree.Get(at[K, V](k))
	return t
}

// store puts t in place of the tile that starts where it does, if there is one.
func (s *Set[K, V]) store(t tile[K, V]) {
	if t.Start == 0 {
		s.lowest = t
	}
	if t.Start == s.recent.Start {
		s.recent = t
	}
	s.tree.ReplaceOrInsert(t)
}

// above returns the tile after t.
func (s *Set[K, V]) above(t tile[K, V]) (tile[K, V], bool) {
	if t.End == ^K(0) {
		return t, false
	}
	return s.tileOf(t.End), true
}

// below returns the tile before t.
func (s *Set[K, V]) below(t tile[K, V]) (tile[K, V], bool) {
	if t.Start == 0 {
		return t, false
	}
	return s.tileOf(t.Start - 1), true
}

// mostEntries is the length of a full run.
func (s *Set[K, V]) mostEntries() int {
	if s.full != 0 {
		return s.full
	}
	return runLength
}

// start makes a set that never held anything ready for entries.
func (s *Set[K, V]) start() {
	if s.tree == nil {
		s.tree = btree.NewG(degree, before[K, V])
		s.build(Range[K]{0, ^K(0)}, nil)
	}
}

// splice puts row in place of old, neighbouring entries of the set that start in t or in
// the tile before it. Both are in ascending order; nothing else in the set overlaps row.
func (s *Set[K, V]) splice(t tile[K, V], old, row []entry[K, V]) {
	for len(old) > 0 && len(row) > 0 && old[0] == row[0] {
		old, row = old[1:], row[1:]
	}
	for len(old) > 0 && len(row) > 0 && old[len(old)-1] == row[len(row)-1] {
		old, row = old[:len(old)-1], row[:len(row)-1]
	}
	if len(old) == 0 && len(row) == 0 {
		return
	}
	s.n += len(row) - len(old)
	all := hull(hull(Range[K]{^K(0), 0}, old), row)
	if !t.Contains(all.Start) {
		t = s.tileOf(all.Start)
	}
	left := len(t.entries) + len(row) - len(old)
	fits := left <= s.mostEntries() && (left >= s.fewEntries() || left >= len(t.entries) || s.tree.Len() == 1)
	if !fits || !t.IsSupersetOf(all) {
		s.rebuild(all, len(old), row)
		return
	}
	t = s.own(t)
	s.recent = t
	i := after(t.entries, all.Start)
	t.entries = slices.Replace(t.entries, i, i+len(old), row...)
}

// fewEntries is the length below which a run that shrinks is joined to its neighbour.
func (s *Set[K, V]) fewEntries() int { return s.mostEntries() / 4 }

// hull returns the smallest range that holds r and row.
func hull[K Key, V Value[K, V]](r Range[K], row []entry[K, V]) Range[K] {
	if len(row) == 0 {
		return r
	}
	return Range[K]{min(r.Start, row[0].Start), max(r.End, row[len(row)-1].End)}
}

// own returns t with a run that s may change.
func (s *Set[K, V]) own(t tile[K, V]) tile[K, V] {
	if s.owner == nil {
		s.owner = new(owner)
	}
	if t.owner != s.owner {
		t.run = s.newRun(t.entries)
		s.store(t)
	}
	return t
}

// newRun returns a run of s that holds a copy of row.
func (s *Set[K, V]) newRun(row []entry[K, V]) *run[K, V] {
	if s.owner == nil {
		s.owner = new(owner)
	}
	return &run[K, V]{append(make([]entry[K, V], 0, len(row)+2), row...), s.owner}
}

// rebuild puts row in place of the n entries from the first one in all on, and shares out
// anew what the tiles that all overlaps hold then.
func (s *Set[K, V]) rebuild(all Range[K], n int, row []entry[K, V]) {
	var gone []tile[K, V]
	var kept []entry[K, V]
	for t, ok := s.tileOf(all.Start), true; ok && t.Start < all.End; t, ok = s.above(t) {
		gone = append(gone, t)
		kept = append(kept, t.entries...)
	}
	i := after(kept, all.Start)
	kept = slices.Replace(kept, i, i+n, row...)
	keys := Range[K]{gone[0].Start, gone[len(gone)-1].End}
	if len(kept) < s.fewEntries() {
		if t, ok := s.below(gone[0]); ok {
			gone, kept, keys.Start = append(gone, t), slices.Concat(t.entries, kept), t.Start
		} else if t, ok := s.above(gone[len(gone)-1]); ok {
			gone, kept, keys.End = append(gone, t), append(kept, t.entries...), t.End
		}
	}
	s.recent = tile[K, V]{}
	for _, t := range gone {
		s.tree.Delete(t)
	}
	s.build(keys, kept)
}

// build shares out keys, for which the tree has no tile, and row, which lies in them, among
// new tiles of about the same number of entries.
func (s *Set[K, V]) build(keys Range[K], row []entry[K, V]) {
	tiles := 1
	if most := s.mostEntries(); len(row) > most {
		tiles = (len(row)*4/3 + most - 1) / most
	}
	for i := range tiles {
		from, to := len(row)*i/tiles, len(row)*(i+1)/tiles
		part := keys
		if i < tiles-1 {
			part.End = row[to].Start
			keys.Start = part.End
		}
		s.store(tile[K, V]{part, s.newRun(row[from:to])})
	}
}
