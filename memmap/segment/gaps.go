package segment

// GapIndex keeps free ranges ordered by place and answers, in O(log n), where
// the lowest or highest one is that has room for n keys. It stands beside a Set
// whose owner reports what becomes free and what is taken.
type GapIndex[K Key] struct {
	_ [0]func(K)
}

// Free adds r, which must not overlap a range already free; it joins neighbours.
func (g *GapIndex[K]) Free(r Range[K]) { panic("segment: unwritten") }

// Take removes r, all of which must be free.
func (g *GapIndex[K]) Take(r Range[K]) { panic("segment: unwritten") }

// Highest returns the highest free range whose intersection with bounds holds at
// least n keys, already clipped to bounds.
func (g *GapIndex[K]) Highest(bounds Range[K], n uint64) (Range[K], bool) {
	panic("segment: unwritten")
}

// Lowest is Highest's mirror.
func (g *GapIndex[K]) Lowest(bounds Range[K], n uint64) (Range[K], bool) {
	panic("segment: unwritten")
}

// Largest returns the length of the largest free range.
func (g *GapIndex[K]) Largest() uint64 { panic("segment: unwritten") }
