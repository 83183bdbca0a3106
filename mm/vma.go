package mm

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
)

// vma is what a program asked for at a range of addresses.
type vma struct {
	mappable memmap.Mappable        // nil: private anonymous
	id       memmap.MappingIdentity // nil for a Mappable without a name, and for anonymous memory but that of a device of zeroes

	// off is the offset in mappable of the vma's start. Private anonymous memory
	// has one as well, as in Linux: its address when its first page was written.
	// Moved memory thereby never merges with what was written elsewhere. With an id it
	// starts as the offset that was asked for.
	off memmap.MappableOffset

	perms     memmap.AccessType // as asked
	maxPerms  memmap.AccessType // what mprotect may give; Effective
	private   bool
	growsDown bool // implies mappable == nil
	noReserve bool // MAP_NORESERVE
	flags     vmaFlags
	extends   bool // the new end of the flagCounted mapping before it, which takes it in
	written   bool // see keepWritten; not compared
	guarded   bool // a guard region was installed once (VM_MAYBE_GUARD); not compared
	accounted bool // Linux's VM_ACCOUNT: its bytes are committed; keeps vmas apart
	heap      bool // brk made it: what ends at the heap's start does not join it
	mlock     memmap.MLockMode
	name      string         // instead of id's name
	anonName  string         // "anon:" and what the program calls it, or ""
	uffd      *Userfault     // whom faults concern: with flagMissing, flagProtected; or nil
	tracked   bool           // clear_refs came over it: what is dropped is soft-dirty no more; not compared
	policy    *Policy        // on which nodes; compared by what it says
	origin    *memmap.Origin // never changed once set; not compared
	protected uint64         // the mprotect that gave perms, 0 if none did; not compared
}

// vmaFlags are what programs have said of a mapping. Mappings that differ in them
// do not merge.
type vmaFlags uint16

const (
	flagDontFork   vmaFlags = 1 << iota // children do not get it
	flagWipeOnFork                      // children get it empty
	flagDontDump                        // core dumps leave it out
	flagRandom                          // no readahead is of use
	flagSequential                      // much readahead is
	flagHuge                            // huge pages are wanted
	flagNoHuge                          // huge pages are not wanted
	flagMergeable                       // equal pages may be merged (KSM)
	flagSealed                          // mseal: it stays as it is
	flagCounted                         // its file counts mappings: none goes by merging
	flagMissing                         // a userfaultfd is told of pages that are missing
	flagProtected                       // and of writes to pages that it protects
	flagMinor                           // and of pages of shared memory that are not mapped here
	flagDroppable                       // MAP_DROPPABLE: pages may go when memory is short
)

type (
	vmaSet = segment.Set[memmap.Addr, vma]
	vmaSeg = segment.Segment[memmap.Addr, vma]
)

// Merge implements segment.Value. The first one's origin stays. As on Linux what
// follows the heap may become a part of it, but not what comes before. What a person
// at the prompt has mapped stays to be seen: it joins only its like.
func (v vma) Merge(a, _ memmap.AddrRange, next vma) bool {
	if next.perms != v.perms || next.flags != v.flags { // what most often differs
		return false
	}
	if next.heap && !v.heap || v.byShell() != next.byShell() || next.flags&flagCounted != 0 && !next.extends {
		return false
	}
	continued := next
	continued.extends = v.extends
	continued.off, continued.heap = v.off, v.heap
	continued.guarded, continued.written, continued.tracked = v.guarded, v.written, v.tracked
	continued.origin, continued.protected = v.origin, v.protected
	if samePolicy(v.policy, next.policy) {
		continued.policy = v.policy
	}
	return continued == v && v.off+memmap.MappableOffset(a.Length()) == next.off
}

// Split implements segment.Value.
func (v vma) Split(r memmap.AddrRange, at memmap.Addr) vma {
	v.off += memmap.MappableOffset(at - r.Start)
	return v
}

func (v *vma) byShell() bool { return v.origin.By == memmap.ByShell }

// effective is what the processor grants for v's permissions.
func (v *vma) effective() memmap.AccessType { return v.perms.Effective() }

// rights are the permissions that an access is checked against.
func (v *vma) rights(o IOOpts) memmap.AccessType {
	if o.IgnorePermissions {
		return v.maxPerms
	}
	return v.effective()
}

// canWriteMappable is what AddMapping is told: the mapping is shared and may ever
// be written. It does not change in a vma's life.
func (v *vma) canWriteMappable() bool { return !v.private && v.maxPerms.Write }

// isData reports whether v counts against RLIMIT_DATA: Linux's is_data_mapping.
func (v *vma) isData() bool { return v.private && v.perms.Write && !v.growsDown }

// anonymous reports whether v is private memory with no file below it.
func (v *vma) anonymous() bool { return v.mappable == nil }

