package segment

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// tone is a value that merges with its like. base runs with the keys, as a vma's
// offset does, so that a wrong Split or Merge shows.
type tone struct {
	colour int
	base   uint64 // belongs to the first key of the segment
}

func (t tone) Merge(a, b Range[uint64], next tone) bool {
	if a.End != b.Start {
		panic(fmt.Sprintf("merge of %v and %v, which do not touch", a, b))
	}
	return t.colour == next.colour && t.base+a.Length() == next.base
}

func (t tone) Split(r Range[uint64], at uint64) tone {
	if !r.CanSplitAt(at) {
		panic(fmt.Sprintf("split of %v at %#x", r, at))
	}
	return tone{t.colour, t.base + at - r.Start}
}

type (
	toneSet  = Set[uint64, tone]
	toneSeg  = Segment[uint64, tone]
	toneTile = tile[uint64, tone]
)

// keys is the model: a value for each key.
type keys map[uint64]tone

func (m keys) set(r Range[uint64], v tone) {
	for k := r.Start; k < r.End; k++ {
		m[k] = tone{v.colour, v.base + k - r.Start}
	}
}

// segments returns what a set that holds the same must hold in r, maximally merged.
func (m keys) segments() []toneSeg {
	ks := make([]uint64, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	var segs []toneSeg
	for _, k := range ks {
		v := m[k]
		if n := len(segs); n > 0 {
			last := &segs[n-1]
			if last.End == k && last.Value.colour == v.colour && last.Value.base+last.Length() == v.base {
				last.End++
				continue
			}
		}
		segs = append(segs, toneSeg{Range[uint64]{k, k + 1}, v})
	}
	return segs
}

// clipped returns what of segs overlaps r, clipped to it.
func clipped(segs []toneSeg, r Range[uint64]) []toneSeg {
	var out []toneSeg
	for _, seg := range overlapping(segs, r) {
		part := seg.Intersect(r)
		out = append(out, toneSeg{part, tone{seg.Value.colour, seg.Value.base + part.Start - seg.Start}})
	}
	return out
}

func overlapping(segs []toneSeg, r Range[uint64]) []toneSeg {
	var out []toneSeg
	for _, seg := range segs {
		if !r.IsEmpty() && seg.Overlaps(r) {
			out = append(out, seg)
		}
	}
	return out
}

// pair is a set and its model.
type pair struct {
	set   toneSet
	model keys
}

// newPair returns an empty set with runs of full entries at most, and its model.
func newPair(full int) *pair { return &pair{set: toneSet{full: full}, model: keys{}} }

func (p *pair) clone() *pair {
	c := &pair{set: p.set.Clone(), model: keys{}}
	for k, v := range p.model {
		c.model[k] = v
	}
	return c
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

func (p *pair) insert(t failer, r Range[uint64], v tone) {
	t.Helper()
	got := p.set.Insert(r, v)
	p.model.set(r, v)
	if !got.IsSupersetOf(r) {
		t.Fatalf("Insert(%v) returned %v", r, got)
	}
	if found, ok := p.set.Find(r.Start); !ok || found != got {
		t.Fatalf("Insert(%v) returned %v, but Find sees %v", r, got, found)
	}
}

func (p *pair) cut(t failer, r Range[uint64]) {
	t.Helper()
	want := clipped(p.model.segments(), r)
	mark := toneSeg{Range[uint64]{1, 2}, tone{-1, 0}}
	got := p.set.Cut(r, []toneSeg{mark})
	if got[0] != mark || !slices.Equal(got[1:], want) {
		t.Fatalf("Cut(%v) = %v, want %v", r, got[1:], want)
	}
	for _, seg := range want {
		for k := seg.Start; k < seg.End; k++ {
			delete(p.model, k)
		}
	}
}

func (p *pair) update(t failer, r Range[uint64], colour int) {
	t.Helper()
	want := clipped(p.model.segments(), r)
	var seen []toneSeg
	p.set.Update(r, func(r Range[uint64], v tone) tone {
		seen = append(seen, toneSeg{r, v})
		v.colour = colour
		return v
	})
	if !slices.Equal(seen, want) {
		t.Fatalf("Update(%v) visited %v, want %v", r, seen, want)
	}
	for _, seg := range want {
		seg.Value.colour = colour
		p.model.set(seg.Range, seg.Value)
	}
}

// check compares everything that the set can be asked with the model.
func (p *pair) check(t failer, k uint64, r Range[uint64]) {
	t.Helper()
	if err := p.set.CheckInvariants(); err != nil {
		t.Fatalf("%v", err)
	}
	segs := p.model.segments()
	if got := slices.Collect(p.set.All()); !slices.Equal(got, segs) {
		t.Fatalf("set holds %v, want %v", got, segs)
	}
	in := overlapping(segs, r)
	if got := slices.Collect(p.set.In(r)); !slices.Equal(got, in) {
		t.Fatalf("In(%v) = %v, want %v", r, got, in)
	}
	back := slices.Collect(p.set.Backward(r))
	slices.Reverse(back)
	if !slices.Equal(back, in) {
		t.Fatalf("Backward(%v), reversed = %v, want %v", r, back, in)
	}
	covered, gaps := gapsOf(in, r)
	if got := slices.Collect(p.set.Gaps(r)); !slices.Equal(got, gaps) {
		t.Fatalf("Gaps(%v) = %v, want %v", r, got, gaps)
	}
	if p.set.SpanIn(r) != covered || p.set.Overlaps(r) != (covered > 0) || p.set.Covers(r) != (covered == r.Length()) {
		t.Fatalf("%v holds %d keys; SpanIn %d Overlaps %v Covers %v", r, covered,
			p.set.SpanIn(r), p.set.Overlaps(r), p.set.Covers(r))
	}
	p.checkPoint(t, segs, k)
}

func gapsOf(in []toneSeg, r Range[uint64]) (covered uint64, gaps []Range[uint64]) {
	from := r.Start
	for _, seg := range in {
		covered += seg.Intersect(r).Length()
		if from < seg.Start {
			gaps = append(gaps, Range[uint64]{from, seg.Start})
		}
		from = seg.End
	}
	if from < r.End {
		gaps = append(gaps, Range[uint64]{from, r.End})
	}
	return covered, gaps
}

func (p *pair) checkPoint(t failer, segs []toneSeg, k uint64) {
	t.Helper()
	at, found := slices.BinarySearchFunc(segs, k, func(seg toneSeg, k uint64) int {
		switch {
		case seg.Contains(k):
			return 0
		case seg.End <= k:
			return -1
		}
		return cmp.Compare(seg.Start, k)
	})
	nth := func(i int) (toneSeg, bool) {
		if i < 0 || i >= len(segs) {
			return toneSeg{}, false
		}
		return segs[i], true
	}
	same := func(what string, got toneSeg, ok bool, i int) {
		if want, wantOK := nth(i); got != want || ok != wantOK {
			t.Fatalf("%s(%#x) = %v %v, want %v %v", what, k, got, ok, want, wantOK)
		}
	}
	seg, ok := p.set.Find(k)
	if found {
		same("Find", seg, ok, at)
	} else {
		same("Find", seg, ok, -1)
	}
	seg, ok = p.set.LowerBound(k)
	same("LowerBound", seg, ok, at)
	if !found {
		at--
	}
	seg, ok = p.set.UpperBound(k)
	same("UpperBound", seg, ok, at)
	seg, ok = p.set.First()
	same("First", seg, ok, 0)
	seg, ok = p.set.Last()
	same("Last", seg, ok, len(segs)-1)
}

// TestSetAgainstModel plays random operations on a set and a map from keys to values;
// now and then it goes on with a clone and sees that the original stays as it was.
func TestSetAgainstModel(t *testing.T) {
	for _, full := range []int{0, 4, 9} {
		t.Run(fmt.Sprint("runs of ", full), func(t *testing.T) { playAgainstModel(t, full) })
	}
}

func playAgainstModel(t *testing.T, full int) {
	const top = 96
	rng := rand.New(rand.NewPCG(1, 2))
	p := newPair(full)
	var left *pair
	for i := range 50_000 {
		start := rng.Uint64N(top)
		r := Range[uint64]{start, min(top, start+rng.Uint64N(12))}
		switch op := rng.IntN(10); {
		case op < 5 && !r.IsEmpty() && !p.set.Overlaps(r):
			base := r.Start // half of them continue each other
			if rng.IntN(2) == 0 {
				base = rng.Uint64N(top)
			}
			p.insert(t, r, tone{rng.IntN(2), base})
		case op < 8:
			p.update(t, r, rng.IntN(2))
		default:
			p.cut(t, r)
		}
		if i%1000 == 0 {
			if left != nil {
				left.check(t, start, r)
			}
			left = p
			p = p.clone()
		}
		probe := rng.Uint64N(top)
		p.check(t, probe, Range[uint64]{probe, probe + rng.Uint64N(20)})
	}
}

// TestSetRapid is the same with shrinking.
func TestSetRapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPair(4)
		aRange := func(t *rapid.T) Range[uint64] {
			start := rapid.Uint64Range(0, 40).Draw(t, "start")
			return Range[uint64]{start, start + rapid.Uint64Range(0, 8).Draw(t, "length")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				r, colour := aRange(t), rapid.IntRange(0, 1).Draw(t, "colour")
				if !r.IsEmpty() && !p.set.Overlaps(r) {
					p.insert(t, r, tone{colour, r.Start})
				}
			},
			"cut":    func(t *rapid.T) { p.cut(t, aRange(t)) },
			"update": func(t *rapid.T) { p.update(t, aRange(t), rapid.IntRange(0, 1).Draw(t, "colour")) },
			"":       func(t *rapid.T) { p.check(t, rapid.Uint64Range(0, 50).Draw(t, "probe"), aRange(t)) },
		})
	})
}
