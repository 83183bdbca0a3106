package segment

import (
	"fmt"
	"iter"
)

// GapIndex keeps free ranges ordered by place and answers, in O(log n), where
// the lowest or highest one is that has room for n keys. It stands beside a Set
// whose owner reports what becomes free and what is taken. The zero GapIndex has
// nothing free and is ready. It is not safe for concurrent use; several readers
// may share it. It is not copied by assignment but by Clone.
//
// It is an AVL tree: google/btree cannot carry the length of the longest range of
// a subtree, by which the search goes.
type GapIndex[K Key] struct {
	_ [0]func(K)

	root *gap[K]
	// owner marks the nodes that no clone can see, which alone are changed in place.
	owner *owner
	// spare is a node to use again: a hole that closes often opens elsewhere.
	spare *gap[K]
}

// owner is an identity; it has a size so that two of them differ.
type owner struct{ _ byte }

// gap is a node: one free range, and no other that touches it.
type gap[K Key] struct {
	Range[K]
	left, right *gap[K]
	owner       *owner
	longest     uint64 // the longest range of this subtree
	height      int    // of this subtree, 1 for a leaf
}

// Free adds r, which must not overlap a range already free; it joins neighbours.
func (g *GapIndex[K]) Free(r Range[K]) {
	if r.IsEmpty() {
		return
	}
	prev, next := g.around(r.Start)
	if prev != nil && prev.End > r.Start || next != nil && next.Start < r.End {
		panic(fmt.Sprintf("segment: part of %v is free already", r))
	}
	below := prev != nil && prev.End == r.Start
	above := next != nil && next.Start == r.End
	switch {
	case below && above:
		joined, gone := Range[K]{prev.Start, next.End}, next.Start
		g.root = g.remove(g.root, gone)
		g.root = g.change(g.root, joined.Start, joined)
	case below:
		g.root = g.change(g.root, prev.Start, Range[K]{prev.Start, r.End})
	case above:
		g.root = g.change(g.root, next.Start, Range[K]{r.Start, next.End})
	default:
		g.root = g.insert(g.root, r)
	}
}

// Take removes r, all of which must be free.
func (g *GapIndex[K]) Take(r Range[K]) {
	if r.IsEmpty() {
		return
	}
	n, _ := g.around(r.Start)
	if n == nil || !n.IsSupersetOf(r) {
		panic(fmt.Sprintf("segment: not all of %v is free", r))
	}
	whole := n.Range
	before, after := Range[K]{whole.Start, r.Start}, Range[K]{r.End, whole.End}
	switch {
	case before.IsEmpty() && after.IsEmpty():
		g.root = g.remove(g.root, whole.Start)
	case before.IsEmpty():
		g.root = g.change(g.root, whole.Start, after)
	case after.IsEmpty():
		g.root = g.change(g.root, whole.Start, before)
	default:
		g.root = g.change(g.root, whole.Start, before)
		g.root = g.insert(g.root, after)
	}
}

// Highest returns the highest free range whose intersection with bounds holds at
// least n keys, already clipped to bounds. n = 0 counts as 1.
func (g *GapIndex[K]) Highest(bounds Range[K], n uint64) (Range[K], bool) {
	return g.root.highest(bounds, max(n, 1))
}

// Lowest is Highest's mirror.
func (g *GapIndex[K]) Lowest(bounds Range[K], n uint64) (Range[K], bool) {
	return g.root.lowest(bounds, max(n, 1))
}

// Largest returns the length of the largest free range.
func (g *GapIndex[K]) Largest() uint64 {
	if g.root == nil {
		return 0
	}
	return g.root.longest
}

// All iterates over the free ranges in ascending order.
func (g *GapIndex[K]) All() iter.Seq[Range[K]] {
	return func(yield func(Range[K]) bool) { g.root.walk(yield) }
}

// Clone returns an index with the same ranges. Both may be changed afterwards;
// nodes are copied as they are first written. Cost O(1). Clone excludes readers
// as a change does.
func (g *GapIndex[K]) Clone() GapIndex[K] {
	g.owner = nil
	return GapIndex[K]{root: g.root}
}

// around returns the last gap that starts at or before k and the first after it,
// nil if there is none.
func (g *GapIndex[K]) around(k K) (at, after *gap[K]) {
	for n := g.root; n != nil; {
		if n.Start <= k {
			at, n = n, n.right
		} else {
			after, n = n, n.left
		}
	}
	return at, after
}

// highest is GapIndex.Highest on a subtree. Below a node that lies inside bounds,
// longest decides alone; so only the paths to the two bounds are tried in vain.
func (n *gap[K]) highest(bounds Range[K], least uint64) (Range[K], bool) {
	if n == nil || n.longest < least {
		return Range[K]{}, false
	}
	if n.Start < bounds.End {
		if r, ok := n.right.highest(bounds, least); ok {
			return r, true
		}
		if r := n.Intersect(bounds); r.Length() >= least {
			return r, true
		}
	}
	if n.Start <= bounds.Start { // all to the left lies below
		return Range[K]{}, false
	}
	return n.left.highest(bounds, least)
}

