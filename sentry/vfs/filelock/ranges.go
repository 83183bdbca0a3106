package filelock

import (
	"slices"

	"golang.org/x/sys/unix"
)

// owned returns where in list the locks of l's owner lie: at the end if there are
// none.
func owned(list []held, l *Lock) (from, to int) {
	from = slices.IndexFunc(list, func(h held) bool { return h.sameOwner(l) })
	if from < 0 {
		return len(list), len(list)
	}
	to = from
	for to < len(list) && list[to].sameOwner(l) {
		to++
	}
	return from, to
}

// overlay returns one owner's locks, which are ordered and do not overlap, with
// what n says of its range: neighbours of n's type become one with it, others
// lose what it covers. A lock that is split gets the number behind n's for its
// second part.
func overlay(mine []held, n held) []held {
	out := make([]held, 0, len(mine)+2)
	var behind []held
	for _, h := range mine {
		switch {
		case n.Type == h.Type && touches(&h.Lock, &n.Lock):
			// The older lock goes on, larger.
			n.Start, n.End = min(n.Start, h.Start), max(n.End, h.End)
			n.seq = min(n.seq, h.seq)
		case h.End < n.Start:
			out = append(out, h)
		case h.Start > n.End:
			behind = append(behind, h)
		default:
			left, right := h, h
			if h.Start < n.Start {
				left.End = n.Start - 1
				out = append(out, left)
				right.seq = n.seq + 1
			}
			if h.End > n.End {
				right.Start = n.End + 1
				behind = append(behind, right)
			}
		}
	}
	if n.Type != unix.F_UNLCK {
		out = append(out, n)
	}
	return append(out, behind...)
}

// touches reports whether a and b overlap or are neighbours.
func touches(a, b *Lock) bool {
	return (a.End == EOF || b.Start <= a.End+1) && (b.End == EOF || a.Start <= b.End+1)
}
