package segment

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

func r(start, end uint64) Range[uint64] { return Range[uint64]{start, end} }

// painted is a segment of a colour whose base continues all others'.
func painted(start, end uint64, colour int) toneSeg {
	return toneSeg{r(start, end), tone{colour, start}}
}

func setOf(segs ...toneSeg) *toneSet {
	s := new(toneSet)
	for _, seg := range segs {
		s.Insert(seg.Range, seg.Value)
	}
	return s
}

func wantSet(t *testing.T, s *toneSet, want ...toneSeg) {
	t.Helper()
	if err := s.CheckInvariants(); err != nil {
		t.Error(err)
	}
	if got := slices.Collect(s.All()); !slices.Equal(got, want) {
		t.Errorf("set holds %v, want %v", got, want)
	}
}

func TestInsertMergesWhoAgrees(t *testing.T) {
	const a, b = 1, 2
	for _, c := range []struct {
		name       string
		prev, next int // colours of the neighbours, 0: none
		want       []toneSeg
	}{
		{"alone", 0, 0, []toneSeg{painted(4, 8, a)}},
		{"like the one before", a, 0, []toneSeg{painted(0, 8, a)}},
		{"unlike the one before", b, 0, []toneSeg{painted(0, 4, b), painted(4, 8, a)}},
		{"like the one after", 0, a, []toneSeg{painted(4, 12, a)}},
		{"unlike the one after", 0, b, []toneSeg{painted(4, 8, a), painted(8, 12, b)}},
		{"like both", a, a, []toneSeg{painted(0, 12, a)}},
		{"like the first", a, b, []toneSeg{painted(0, 8, a), painted(8, 12, b)}},
		{"like the second", b, a, []toneSeg{painted(0, 4, b), painted(4, 12, a)}},
		{"unlike both", b, b, []toneSeg{painted(0, 4, b), painted(4, 8, a), painted(8, 12, b)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := new(toneSet)
			if c.prev != 0 {
				s.Insert(r(0, 4), tone{c.prev, 0})
			}
			if c.next != 0 {
				s.Insert(r(8, 12), tone{c.next, 8})
			}
			got := s.Insert(r(4, 8), tone{a, 4})
			wantSet(t, s, c.want...)
			if !slices.Contains(c.want, got) || !got.IsSupersetOf(r(4, 8)) {
				t.Errorf("Insert returned %v", got)
			}
		})
	}
}

func TestNeighboursThatDoNotTouchStayApart(t *testing.T) {
	s := setOf(painted(0, 4, 1), painted(5, 8, 1))
	wantSet(t, s, painted(0, 4, 1), painted(5, 8, 1))
}

func TestInsertRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		r    Range[uint64]
	}{
		{"an empty range", r(20, 20)},
		{"the same range", r(4, 8)},
		{"an overlap at the start", r(3, 5)},
		{"an overlap at the end", r(7, 9)},
		{"a range inside", r(5, 6)},
		{"a range around", r(3, 9)},
		{"a range that also touches one before", r(2, 5)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := setOf(painted(0, 2, 1), painted(4, 8, 1), painted(12, 14, 1))
			defer func() {
				if got, ok := recover().(string); !ok || !strings.HasPrefix(got, "segment: insert of ") {
					t.Errorf("panic is %v", got)
				}
				wantSet(t, s, painted(0, 2, 1), painted(4, 8, 1), painted(12, 14, 1))
			}()
			s.Insert(c.r, tone{1, c.r.Start})
		})
	}
}

