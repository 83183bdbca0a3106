package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// move gives seg's old range a new place of the new size. With an old size of 0 it
// is a second mapping of the same pages.
func (mm *MemoryManager) move(c *change, seg vmaSeg, r *remap) (memmap.Addr, error) {
	const op = "mremap"
	if mm.vmas.Len() >= MaxMapCount-3 {
		return 0, memmap.Refuse(op, unix.ENOMEM, "there are %d mappings, vm.max_map_count is %d", mm.vmas.Len(), MaxMapCount)
	}
	if err := mm.wholeSpecials(op, r.old()); err != nil {
		return 0, err
	}
	v := seg.Value
	dst, err := mm.findRoom(op, place{
		addr: r.NewAddr, length: r.newSize, fixed: r.Fixed, unmap: r.Fixed,
		off:  mappedOffset(&v, seg, r.addr),
		huge: v.flags&flagNoHuge == 0 && !v.growsDown && wantsHuge(v.mappable, v.id, r.NewAddr, r.newSize),
	})
	if err != nil {
		return 0, err
	}
	old := r.old()
	if v.accounted {
		more := r.newSize
		if !r.DontUnmap {
			more -= r.oldSize
		}
		if err := mm.mayCommit(op, c.by, more); err != nil {
			return 0, err
		}
	}
	v.off = offsetOf(seg, old.Start)
	v.unwatch()
	if v.mappable != nil {
		if err := v.mappable.CopyMapping(mm, old, dst, v.off, v.canWriteMappable()); err != nil {
			return 0, err
		}
	} else if !mm.written(seg.Range) { // memory that nobody wrote yet is as good as new
		v.off = memmap.MappableOffset(dst.Start)
	}
	return dst.Start, mm.moveTo(c, old, dst, v, r)
}

func (mm *MemoryManager) written(ar memmap.AddrRange) bool {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	return mm.holdsOwned(ar)
}

// mappedOffset returns where addr lies in what seg's vma maps, 0 for anonymous memory.
func mappedOffset(v *vma, seg vmaSeg, addr memmap.Addr) memmap.MappableOffset {
	if v.anonymous() {
		return 0
	}
	return offsetOf(seg, addr)
}

// moveTo does the move, once nothing can refuse it any more: vma, pages, and then
// what is left behind.
func (mm *MemoryManager) moveTo(c *change, old, dst memmap.AddrRange, v vma, r *remap) error {
	v.origin = c.origin(mm.noteRemap(c, r, dst.Start))
	var few [1]vmaSeg
	left := few[:0]
	if !r.DontUnmap && !old.IsEmpty() {
		left = mm.takeVMAs(c, old, left)
	}
	mm.insertVMA(dst, &v)
	var err error
	if !old.IsEmpty() {
		mm.activeMu.Lock()
		mm.moveMarks(old, dst, v.uffd != nil)
		mm.movePMAs(c, old, dst)
		err = c.flush()
		mm.moveGuards(old, dst)
		mm.cutTraps(old)
		mm.activeMu.Unlock()
	}
	// Only now: until the pages have left, an invalidation must find them.
	for _, s := range left {
		if m := s.Value.mappable; m != nil {
			m.RemoveMapping(mm, s.Range, s.Value.off, s.Value.canWriteMappable())
		}
	}
	if r.DontUnmap && v.mlock != memmap.MLockNone {
		mm.unlockAll(old.Start)
	}
	if v.mlock == memmap.MLockEager && r.newSize > r.oldSize {
		_ = mm.populate(c, mm.made(dst), memmap.AddrRange{Start: dst.Start + memmap.Addr(r.oldSize), End: dst.End})
	}
	return err
}

// unlockAll unlocks what is left of the mapping that MREMAP_DONTUNMAP took from addr:
// all of it, not only the part that moved, as in Linux.
func (mm *MemoryManager) unlockAll(addr memmap.Addr) {
	if seg, ok := mm.vmas.Find(addr); ok {
		mm.updateVMAs(seg.Range, func(v *vma) { v.mlock = memmap.MLockNone })
	}
}

// movePMAs gives the pmas in old their place in dst, which has none and is no
// shorter. Where they were the host's mappings are stale; where they go they are
// mapped at once if they are few, else as they are touched.
//
// Preconditions: mm.activeMu is held for writing.
func (mm *MemoryManager) movePMAs(c *change, old, dst memmap.AddrRange) {
	var few [4]pmaSeg
	var stale memmap.AddrRange
	moved := mm.pmas.Cut(old, few[:0])
	for _, seg := range moved {
		stale = hull(stale, seg.Range)
		to := memmap.AddrRange{Start: dst.Start + (seg.Start - old.Start), End: dst.Start + (seg.End - old.Start)}
		if seg.Value.kind == zero {
			seg.Value.off = memmap.FileOffset(to.Start)
		}
		mm.pmas.Insert(to, seg.Value)
	}
	if stale.IsEmpty() {
		return
	}
	c.spoil(stale)
	if len(moved) < fewOps {
		mm.mapPMAs(c, dst, false)
	}
}