// offsetOf returns the offset in seg's Mappable of what seg has at addr.
func offsetOf(seg vmaSeg, addr memmap.Addr) memmap.MappableOffset {
	return seg.Value.off + memmap.MappableOffset(addr-seg.Start)
}

// mappableRange returns the offsets that seg has at ar, which lies in seg.
func mappableRange(seg vmaSeg, ar memmap.AddrRange) memmap.MappableRange {
	off := offsetOf(seg, ar.Start)
	return memmap.MappableRange{Start: off, End: off + memmap.MappableOffset(ar.Length())}
}

// insertVMA puts v, which is the set's from now on, at ar, which is free, and accounts for
// it. AddMapping has been called already.
//
// Preconditions: mm.mappingMu is held for writing.
func (mm *MemoryManager) insertVMA(ar memmap.AddrRange, v *vma) {
	mm.gaps.Take(ar)
	mm.account(v, ar.Length(), 1)
	if v.special() {
		mm.specials = hull(mm.specials, ar)
	}
	mm.vmas.Put(ar, v)
	mm.maxAS = max(mm.maxAS, mm.vmas.Span())
}

// takeVMAs removes what is mapped in ar and returns it, clipped to ar, appended to
// into. Mappables are not told. The identities' references are the caller's to see to: c drops
// those that are no longer used.
//
// Preconditions: mm.mappingMu is held for writing; no pma is left in ar.
func (mm *MemoryManager) takeVMAs(c *change, ar memmap.AddrRange, into []vmaSeg) []vmaSeg {
	cut := mm.vmas.Cut(ar, into)
	for i := range cut {
		mm.gaps.Free(cut[i].Range)
		if mm.account(&cut[i].Value, cut[i].Length(), -1) {
			c.dropIdentity(cut[i].Value.id)
		}
	}
	return cut
}

// cutVMAs removes what is mapped in ar and tells the Mappables.
//
// Preconditions: as for takeVMAs, and the host has no mappings in ar.
func (mm *MemoryManager) cutVMAs(c *change, ar memmap.AddrRange) {
	var few [2]vmaSeg
	cut := mm.takeVMAs(c, ar, few[:0])
	for i := range cut {
		seg := &cut[i]
		if v := &seg.Value; v.mappable != nil {
			v.mappable.RemoveMapping(mm, seg.Range, v.off, v.canWriteMappable())
		}
	}
}

// account adds n bytes of v to all sums over vmas (sign 1), or takes them off
// (sign -1). It holds one reference on each identity that is mapped at all: a new
// one is taken here; that the last byte is gone is reported.
func (mm *MemoryManager) account(v *vma, n uint64, sign int) (identityUnused bool) {
	delta := n
	if sign < 0 {
		delta = -n
	}
	if v.isData() {
		mm.dataAS += delta
	}
	if v.mlock != memmap.MLockNone {
		mm.lockedAS += delta
	}
	if v.accounted {
		mm.commit(delta)
	}
	if v.id == nil {
		return false
	}
	before := mm.ids[v.id]
	if before == 0 {
		v.id.IncRef()
	}
	if before+delta == 0 {
		delete(mm.ids, v.id)
		return true
	}
	mm.ids[v.id] = before + delta
	return false
}

// updateVMAs changes the attributes of all vmas in ar and the sums over them.
//
// Preconditions: mm.mappingMu is held for writing; f changes neither what is
// mapped nor through which identity.
func (mm *MemoryManager) updateVMAs(ar memmap.AddrRange, f func(*vma)) {
	mm.vmas.Update(ar, func(r memmap.AddrRange, v vma) vma {
		old := v
		f(&v)
		n := r.Length()
		if old.isData() {
			mm.dataAS -= n
		}
		if v.isData() {
			mm.dataAS += n
		}
		if old.mlock != memmap.MLockNone {
			mm.lockedAS -= n
		}
		if v.mlock != memmap.MLockNone {
			mm.lockedAS += n
		}
		switch {
		case v.accounted && !old.accounted:
			mm.commit(n)
		case old.accounted && !v.accounted:
			mm.commit(-n)
		}
		return v
	})
}

// lockedIn returns the bytes of ar that are locked.
func (mm *MemoryManager) lockedIn(ar memmap.AddrRange) uint64 {
	if mm.lockedAS == 0 {
		return 0
	}
	n := uint64(0)
	for seg := range mm.vmas.In(ar) {
		if seg.Value.mlock != memmap.MLockNone {
			n += seg.Intersect(ar).Length()
		}
	}
	return n
}

// splits returns how many more vmas there are once every change in ar ends at
// ar's ends.
func (mm *MemoryManager) splits(ar memmap.AddrRange) int {
	n := 0
	if seg, ok := mm.vmas.Find(ar.Start); ok && seg.CanSplitAt(ar.Start) {
		n++
	}
	if seg, ok := mm.vmas.Find(ar.End); ok && seg.CanSplitAt(ar.End) {
		n++
	}
	return n
}
