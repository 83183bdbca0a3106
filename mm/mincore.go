package mm

import "mmsh.dev/mmsh/memmap"

// InCore is mincore(2): a byte for each page of ar, 1 if it is in memory. A page of
// a file that this process has not mapped yet is in memory if the file's Mappable
// says so by a method `Cached(MappableRange, func(MappableRange))`; without one it
// is, since the host keeps it. The error, at a hole, is ENOMEM; then the bytes are
// those of the pages before it.
func (mm *MemoryManager) InCore(ar memmap.AddrRange) ([]byte, error) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	in := make([]byte, ar.Length()/memmap.PageSize)
	pos := ar.Start
	for seg := range mm.vmas.In(ar) {
		if seg.Start > pos {
			break
		}
		part := seg.Intersect(ar)
		mm.markInCore(seg, part, func(r memmap.AddrRange) {
			for a := r.Start; a < r.End; a += memmap.PageSize {
				in[(a-ar.Start)/memmap.PageSize] = 1
			}
		})
		pos = part.End
	}
	if pos < ar.End {
		return in[:(pos-ar.Start)/memmap.PageSize], mm.holeRefused("mincore", pos)
	}
	return in, nil
}

// markInCore calls mark for what of part, a part of seg, is in memory.
func (mm *MemoryManager) markInCore(seg vmaSeg, part memmap.AddrRange, mark func(memmap.AddrRange)) {
	for p := range mm.pmas.In(part) {
		mark(p.Intersect(part))
	}
	v := &seg.Value
	if v.anonymous() {
		return
	}
	if m, ok := v.mappable.(interface {
		Cached(memmap.MappableRange, func(memmap.MappableRange))
	}); ok {
		m.Cached(mappableRange(seg, part), func(mr memmap.MappableRange) { mark(addrRangeOf(seg, mr)) })
		return
	}
	if end, ok := endOf(v.mappable); ok && !v.special() && offsetOf(seg, part.End) > end {
		if offsetOf(seg, part.Start) >= end {
			return
		}
		part.End = seg.Start + memmap.Addr(end-v.off)
	}
	mark(part)
}