func TestCutMatrix(t *testing.T) {
	whole := []toneSeg{painted(0, 4, 1), painted(4, 8, 2), painted(10, 14, 1)}
	for _, c := range []struct {
		name      string
		r         Range[uint64]
		cut, left []toneSeg
	}{
		{"nothing", r(8, 10), nil, whole},
		{"an empty range inside a segment", r(2, 2), nil, whole},
		{"one segment", r(4, 8), []toneSeg{painted(4, 8, 2)}, []toneSeg{painted(0, 4, 1), painted(10, 14, 1)}},
		{"a head", r(3, 6), []toneSeg{painted(3, 4, 1), painted(4, 6, 2)},
			[]toneSeg{painted(0, 3, 1), painted(6, 8, 2), painted(10, 14, 1)}},
		{"a middle", r(1, 3), []toneSeg{painted(1, 3, 1)},
			[]toneSeg{painted(0, 1, 1), painted(3, 4, 1), painted(4, 8, 2), painted(10, 14, 1)}},
		{"over a gap", r(6, 11), []toneSeg{painted(6, 8, 2), painted(10, 11, 1)},
			[]toneSeg{painted(0, 4, 1), painted(4, 6, 2), painted(11, 14, 1)}},
		{"the middle one and parts of the others", r(2, 12),
			[]toneSeg{painted(2, 4, 1), painted(4, 8, 2), painted(10, 12, 1)},
			[]toneSeg{painted(0, 2, 1), painted(12, 14, 1)}},
		{"everything", r(0, math.MaxUint64), whole, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := setOf(whole...)
			if got := s.Cut(c.r, nil); !slices.Equal(got, c.cut) {
				t.Errorf("cut %v, want %v", got, c.cut)
			}
			wantSet(t, s, c.left...)
		})
	}
}

func TestUpdateMatrix(t *testing.T) {
	for _, c := range []struct {
		name string
		r    Range[uint64]
		to   int
		want []toneSeg
	}{
		{"a hole", r(8, 10), 3, []toneSeg{painted(0, 4, 1), painted(4, 8, 2), painted(10, 14, 1)}},
		{"the middle of one", r(5, 6), 3, []toneSeg{painted(0, 4, 1), painted(4, 5, 2), painted(5, 6, 3), painted(6, 8, 2), painted(10, 14, 1)}},
		{"to what it is", r(5, 6), 2, []toneSeg{painted(0, 4, 1), painted(4, 8, 2), painted(10, 14, 1)}},
		{"a head like the one before", r(4, 6), 1, []toneSeg{painted(0, 6, 1), painted(6, 8, 2), painted(10, 14, 1)}},
		{"a whole like the one before", r(4, 8), 1, []toneSeg{painted(0, 8, 1), painted(10, 14, 1)}},
		{"a tail like the one after", r(2, 4), 2, []toneSeg{painted(0, 2, 1), painted(2, 8, 2), painted(10, 14, 1)}},
		{"two halves to one", r(2, 6), 3, []toneSeg{painted(0, 2, 1), painted(2, 6, 3), painted(6, 8, 2), painted(10, 14, 1)}},
		{"all, but the gap stays", r(0, 20), 3, []toneSeg{painted(0, 8, 3), painted(10, 14, 3)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := setOf(painted(0, 4, 1), painted(4, 8, 2), painted(10, 14, 1))
			s.Update(c.r, func(_ Range[uint64], v tone) tone { v.colour = c.to; return v })
			wantSet(t, s, c.want...)
		})
	}
}

func TestUpdateFillsInBetweenLikeNeighbours(t *testing.T) {
	s := setOf(painted(0, 4, 1), painted(4, 8, 2), painted(8, 12, 1))
	s.Update(r(4, 8), func(_ Range[uint64], v tone) tone { v.colour = 1; return v })
	wantSet(t, s, painted(0, 12, 1))
}

func TestUpdateSeesTheSetAsItWas(t *testing.T) {
	s := setOf(painted(0, 4, 1), painted(4, 8, 2))
	s.Update(r(2, 6), func(_ Range[uint64], v tone) tone {
		wantSet(t, s, painted(0, 4, 1), painted(4, 8, 2))
		v.colour = 3
		return v
	})
}

