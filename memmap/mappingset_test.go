package memmap

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// space records what it is told to invalidate.
type space struct {
	name        string
	invalidated []AddrRange
	private     bool
}

func (s *space) Invalidate(ar AddrRange, private bool) {
	s.invalidated = append(s.invalidated, ar)
	s.private = private
}

// pages returns n pages from page first on.
func pages(first, n int) (r AddrRange) {
	return AddrRange{Start: Addr(first) * PageSize, End: Addr(first+n) * PageSize}
}

func offsets(first, n int) MappableRange {
	return MappableRange{Start: MappableOffset(first) * PageSize, End: MappableOffset(first+n) * PageSize}
}

func off(page int) MappableOffset { return MappableOffset(page) * PageSize }

func wantRanges(t *testing.T, what string, got []MappableRange, want ...MappableRange) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestMappingSetReportsFirstAndLastUse(t *testing.T) {
	var m MappingSet
	a, b := &space{name: "a"}, &space{name: "b"}
	wantRanges(t, "first", m.AddMapping(a, pages(100, 4), off(0), true), offsets(0, 4))
	wantRanges(t, "around it", m.AddMapping(b, pages(200, 8), off(0), false), offsets(4, 4))
	wantRanges(t, "inside", m.AddMapping(a, pages(300, 2), off(1), false))
	wantRanges(t, "over a hole", m.AddMapping(b, pages(400, 6), off(6), false), offsets(8, 4))

	wantRanges(t, "a part still mapped", m.RemoveMapping(b, pages(202, 4), off(2), false), offsets(4, 2))
	wantRanges(t, "the first, in part", m.RemoveMapping(a, pages(100, 3), off(0), true))
	wantRanges(t, "the first, the rest", m.RemoveMapping(a, pages(103, 1), off(3), true), offsets(3, 1))
	wantRanges(t, "the inner", m.RemoveMapping(a, pages(300, 2), off(1), false), offsets(2, 1))
	wantRanges(t, "b's head", m.RemoveMapping(b, pages(200, 2), off(0), false), offsets(0, 2))
	wantRanges(t, "b's tail", m.RemoveMapping(b, pages(206, 2), off(6), false))
	if m.IsEmpty() {
		t.Error("empty too early")
	}
	wantRanges(t, "the last", m.RemoveMapping(b, pages(400, 6), off(6), false), offsets(6, 6))
	if !m.IsEmpty() {
		t.Error("not empty at the end")
	}
}

func TestMappingSetMergesWhatGoesOn(t *testing.T) {
	var m MappingSet
	a, b := &space{name: "a"}, &space{name: "b"}
	m.AddMapping(a, pages(100, 2), off(0), true)
	m.AddMapping(a, pages(102, 2), off(2), true)
	if n := m.mappings.Len(); n != 1 {
		t.Errorf("%d ranges for one mapping in two pieces", n)
	}
	// The same two mappings, added in the other order for the second half.
	m.AddMapping(b, pages(200, 4), off(0), false)
	m.AddMapping(b, pages(204, 2), off(4), false)
	m.AddMapping(a, pages(104, 2), off(4), true)
	if n := m.mappings.Len(); n != 1 {
		t.Errorf("%d ranges for two mappings in two pieces each", n)
	}
	for _, other := range []struct {
		why      string
		ar       AddrRange
		space    *space
		writable bool
	}{
		{"another place", pages(107, 1), a, true},
		{"another space", pages(106, 1), b, true},
		{"another right", pages(106, 1), a, false},
	} {
		m.AddMapping(b, pages(206, 1), off(6), false)
		m.AddMapping(other.space, other.ar, off(6), other.writable)
		if n := m.mappings.Len(); n != 2 {
			t.Errorf("%s: %d ranges", other.why, n)
		}
		m.RemoveMapping(other.space, other.ar, off(6), other.writable)
		m.RemoveMapping(b, pages(206, 1), off(6), false)
	}
}

func TestMappingSetInvalidatesWhatIsMapped(t *testing.T) {
	var m MappingSet
	a, b := &space{name: "a"}, &space{name: "b"}
	m.AddMapping(a, pages(100, 4), off(10), true)
	m.AddMapping(b, pages(50, 4), off(12), false)
	m.Invalidate(offsets(11, 2), true)
	if want := []AddrRange{pages(101, 1), pages(102, 1)}; !slices.Equal(a.invalidated, want) || !a.private {
		t.Errorf("a was told %v", a.invalidated)
	}
	if want := []AddrRange{pages(50, 1)}; !slices.Equal(b.invalidated, want) {
		t.Errorf("b was told %v", b.invalidated)
	}
	m.Invalidate(offsets(20, 5), false)
	if len(a.invalidated) != 2 || len(b.invalidated) != 1 {
		t.Error("offsets that nobody maps were invalidated")
	}
}

func TestMapped(t *testing.T) {
	var m MappingSet
	a := &space{}
	m.AddMapping(a, pages(100, 2), off(10), false)
	m.AddMapping(a, pages(200, 1), off(11), true)
	for _, c := range []struct {
		mr               MappableRange
		mapped, writable bool
	}{
		{offsets(0, 10), false, false},
		{offsets(10, 1), true, false},
		{offsets(9, 3), true, true},
		{offsets(12, 1), false, false},
	} {
		if mapped, writable := m.Mapped(c.mr); mapped != c.mapped || writable != c.writable {
			t.Errorf("%v: mapped %v, writable %v", c.mr, mapped, writable)
		}
	}
}

