package segment

import (
	"strings"
	"testing"
)

// wantWrong checks that err says what.
func wantWrong(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), what) {
		t.Errorf("invariants: %v, want …%s…", err, what)
	}
}

// raw puts a segment at the end of the last run behind the set's back.
func raw(s *toneSet, seg toneSeg) {
	last, _ := s.tree.Max()
	last.entries = append(last.entries, entry[uint64, tone]{seg.Range, &seg.Value})
	s.n++
	s.span += seg.Length()
}

func TestBrokenSetsAreSeen(t *testing.T) {
	s := setOf(painted(0, 4, 1))
	raw(s, painted(4, 8, 1))
	wantWrong(t, s.CheckInvariants(), "not merged at 0x4")

	s = setOf(painted(0, 4, 1))
	raw(s, painted(6, 6, 1))
	wantWrong(t, s.CheckInvariants(), "is empty")

	s = setOf(painted(4, 8, 1))
	s.span++
	wantWrong(t, s.CheckInvariants(), "Span 5")
}

func TestBrokenTilesAreSeen(t *testing.T) {
	fresh := func() (*toneSet, toneTile, toneTile) {
		s := &toneSet{full: 4}
		for k := range uint64(6) {
			s.Insert(r(k*10, k*10+5), tone{1, k})
		}
		first, _ := s.tree.Min()
		return s, first, s.tileOf(first.End)
	}
	s, first, _ := fresh()
	s.tree.Delete(first)
	s.n, s.span = s.n-len(first.entries), s.span-5*uint64(len(first.entries))
	wantWrong(t, s.CheckInvariants(), "follows one that ends at 0x0")

	s, _, second := fresh()
	s.span -= 5 * uint64(len(second.entries))
	s.n -= len(second.entries)
	second.entries = nil
	wantWrong(t, s.CheckInvariants(), "a run of 0")

	s, _, _ = fresh()
	s.full = 1
	wantWrong(t, s.CheckInvariants(), "has a run of")

	s, first, second = fresh()
	s.tree.Delete(first)
	s.tree.Delete(second)
	first.End, second.Start = first.End+1, second.Start+1
	s.store(first)
	s.store(second)
	wantWrong(t, s.CheckInvariants(), "has entries from")

	s, first, _ = fresh()
	s.lowest.run = &run[uint64, tone]{entries: first.entries}
	wantWrong(t, s.CheckInvariants(), "but [0x0, ")

	s, _, second = fresh()
	s.recent = second
	s.recent.run = &run[uint64, tone]{entries: second.entries}
	wantWrong(t, s.CheckInvariants(), "is kept, but the tree has that of")

	s, _, _ = fresh()
	last, _ := s.tree.Max()
	s.tree.Delete(last)
	last.End = 1000
	s.tree.ReplaceOrInsert(last)
	wantWrong(t, s.CheckInvariants(), "the last tile ends at 0x3e8")
}

func TestBrokenGapIndexesAreSeen(t *testing.T) {
	fresh := func() *GapIndex[uint64] {
		g := new(GapIndex[uint64])
		for k := uint64(0); k < 70; k += 10 {
			g.Free(r(k, k+5))
		}
		return g
	}
	g := fresh()
	g.root.Range.End = g.root.right.Start + 30
	wantWrong(t, g.CheckInvariants(), "touches or precedes")

	g = fresh()
	g.root.longest++
	wantWrong(t, g.CheckInvariants(), "longest 6")

	g = fresh()
	g.root.left = nil
	g.root.sum()
	wantWrong(t, g.CheckInvariants(), "differ in height")

	g = fresh()
	g.root.right.right.height++
	wantWrong(t, g.CheckInvariants(), "height")
}
