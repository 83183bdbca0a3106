package segment

import (
	"fmt"
	"testing"
)

// mapping has the size of a vma's value, and alternate ones do not merge.
type mapping struct {
	a, b   any
	base   uint64
	colour int
	_      [6]uint64
}

func (m mapping) Merge(a, b Range[uint64], next mapping) bool {
	return m.colour == next.colour && m.base+a.Length() == next.base && m.a == next.a && m.b == next.b
}

func (m mapping) Split(r Range[uint64], at uint64) mapping {
	m.base += at - r.Start
	return m
}

const page = 4096

// pages is a set of n segments of four pages, with a gap of four between them.
func pages(n int) *Set[uint64, mapping] {
	s := new(Set[uint64, mapping])
	for i := range uint64(n) {
		s.Insert(Range[uint64]{i * 8 * page, (i*8 + 4) * page}, mapping{base: i * 8 * page, colour: int(i % 2)})
	}
	return s
}

var sizes = []int{10, 1000, 60000}

// each runs f for every size, with a stride of keys that visits the set all over.
func each(b *testing.B, f func(b *testing.B, s *Set[uint64, mapping], start func(i int) uint64)) {
	for _, n := range sizes {
		b.Run(fmt.Sprint("N=", n), func(b *testing.B) {
			s := pages(n)
			b.ReportAllocs()
			f(b, s, func(i int) uint64 { return uint64(i*7919%n) * 8 * page })
		})
	}
}

func BenchmarkFind(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], start func(int) uint64) {
		for i := 0; b.Loop(); i++ {
			if _, ok := s.Find(start(i) + page); !ok {
				b.Fatal("not found")
			}
		}
	})
}

func BenchmarkLowerBound(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], start func(int) uint64) {
		for i := 0; b.Loop(); i++ {
			if _, ok := s.LowerBound(start(i) + page); !ok {
				b.Fatal("not found")
			}
		}
	})
}

func BenchmarkInPage(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], start func(int) uint64) {
		seen := 0
		for i := 0; b.Loop(); i++ {
			for seg := range s.In(Range[uint64]{start(i), start(i) + page}) {
				seen += seg.Value.colour
			}
		}
	})
}

func BenchmarkInsertCut(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], start func(int) uint64) {
		var into []Segment[uint64, mapping]
		for i := 0; b.Loop(); i++ {
			at := start(i) + 5*page
			s.Insert(Range[uint64]{at, at + page}, mapping{colour: 2})
			into = s.Cut(Range[uint64]{at, at + page}, into[:0])
		}
	})
}

func BenchmarkUpdateOnePageAndBack(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], start func(int) uint64) {
		colour := 0
		paint := func(_ Range[uint64], m mapping) mapping { m.colour = colour; return m }
		for i := 0; b.Loop(); i++ {
			at := start(i) + page
			seg, _ := s.Find(at)
			colour = 2
			s.Update(Range[uint64]{at, at + page}, paint)
			colour = seg.Value.colour
			s.Update(Range[uint64]{at, at + page}, paint)
		}
	})
}

func BenchmarkUpdateAll(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], _ func(int) uint64) {
		n := uint64(s.Len())
		for b.Loop() {
			s.Update(Range[uint64]{0, n * 8 * page}, func(_ Range[uint64], m mapping) mapping { return m })
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/segment")
	})
}

func BenchmarkAll(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], _ func(int) uint64) {
		sum := uint64(0)
		for b.Loop() {
			for seg := range s.All() {
				sum += seg.Length()
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.Len()), "ns/segment")
	})
}

func BenchmarkClone(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], _ func(int) uint64) {
		for b.Loop() {
			_ = s.Clone()
		}
	})
}

// BenchmarkCloneAndTouch is a clone and one change in each of the two sets.
func BenchmarkCloneAndTouch(b *testing.B) {
	each(b, func(b *testing.B, s *Set[uint64, mapping], start func(int) uint64) {
		for i := 0; b.Loop(); i++ {
			c := s.Clone()
			at := start(i)
			same := func(_ Range[uint64], m mapping) mapping { return m }
			s.Update(Range[uint64]{at, at + 4*page}, same)
			c.Update(Range[uint64]{at, at + 4*page}, same)
		}
	})
}
