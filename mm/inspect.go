package mm

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// VMAInfo is a vma as people see it.
type VMAInfo struct {
	AR        memmap.AddrRange
	Perms     memmap.AccessType // as asked
	MaxPerms  memmap.AccessType
	Private   bool
	GrowsDown bool
	MLock     memmap.MLockMode
	Advice    VMAAdvice             // what madvise and mseal have said of it
	Offset    memmap.MappableOffset // 0 if Anonymous
	Anonymous bool                  // private anonymous: no Mappable
	Device    uint64
	Inode     uint64
	Name      string // as in maps, "" if none
	Origin    memmap.Origin
	RSS       uint64 // bytes that pmas hold, the zero page excepted
	COW       uint64 // bytes of pmas that wait for copy-on-write and may be written
}

// VMAAdvice is a set of what programs have said of a mapping.
type VMAAdvice uint16

// What VMAAdvice holds.
const (
	DontFork   = VMAAdvice(flagDontFork)
	WipeOnFork = VMAAdvice(flagWipeOnFork)
	DontDump   = VMAAdvice(flagDontDump)
	RandomRead = VMAAdvice(flagRandom)
	Sequential = VMAAdvice(flagSequential)
	HugePage   = VMAAdvice(flagHuge)
	NoHugePage = VMAAdvice(flagNoHuge)
	Mergeable  = VMAAdvice(flagMergeable)
	Sealed     = VMAAdvice(flagSealed)
	Droppable  = VMAAdvice(flagDroppable)
)

// Has reports whether all of b was said.
func (a VMAAdvice) Has(b VMAAdvice) bool { return a&b == b }

// PMAInfo is a pma as people see it.
type PMAInfo struct {
	AR        memmap.AddrRange
	Effective memmap.AccessType // what may be mapped now
	NeedCOW   bool
	Private   bool // anonymous, or already copied
	Zero      bool // the zero page
	File      memmap.File
	InMemory  bool // File is the MemoryFile
	Offset    memmap.FileOffset
	Refs      []RefRun // reference counts of the pages, ascending, if File tells
	FileName  string   // the vma's name if the pages are a file's
	Cause     memmap.Cause
	// Event is what made it what it is: the fault that brought (the first of) its pages
	// in, or, if it is private and waits for copy-on-write, the newest fork. 0 if
	// unknown.
	Event uint64
}

// RefRun is a run of pages with one reference count.
type RefRun struct {
	Bytes uint64
	Refs  uint32
}

// Page is the state of one page, by the letters of the `pages` view.
type Page byte

// The states of a page. Mappings that are both writable and executable, and
// locked ones, are told from the vma.
const (
	PageUnmapped  Page = ' '
	PagePrivate   Page = 'W' // private, written: ours alone to write
	PageCOW       Page = 'c' // waits for copy-on-write
	PageZero      Page = 'z'
	PageFile      Page = 'f'
	PageFileDirty Page = 'd'
	PageShared    Page = 's' // shared anonymous
	PageNone      Page = '.' // never faulted
	PageGuard     Page = 'g'
	PagePinned    Page = 'P' // whatever else it is
	PageMissing   Page = 'm' // not there: a userfaultfd is told of the first access
	PageProtected Page = 'u' // write-protected by a userfaultfd
	PagePoisoned  Page = 'x' // by a userfaultfd
)

// VMAs returns the vmas that overlap ar, whole, in order.
func (mm *MemoryManager) VMAs(ar memmap.AddrRange) []VMAInfo {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	var infos []VMAInfo
	for seg := range mm.vmas.In(ar) {
		infos = append(infos, mm.vmaInfo(seg))
	}
	return infos
}

// Mapped is what a vma maps that is not private anonymous memory.
type Mapped struct {
	AR       memmap.AddrRange
	Offset   memmap.MappableOffset // of AR.Start
	Mappable memmap.Mappable       // without a reference
	Name     string
	Device   uint64
	Inode    uint64
}

