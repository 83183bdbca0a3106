package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MRemapOpts says how MRemap may move.
type MRemapOpts struct {
	MayMove   bool        // MREMAP_MAYMOVE
	Fixed     bool        // MREMAP_FIXED: to NewAddr, which is unmapped first
	DontUnmap bool        // MREMAP_DONTUNMAP: the old range stays mapped, without its pages
	NewAddr   memmap.Addr // with Fixed; a hint with DontUnmap
}

// remap is one mremap under way.
type remap struct {
	MRemapOpts
	addr             memmap.Addr
	oldSize, newSize uint64
}

func (r *remap) old() memmap.AddrRange {
	return memmap.AddrRange{Start: r.addr, End: r.addr + memmap.Addr(r.oldSize)}
}

// MRemap is mremap(2), in the order of Linux 6.18's mm/mremap.c.
//
// Errors: EINVAL sizes, addresses and options that make no sense; EFAULT what is
// to grow or move is not one mapping; EPERM a sealed mapping; EAGAIN RLIMIT_MEMLOCK; ENOMEM no room,
// RLIMIT_AS, RLIMIT_DATA, overcommit, vm.max_map_count; what the Mappable says.
func (mm *MemoryManager) MRemap(by *Actor, old memmap.Addr, oldSize, newSize uint64, o MRemapOpts) (memmap.Addr, error) {
	r := remap{MRemapOpts: o, addr: old}
	r.oldSize, _ = memmap.PageRoundUp(oldSize) // as in Linux a length that overflows is 0
	r.newSize, _ = memmap.PageRoundUp(newSize)
	if err := mm.checkRemap(&r); err != nil {
		return 0, err
	}
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	if (o.Fixed || o.DontUnmap) && mm.vmas.Len()+2 >= MaxMapCount-3 {
		return 0, memmap.Refuse("mremap", unix.ENOMEM, "there are %d mappings, vm.max_map_count is %d", mm.vmas.Len(), MaxMapCount)
	}
	if o.Fixed && r.oldSize == r.newSize {
		return mm.remapMany(c, r)
	}
	return mm.remapOne(c, r)
}

// checkRemap is Linux's check_mremap_params.
func (mm *MemoryManager) checkRemap(r *remap) error {
	const op = "mremap"
	switch {
	case !r.addr.IsPageAligned():
		return unaligned(op, r.addr)
	case r.newSize == 0:
		return memmap.Refuse(op, unix.EINVAL, "the new size is 0")
	case r.newSize > uint64(mm.layout.Max):
		return memmap.Refuse(op, unix.EINVAL, "the new size %#x is more than all guest memory", r.newSize)
	case !r.Fixed && !r.DontUnmap:
		return nil
	case r.NewAddr > mm.layout.Max-memmap.Addr(r.newSize):
		return memmap.Refuse(op, unix.EINVAL, "%v+%#x ends above %v", r.NewAddr, r.newSize, mm.layout.Max)
	case !r.NewAddr.IsPageAligned():
		return unaligned(op, r.NewAddr)
	case !r.MayMove:
		return memmap.Refuse(op, unix.EINVAL, "a new address needs MREMAP_MAYMOVE")
	case r.DontUnmap && r.oldSize != r.newSize:
		return memmap.Refuse(op, unix.EINVAL, "MREMAP_DONTUNMAP does not resize")
	}
	// Not Overlaps: an old range of length 0 overlaps only what it lies inside.
	if end := r.NewAddr + memmap.Addr(r.newSize); r.old().End > r.NewAddr && end > r.addr {
		return memmap.Refuse(op, unix.EINVAL, "the new range [%v, %v) overlaps the old %v", r.NewAddr, end, r.old())
	}
	return nil
}

// remapMany moves all that is mapped in the old range, mapping by mapping, with the
// holes in between. The first must start where the range does.
func (mm *MemoryManager) remapMany(c *change, r remap) (memmap.Addr, error) {
	const op = "mremap"
	old, to := r.old(), r.NewAddr
	seg, ok := mm.vmas.LowerBound(old.Start)
	if !ok || seg.Start > old.Start {
		return 0, mm.notMapped(op, old.Start)
	}
	for {
		part := seg.Intersect(old)
		one := r
		one.addr, one.oldSize, one.newSize = part.Start, part.Length(), part.Length()
		one.NewAddr = to + (part.Start - old.Start)
		if _, err := mm.remapOne(c, one); err != nil {
			return 0, err
		}
		if old.Start = part.End; old.IsEmpty() {
			return r.NewAddr, nil
		}
		to = one.NewAddr + memmap.Addr(part.Length())
		if seg, ok = mm.vmas.LowerBound(old.Start); !ok || seg.Start >= old.End {
			return r.NewAddr, nil
		}
	}
}

// remapOne resizes or moves within one vma.
func (mm *MemoryManager) remapOne(c *change, r remap) (memmap.Addr, error) {
	const op = "mremap"
	seg, ok := mm.vmas.Find(r.addr)
	if !ok {
		return 0, mm.notMapped(op, r.addr)
	}
	if seg.Value.sealed() {
		return 0, sealedRefused(op, seg)
	}
	elsewhere := r.Fixed || r.DontUnmap
	if !elsewhere && r.newSize <= r.oldSize {
		return r.addr, mm.shrinkOld(c, &r)
	}
	if err := mm.checkExpand(c, seg, &r); err != nil {
		return 0, err
	}
	if elsewhere {
		return mm.remapTo(c, r)
	}
	if r.old().End == seg.End && mm.roomAbove(seg, &r) {
		return r.addr, mm.expandInPlace(c, seg, &r)
	}
	if !r.MayMove {
		return 0, memmap.Refuse(op, unix.ENOMEM, "%v has no room to grow to %#x bytes where it is", r.old(), r.newSize)
	}
	return mm.move(c, seg, &r)
}

