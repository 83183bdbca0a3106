package segment

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// holes is the model of a GapIndex: whether each key is free.
type holes [64]bool

func (h *holes) ranges() []Range[uint64] {
	var free []Range[uint64]
	for k := range uint64(len(h)) {
		switch n := len(free); {
		case !h[k]:
		case n > 0 && free[n-1].End == k:
			free[n-1].End++
		default:
			free = append(free, r(k, k+1))
		}
	}
	return free
}

func (h *holes) set(r Range[uint64], free bool) {
	for k := r.Start; k < r.End; k++ {
		h[k] = free
	}
}

// all reports whether every key of r is free as said.
func (h *holes) all(r Range[uint64], free bool) bool {
	for k := r.Start; k < r.End; k++ {
		if h[k] != free {
			return false
		}
	}
	return true
}

func (h *holes) check(t *testing.T, g *GapIndex[uint64], bounds Range[uint64], n uint64) {
	t.Helper()
	if err := g.CheckInvariants(); err != nil {
		t.Fatal(err)
	}
	free := h.ranges()
	if got := slices.Collect(g.All()); !slices.Equal(got, free) {
		t.Fatalf("free: %v, want %v", got, free)
	}
	var fit []Range[uint64]
	largest := uint64(0)
	for _, r := range free {
		largest = max(largest, r.Length())
		if in := r.Intersect(bounds); !in.IsEmpty() && in.Length() >= n {
			fit = append(fit, in)
		}
	}
	if g.Largest() != largest {
		t.Fatalf("Largest = %d, want %d", g.Largest(), largest)
	}
	low, lowOK := g.Lowest(bounds, n)
	high, highOK := g.Highest(bounds, n)
	if lowOK != (len(fit) > 0) || highOK != lowOK {
		t.Fatalf("%d keys in %v: Lowest %v, Highest %v, want one of %v", n, bounds, lowOK, highOK, fit)
	}
	if lowOK && (low != fit[0] || high != fit[len(fit)-1]) {
		t.Fatalf("%d keys in %v: Lowest %v, Highest %v, want the ends of %v", n, bounds, low, high, fit)
	}
}

// TestGapIndexAgainstModel plays 10^5 random operations, going on with a clone now
// and then, whose original must not change.
func TestGapIndexAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	aRange := func() Range[uint64] {
		start := rng.Uint64N(64)
		return r(start, min(64, start+rng.Uint64N(6)))
	}
	var g, old GapIndex[uint64]
	var h, oldHoles holes
	for step := range 100_000 {
		switch r := aRange(); {
		case h.all(r, false):
			g.Free(r)
			h.set(r, true)
		case h.all(r, true):
			g.Take(r)
			h.set(r, false)
		}
		h.check(t, &g, aRange(), rng.Uint64N(6))
		if step%100 == 0 {
			oldHoles.check(t, &old, aRange(), 2)
			c := g.Clone()
			old, oldHoles = g, h
			g = c
		}
	}
}

// TestGapIndexStaysBalanced frees and takes in the orders that are hardest for a tree.
func TestGapIndexStaysBalanced(t *testing.T) {
	const n = 4000
	var g GapIndex[uint64]
	for i := range uint64(n) {
		g.Free(r(4*i, 4*i+1+i%3))
	}
	if err := g.CheckInvariants(); err != nil {
		t.Fatal(err)
	}
	if g.root.height > 18 { // 1.44 log2 n
		t.Errorf("height is %d", g.root.height)
	}
	for i := uint64(n); i > n/2; i-- {
		g.Take(r(4*(i-1), 4*(i-1)+1+(i-1)%3))
	}
	if err := g.CheckInvariants(); err != nil {
		t.Fatal(err)
	}
}

