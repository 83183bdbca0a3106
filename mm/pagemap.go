package mm

import "mmsh.dev/mmsh/memmap"

// The bits of a page in /proc/PID/pagemap, by Linux's names. Its frame number is
// below them. A protected page that is not there is to Linux a swap entry too.
const (
	PagemapExclusive = 1 << 56       // PM_MMAP_EXCLUSIVE: no other mapping has the page
	PagemapSoftDirty = 1 << 55       // PM_SOFT_DIRTY: written since clear_refs
	PagemapProtected = 1 << 57       // PM_UFFD_WP: a userfaultfd protects it
	PagemapSwap      = 1 << 62       // PM_SWAP
	PagemapGuard     = 1<<58 | 1<<62 // PM_GUARD_REGION, which Linux keeps as a swap entry
	PagemapFile      = 1 << 61       // PM_FILE: a file's page, or shared anonymous
	PagemapPresent   = 1 << 63       // PM_PRESENT

	// PagemapZero is the frame of the zero page, which is not in the MemoryFile.
	PagemapZero = 1<<55 - 1
)

// Pagemap returns what /proc/PID/pagemap says of the pages of ar, whose ends are
// aligned. A page's frame is its offset in the MemoryFile, in pages.
func (mm *MemoryManager) Pagemap(ar memmap.AddrRange) []uint64 {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	entries := make([]uint64, ar.Length()/memmap.PageSize)
	for p := range mm.pmas.In(ar) {
		part := p.Intersect(ar)
		mm.describePages(entries[(part.Start-ar.Start)/memmap.PageSize:], p, part)
	}
	for g := range mm.guards.In(ar) {
		part := g.Intersect(ar)
		for a := part.Start; a < part.End; a += memmap.PageSize {
			entries[(a-ar.Start)/memmap.PageSize] = PagemapGuard
		}
	}
	mm.describeMarks(entries, ar)
	return entries
}

// describeMarks adds to the entries of ar what marks say.
func (mm *MemoryManager) describeMarks(entries []uint64, ar memmap.AddrRange) {
	for v := range mm.vmas.In(ar) {
		part := v.Intersect(ar)
		for a := part.Start; a < part.End; a += memmap.PageSize {
			entries[(a-ar.Start)/memmap.PageSize] |= PagemapSoftDirty
		}
	}
	for m := range mm.marks.In(ar) {
		part := m.Intersect(ar)
		for a := part.Start; a < part.End; a += memmap.PageSize {
			e := &entries[(a-ar.Start)/memmap.PageSize]
			if m.Value&markClean != 0 {
				*e &^= PagemapSoftDirty
			}
			if m.Value&markPoisoned != 0 {
				*e |= PagemapSwap
			}
			if m.Value&markProtected == 0 {
				continue
			}
			if *e |= PagemapProtected; *e&PagemapPresent == 0 {
				*e |= PagemapSwap
			}
		}
	}
}

// describePages sets the entries of part, the first of which is entries[0].
func (mm *MemoryManager) describePages(entries []uint64, p pmaSeg, part memmap.AddrRange) {
	v := &p.Value
	if f, counted := v.file.(memmap.Counted); counted {
		describeForeign(entries, f, v.fileRange(p.Range, part))
		return
	}
	if v.file != memmap.File(mm.mem) {
		for i := range part.Length() / memmap.PageSize {
			entries[i] = PagemapPresent | PagemapZero
		}
		return
	}
	fr := v.fileRange(p.Range, part)
	for u := range mm.mem.Refs(fr) {
		entry := uint64(PagemapPresent)
		if v.rss != rssNone && v.kind != owned {
			entry |= PagemapFile
		}
		if v.rss != rssNone && mappings(v, u.Refs) == 1 { // [vvar] is no memory to Linux
			entry |= PagemapExclusive
		}
		for off := u.Start; off < u.End; off += memmap.PageSize {
			entries[(off-fr.Start)/memmap.PageSize] = entry | uint64(off/memmap.PageSize)
		}
	}
}

// describeForeign is describePages for pages fr of the host's own, whose frames nobody
// knows: as Linux tells those who may not, they are 0.
func describeForeign(entries []uint64, f memmap.Counted, fr memmap.FileRange) {
	f.Counts(fr, func(run memmap.FileRange, refs uint32) {
		entry := uint64(PagemapPresent | PagemapFile)
		if refs == 1 {
			entry |= PagemapExclusive
		}
		for off := run.Start; off < run.End; off += memmap.PageSize {
			entries[(off-fr.Start)/memmap.PageSize] = entry
		}
	})
}