// Range returns the offsets that ar, a part of m.AR, maps.
func (m Mapped) Range(ar memmap.AddrRange) memmap.MappableRange {
	start := m.Offset + memmap.MappableOffset(ar.Start-m.AR.Start)
	return memmap.MappableRange{Start: start, End: start + memmap.MappableOffset(ar.Length())}
}

// MappedIn returns what the vmas map that overlap ar, whole, in order. Its
// Mappables may be asked by who holds no lock of a memory manager.
func (mm *MemoryManager) MappedIn(ar memmap.AddrRange) []Mapped {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	var all []Mapped
	for seg := range mm.vmas.In(ar) {
		if seg.Value.mappable == nil {
			continue
		}
		info := mm.identify(seg)
		all = append(all, Mapped{AR: info.AR, Offset: info.Offset, Mappable: seg.Value.mappable, Name: info.Name, Device: info.Device, Inode: info.Inode})
	}
	return all
}

// FindVMA returns the vma that contains addr.
func (mm *MemoryManager) FindVMA(addr memmap.Addr) (VMAInfo, bool) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	seg, ok := mm.vmas.Find(addr)
	if !ok {
		return VMAInfo{}, false
	}
	return mm.vmaInfo(seg), true
}

// vmaInfo is identify with the sums over seg's pages.
func (mm *MemoryManager) vmaInfo(seg vmaSeg) VMAInfo {
	info := mm.identify(seg)
	for p := range mm.pmas.In(seg.Range) {
		n := p.Intersect(seg.Range).Length()
		if p.Value.rss != rssNone {
			info.RSS += n
		}
		if mm.waits(&p.Value) {
			info.COW += n
		}
	}
	return info
}

// waits reports whether p waits for copy-on-write: the vma allows the write that
// would copy it.
func (mm *MemoryManager) waits(p *pma) bool { return p.perms.Write && mm.needCOW(p) }

// identify returns what seg is, without its pages.
//
// Preconditions: mm.mappingMu is held.
func (mm *MemoryManager) identify(seg vmaSeg) VMAInfo {
	v := &seg.Value
	info := VMAInfo{
		AR: seg.Range, Perms: v.perms, MaxPerms: v.maxPerms,
		Private: v.private, GrowsDown: v.growsDown, MLock: v.mlock,
		Anonymous: v.anonymous(), Name: mm.nameOf(seg), Origin: *v.origin,
	}
	info.Advice = VMAAdvice(v.flags)
	if v.mappable != nil || v.id != nil {
		info.Offset = v.off
	}
	if v.id != nil {
		info.Device, info.Inode = v.id.DeviceID(), v.id.InodeID()
	}
	return info
}

// nameOf returns seg's name as Linux's get_vma_name finds it: heap and stack are
// known by where they are, so that what merges with the heap becomes [heap].
func (mm *MemoryManager) nameOf(seg vmaSeg) string {
	v := &seg.Value
	switch {
	case v.name != "":
		return v.name
	case v.anonName != "" && !v.anonymous() && !v.special():
		return v.shownName()
	case v.id != nil:
		return v.id.MappedName()
	case v.mappable != nil:
		return ""
	case seg.Start < mm.brk.End && seg.End > mm.brk.Start:
		return "[heap]"
	case seg.Contains(mm.startSP):
		return "[stack]"
	case v.anonName != "":
		return v.shownName()
	}
	return ""
}

// PMAs returns the pmas in ar, clipped to it and split at vmas' ends.
func (mm *MemoryManager) PMAs(ar memmap.AddrRange) []PMAInfo {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	var infos []PMAInfo
	for vseg := range mm.vmas.In(ar) {
		part := vseg.Intersect(ar)
		for p := range mm.pmas.In(part) {
			infos = append(infos, mm.pmaInfo(vseg, p, p.Intersect(part)))
		}
	}
	return infos
}

