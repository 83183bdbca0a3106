package mm

import (
	"fmt"
	"sort"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
)

// Check verifies every invariant of the engine, and with host also that the
// host's mappings agree with it. It returns all that is wrong. Cost: linear.
func (mm *MemoryManager) Check(host bool) []error {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	k := checker{mm: mm}
	k.vmas()
	k.gaps()
	k.pmas()
	k.guards()
	k.marks()
	k.pins()
	k.brk()
	if mm.captured != nil {
		k.wrong("invalidations are captured outside Fork")
	}
	if host && mm.as != nil {
		k.host()
	}
	return k.errs
}

type checker struct {
	mm   *MemoryManager
	errs []error
}

func (k *checker) wrong(format string, args ...any) {
	k.errs = append(k.errs, fmt.Errorf(format, args...))
}

func (k *checker) equal(what string, have, want uint64) {
	if have != want {
		k.wrong("%s is %#x, its parts are %#x", what, have, want)
	}
}

// place checks the bounds of a segment; end is where the one before it ends.
func (k *checker) place(what string, ar memmap.AddrRange, end memmap.Addr) {
	switch {
	case ar.IsEmpty() || !ar.Start.IsPageAligned() || !ar.End.IsPageAligned():
		k.wrong("%s %v is empty or not page-aligned", what, ar)
	case !k.mm.All().IsSupersetOf(ar):
		k.wrong("%s %v leaves guest memory %v", what, ar, k.mm.All())
	case ar.Start < end:
		k.wrong("%s %v overlaps what ends at %v", what, ar, end)
	}
}

func (k *checker) vmas() {
	mm := k.mm
	var span, data, locked, committed uint64
	var prev vmaSeg
	ids := make(map[memmap.MappingIdentity]uint64)
	for seg := range mm.vmas.All() {
		v, n := &seg.Value, seg.Length()
		k.place("vma", seg.Range, prev.End)
		k.vma(seg)
		if prev.End == seg.Start && prev.End != 0 {
			if prev.Value.Merge(prev.Range, seg.Range, *v) {
				k.wrong("vmas %v and %v are not merged", prev.Range, seg.Range)
			}
		}
		span += n
		if v.isData() {
			data += n
		}
		if v.mlock != memmap.MLockNone {
			locked += n
		}
		if v.accounted {
			committed += n
		}
		if v.id != nil {
			ids[v.id] += n
		}
		prev = seg
	}
	k.equal("the sum of mappings", mm.vmas.Span(), span)
	k.equal("the sum of private writable mappings", mm.dataAS, data)
	k.equal("the sum of locked mappings", mm.lockedAS, locked)
	k.equal("the sum of accounted mappings", mm.committed, committed)
	k.equal("the number of mapped files", uint64(len(mm.ids)), uint64(len(ids)))
	for id, n := range ids {
		k.equal("the mapped part of "+id.MappedName(), mm.ids[id], n)
	}
}

func (k *checker) vma(seg vmaSeg) {
	v := &seg.Value
	switch {
	case v.maxPerms != v.maxPerms.Effective():
		k.wrong("vma %v: no processor can grant %v", seg.Range, v.maxPerms)
	case !v.maxPerms.SupersetOf(v.effective()):
		k.wrong("vma %v: %v is more than its most, %v", seg.Range, v.perms, v.maxPerms)
	case v.growsDown && v.mappable != nil:
		k.wrong("vma %v: a mapped file grows down", seg.Range)
	case v.mappable == nil && !v.private:
		k.wrong("vma %v: shared memory without a Mappable", seg.Range)
	case v.flags&flagWipeOnFork != 0 && !v.anonymous() && !v.special():
		k.wrong("vma %v: a mapped file is to be wiped", seg.Range)
	case v.flags&(flagHuge|flagNoHuge) == flagHuge|flagNoHuge, v.flags&(flagRandom|flagSequential) == flagRandom|flagSequential:
		k.wrong("vma %v: two advices that exclude each other", seg.Range)
	case v.mlock != memmap.MLockNone && !v.lockable():
		k.wrong("vma %v is locked, which it cannot be", seg.Range)
	case v.flags&flagDroppable != 0 && !(v.anonymous() && v.noReserve && v.flags&flagWipeOnFork != 0 && v.flags&flagDontDump != 0):
		k.wrong("vma %v may be dropped, without what goes with that", seg.Range)
	case (v.uffd != nil) != (v.flags&(flagMissing|flagProtected|flagMinor) != 0):
		k.wrong("vma %v: a userfaultfd without a mode, or a mode without one", seg.Range)
	case v.origin == nil:
		k.wrong("vma %v has no origin", seg.Range)
	}
}