func TestCloneAndOriginalPart(t *testing.T) {
	s := setOf(painted(0, 4, 1), painted(4, 8, 2))
	c := s.Clone()
	s.Cut(r(1, 2), nil)
	c.Insert(r(8, 9), tone{2, 8})
	wantSet(t, s, painted(0, 1, 1), painted(2, 4, 1), painted(4, 8, 2))
	wantSet(t, &c, painted(0, 4, 1), painted(4, 9, 2))
	s.Clear()
	wantSet(t, s)
	if c.Span() != 9 || s.Span() != 0 || !s.IsEmpty() {
		t.Errorf("spans %d and %d", c.Span(), s.Span())
	}
}

func TestIteratorsStopWhenAsked(t *testing.T) {
	s := setOf(painted(0, 1, 1), painted(2, 3, 1), painted(4, 5, 1))
	n := 0
	for range s.All() {
		n++
		break
	}
	for range s.In(r(0, 5)) {
		n++
		break
	}
	for range s.Backward(r(0, 5)) {
		n++
		break
	}
	for range s.Gaps(r(0, 9)) {
		n++
		break
	}
	if n != 4 {
		t.Errorf("%d steps, want 4", n)
	}
}

// TestTheZeroSet asks an empty set everything.
func TestTheZeroSet(t *testing.T) {
	p := newPair(0)
	p.check(t, 3, r(2, 5))
	p.cut(t, r(0, 10))
	p.update(t, r(0, 10), 1)
	c := p.clone()
	c.check(t, 0, r(0, 0))
	c.insert(t, r(1, 2), tone{1, 0})
	p.check(t, 1, r(0, 4))
}

func TestTheHighestKeys(t *testing.T) {
	const top = math.MaxUint64
	s := setOf(toneSeg{r(top-4, top), tone{1, 0}})
	if _, ok := s.Find(top); ok {
		t.Error("the last key is found")
	}
	if _, ok := s.LowerBound(top); ok {
		t.Error("there is something at or after the last key")
	}
	if seg, ok := s.UpperBound(top); !ok || seg.Range != r(top-4, top) {
		t.Errorf("UpperBound(top) = %v", seg)
	}
	if seg, ok := s.Find(top - 1); !ok || seg.Start != top-4 {
		t.Errorf("Find(top-1) = %v", seg)
	}
	if got := s.Cut(r(top-2, top), nil); len(got) != 1 || s.Span() != 2 {
		t.Errorf("cut %v, span %d", got, s.Span())
	}
}

// TestHotPathsDoNotAllocate keeps what every fault and system call does off the heap.
func TestHotPathsDoNotAllocate(t *testing.T) {
	s := pages(1000)
	at := uint64(500 * 8 * page)
	var into []Segment[uint64, mapping]
	seen := 0
	for _, c := range []struct {
		name string
		most float64
		f    func()
	}{
		{"Find", 0, func() { s.Find(at) }},
		{"LowerBound", 0, func() { s.LowerBound(at) }},
		{"UpperBound", 0, func() { s.UpperBound(at) }},
		{"In", 0, func() {
			for seg := range s.In(r(at, at+page)) {
				seen += seg.Value.colour
			}
		}},
		{"Gaps", 0, func() {
			for gap := range s.Gaps(r(at, at+8*page)) {
				seen += int(gap.Length())
			}
		}},
		{"Cut and Insert", 1, func() {
			into = s.Cut(r(at, at+4*page), into[:0])
			s.Insert(into[0].Range, into[0].Value)
		}},
		{"Update", 1, func() {
			s.Update(r(at, at+4*page), func(_ Range[uint64], m mapping) mapping { return m })
		}},
	} {
		if got := testing.AllocsPerRun(100, c.f); got > c.most {
			t.Errorf("%s allocates %v times, want at most %v", c.name, got, c.most)
		}
	}
}

