package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// BrkSetup puts an empty heap at addr (page-aligned or not: brk starts there).
func (mm *MemoryManager) BrkSetup(by *Actor, addr memmap.Addr) {
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	if heap := mm.heapPages(); mm.vmas.Overlaps(heap) {
		_ = mm.unmapRange(c, heap) // a host that died has nothing mapped
	}
	mm.brk = memmap.AddrRange{Start: addr, End: addr}
}

// heapPages returns the pages between the start and the end of the heap.
func (mm *MemoryManager) heapPages() memmap.AddrRange {
	return memmap.AddrRange{Start: pageUp(mm.brk.Start), End: pageUp(mm.brk.End)}
}

// BrkRange returns the heap: its start and the exact break.
func (mm *MemoryManager) BrkRange() memmap.AddrRange {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	return mm.brk
}

// Brk moves the break and returns where it is now, also on errors. Shrinking
// within a page keeps its bytes.
//
// Errors: EINVAL below the heap's start, or a heap that would shrink where nothing is
// mapped any more, as Linux has it; ENOMEM RLIMIT_DATA, no room; EFAULT an
// address beyond all; and those of a mapping.
func (mm *MemoryManager) Brk(by *Actor, addr memmap.Addr) (memmap.Addr, error) {
	const op = "brk"
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	now := mm.brk.End
	if addr < mm.brk.Start {
		return now, memmap.Refuse(op, unix.EINVAL, "%v lies below the heap's start %v", addr, mm.brk.Start)
	}
	if size, limit := uint64(addr-mm.brk.Start), by.limits().Data; size > limit {
		return now, memmap.Refuse(op, unix.ENOMEM, "a heap of %#x bytes, RLIMIT_DATA is %#x", size, limit)
	}
	end, ok := addr.RoundUp()
	if !ok {
		return now, memmap.Refuse(op, unix.EFAULT, "%v is beyond all pages", addr)
	}
	oldEnd := pageUp(now)
	var err error
	switch {
	case end > oldEnd:
		if err = mm.growHeap(c, memmap.AddrRange{Start: oldEnd, End: end}); err != nil {
			return now, err
		}
	case end < oldEnd:
		gone := memmap.AddrRange{Start: end, End: oldEnd}
		first, ok := mm.vmas.LowerBound(gone.Start)
		if !ok || first.Start >= gone.End {
			return now, memmap.Refuse(op, unix.EINVAL, "nothing is mapped in %v, which the heap would lose", gone)
		}
		if err := mm.mayUnmap(op, first.Range, &first.Value, gone); err != nil {
			return now, err
		}
		err = mm.unmapRange(c, gone)
	}
	mm.brk.End = addr
	return addr, err
}

// growHeap maps ar, the heap's new end. As in Linux a page is left free to the next
// mapping. The heap has no name of its own: maps knows it by the break.
func (mm *MemoryManager) growHeap(c *change, ar memmap.AddrRange) error {
	const op = "brk"
	if next, v, ok := mm.vmas.Peek(ar.Start); ok && ar.End+memmap.PageSize > guarded(next, v) {
		return memmap.Refuse(op, unix.ENOMEM, "%v would come too near to %v", ar, next)
	}
	c.heap = true
	ar, err := mm.createVMA(c, op, &memmap.MMapOpts{
		Length: ar.Length(), Addr: ar.Start, Fixed: true,
		Perms:    memmap.AccessType{Read: true, Write: true, Execute: c.by.ReadImpliesExec},
		MaxPerms: memmap.AnyAccess, Private: true, MLock: mm.defMLock,
	})
	if err != nil {
		return err
	}
	if seg := mm.made(ar); mm.populatesNew(&seg.Value, ar.Length()) {
		_ = mm.populate(c, seg, ar) // a kindness, as in Linux
	}
	return nil
}
