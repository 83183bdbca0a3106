package mm

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// Walk is the chain from an address to the host: each step as far as there is one.
type Walk struct {
	Addr   memmap.Addr
	VMA    *VMAInfo
	Before *VMAInfo // without VMA: the neighbours of the hole
	After  *VMAInfo
	// FileOffset is addr's offset in what the vma maps, if it maps something.
	FileOffset memmap.MappableOffset
	PMA        *PMAInfo
	MemOffset  memmap.FileOffset     // addr's offset in PMA.File
	Refs       uint32                // of that page, if its File tells
	Pins       []int64               // the process's pins that hold that page
	Host       *platform.HostMapping // what the host says is mapped there
	HostErr    error                 // why the host could not be asked
}

// Walk follows addr down.
func (mm *MemoryManager) Walk(addr memmap.Addr) Walk {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	w := Walk{Addr: addr}
	w.Host, w.HostErr = mm.hostAt(addr)
	vseg, ok := mm.vmas.Find(addr)
	if !ok {
		w.Before, w.After = mm.neighbours(addr)
		return w
	}
	info := mm.vmaInfo(vseg)
	w.VMA = &info
	if vseg.Value.mappable != nil {
		w.FileOffset = offsetOf(vseg, addr)
	}
	p, ok := mm.pmas.Find(addr)
	if !ok {
		return w
	}
	pi := mm.pmaInfo(vseg, p, p.Intersect(vseg.Range))
	w.PMA = &pi
	w.MemOffset = pi.Offset + memmap.FileOffset(addr-pi.AR.Start)
	w.Pins = mm.pinsOf(pi.File, w.MemOffset)
	page := memmap.FileRange{Start: w.MemOffset &^ (memmap.PageSize - 1)}
	page.End = page.Start + memmap.PageSize
	if f, counted := pi.File.(memmap.Counted); counted {
		f.Counts(page, func(_ memmap.FileRange, refs uint32) { w.Refs = refs })
	}
	if pi.InMemory {
		for u := range mm.mem.Refs(page) {
			w.Refs = u.Refs
		}
	}
	return w
}

// neighbours returns the vmas on both sides of the hole at addr, nil where there is none.
func (mm *MemoryManager) neighbours(addr memmap.Addr) (before, after *VMAInfo) {
	if seg, ok := mm.vmas.UpperBound(addr); ok {
		info := mm.vmaInfo(seg)
		before = &info
	}
	if seg, ok := mm.vmas.LowerBound(addr); ok {
		info := mm.vmaInfo(seg)
		after = &info
	}
	return before, after
}

// hostAt returns what the host has mapped at addr, nil if nothing.
//
// Preconditions: mm.activeMu is held.
func (mm *MemoryManager) hostAt(addr memmap.Addr) (*platform.HostMapping, error) {
	if mm.as == nil {
		return nil, platform.ErrDied
	}
	all, err := mm.as.HostMappings()
	for _, m := range all {
		if m.AR.Contains(addr) {
			return &m, err
		}
	}
	return nil, err
}