// lowest is highest's mirror.
func (n *gap[K]) lowest(bounds Range[K], least uint64) (Range[K], bool) {
	if n == nil || n.longest < least {
		return Range[K]{}, false
	}
	if n.End > bounds.Start {
		if r, ok := n.left.lowest(bounds, least); ok {
			return r, true
		}
		if r := n.Intersect(bounds); r.Length() >= least {
			return r, true
		}
	}
	if n.End >= bounds.End {
		return Range[K]{}, false
	}
	return n.right.lowest(bounds, least)
}

func (n *gap[K]) walk(yield func(Range[K]) bool) bool {
	return n == nil || n.left.walk(yield) && yield(n.Range) && n.right.walk(yield)
}

// The functions below return the new root of the subtree that they were given.

// insert adds r, which touches and overlaps nothing.
func (g *GapIndex[K]) insert(n *gap[K], r Range[K]) *gap[K] {
	if n == nil {
		return g.leaf(r)
	}
	n = g.own(n)
	if r.Start < n.Start {
		n.left = g.insert(n.left, r)
	} else {
		n.right = g.insert(n.right, r)
	}
	return g.balance(n)
}

// remove takes out the node that starts at start, which must exist.
func (g *GapIndex[K]) remove(n *gap[K], start K) *gap[K] {
	switch {
	case start < n.Start:
		n = g.own(n)
		n.left = g.remove(n.left, start)
	case start > n.Start:
		n = g.own(n)
		n.right = g.remove(n.right, start)
	case n.left == nil:
		g.drop(n)
		return n.right
	case n.right == nil:
		g.drop(n)
		return n.left
	default: // the next range takes the place of n's
		next := n.right
		for next.left != nil {
			next = next.left
		}
		n = g.own(n)
		n.Range = next.Range
		n.right = g.remove(n.right, next.Start)
	}
	return g.balance(n)
}

// change gives the node that starts at start, which must exist, the range to,
// which keeps its place in the order.
func (g *GapIndex[K]) change(n *gap[K], start K, to Range[K]) *gap[K] {
	n = g.own(n)
	switch {
	case start < n.Start:
		n.left = g.change(n.left, start, to)
	case start > n.Start:
		n.right = g.change(n.right, start, to)
	default:
		n.Range = to
	}
	n.sum()
	return n
}

// leaf returns a node without children.
func (g *GapIndex[K]) leaf(r Range[K]) *gap[K] {
	n := g.spare
	if n == nil {
		n = new(gap[K])
	}
	g.spare = nil
	*n = gap[K]{Range: r, longest: r.Length(), height: 1, owner: g.identity()}
	return n
}

// drop keeps n, which has left the tree but may still be read by the caller, for
// the next leaf, unless a clone may see it.
func (g *GapIndex[K]) drop(n *gap[K]) {
	if n.owner == g.identity() {
		g.spare = n
	}
}

// own returns n, or a copy of it if a clone may see n.
func (g *GapIndex[K]) own(n *gap[K]) *gap[K] {
	me := g.identity()
	if n.owner == me {
		return n
	}
	c := *n
	c.owner = me
	return &c
}

func (g *GapIndex[K]) identity() *owner {
	if g.owner == nil {
		g.owner = new(owner)
	}
	return g.owner
}

// balance restores the AVL rule at n, which is owned and whose subtrees keep it
// and differ in height by at most two, and n's sums.
func (g *GapIndex[K]) balance(n *gap[K]) *gap[K] {
	switch left, right := n.left.tall(), n.right.tall(); {
	case left > right+1:
		if n.left.left.tall() < n.left.right.tall() {
			n.left = g.rotateLeft(g.own(n.left))
		}
		return g.rotateRight(n)
	case right > left+1:
		if n.right.right.tall() < n.right.left.tall() {
			n.right = g.rotateRight(g.own(n.right))
		}
		return g.rotateLeft(n)
	}
	n.sum()
	return n
}

// rotateRight makes n's left child the parent of n, which is owned.
func (g *GapIndex[K]) rotateRight(n *gap[K]) *gap[K] {
	top := g.own(n.left)
	n.left, top.right = top.right, n
	n.sum()
	top.sum()
	return top
}

// rotateLeft is rotateRight's mirror.
func (g *GapIndex[K]) rotateLeft(n *gap[K]) *gap[K] {
	top := g.own(n.right)
	n.right, top.left = top.left, n
	n.sum()
	top.sum()
	return top
}

// sum derives from n's children what n keeps of its subtree.
func (n *gap[K]) sum() {
	n.height = 1 + max(n.left.tall(), n.right.tall())
	n.longest = n.Length()
	if n.left != nil {
		n.longest = max(n.longest, n.left.longest)
	}
	if n.right != nil {
		n.longest = max(n.longest, n.right.longest)
	}
}

func (n *gap[K]) tall() int {
	if n == nil {
		return 0
	}
	return n.height
}