// shrinkOld unmaps the end of the old range, which may span vmas and holes.
func (mm *MemoryManager) shrinkOld(c *change, r *remap) error {
	start, n := r.addr+memmap.Addr(r.newSize), r.oldSize-r.newSize
	r.oldSize = r.newSize
	if n == 0 {
		return nil
	}
	tail, err := roundedRange("mremap", start, n, mm.layout.Max, unix.EINVAL)
	if err != nil {
		return err
	}
	return mm.unmapIfMapped(c, "mremap", tail)
}

// checkExpand is Linux's check_prep_vma for what makes a new mapping or a larger one.
func (mm *MemoryManager) checkExpand(c *change, seg vmaSeg, r *remap) error {
	const op = "mremap"
	v := &seg.Value
	if r.oldSize == 0 && v.private {
		return memmap.Refuse(op, unix.EINVAL, "a private mapping cannot be duplicated")
	}
	used := min(r.oldSize, r.newSize)
	if used > uint64(seg.End-r.addr) {
		return memmap.Refuse(op, unix.EFAULT, "%v is not one mapping: %v ends before it", r.old(), seg.Range)
	}
	if _, special := v.mappable.(*Special); special && (r.DontUnmap || r.newSize > r.oldSize) { // VM_DONTEXPAND
		return specialRefused(seg, r)
	}
	if r.newSize <= r.oldSize {
		return nil
	}
	off := offsetOf(seg, r.addr)
	if off+memmap.MappableOffset(r.newSize) < off {
		return memmap.Refuse(op, unix.EINVAL, "offset %#x and the new size %#x overflow", uint64(off), r.newSize)
	}
	more := r.newSize - r.oldSize
	if v.mlock != memmap.MLockNone {
		if err := mm.mayLock(op, c.by, more); err != nil {
			return err
		}
	}
	return mm.mayExpand(op, c.by, more, 0, v.isData())
}

// specialRefused is what Linux answers for mappings that are the kernel's own.
func specialRefused(seg vmaSeg, r *remap) error {
	errno := unix.EFAULT
	if r.DontUnmap {
		errno = unix.EINVAL
	}
	return memmap.Refuse("mremap", errno, "%v is %s, which can only be moved whole", seg.Range, seg.Value.id.MappedName())
}

// roomAbove reports whether seg can grow where it is. Guard gaps do not count.
func (mm *MemoryManager) roomAbove(seg vmaSeg, r *remap) bool {
	grown := memmap.AddrRange{Start: seg.End, End: seg.End + memmap.Addr(r.newSize-r.oldSize)}
	return grown.End >= grown.Start && grown.End <= mm.layout.Max && !mm.vmas.Overlaps(grown)
}

// expandInPlace adds to seg's end.
func (mm *MemoryManager) expandInPlace(c *change, seg vmaSeg, r *remap) error {
	v := seg.Value
	v.off, v.extends = offsetOf(seg, seg.End), true
	more := memmap.AddrRange{Start: seg.End, End: seg.End + memmap.Addr(r.newSize-r.oldSize)}
	if v.accounted {
		if err := mm.mayCommit("mremap", c.by, more.Length()); err != nil {
			return err
		}
	}
	if v.mappable != nil {
		if err := v.mappable.AddMapping(mm, more, v.off, v.canWriteMappable()); err != nil {
			return err
		}
	}
	mm.noteRemap(c, r, r.addr)
	mm.insertVMA(more, &v)
	if v.mlock == memmap.MLockEager {
		_ = mm.populate(c, mm.made(more), more)
	}
	return nil
}

func (mm *MemoryManager) noteRemap(c *change, r *remap, to memmap.Addr) uint64 {
	return mm.note(c, Event{
		Kind:   EventRemap,
		Range:  memmap.AddrRange{Start: to, End: to + memmap.Addr(r.newSize)},
		Addr:   r.addr,
		Number: int64(r.oldSize),
	})
}

// remapTo is Linux's mremap_to: the destination is emptied, the source shortened,
// and only then the source is looked at again.
func (mm *MemoryManager) remapTo(c *change, r remap) (memmap.Addr, error) {
	const op = "mremap"
	if r.Fixed {
		dst := memmap.AddrRange{Start: r.NewAddr, End: r.NewAddr + memmap.Addr(r.newSize)}
		if err := mm.unsealed(op, dst); err != nil {
			return 0, err
		}
		if err := mm.wholeSpecials(op, dst); err != nil {
			return 0, err
		}
		if mm.vmas.Overlaps(dst) {
			if err := mm.unmapRange(c, dst); err != nil {
				return 0, err
			}
		}
	}
	if r.newSize < r.oldSize {
		if err := mm.shrinkOld(c, &r); err != nil {
			return 0, err
		}
	}
	seg, ok := mm.vmas.Find(r.addr)
	if !ok { // it was the destination
		return 0, mm.notMapped(op, r.addr)
	}
	if r.DontUnmap {
		if err := mm.mayExpand(op, c.by, r.oldSize, 0, seg.Value.isData()); err != nil {
			return 0, err
		}
	}
	return mm.move(c, seg, &r)
}
