// Package segment maps disjoint ranges of integer keys to values: the ordered
// range map under vmas, pmas, page caches and every other thing in mmsh that is
// "this stretch has that property".
//
// range.go is the half-open range itself; set.go the map, run.go how it is stored, change.go and iterate.go
// its methods; gaps.go the index that answers "where is there room for n?";
// check.go what must always hold. The package knows nothing of memory.
package segment

import "fmt"

// Key is any unsigned 64-bit quantity: an address, an offset in a file.
type Key interface{ ~uint64 }

// Range is the half-open interval [Start, End).
type Range[K Key] struct {
	Start, End K
}

// WellFormed reports whether Start does not lie behind End.
func (r Range[K]) WellFormed() bool { return r.Start <= r.End }

// IsEmpty reports whether r holds no key.
func (r Range[K]) IsEmpty() bool { return r.Start >= r.End }

// Length returns the number of keys in r, which must be well formed.
func (r Range[K]) Length() uint64 { return uint64(r.End - r.Start) }

// Contains reports whether k lies in r.
func (r Range[K]) Contains(k K) bool { return r.Start <= k && k < r.End }

// Overlaps reports whether r and o share a key. An empty r overlaps o only if it
// lies strictly inside o.
func (r Range[K]) Overlaps(o Range[K]) bool { return r.Start < o.End && o.Start < r.End }

// IsSupersetOf reports whether o lies within r.
func (r Range[K]) IsSupersetOf(o Range[K]) bool { return r.Start <= o.Start && r.End >= o.End }

// Intersect returns what r and o share; if that is nothing, an empty range
// whose bounds mean nothing.
func (r Range[K]) Intersect(o Range[K]) Range[K] {
	r.Start = max(r.Start, o.Start)
	r.End = max(r.Start, min(r.End, o.End))
	return r
}

// CanSplitAt reports whether k lies strictly inside r.
func (r Range[K]) CanSplitAt(k K) bool { return r.Start < k && k < r.End }

// String prints r as [0x1000, 0x2000).
func (r Range[K]) String() string { return fmt.Sprintf("[%#x, %#x)", uint64(r.Start), uint64(r.End)) }