// pmaInfo describes the part of p, and of vseg, that is at ar.
func (mm *MemoryManager) pmaInfo(vseg vmaSeg, p pmaSeg, ar memmap.AddrRange) PMAInfo {
	v := &p.Value
	fr := v.fileRange(p.Range, ar)
	info := PMAInfo{
		AR: ar, Effective: mm.grants(v, false), NeedCOW: mm.needCOW(v),
		Private: v.kind == owned, Zero: v.kind == zero,
		File: v.file, InMemory: v.file == memmap.File(mm.mem), Offset: fr.Start,
		Cause: v.cause, Event: v.event,
	}
	if info.Private && info.NeedCOW {
		info.Event = mm.forked
	}
	if v.kind == shared || v.kind == clean {
		info.FileName = mm.nameOf(vseg)
	}
	if f, counted := v.file.(memmap.Counted); counted {
		f.Counts(fr, func(run memmap.FileRange, refs uint32) {
			info.Refs = append(info.Refs, RefRun{Bytes: run.Length(), Refs: refs})
		})
	}
	if info.InMemory {
		info.Refs = refRuns(mm.mem, fr)
	}
	return info
}

// refRuns returns the reference counts of fr's pages, equal ones joined.
func refRuns(mem *pgalloc.MemoryFile, fr memmap.FileRange) []RefRun {
	var runs []RefRun
	for u := range mem.Refs(fr) {
		if n := len(runs); n > 0 && runs[n-1].Refs == u.Refs {
			runs[n-1].Bytes += u.Length()
			continue
		}
		runs = append(runs, RefRun{Bytes: u.Length(), Refs: u.Refs})
	}
	return runs
}

// Pages returns one state a page of ar.
func (mm *MemoryManager) Pages(ar memmap.AddrRange) []Page {
	ar = memmap.AddrRange{Start: ar.Start.RoundDown(), End: pageUp(ar.End)}.Intersect(mm.All())
	if ar.IsEmpty() {
		return nil
	}
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	pages := make([]Page, ar.Length()/memmap.PageSize)
	paint := func(r memmap.AddrRange, state Page) {
		r = r.Intersect(ar)
		for a := r.Start; a < r.End; a += memmap.PageSize {
			pages[(a-ar.Start)/memmap.PageSize] = state
		}
	}
	paint(ar, PageUnmapped)
	for seg := range mm.vmas.In(ar) {
		state := PageNone
		if seg.Value.flags&flagMissing != 0 {
			state = PageMissing
		}
		paint(seg.Range, state)
	}
	for p := range mm.pmas.In(ar) {
		paint(p.Range, mm.pageState(&p.Value))
		for _, part := range mm.pinnedIn(p, p.Intersect(ar)) {
			paint(part, PagePinned)
		}
	}
	for m := range mm.marks.In(ar) {
		switch {
		case m.Value&markPoisoned != 0:
			paint(m.Range, PagePoisoned)
		case m.Value&markProtected != 0:
			paint(m.Range, PageProtected)
		}
	}
	for seg := range mm.guards.In(ar) {
		paint(seg.Range, PageGuard)
	}
	for seg := range mm.traps.In(ar) {
		if seg.Value.Kind == TrapGuard {
			paint(seg.Range, PageGuard)
		}
	}
	return pages
}

func (mm *MemoryManager) pageState(p *pma) Page {
	switch {
	case p.kind == zero:
		return PageZero
	case p.kind == owned && mm.needCOW(p):
		return PageCOW
	case p.kind == owned:
		return PagePrivate
	case p.rss == rssShmem:
		return PageShared
	case p.kind == shared && p.perms.Write && p.translate.Write:
		return PageFileDirty
	}
	return PageFile
}

// Owner is a process that has a page.
type Owner struct {
	PID  int32
	Addr memmap.Addr
	Cow  bool
}

// OwnersOf returns where mm maps the page of file at off privately or as a
// translation: the caller asks every memory manager.
func (mm *MemoryManager) OwnersOf(file memmap.File, off memmap.FileOffset) []Owner {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	var owners []Owner
	for p := range mm.pmas.All() {
		if p.Value.file != file || p.Value.kind == zero {
			continue
		}
		if fr := p.Value.fileRange(p.Range, p.Range); fr.Contains(off) {
			owners = append(owners, Owner{
				PID: mm.pid, Addr: p.Start + memmap.Addr(off-fr.Start), Cow: mm.needCOW(&p.Value),
			})
		}
	}
	return owners
}
