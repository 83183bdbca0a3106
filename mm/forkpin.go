package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// A pinned page is not shared with a child: the next write, by whichever side, would put
// a copy in its place, and whoever pinned it would go on with a page that the parent no
// longer sees. The parent keeps it, writable in place in the generation to come; the
// child gets its copy at once.

// eachPart calls f for the parts of ar, a part of p, that are pinned in place and for
// those that are not.
func (s *sharing) eachPart(p pmaSeg, ar memmap.AddrRange, f func(part memmap.AddrRange, pinned bool)) {
	if p.Value.kind == owned && !s.mm.needCOW(&p.Value) {
		for _, part := range s.mm.pinnedIn(p, ar) {
			if before := (memmap.AddrRange{Start: ar.Start, End: part.Start}); !before.IsEmpty() {
				f(before, false)
			}
			f(part, true)
			ar.Start = part.End
		}
	}
	if !ar.IsEmpty() {
		f(ar, false)
	}
}

// keep has the pinned pages at ar stay the parent's.
func (s *sharing) keep(ar memmap.AddrRange) { s.pinned = append(s.pinned, ar) }

// copyPinned makes the child's copies of pinned pages, in the generation that begins.
// After an error the child has some of them.
//
// Preconditions: the child has its clone of the pmas.
func (s *sharing) copyPinned() error {
	for _, ar := range s.copies {
		s.child.pmas.Cut(ar, nil)
	}
	for _, ar := range s.copies {
		for rest := ar; !rest.IsEmpty(); { // a pin may lie over several pmas
			p, _ := s.mm.pmas.Find(rest.Start)
			part := p.Intersect(rest)
			fr, err := s.child.copyPages(p, part)
			if err != nil {
				if !fr.IsEmpty() {
					s.mm.mem.DecRef(fr)
				}
				return memmap.Refuse("fork", unix.ENOMEM, "no copy of the pinned pages %v: %v", part, err)
			}
			vseg, _ := s.child.vmas.Find(part.Start)
			own := s.child.ownPMA(fr, &vseg.Value)
			own.cause = memmap.COWCopy
			s.child.pmas.Insert(part, own)
			rest.Start = part.End
		}
	}
	return nil
}

// keepPinned takes the parent's pinned pages along into its new generation.
func (s *sharing) keepPinned() {
	for _, ar := range s.pinned {
		s.mm.pmas.Update(ar, func(_ memmap.AddrRange, p pma) pma {
			p.gen = s.mm.gen
			return p
		})
	}
}

// stampCopies says which fork made the child's copies.
func (s *sharing) stampCopies(event uint64) {
	for _, ar := range s.copies {
		s.child.pmas.Update(ar, func(_ memmap.AddrRange, p pma) pma {
			p.event = event
			return p
		})
	}
}