// gaps checks that the index of free ranges is what the vmas leave.
func (k *checker) gaps() {
	mm := k.mm
	largest := uint64(0)
	for gap := range mm.vmas.Gaps(mm.All()) {
		largest = max(largest, gap.Length())
		if got, ok := mm.gaps.Highest(gap, gap.Length()); !ok || got != gap {
			k.wrong("the hole %v is not in the index of free ranges", gap)
		}
	}
	for seg := range mm.vmas.All() {
		if got, ok := mm.gaps.Lowest(seg.Range, 1); ok {
			k.wrong("%v is mapped and in the index of free ranges", got)
		}
	}
	k.equal("the largest gap", mm.gaps.Largest(), largest)
}

func (k *checker) pmas() {
	mm := k.mm
	var sums [rssKinds]uint64
	var end memmap.Addr
	for seg := range mm.pmas.All() {
		p := &seg.Value
		k.place("pma", seg.Range, end)
		k.pma(seg)
		if !mm.vmas.Covers(seg.Range) {
			k.wrong("pma %v lies where no vma does", seg.Range)
		}
		if mm.guards.Overlaps(seg.Range) {
			k.wrong("pma %v lies under a guard region", seg.Range)
		}
		for vseg := range mm.vmas.In(seg.Range) {
			k.agree(seg, vseg)
		}
		sums[p.rss] += seg.Length()
		end = seg.End
	}
	for kind, name := range [rssKinds]string{"the uncounted pages", "anonymous RSS", "file RSS", "shared memory RSS"} {
		k.equal(name, mm.rss[kind], sums[kind])
	}
	if now := mm.residentLocked(); mm.maxRSS < now {
		k.wrong("RSS is %#x, its maximum %#x", now, mm.maxRSS)
	}
}

// guards checks that guard regions lie in mappings that can have them.
func (k *checker) guards() {
	for seg := range k.mm.guards.All() {
		k.place("guard region", seg.Range, 0)
		if !k.mm.vmas.Covers(seg.Range) {
			k.wrong("the guard region %v lies where no vma does", seg.Range)
		}
	}
}

// marks checks that pages are marked only where that can mean something.
func (k *checker) marks() {
	for seg := range k.mm.marks.All() {
		k.place("mark", seg.Range, 0)
		if !k.mm.vmas.Covers(seg.Range) {
			k.wrong("the marks %#x at %v lie where no vma does", seg.Value, seg.Range)
		}
		if seg.Value&markPoisoned != 0 && k.mm.pmas.Overlaps(seg.Range) {
			k.wrong("a page is there in %v, which is poisoned", seg.Range)
		}
		for vseg := range k.mm.vmas.In(seg.Range) {
			if seg.Value&markProtected != 0 && vseg.Value.flags&flagProtected == 0 {
				k.wrong("%v is write-protected, the vma %v is not registered", seg.Range, vseg.Range)
			}
		}
		if seg.Value&markLazy != 0 && !k.owns(seg.Range) {
			k.wrong("what is given away at %v is not private memory", seg.Range)
		}
	}
}

// owns reports whether private pages lie in all of ar.
func (k *checker) owns(ar memmap.AddrRange) bool {
	for p := range k.mm.pmas.In(ar) {
		if p.Value.kind != owned {
			return false
		}
	}
	return k.mm.pmas.Covers(ar)
}

// pma checks what a pma must be by itself.
func (k *checker) pma(seg pmaSeg) {
	mm, p := k.mm, &seg.Value
	if mm.needCOW(p) && (mm.grants(p, false).Write || mm.grants(p, true).Write) {
		k.wrong("pma %v waits for copy-on-write and may be written", seg.Range)
	}
	switch p.kind {
	case owned:
		if p.file != memmap.File(mm.mem) || p.translate != memmap.AnyAccess || p.rss != rssAnon {
			k.wrong("pma %v is private but not of the memory file", seg.Range)
		}
		if p.gen > mm.gen {
			k.wrong("pma %v is of generation %d, after %d", seg.Range, p.gen, mm.gen)
		}
	case zero:
		if p.file != pgalloc.Zero || p.off != memmap.FileOffset(seg.Start) || p.rss != rssNone {
			k.wrong("pma %v is a zero page with an offset or a file", seg.Range)
		}
	}
	if _, counted := p.file.(memmap.Counted); counted || p.file == memmap.File(mm.mem) {
		k.referenced(seg)
	}
}

