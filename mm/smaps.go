package mm

import (
	"bufio"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// pssShift are the bits that a share of a page keeps below the byte: Linux's
// PSS_SHIFT. Sums of shares are rounded once, as they are read.
const pssShift = 12

// share is a proportional sum of bytes, in 1/4096 byte.
type share uint64

func (s share) bytes() uint64 { return uint64(s >> pssShift) }

// PageSums is what smaps says of the pages of a mapping, in bytes. A page is
// shared if more than one mapping has it; Linux does not ask whose they are.
type PageSums struct {
	RSS                        uint64
	PSS, PSSDirty              uint64 // each page divided by the mappings that have it
	PSSAnon, PSSFile, PSSShmem uint64 // PSS again, by kind of page
	SharedClean, SharedDirty   uint64
	PrivateClean, PrivateDirty uint64
	Anonymous                  uint64
	LazyFree                   uint64 // given away by MADV_FREE: clean
	Locked                     uint64 // PSS of locked mappings
}

// SmapsInfo is an entry of smaps.
type SmapsInfo struct {
	VMA  VMAInfo
	Sums PageSums
	// Flags are the words of VmFlags: Linux's two letters for each property.
	Flags []string
}

// Smaps returns the entries of smaps for the mappings that overlap ar, whole, in
// order.
func (mm *MemoryManager) Smaps(ar memmap.AddrRange) []SmapsInfo {
	var all []SmapsInfo
	mm.eachSmaps(ar, func(s *SmapsInfo, _ *pageSums) { all = append(all, *s) })
	return all
}

// Rollup returns the sums over all mappings: smaps_rollup.
func (mm *MemoryManager) Rollup() PageSums {
	var total pageSums
	mm.eachSmaps(mm.All(), func(_ *SmapsInfo, sums *pageSums) { total.add(sums) })
	return total.public()
}

func (mm *MemoryManager) eachSmaps(ar memmap.AddrRange, f func(*SmapsInfo, *pageSums)) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	for seg := range mm.vmas.In(ar) {
		sums := mm.sumPages(seg)
		f(&SmapsInfo{VMA: mm.vmaInfo(seg), Sums: sums.public(), Flags: vmFlags(&seg.Value)}, &sums)
	}
}

// pageSums is PageSums while it is added up.
type pageSums struct {
	PageSums   // but for what is a share
	pss, dirty share
	pssBy      [rssKinds]share
	locked     share
}

// sumPages adds up seg's pages.
//
// Preconditions: mm.mappingMu and mm.activeMu are held.
func (mm *MemoryManager) sumPages(seg vmaSeg) pageSums {
	var s pageSums
	for p := range mm.pmas.In(seg.Range) {
		part := p.Intersect(seg.Range)
		switch {
		case p.Value.rss == rssNone:
		case p.Value.file != memmap.File(mm.mem):
			s.addForeign(&p.Value, p.Value.fileRange(p.Range, part))
		case mm.marks.Overlaps(part):
			mm.sumMarked(&s, p, part)
		default:
			for u := range mm.mem.Refs(p.Value.fileRange(p.Range, part)) {
				s.addRun(&p.Value, u.Length(), mappings(&p.Value, u.Refs))
			}
		}
	}
	if seg.Value.mlock != memmap.MLockNone {
		s.locked = s.pss
	}
	return s
}

// addForeign is addRun for pages fr of a File that is not the MemoryFile.
func (s *pageSums) addForeign(p *pma, fr memmap.FileRange) {
	f, counted := p.file.(memmap.Counted)
	if !counted {
		s.addRun(p, fr.Length(), 1)
		return
	}
	f.Counts(fr, func(run memmap.FileRange, refs uint32) { s.addRun(p, run.Length(), refs) })
}

// sumMarked adds up the part of p at ar, where pages may have been given away.
func (mm *MemoryManager) sumMarked(s *pageSums, p pmaSeg, ar memmap.AddrRange) {
	for ar.Start < ar.End {
		m, part := mm.markAt(ar)
		for u := range mm.mem.Refs(p.Value.fileRange(p.Range, part)) {
			if m&markLazy != 0 {
				s.LazyFree += u.Length()
				s.addLazy(&p.Value, u.Length(), mappings(&p.Value, u.Refs))
				continue
			}
			s.addRun(&p.Value, u.Length(), mappings(&p.Value, u.Refs))
		}
		ar.Start = part.End
	}
}

