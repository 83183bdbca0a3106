package segment

import "fmt"

// CheckInvariants returns what is wrong with the set, nil if nothing is: ranges
// out of order, empty or overlapping, neighbours that would merge, a wrong sum, runs and
// tiles that do not fit. It walks the whole set.
func (s *Set[K, V]) CheckInvariants() error {
	if err := s.checkTiles(); err != nil {
		return err
	}
	var last Segment[K, V]
	n, span := 0, uint64(0)
	for seg := range s.All() {
		switch {
		case seg.IsEmpty():
			return fmt.Errorf("segment %d: %v is empty", n, seg.Range)
		case n > 0 && seg.Start < last.End:
			return fmt.Errorf("segment %d: %v overlaps or precedes %v", n, seg.Range, last.Range)
		case n > 0 && seg.Start == last.End:
			if last.Value.Merge(last.Range, seg.Range, seg.Value) {
				return fmt.Errorf("segments that agree are not merged at %#x: %v", uint64(seg.Start), last.Range)
			}
		}
		last = seg
		n++
		span += seg.Length()
	}
	if n != s.Len() || span != s.span {
		return fmt.Errorf("%d segments of %d keys, but Len is %d and Span %d", n, span, s.Len(), s.span)
	}
	return nil
}

// checkTiles returns what is wrong with how the set is stored: tiles that leave keys out,
// runs that are empty, too long, or reach out of their tiles.
func (s *Set[K, V]) checkTiles() error {
	if s.tree == nil {
		return nil
	}
	end := K(0)
	var wrong error
	s.tree.Ascend(func(t tile[K, V]) bool {
		n := len(t.entries)
		switch {
		case t.IsEmpty() || t.Start != end:
			wrong = fmt.Errorf("a tile of %v follows one that ends at %#x", t.Range, uint64(end))
		case n > s.mostEntries() || n == 0 && s.tree.Len() > 1:
			wrong = fmt.Errorf("the tile of %v has a run of %d", t.Range, n)
		case n > 0 && !t.IsSupersetOf(hull(t.entries[0].Range, t.entries)):
			wrong = fmt.Errorf("the tile of %v has entries from %#x to %#x", t.Range, uint64(t.entries[0].Start), uint64(t.entries[n-1].End))
		}
		end = t.End
		return wrong == nil
	})
	if first, _ := s.tree.Min(); wrong == nil && first != s.lowest {
		wrong = fmt.Errorf("the lowest tile is %v, but %v is kept", first.Range, s.lowest.Range)
	}
	if wrong == nil && end != ^K(0) {
		wrong = fmt.Errorf("the last tile ends at %#x", uint64(end))
	}
	if r := s.recent; wrong == nil && !r.IsEmpty() {
		if t, _ := s.tree.Get(at[K, V](r.Start)); t != r {
			wrong = fmt.Errorf("the tile of %v is kept, but the tree has that of %v", r.Range, t.Range)
		}
	}
	return wrong
}

// CheckInvariants returns what is wrong with the index, nil if nothing is: ranges
// that overlap or touch, a wrong sum, a tree out of balance. It walks all of it.
func (g *GapIndex[K]) CheckInvariants() error {
	var last Range[K]
	first := true
	for r := range g.All() {
		if r.IsEmpty() || !first && r.Start <= last.End {
			return fmt.Errorf("free range %v is empty, or touches or precedes %v", r, last)
		}
		last, first = r, false
	}
	return g.root.check()
}

func (n *gap[K]) check() error {
	if n == nil {
		return nil
	}
	should := *n
	if should.sum(); should != *n {
		return fmt.Errorf("free range %v: longest %d, height %d, but should be %d, %d",
			n.Range, n.longest, n.height, should.longest, should.height)
	}
	if lean := n.left.tall() - n.right.tall(); lean < -1 || lean > 1 {
		return fmt.Errorf("free range %v: subtrees differ in height by %d", n.Range, lean)
	}
	if err := n.left.check(); err != nil {
		return err
	}
	return n.right.check()
}