func TestMappingSetRefusesWhatItDoesNotHold(t *testing.T) {
	a, b := &space{}, &space{}
	for _, c := range []struct {
		why string
		f   func(*MappingSet)
	}{
		{"another space", func(m *MappingSet) { m.RemoveMapping(b, pages(100, 2), off(0), true) }},
		{"another place", func(m *MappingSet) { m.RemoveMapping(a, pages(101, 1), off(0), true) }},
		{"another right", func(m *MappingSet) { m.RemoveMapping(a, pages(100, 2), off(0), false) }},
		{"too long", func(m *MappingSet) { m.RemoveMapping(a, pages(100, 3), off(0), true) }},
		{"too early", func(m *MappingSet) { m.RemoveMapping(a, pages(99, 3), off(0), true) }},
		{"nothing", func(m *MappingSet) { m.AddMapping(a, pages(100, 0), off(9), true) }},
		{"half a page", func(m *MappingSet) { m.AddMapping(a, pages(100, 1), off(9)+1, true) }},
		{"a wrap", func(m *MappingSet) { m.AddMapping(a, pages(100, 2), off(-1), true) }},
	} {
		t.Run(c.why, func(t *testing.T) {
			var m MappingSet
			m.AddMapping(a, pages(100, 2), off(0), true)
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "memmap: ") {
					t.Errorf("panic is %v", s)
				}
			}()
			c.f(&m)
		})
	}
}

// TestMappingSetAgainstModel keeps, beside the set, a list of mappings page by page.
func TestMappingSetAgainstModel(t *testing.T) {
	type one struct {
		space    *space
		addr     Addr
		writable bool
	}
	type mapping struct {
		space    *space
		ar       AddrRange
		offset   MappableOffset
		writable bool
	}
	rng := rand.New(rand.NewPCG(5, 6))
	spaces := []*space{{name: "a"}, {name: "b"}, {name: "c"}}
	var m MappingSet
	model := map[MappableOffset][]one{}
	var live []mapping

	for step := range 20_000 {
		var got, want []MappableRange
		gather := func(o MappableOffset) {
			if n := len(want); n > 0 && want[n-1].End == o {
				want[n-1].End += PageSize
				return
			}
			want = append(want, MappableRange{Start: o, End: o + PageSize})
		}
		if len(live) < 12 && rng.IntN(2) == 0 {
			add := mapping{spaces[rng.IntN(3)], pages(1000*step, 1+rng.IntN(8)), off(rng.IntN(24)), rng.IntN(2) == 0}
			if n := len(live); n > 0 && rng.IntN(2) == 0 { // go on where another ends
				last := live[rng.IntN(n)]
				add.space, add.writable = last.space, last.writable
				add.offset = last.offset + MappableOffset(last.ar.Length())
				add.ar = AddrRange{Start: last.ar.End, End: last.ar.End + PageSize}
				if slices.ContainsFunc(live, func(o mapping) bool { return o.space == add.space && o.ar.Overlaps(add.ar) }) {
					continue
				}
			}
			got = m.AddMapping(add.space, add.ar, add.offset, add.writable)
			for a, o := add.ar.Start, add.offset; a < add.ar.End; a, o = a+PageSize, o+PageSize {
				if len(model[o]) == 0 {
					gather(o)
				}
				model[o] = append(model[o], one{add.space, a, add.writable})
			}
			live = append(live, add)
		} else if len(live) > 0 {
			i := rng.IntN(len(live))
			gone := live[i]
			// Remove a tail, or all.
			keep := Addr(rng.IntN(int(gone.ar.Length()/PageSize))) * PageSize
			if keep == 0 {
				live = slices.Delete(live, i, i+1)
			} else {
				live[i].ar.End = gone.ar.Start + keep
			}
			gone.ar.Start += keep
			gone.offset += MappableOffset(keep)
			got = m.RemoveMapping(gone.space, gone.ar, gone.offset, gone.writable)
			for a, o := gone.ar.Start, gone.offset; a < gone.ar.End; a, o = a+PageSize, o+PageSize {
				j := slices.Index(model[o], one{gone.space, a, gone.writable})
				model[o] = slices.Delete(model[o], j, j+1)
				if len(model[o]) == 0 {
					gather(o)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("step %d: reported %v, want %v", step, got, want)
		}
		if err := m.mappings.CheckInvariants(); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		mr := offsets(rng.IntN(24), 1+rng.IntN(12))
		seen := map[string]int{}
		m.Each(mr, func(mapping Mapping) bool {
			for a, o := mapping.AR.Start, mapping.MR.Start; o < mapping.MR.End; a, o = a+PageSize, o+PageSize {
				seen[fmt.Sprint(o, mapping.Space.(*space).name, a, mapping.Writable)]++
			}
			return true
		})
		for o := mr.Start; o < mr.End; o += PageSize {
			for _, one := range model[o] {
				seen[fmt.Sprint(o, one.space.name, one.addr, one.writable)]--
			}
		}
		for what, n := range seen {
			if n != 0 {
				t.Fatalf("step %d: Each saw %s %d times too often", step, what, n)
			}
		}
	}
}
