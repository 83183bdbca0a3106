package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// PageCategory is what PAGEMAP_SCAN tells of a page, as bits: Linux's PAGE_IS_*.
type PageCategory uint64

// The categories.
const (
	PageWPAllowed PageCategory = 1 << iota // a userfaultfd protects its mapping, asynchronously
	PageWritten                            // it is not write-protected
	PageIsFile
	PagePresent
	PageSwapped // not there, but marked: protected, or a guard region
	PagePFNZero
	PageHuge
	PageSoftDirty
	PageIsGuard

	// PageCategories are all of them.
	PageCategories = 1<<9 - 1
)

// PageScan is what PAGEMAP_SCAN asks for: Linux's struct pm_scan_arg.
type PageScan struct {
	AR       memmap.AddrRange // whole pages
	Protect  bool             // PM_SCAN_WP_MATCHING: write-protect what is found, where that is allowed
	Check    bool             // PM_SCAN_CHECK_WPASYNC: EPERM where it is not
	Quiet    bool             // nothing is told: limits do not bind
	MaxPages uint64           // that are told
	Regions  int              // likewise

	// A page is found if its categories, with Inverted changed, have all of Mask and, unless it
	// is 0, some of AnyOf. What is told of it is cut to Return.
	Inverted, Mask, AnyOf, Return PageCategory
}

// PageRegion is a run of pages that were found, with the same categories.
type PageRegion struct {
	AR         memmap.AddrRange
	Categories PageCategory
}

// PageScanResult is how far a scan came.
type PageScanResult struct {
	Regions []PageRegion
	Pages   uint64      // in them
	End     memmap.Addr // what was not looked at begins here; AR.End if that is nothing
	Full    bool        // a limit stopped it
}

// ScanPages looks at the pages of s.AR. Cost: linear in what is mapped and there, not in
// addresses.
//
// Errors: EPERM with Check.
func (mm *MemoryManager) ScanPages(by *Actor, s PageScan) (PageScanResult, error) {
	c := mm.begin(by)
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	w := pageWalk{mm: mm, c: c, PageScan: s}
	w.out.End = s.AR.End
	err := w.walk()
	if died := c.flush(); err == nil && died != nil {
		err = died
	}
	return w.out, err
}

// pageWalk is a scan under way.
type pageWalk struct {
	PageScan
	mm  *MemoryManager
	c   *change
	out PageScanResult
}

// walk is Linux's pagemap_scan_test_walk for every mapping.
func (w *pageWalk) walk() error {
	for seg := range w.mm.vmas.In(w.AR) {
		v := &seg.Value
		if v.pageless() {
			continue
		}
		allowed := v.flags&flagProtected != 0 && v.uffd.has(FeatureWPAsync)
		switch {
		case !allowed && w.Check:
			return memmap.Refuse("pagemap scan", unix.EPERM, "no userfaultfd protects %v asynchronously", seg.Range)
		case !allowed && w.Protect:
			continue
		}
		if !w.mapping(seg, allowed) {
			return nil
		}
	}
	return nil
}

// mapping looks at what of seg is scanned; false: no further.
func (w *pageWalk) mapping(seg vmaSeg, allowed bool) bool {
	var always, hole PageCategory
	if allowed {
		always, hole = PageWPAllowed, PageWritten
	}
	part := seg.Intersect(w.AR)
	for part.Start < part.End {
		run, tables := w.withTables(part)
		found := always | hole
		if tables {
			run, found = w.run(seg, run)
			found |= always
		}
		if !w.take(run, found, tables) {
			return false
		}
		part.Start = run.End
	}
	return true
}

// withTables returns the first part of ar for which Linux has page tables, or has none:
// it has them for the 2 MiB around what is there or marked.
func (w *pageWalk) withTables(ar memmap.AddrRange) (memmap.AddrRange, bool) {
	block := around(ar.Start.Page(), memmap.HugePageSize)
	if w.mm.holdsAny(block) {
		return ar.Intersect(block), true
	}
	if next, ok := w.mm.nextHeld(block.End); ok {
		ar.End = min(ar.End, around(next.Page(), memmap.HugePageSize).Start)
	}
	return ar, false
}

