package mm

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// mayCommit checks that n more bytes may be promised to this process: ENOMEM.
//
// Preconditions: mm.mappingMu is held.
func (mm *MemoryManager) mayCommit(op string, by *Actor, n uint64) error {
	return mm.mem.MayCommit(pgalloc.Claim{Op: op, Bytes: n, Mapped: mm.vmas.Span(), Admin: by.AdminCap})
}

// commit adds n bytes, which may be less than none, to what this process was promised.
//
// Preconditions: mm.mappingMu is held for writing.
func (mm *MemoryManager) commit(n uint64) {
	mm.committed += n
	mm.mem.Commit(int64(n))
}

// committedIn returns the bytes of ar that are accounted for.
func (mm *MemoryManager) committedIn(ar memmap.AddrRange) uint64 {
	if mm.committed == 0 {
		return 0
	}
	n := uint64(0)
	for seg := range mm.vmas.In(ar) {
		if seg.Value.accounted {
			n += seg.Intersect(ar).Length()
		}
	}
	return n
}

// accountable reports whether memory with these attributes is promised when it is made
// or becomes writable: Linux's accountable_mapping.
func accountable(private, write, noReserve bool) bool { return private && write && !noReserve }

// copied is what a fork's child will be promised, in bytes.
type copied struct{ all, largest uint64 }

// add counts v, which has n bytes.
func (p *copied) add(v *vma, n uint64) {
	if v.accounted {
		p.all += n
		p.largest = max(p.largest, n)
	}
}

// mayCopy checks what a child will be promised, mapping by mapping, as Linux's dup_mmap
// does.
func (mm *MemoryManager) mayCopy(by *Actor, p copied) error {
	if p.all == 0 {
		return nil
	}
	if mm.mem.Overcommit().Mode == pgalloc.OvercommitHeuristic { // which adds nothing up
		p.all = p.largest
	}
	return mm.mayCommit("fork", by, p.all)
}