func TestGapIndexClipsToBounds(t *testing.T) {
	var g GapIndex[uint64]
	for _, free := range []Range[uint64]{r(0, 10), r(20, 24), r(30, 40), r(50, math.MaxUint64)} {
		g.Free(free)
	}
	for _, c := range []struct {
		bounds          Range[uint64]
		n               uint64
		lowest, highest Range[uint64]
		nothing         bool
	}{
		{bounds: r(0, 100), n: 5, lowest: r(0, 10), highest: r(50, 100)},
		{bounds: r(6, 54), n: 5, lowest: r(30, 40), highest: r(30, 40)},
		{bounds: r(6, 54), n: 4, lowest: r(6, 10), highest: r(50, 54)},
		{bounds: r(31, 36), n: 5, lowest: r(31, 36), highest: r(31, 36)},
		{bounds: r(31, 36), n: 6, nothing: true},
		{bounds: r(10, 20), n: 1, nothing: true},
		{bounds: r(10, 20), n: 0, nothing: true},
		{bounds: r(35, 35), n: 0, nothing: true},
		{bounds: r(0, math.MaxUint64), n: math.MaxUint64 - 50, lowest: r(50, math.MaxUint64), highest: r(50, math.MaxUint64)},
	} {
		low, ok := g.Lowest(c.bounds, c.n)
		high, ok2 := g.Highest(c.bounds, c.n)
		if ok == c.nothing || ok2 == c.nothing || low != c.lowest || high != c.highest {
			t.Errorf("%d in %v: lowest %v %v, highest %v %v", c.n, c.bounds, low, ok, high, ok2)
		}
	}
}

func TestGapIndexRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(g *GapIndex[uint64])
	}{
		{"freeing what is free", func(g *GapIndex[uint64]) { g.Free(r(10, 20)) }},
		{"freeing over an end", func(g *GapIndex[uint64]) { g.Free(r(5, 11)) }},
		{"freeing over a start", func(g *GapIndex[uint64]) { g.Free(r(19, 25)) }},
		{"freeing around", func(g *GapIndex[uint64]) { g.Free(r(5, 25)) }},
		{"taking what is not free", func(g *GapIndex[uint64]) { g.Take(r(0, 5)) }},
		{"taking over an end", func(g *GapIndex[uint64]) { g.Take(r(15, 21)) }},
		{"taking over a start", func(g *GapIndex[uint64]) { g.Take(r(9, 12)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var g GapIndex[uint64]
			g.Free(r(10, 20))
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "segment: ") {
					t.Errorf("panic is %v", s)
				}
			}()
			c.f(&g)
		})
	}
}

func TestGapIndexIgnoresEmptyRanges(t *testing.T) {
	var g GapIndex[uint64]
	g.Free(r(5, 5))
	g.Take(r(5, 5))
	if g.Largest() != 0 || g.root != nil {
		t.Error("an empty range was kept")
	}
}

// BenchmarkGapIndexRoom asks for 1 MiB among n holes of 4 KiB, below which there
// is room, and takes and frees what it gets.
func BenchmarkGapIndexRoom(b *testing.B) {
	const mib = 1 << 20
	for _, n := range sizes {
		b.Run(fmt.Sprint("N=", n), func(b *testing.B) {
			var g GapIndex[uint64]
			g.Free(r(0, 16*mib))
			for i := range uint64(n) {
				g.Free(r(16*mib+(2*i+1)*page, 16*mib+(2*i+2)*page))
			}
			all := r(0, math.MaxUint64)
			b.Run("find", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					g.Highest(all, mib)
				}
			})
			b.Run("find+take+free", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					found, _ := g.Highest(all, mib)
					found.Start = found.End - mib
					g.Take(found)
					g.Free(found)
				}
			})
			b.Run("fill+open a hole", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					at := 16*mib + (2*uint64(i*7919%n)+1)*page
					g.Take(r(at, at+page))
					g.Free(r(at, at+page))
				}
			})
			b.Run("clone", func(b *testing.B) {
				for b.Loop() {
					c := g.Clone()
					c.Take(r(0, page))
				}
			})
		})
	}
}
