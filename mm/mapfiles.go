package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// FileRanges returns where files are mapped, in order: what /proc/PID/map_files lists.
// Mappings of the sandbox's own, as [vdso], are no files.
func (mm *MemoryManager) FileRanges() []memmap.AddrRange {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	var all []memmap.AddrRange
	for seg := range mm.vmas.All() {
		if seg.Value.id != nil && !seg.Value.special() {
			all = append(all, seg.Range)
		}
	}
	return all
}

// FileAt returns the file that is mapped at exactly ar, with a reference for the
// caller, who drops it with no lock held: ENOENT.
func (mm *MemoryManager) FileAt(ar memmap.AddrRange) (memmap.MappingIdentity, error) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	seg, ok := mm.vmas.Find(ar.Start)
	if !ok || seg.Range != ar || seg.Value.id == nil || seg.Value.special() {
		return nil, memmap.Refuse("map_files", unix.ENOENT, "no file is mapped at exactly %v", ar)
	}
	seg.Value.id.IncRef()
	return seg.Value.id, nil
}