// holdsAny reports whether there is a page, a mark or a guard region in ar.
func (mm *MemoryManager) holdsAny(ar memmap.AddrRange) bool {
	return mm.pmas.Overlaps(ar) || mm.marks.Overlaps(ar) || mm.guards.Overlaps(ar)
}

// nextHeld returns the first address from at on where a page, a mark or a guard region is.
func (mm *MemoryManager) nextHeld(at memmap.Addr) (next memmap.Addr, ok bool) {
	see := func(start memmap.Addr, found bool) {
		if start = max(start, at); found && (!ok || start < next) {
			next, ok = start, true
		}
	}
	p, found := mm.pmas.LowerBound(at)
	see(p.Start, found)
	m, found := mm.marks.LowerBound(at)
	see(m.Start, found)
	g, found := mm.guards.LowerBound(at)
	see(g.Start, found)
	return next, ok
}

// run returns the first pages of ar, in seg, that are of the same categories, and which:
// Linux's pagemap_page_category.
func (w *pageWalk) run(seg vmaSeg, ar memmap.AddrRange) (memmap.AddrRange, PageCategory) {
	m, ar := w.mm.markAt(ar)
	found := PageWritten
	if m&markProtected != 0 {
		found = 0
	}
	if m&markClean == 0 {
		found |= PageSoftDirty
	}
	p, there := w.mm.pmas.LowerBound(ar.Start)
	g, guarded := w.mm.guards.LowerBound(ar.Start)
	switch {
	case there && p.Start <= ar.Start:
		ar.End = min(ar.End, p.End)
		return ar, found | PagePresent | p.Value.category()
	case guarded && g.Start <= ar.Start:
		ar.End = min(ar.End, g.End)
		return ar, found | PageSwapped | PageIsGuard
	}
	if there {
		ar.End = min(ar.End, p.Start)
	}
	if guarded {
		ar.End = min(ar.End, g.Start)
	}
	if m&markProtected != 0 || m&markPoisoned != 0 {
		found |= PageSwapped
	}
	return ar, found
}

// category tells what kind of page p has.
func (p *pma) category() PageCategory {
	switch {
	case p.kind == zero:
		return PagePFNZero
	case p.kind != owned && p.rss != rssNone:
		return PageIsFile
	}
	return 0
}

// take tells and protects run if it is found; false: a limit stops the scan.
func (w *pageWalk) take(run memmap.AddrRange, found PageCategory, tables bool) bool {
	change := found ^ w.Inverted
	matches := change&w.Mask == w.Mask && (w.AnyOf == 0 || change&w.AnyOf != 0)
	if !matches && !(w.Quiet && w.Protect && tables) { // as in Linux, which looks at no category then
		return true
	}
	told := run
	if !w.Quiet {
		told = w.tell(run, found&w.Return)
	}
	if w.Protect && found&PageWritten != 0 && !told.IsEmpty() {
		w.mm.remark(told, markProtected, 0)
		w.c.spoil(told)
	}
	return told == run
}

// tell adds what the limits allow of run to the answer, and returns that.
func (w *pageWalk) tell(run memmap.AddrRange, categories PageCategory) memmap.AddrRange {
	if left := w.MaxPages - w.out.Pages; run.Length()/memmap.PageSize > left {
		run.End = run.Start + memmap.Addr(left*memmap.PageSize)
		w.out.End, w.out.Full = run.End, true
	}
	if run.IsEmpty() {
		return run
	}
	n := len(w.out.Regions)
	switch {
	case n > 0 && w.out.Regions[n-1].AR.End == run.Start && w.out.Regions[n-1].Categories == categories:
		w.out.Regions[n-1].AR.End = run.End
	case n == w.Regions:
		w.out.End, w.out.Full = run.Start, true
		run.End = run.Start
	default:
		w.out.Regions = append(w.out.Regions, PageRegion{run, categories})
	}
	w.out.Pages += run.Length() / memmap.PageSize
	return run
}
