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

// raw puts a segment into the tree behind the set's back.
func raw(s *toneSet, seg toneSeg) {
	s.tree.ReplaceOrInsert(entry[uint64, tone]{seg.Range, &seg.Value})
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