func TestRange(t *testing.T) {
	if got := r(0x1000, 0x2000).String(); got != "[0x1000, 0x2000)" {
		t.Errorf("String = %q", got)
	}
	for _, c := range []struct {
		a, b      Range[uint64]
		overlaps  bool
		intersect uint64
	}{
		{r(0, 4), r(4, 8), false, 0},
		{r(0, 5), r(4, 8), true, 1},
		{r(4, 8), r(0, 5), true, 1},
		{r(5, 6), r(4, 8), true, 1},
		{r(9, 12), r(4, 8), false, 0},
		{r(5, 5), r(4, 8), true, 0},  // strictly inside
		{r(4, 4), r(4, 8), false, 0}, // at the start
		{r(8, 8), r(4, 8), false, 0},
	} {
		if got := c.a.Overlaps(c.b); got != c.overlaps {
			t.Errorf("%v overlaps %v: %v", c.a, c.b, got)
		}
		if got := c.a.Intersect(c.b); !got.WellFormed() || got.Length() != c.intersect {
			t.Errorf("%v ∩ %v = %v", c.a, c.b, got)
		}
	}
	if !r(1, 4).IsSupersetOf(r(1, 4)) || r(1, 4).IsSupersetOf(r(1, 5)) || r(1, 4).IsSupersetOf(r(0, 2)) {
		t.Error("IsSupersetOf is wrong")
	}
	if r(1, 4).CanSplitAt(1) || !r(1, 4).CanSplitAt(2) || r(1, 4).CanSplitAt(4) {
		t.Error("CanSplitAt is wrong")
	}
	if !r(1, 4).Contains(1) || r(1, 4).Contains(4) || !r(4, 4).IsEmpty() || r(4, 1).WellFormed() {
		t.Error("Contains, IsEmpty or WellFormed is wrong")
	}
}

// TestClonesMayChangeAtTheSameTime is what processes do after a fork; it means
// something under the race detector.
func TestClonesMayChangeAtTheSameTime(t *testing.T) {
	var set toneSet
	var index GapIndex[uint64]
	for k := uint64(0); k < 4000; k += 4 {
		set.Insert(r(k, k+2), tone{1, k})
		index.Free(r(k, k+2))
	}
	var all sync.WaitGroup
	for colour := range 4 {
		s, g := set.Clone(), index.Clone()
		all.Go(func() {
			for k := uint64(0); k < 4000; k += 4 {
				s.Update(r(k, k+1), func(_ Range[uint64], v tone) tone { v.colour += colour; return v })
				s.Cut(r(k, k+1), nil)
				g.Take(r(k, k+1))
			}
			if s.Len() != 1000 || s.Span() != 1000 || g.Largest() != 1 {
				t.Errorf("a clone holds %d segments of %d keys, largest gap %d", s.Len(), s.Span(), g.Largest())
			}
		})
	}
	all.Wait()
	if set.Span() != 2000 || index.Largest() != 2 {
		t.Errorf("the original holds %d keys, largest gap %d", set.Span(), index.Largest())
	}
}

// greedy is a value of which one kind takes in whatever follows, and the other only its like.
type greedy bool

func (g greedy) Merge(_, _ Range[uint64], next greedy) bool { return bool(g) || !bool(next) }
func (g greedy) Split(_ Range[uint64], _ uint64) greedy     { return g }

// What is taken in no longer keeps apart what lies around it.
func TestMergesGoOn(t *testing.T) {
	for _, full := range []int{0, 4} {
		s := &Set[uint64, greedy]{full: full}
		for k := uint64(4); k < 40; k += 4 {
			s.Insert(r(k, k+2), false)
			s.Insert(r(k+2, k+4), true)
		}
		if s.Len() != 2 { // the first, and all that the second took in
			t.Fatalf("%d segments", s.Len())
		}
		s.Insert(r(2, 4), true)
		if s.Len() != 1 || s.CheckInvariants() != nil {
			t.Errorf("after an insertion: %d segments, %v", s.Len(), s.CheckInvariants())
		}
		s.Cut(r(2, 4), nil)
		s.Update(r(4, 6), func(Range[uint64], greedy) greedy { return false })
		s.Update(r(5, 6), func(Range[uint64], greedy) greedy { return true })
		if s.Len() != 2 || s.CheckInvariants() != nil {
			t.Errorf("after an update: %d segments, %v", s.Len(), s.CheckInvariants())
		}
	}
}