// referenced checks that every page of a pma is allocated, or referenced in the host's file.
func (k *checker) referenced(seg pmaSeg) {
	fr := seg.Value.fileRange(seg.Range, seg.Range)
	n := uint64(0)
	if f, counted := seg.Value.file.(memmap.Counted); counted {
		f.Counts(fr, func(run memmap.FileRange, _ uint32) { n += run.Length() })
	} else {
		for u := range k.mm.mem.Refs(fr) {
			n += u.Length()
		}
	}
	if n != fr.Length() {
		k.wrong("pma %v: %#x of the %#x bytes at %v are allocated", seg.Range, n, fr.Length(), fr)
	}
}

// agree checks a pma against a vma that it lies in.
func (k *checker) agree(seg pmaSeg, vseg vmaSeg) {
	p, v := &seg.Value, &vseg.Value
	switch {
	case p.perms != v.effective() || p.maxPerms != v.maxPerms:
		k.wrong("pma %v has %v, at most %v; its vma %v has %v, at most %v", seg.Range, p.perms, p.maxPerms, vseg.Range, v.effective(), v.maxPerms)
	case p.kind == shared && v.private:
		k.wrong("pma %v of the private vma %v is shared", seg.Range, vseg.Range)
	case p.kind != shared && !v.private:
		k.wrong("pma %v of the shared vma %v is private", seg.Range, vseg.Range)
	case p.kind == zero && !v.anonymous():
		k.wrong("pma %v is the zero page in a mapped file", seg.Range)
	}
}

// pins checks that pins are whole, and their sum.
func (k *checker) pins() {
	sum, last := uint64(0), int64(0)
	for _, p := range k.mm.pins {
		at := p.AR.Start
		for _, r := range p.Pages {
			if r.Source.Start != at {
				k.wrong("pin %d of %v has nothing at %v", p.ID, p.AR, at)
			}
			at = r.Source.End
		}
		if at != p.AR.End || p.ID <= last || p.ID > k.mm.lastPin {
			k.wrong("pin %d of %v ends at %v, after pin %d, the newest being %d", p.ID, p.AR, at, last, k.mm.lastPin)
		}
		sum, last = sum+p.AR.Length(), p.ID
	}
	k.equal("the sum of pinned memory", k.mm.pinned, sum)
}

func (k *checker) brk() {
	if brk := k.mm.brk; !brk.WellFormed() {
		k.wrong("the heap %v ends before it starts", brk)
	}
}

// host checks that the host has mapped nothing but what pmas and traps allow, at
// the offsets that pmas say.
func (k *checker) host() {
	all, err := k.mm.as.HostMappings()
	if err != nil {
		k.wrong("the host's mappings: %v", err)
		return
	}
	sort.Slice(all, func(i, j int) bool { return all[i].AR.Start < all[j].AR.Start })
	for _, m := range all {
		if k.mm.All().IsSupersetOf(m.AR) {
			k.hostMapping(m)
		}
	}
}

func (k *checker) hostMapping(m platform.HostMapping) {
	mm := k.mm
	at := m.AR.Start
	for p := range mm.pmas.In(m.AR) {
		if p.Start > at {
			break
		}
		part := p.Intersect(m.AR)
		allowed := memmap.AddrRange{Start: part.Start, End: part.Start}
		mm.leaveTraps(part, mm.grants(&p.Value, false), func(r memmap.AddrRange, rights memmap.AccessType) {
			if r.Start == allowed.End && rights.SupersetOf(m.Perms) {
				allowed.End = r.End
			}
		})
		if m.Perms.Any() && allowed != part {
			k.wrong("the host has %v mapped %v, pma %v allows %v", part, m.Perms, p.Range, mm.grants(&p.Value, false))
		}
		want := uint64(p.Value.fileRange(p.Range, part).Start)
		if have := m.Offset + uint64(part.Start-m.AR.Start); p.Value.kind != zero && have != want {
			k.wrong("the host has %v mapped from offset %#x, pma %v says %#x", part, have, p.Range, want)
		}
		at = part.End
	}
	if at < m.AR.End {
		k.wrong("the host has %v mapped, where no pma is from %v on", m.AR, at)
	}
}