// mappings returns how many mappings have a page of p that has refs references:
// one of them is the cache's if the page is not private memory.
func mappings(p *pma, refs uint32) uint32 {
	if p.kind != owned {
		refs--
	}
	return max(refs, 1) // what a cache just evicts, it holds no more
}

// addRun adds n bytes of p that are mapped count times each.
func (s *pageSums) addRun(p *pma, n uint64, count uint32) { s.addPages(p, n, count, p.dirty()) }

// addLazy is addRun for pages that nobody would miss.
func (s *pageSums) addLazy(p *pma, n uint64, count uint32) { s.addPages(p, n, count, false) }

func (s *pageSums) addPages(p *pma, n uint64, count uint32, dirty bool) {
	each := share(memmap.PageSize<<pssShift) / share(count)
	pss := each * share(n/memmap.PageSize)
	s.RSS += n
	s.pss += pss
	s.pssBy[p.rss] += pss
	if p.kind == owned {
		s.Anonymous += n
	}
	if dirty {
		s.dirty += pss
	}
	switch {
	case dirty && count > 1:
		s.SharedDirty += n
	case dirty:
		s.PrivateDirty += n
	case count > 1:
		s.SharedClean += n
	default:
		s.PrivateClean += n
	}
}

// dirty reports whether p's pages would be lost if they were dropped. Private
// memory exists only once it was written. Shared memory has no file to be read
// from again: it counts as written, as no one watches whether it was.
func (p *pma) dirty() bool { return p.kind == owned || p.rss == rssShmem }

func (s *pageSums) add(o *pageSums) {
	s.RSS += o.RSS
	s.SharedClean += o.SharedClean
	s.SharedDirty += o.SharedDirty
	s.PrivateClean += o.PrivateClean
	s.PrivateDirty += o.PrivateDirty
	s.Anonymous += o.Anonymous
	s.LazyFree += o.LazyFree
	s.pss += o.pss
	s.dirty += o.dirty
	s.locked += o.locked
	for kind, n := range o.pssBy {
		s.pssBy[kind] += n
	}
}

func (s *pageSums) public() PageSums {
	all := s.PageSums
	all.PSS, all.PSSDirty, all.Locked = s.pss.bytes(), s.dirty.bytes(), s.locked.bytes()
	all.PSSAnon, all.PSSFile, all.PSSShmem = s.pssBy[rssAnon].bytes(), s.pssBy[rssFile].bytes(), s.pssBy[rssShmem].bytes()
	return all
}

// smapsFlags are Linux's letters in the order of its bits, with what a vma must be
// to have them.
var smapsFlags = [...]struct {
	letters string
	has     func(*vma) bool
}{
	{"rd", func(v *vma) bool { return v.perms.Read }},
	{"wr", func(v *vma) bool { return v.perms.Write }},
	{"ex", func(v *vma) bool { return v.perms.Execute }},
	{"sh", (*vma).shownShared},
	{"mr", func(v *vma) bool { return v.maxPerms.Read }},
	{"mw", func(v *vma) bool { return v.maxPerms.Write }},
	{"me", func(v *vma) bool { return v.maxPerms.Execute }},
	{"ms", func(v *vma) bool { return !v.private }},
	{"gd", func(v *vma) bool { return v.growsDown }},
	{"um", has(flagMissing)},
	{"pf", (*vma).noMemory},
	{"gu", func(v *vma) bool { return v.guarded }},
	{"uw", has(flagProtected)},
	{"lo", func(v *vma) bool { return v.mlock != memmap.MLockNone }},
	{"io", (*vma).noMemory},
	{"sr", has(flagSequential)},
	{"rr", has(flagRandom)},
	{"dc", has(flagDontFork)},
	{"de", (*vma).special},
	{"lf", func(v *vma) bool { return v.mlock == memmap.MLockLazy }},
	{"ac", func(v *vma) bool { return v.accounted }},
	{"nr", func(v *vma) bool { return v.noReserve }},
	{"wf", has(flagWipeOnFork)},
	{"dd", func(v *vma) bool { return v.flags&flagDontDump != 0 || v.noMemory() }},
	{"hg", has(flagHuge)},
	{"nh", has(flagNoHuge)},
	{"mg", has(flagMergeable)},
	{"dp", has(flagDroppable)},
	{"ui", has(flagMinor)},
	{"sl", has(flagSealed)},
}

func has(f vmaFlags) func(*vma) bool { return func(v *vma) bool { return v.flags&f != 0 } }

// noMemory reports whether v is [vvar], whose pages are no memory to Linux.
func (v *vma) noMemory() bool { return v.special() && rssKindOf(v.mappable) == rssNone }

