package mm

import "mmsh.dev/mmsh/memmap"

// Stats are a memory manager's sums and counters, in bytes and events.
type Stats struct {
	Virtual, MaxVirtual        uint64
	Data, Locked, Pinned       uint64
	Committed                  uint64
	RSS, MaxRSS                uint64
	RSSAnon, RSSFile, RSSShmem uint64
	VMAs, PMAs                 int
	COWWaiting                 uint64 // bytes
	LargestGap                 uint64
	MinorFaults, MajorFaults   uint64
	Causes                     [memmap.IOError + 1]uint64 // faults by cause
}

// Stats returns the current numbers. Cost: linear in vmas and pmas.
func (mm *MemoryManager) Stats() Stats {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	s := mm.faults
	s.Virtual, s.Data, s.Locked, s.Committed = mm.vmas.Span(), mm.dataAS, mm.lockedAS, mm.committed
	s.MaxVirtual = max(mm.maxAS, s.Virtual) // a fork's child begins with all it has
	s.RSS, s.MaxRSS = mm.residentLocked(), mm.maxRSS
	s.RSSAnon, s.RSSFile, s.RSSShmem = mm.rss[rssAnon], mm.rss[rssFile], mm.rss[rssShmem]
	s.Pinned = mm.pinned
	s.VMAs, s.PMAs = mm.vmas.Len(), mm.pmas.Len()
	s.LargestGap = mm.gaps.Largest()
	for p := range mm.pmas.All() {
		if mm.waits(&p.Value) {
			s.COWWaiting += p.Length()
		}
	}
	return s
}

// RSS returns the resident bytes, as Linux counts them, in O(1).
func (mm *MemoryManager) RSS() uint64 {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	return mm.residentLocked()
}

// Virtual returns the mapped bytes, in O(1).
func (mm *MemoryManager) Virtual() uint64 {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	return mm.vmas.Span()
}
