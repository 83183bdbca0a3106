package mm

import "mmsh.dev/mmsh/memmap"

// Invalidate implements memmap.MappingSpace. It is called by Mappables, on no
// guest's behalf.
func (mm *MemoryManager) Invalidate(ar memmap.AddrRange, private bool) {
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	if mm.captured != nil {
		*mm.captured = append(*mm.captured, invalidation{ar, private})
		return
	}
	mm.invalidate(ar, private)
}

func (mm *MemoryManager) invalidate(ar memmap.AddrRange, private bool) {
	c := mm.begin(&Actor{})
	mm.cutPMAs(c, ar, func(p pma) bool { return private || p.kind == shared || p.kind == clean })
	if len(c.stale) == 0 {
		return
	}
	mm.note(c, Event{Kind: EventInvalidate, Range: ar, Addr: ar.Start})
	_ = c.flush() // a host that died has nothing mapped
}