func vmFlags(v *vma) []string {
	var flags []string
	for _, f := range smapsFlags {
		if f.has(v) {
			flags = append(flags, f.letters)
		}
	}
	return flags
}

// shownShared is Linux's VM_SHARED: a shared mapping of a file that is open for writing,
// also if it is sealed and may never be written.
func (v *vma) shownShared() bool {
	f, known := v.id.(interface{ OpenFlags() int })
	return v.canWriteMappable() || !v.private && known && f.OpenFlags()&unix.O_ACCMODE != unix.O_RDONLY
}

// WriteSmaps writes /proc/PID/smaps, byte for byte as Linux 6.18 does. What needs
// the processor's accessed bit, swap, or huge pages says what a quiet host says.
func (mm *MemoryManager) WriteSmaps(w io.Writer) error {
	b := bufio.NewWriter(w) // which keeps its first error for Flush
	mm.eachSmaps(mm.All(), func(s *SmapsInfo, _ *pageSums) { _, _ = b.Write(AppendSmaps(b.AvailableBuffer(), s)) })
	_, _ = b.WriteString(vsyscallLine)
	_, _ = b.Write(appendEntry(nil, memmap.PageSize, &PageSums{}, []string{"ex"}))
	return b.Flush()
}

// AppendSmaps appends the text that smaps has for s.
func AppendSmaps(b []byte, s *SmapsInfo) []byte {
	b = appendMapsLine(b, &s.VMA)
	return appendEntry(b, s.VMA.AR.Length(), &s.Sums, s.Flags)
}

func appendEntry(b []byte, size uint64, s *PageSums, flags []string) []byte {
	b = appendKB(b, "Size", size)
	b = appendKB(b, "KernelPageSize", memmap.PageSize)
	b = appendKB(b, "MMUPageSize", memmap.PageSize)
	b = appendKB(b, "Rss", s.RSS)
	b = appendKB(b, "Pss", s.PSS)
	b = appendKB(b, "Pss_Dirty", s.PSSDirty)
	b = appendPages(b, s)
	b = fmt.Appendf(b, "%-16s%8d\nVmFlags: ", "THPeligible:", 0)
	for _, f := range flags {
		b = append(append(b, f...), ' ')
	}
	return append(b, '\n')
}

// appendPages appends the lines that smaps and smaps_rollup have in common.
func appendPages(b []byte, s *PageSums) []byte {
	for _, line := range [...]struct {
		name  string
		bytes uint64
	}{
		{"Shared_Clean", s.SharedClean},
		{"Shared_Dirty", s.SharedDirty},
		{"Private_Clean", s.PrivateClean},
		{"Private_Dirty", s.PrivateDirty},
		{"Referenced", s.RSS},
		{"Anonymous", s.Anonymous},
		{"KSM", 0},
		{"LazyFree", s.LazyFree},
		{"AnonHugePages", 0},
		{"ShmemPmdMapped", 0},
		{"FilePmdMapped", 0},
		{"Shared_Hugetlb", 0},
		{"Private_Hugetlb", 0},
		{"Swap", 0},
		{"SwapPss", 0},
		{"Locked", s.Locked},
	} {
		b = appendKB(b, line.name, line.bytes)
	}
	return b
}

func appendKB(b []byte, name string, bytes uint64) []byte {
	return fmt.Appendf(b, "%-16s%8d kB\n", name+":", bytes>>10)
}

// WriteRollup writes /proc/PID/smaps_rollup, byte for byte as Linux 6.18 does.
func (mm *MemoryManager) WriteRollup(w io.Writer) error {
	s := mm.Rollup()
	span := mm.span()
	b := appendMapsLine(nil, &VMAInfo{AR: span, Private: true, Name: "[rollup]"})
	b = appendKB(b, "Rss", s.RSS)
	b = appendKB(b, "Pss", s.PSS)
	b = appendKB(b, "Pss_Dirty", s.PSSDirty)
	b = appendKB(b, "Pss_Anon", s.PSSAnon)
	b = appendKB(b, "Pss_File", s.PSSFile)
	b = appendKB(b, "Pss_Shmem", s.PSSShmem)
	_, err := w.Write(appendPages(b, &s))
	return err
}

// span returns from where to where something is mapped.
func (mm *MemoryManager) span() (ar memmap.AddrRange) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	if first, ok := mm.vmas.LowerBound(0); ok {
		ar.Start = first.Start
	}
	if last, ok := mm.vmas.UpperBound(mm.layout.Max); ok {
		ar.End = last.End
	}
	return ar
}
