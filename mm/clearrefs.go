package mm

import "mmsh.dev/mmsh/memmap"

// ClearSoftDirty is clear_refs 4: no page is soft-dirty until it is written. New mappings
// are, and pages that were moved.
func (mm *MemoryManager) ClearSoftDirty(by *Actor) {
	c := mm.begin(by)
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	mm.updateVMAs(mm.All(), func(v *vma) { v.tracked = true })
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	for seg := range mm.vmas.All() {
		mm.remark(seg.Range, markClean, 0)
	}
	var writable memmap.AddrRange // hull of a run
	for p := range mm.pmas.All() {
		if !mm.grants(&p.Value, false).Write {
			continue
		}
		if p.Start != writable.End && !writable.IsEmpty() {
			c.spoil(writable)
			writable = memmap.AddrRange{}
		}
		writable = hull(writable, p.Range)
	}
	if !writable.IsEmpty() {
		c.spoil(writable)
	}
	_ = c.flush() // the stub is gone: so will the process be
}

// ResetMaxRSS is clear_refs 5: VmHWM begins anew.
func (mm *MemoryManager) ResetMaxRSS() {
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	mm.maxRSS = mm.residentLocked()
}
