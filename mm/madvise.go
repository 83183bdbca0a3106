package mm

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Advices of Linux 6.18 that package unix does not name.
const (
	MadvHWPoison     = 100
	MadvSoftOffline  = 101
	MadvGuardInstall = 102
	MadvGuardRemove  = 103
)

// advice is how one kind of madvise(2) is answered.
type advice struct {
	// do is what is done to part, the part of seg that is advised. nil: nothing,
	// since it says nothing that a program could see.
	do func(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error

	attributes bool // do changes vmas: mappingMu is held for writing
	pages      bool // do changes pages: activeMu is held for writing
	discards   bool // the contents go: sealed mappings may refuse
}

// advices are all that this engine answers but MADV_POPULATE_*, which walk another
// way.
var advices = map[int]advice{
	unix.MADV_NORMAL:     {do: setFlags(0, flagRandom|flagSequential), attributes: true},
	unix.MADV_RANDOM:     {do: setFlags(flagRandom, flagSequential), attributes: true},
	unix.MADV_SEQUENTIAL: {do: setFlags(flagSequential, flagRandom), attributes: true},
	unix.MADV_WILLNEED:   {},
	unix.MADV_COLD:       {do: reclaim},
	unix.MADV_PAGEOUT:    {do: reclaim},

	unix.MADV_DONTNEED:        {do: dontNeed, pages: true, discards: true},
	unix.MADV_DONTNEED_LOCKED: {do: dontNeedLocked, pages: true, discards: true},
	unix.MADV_FREE:            {do: free, pages: true, discards: true},
	unix.MADV_REMOVE:          {do: remove, discards: true},

	unix.MADV_DONTFORK:   {do: setFlags(flagDontFork, 0), attributes: true, discards: true},
	unix.MADV_DOFORK:     {do: doFork, attributes: true},
	unix.MADV_WIPEONFORK: {do: wipeOnFork, attributes: true, discards: true},
	unix.MADV_KEEPONFORK: {do: notDroppable(setFlags(0, flagWipeOnFork)), attributes: true},
	unix.MADV_DONTDUMP:   {do: setFlags(flagDontDump, 0), attributes: true},
	unix.MADV_DODUMP:     {do: notSpecial(notDroppable(setFlags(0, flagDontDump))), attributes: true},

	unix.MADV_MERGEABLE:   {do: mergeable, attributes: true},
	unix.MADV_UNMERGEABLE: {do: setFlags(0, flagMergeable), attributes: true},
	unix.MADV_HUGEPAGE:    {do: setFlags(flagHuge, flagNoHuge), attributes: true},
	unix.MADV_NOHUGEPAGE:  {do: setFlags(flagNoHuge, flagHuge), attributes: true},
	unix.MADV_COLLAPSE:    {do: collapse, pages: true},

	MadvGuardInstall: {do: guardInstall, attributes: true, pages: true, discards: true},
	MadvGuardRemove:  {do: guardRemove, attributes: true, pages: true},
}

// MAdvise is madvise(2) with which, one of MADV_*.
//
// Errors: EINVAL an advice that is not known, addr not page-aligned, an overflow;
// EPERM MADV_HWPOISON and MADV_SOFT_OFFLINE, which nobody may; then, vma by vma,
// EPERM a sealed mapping that would lose its contents, EINVAL or EACCES a mapping
// that cannot be advised so, EAGAIN vm.max_map_count: what lies before it is done;
// ENOMEM a hole: all the rest is done.
func (mm *MemoryManager) MAdvise(by *Actor, addr memmap.Addr, length uint64, which int) error {
	const op = "madvise"
	populates := which == unix.MADV_POPULATE_READ || which == unix.MADV_POPULATE_WRITE
	poisons := which == MadvHWPoison || which == MadvSoftOffline
	a, known := advices[which]
	if !known && !populates && !poisons {
		return memmap.Refuse(op, unix.EINVAL, "advice %d is not known", which)
	}
	if !addr.IsPageAligned() {
		return unaligned(op, addr)
	}
	ar, err := roundedRange(op, addr, length, ^memmap.Addr(0), unix.EINVAL)
	switch {
	case err != nil:
		return err
	case ar.IsEmpty():
		return nil
	case poisons:
		return memmap.Refuse(op, unix.EPERM, "memory failures cannot be made here")
	case populates:
		return mm.advisePopulate(by, ar, which)
	}
	c := mm.begin(by)
	defer c.end()
	if a.attributes {
		mm.mappingMu.Lock()
		defer mm.mappingMu.Unlock()
	} else {
		mm.mappingMu.RLock()
		defer mm.mappingMu.RUnlock()
	}
	if a.pages {
		mm.activeMu.Lock()
		defer mm.activeMu.Unlock()
	}
	err = mm.adviseRange(c, ar, a, which)
	if a.pages {
		if died := c.flush(); err == nil {
			err = died
		}
	}
	return err
}

// Decommit is madvise(MADV_DONTNEED): the pages go, the mapping stays.
func (mm *MemoryManager) Decommit(by *Actor, addr memmap.Addr, length uint64) error {
	return mm.MAdvise(by, addr, length, unix.MADV_DONTNEED)
}

// adviseRange is Linux's madvise_walk_vmas. The event tells how far it came.
//
// Preconditions: the locks that a asks for are held; ar is not empty.
func (mm *MemoryManager) adviseRange(c *change, ar memmap.AddrRange, a advice, which int) error {
	var holes, err error
	at := ar.Start
	for at < ar.End {
		seg, ok := mm.vmas.LowerBound(at)
		if !ok || seg.Start >= ar.End {
			break
		}
		if seg.Start > at && holes == nil {
			holes = mm.holeRefused("madvise", at)
		}
		part := seg.Intersect(ar)
		part.Start = max(part.Start, at)
		if err = mm.adviseOne(c, seg, part, a); err != nil {
			break
		}
		at = part.End
	}
	if at > ar.Start {
		mm.note(c, Event{Kind: EventAdvise, Range: memmap.AddrRange{Start: ar.Start, End: at}, Addr: ar.Start, Number: int64(which)})
	}
	if err == nil && holes == nil && at < ar.End {
		holes = mm.holeRefused("madvise", at)
	}
	if err != nil {
		return err
	}
	return holes
}

func (mm *MemoryManager) adviseOne(c *change, seg vmaSeg, part memmap.AddrRange, a advice) error {
	if a.discards && seg.Value.keepsContents() {
		return sealedRefused("madvise", seg)
	}
	if a.do == nil {
		return nil
	}
	return a.do(mm, c, seg, part)
}

// setFlags is the advice that sets some flags of a mapping and clears others.
func setFlags(set, clear vmaFlags) func(*MemoryManager, *change, vmaSeg, memmap.AddrRange) error {
	return func(mm *MemoryManager, _ *change, seg vmaSeg, part memmap.AddrRange) error {
		next := seg.Value.flags&^clear | set
		if next == seg.Value.flags {
			return nil
		}
		if err := mm.maySplit("madvise", part); err != nil {
			if errors.Is(err, unix.ENOMEM) {
				err = memmap.Refuse("madvise", unix.EAGAIN, "%v", err)
			}
			return err
		}
		mm.keepWrittenLocking(seg, part)
		mm.updateVMAs(part, func(v *vma) { v.flags = next })
		return nil
	}
}

// doFork is MADV_DOFORK, which what is no memory refuses.
func doFork(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
	if seg.Value.pageless() {
		return notAdvisable(seg, "is no memory")
	}
	return setFlags(0, flagDontFork)(mm, c, seg, part)
}

// notSpecial refuses the kernel's own pages.
func notSpecial(do func(*MemoryManager, *change, vmaSeg, memmap.AddrRange) error) func(*MemoryManager, *change, vmaSeg, memmap.AddrRange) error {
	return func(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
		if seg.Value.special() {
			return notAdvisable(seg, "is the kernel's own")
		}
		return do(mm, c, seg, part)
	}
}

// notDroppable refuses to take from MAP_DROPPABLE what it implies.
func notDroppable(do func(*MemoryManager, *change, vmaSeg, memmap.AddrRange) error) func(*MemoryManager, *change, vmaSeg, memmap.AddrRange) error {
	return func(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
		if seg.Value.flags&flagDroppable != 0 {
			return notAdvisable(seg, "may be dropped (MAP_DROPPABLE)")
		}
		return do(mm, c, seg, part)
	}
}

func notAdvisable(seg vmaSeg, why string) error {
	return memmap.Refuse("madvise", unix.EINVAL, "%v %s", seg.Range, why)
}

// pageless reports whether v's pages are no memory to Linux: [vvar].
func (v *vma) pageless() bool { return v.special() && rssKindOf(v.mappable) == rssNone }

// dontNeed is Linux's madvise_dontneed_single_vma, which locked memory refuses.
func dontNeed(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
	if seg.Value.mlock != memmap.MLockNone {
		return notAdvisable(seg, "is locked")
	}
	return dontNeedLocked(mm, c, seg, part)
}

func dontNeedLocked(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
	if seg.Value.pageless() {
		return notAdvisable(seg, "is no memory")
	}
	mm.cutPMAs(c, part, everything)
	mm.forgetWrites(seg, part)
	return nil
}

// forgetWrites changes the marks of part, whose pages were dropped.
func (mm *MemoryManager) forgetWrites(seg vmaSeg, part memmap.AddrRange) {
	gone := markLazy | markPoisoned
	if seg.Value.anonymous() { // of a file's pages the protection stays
		gone |= markProtected
	}
	mm.remark(part, 0, gone)
	if seg.Value.tracked {
		mm.remark(part, markClean, 0)
	}
}

// free is MADV_FREE: the contents of pages that have no other owner may be dropped when
// memory is short, unless they are written first.
func free(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
	switch {
	case seg.Value.mlock != memmap.MLockNone:
		return notAdvisable(seg, "is locked")
	case !seg.Value.anonymous():
		return notAdvisable(seg, "is not private anonymous memory")
	}
	for p := range mm.pmas.In(part) {
		if p.Value.kind != owned {
			continue
		}
		ar := p.Intersect(part)
		fr := p.Value.fileRange(p.Range, ar)
		for u := range mm.mem.Refs(fr) {
			if u.Refs == 1 {
				start := ar.Start + memmap.Addr(u.Start-fr.Start)
				run := memmap.AddrRange{Start: start, End: start + memmap.Addr(u.Length())}
				mm.giveLazy()
				mm.remark(run, markLazy, 0)
				c.spoil(run)
			}
		}
	}
	return nil
}

// dropLazy drops what MADV_FREE and MAP_DROPPABLE gave away, as memory is short, and
// reports whether that was anything.
//
// Preconditions: mm.mappingMu is held; mm.activeMu is held for writing. c was not told
// yet of what it is to map.
func (mm *MemoryManager) dropLazy(c *change) bool {
	var lazy []memmap.AddrRange
	for m := range mm.marks.All() {
		if m.Value&markLazy != 0 {
			lazy = append(lazy, m.Range)
		}
	}
	for seg := range mm.vmas.All() {
		if seg.Value.flags&flagDroppable != 0 && mm.holdsOwned(seg.Range) {
			lazy = append(lazy, seg.Range)
		}
	}
	for _, ar := range lazy {
		mm.dropUnpinned(c, ar)
		mm.remark(ar, 0, markLazy)
	}
	if len(lazy) > 0 {
		_ = c.flush() // the stub is gone: so will the process be
	}
	return len(lazy) > 0
}

// reclaim is MADV_COLD and MADV_PAGEOUT: there is nothing to page out to.
func reclaim(_ *MemoryManager, _ *change, seg vmaSeg, _ memmap.AddrRange) error {
	switch {
	case seg.Value.mlock != memmap.MLockNone:
		return notAdvisable(seg, "is locked")
	case seg.Value.pageless():
		return notAdvisable(seg, "is no memory")
	}
	return nil
}

// Puncher is a Mappable whose pages can be given back: MADV_REMOVE. Punch makes mr
// zero, for all who map it. It is called with mappingMu held.
type Puncher interface {
	Punch(mr memmap.MappableRange) error
}

// remove is MADV_REMOVE, Linux's madvise_remove.
func remove(_ *MemoryManager, _ *change, seg vmaSeg, part memmap.AddrRange) error {
	v := &seg.Value
	switch {
	case v.mlock != memmap.MLockNone:
		return notAdvisable(seg, "is locked")
	case v.anonymous() || v.special():
		return notAdvisable(seg, "maps no file")
	case !v.canWriteMappable():
		return memmap.Refuse("madvise", unix.EACCES, "%v is not shared memory that may be written", seg.Range)
	}
	p, ok := v.mappable.(Puncher)
	if !ok {
		return memmap.Refuse("madvise", unix.EOPNOTSUPP, "%v: the file cannot have holes", seg.Range)
	}
	return p.Punch(mappableRange(seg, part))
}

func wipeOnFork(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
	if !seg.Value.anonymous() && !seg.Value.special() {
		return notAdvisable(seg, "is not private anonymous memory")
	}
	return setFlags(flagWipeOnFork, 0)(mm, c, seg, part)
}

// mergeable is MADV_MERGEABLE. What same-page merging does not touch ignores it.
func mergeable(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
	if v := &seg.Value; !v.private || v.special() || v.flags&flagDroppable != 0 {
		return nil
	}
	return setFlags(flagMergeable, 0)(mm, c, seg, part)
}

// collapse is MADV_COLLAPSE. We have no huge pages; what a program can see of one
// is that all its pages are there.
func collapse(mm *MemoryManager, c *change, seg vmaSeg, part memmap.AddrRange) error {
	blocks := wholeHugePages(part)
	switch v := &seg.Value; {
	case v.flags&flagNoHuge != 0:
		return notAdvisable(seg, "is to have no huge pages")
	case !v.anonymous() || wholeHugePages(seg.Range).IsEmpty() || !mm.holdsOwned(seg.Range):
		return notAdvisable(seg, "has no room for a huge page, or no page yet")
	case blocks.IsEmpty():
		return nil
	}
	_, err := mm.bringIn(c, seg, blocks, memmap.Write)
	if err != nil {
		return memmap.Refuse("madvise", unix.ENOMEM, "%v", err)
	}
	return nil
}

// wholeHugePages returns what of ar consists of whole huge pages.
func wholeHugePages(ar memmap.AddrRange) memmap.AddrRange {
	const mask = memmap.HugePageSize - 1
	start, end := (ar.Start+mask)&^mask, ar.End&^mask
	if start >= end {
		return memmap.AddrRange{}
	}
	return memmap.AddrRange{Start: start, End: end}
}

// advisePopulate is MADV_POPULATE_READ and MADV_POPULATE_WRITE: it makes the faults
// that accesses would, and stops where one would be refused: ENOMEM a hole, EINVAL
// what may not be accessed so, EFAULT what would be SIGBUS or a guard region.
func (mm *MemoryManager) advisePopulate(by *Actor, ar memmap.AddrRange, which int) error {
	const op = "madvise"
	at := memmap.Read
	if which == unix.MADV_POPULATE_WRITE {
		at = memmap.Write
	}
	c := mm.begin(by)
	mm.mappingMu.RLock()
	mm.note(c, Event{Kind: EventAdvise, Range: ar, Addr: ar.Start, Number: int64(which)})
	mm.mappingMu.RUnlock()
	for idle := 0; ; idle++ {
		end, err := mm.populateFor(c, op, ar, at)
		if end > ar.Start {
			idle = 0
		}
		ar.Start = end
		if !noRoom(err) {
			return err
		}
		if idle >= mostRetries || !mm.relieveFor(ar) {
			return populateError(err)
		}
	}
}

// populateFor is advisePopulate as far as memory lasts; it returns how far that is.
func (mm *MemoryManager) populateFor(c *change, op string, ar memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	for ar.Start < ar.End {
		seg, ok := mm.vmas.Find(ar.Start)
		if !ok {
			return ar.Start, mm.holeRefused(op, ar.Start)
		}
		if v := &seg.Value; !v.perms.SupersetOf(at) || v.pageless() { // as asked: Linux forces nothing here
			return ar.Start, memmap.Refuse(op, unix.EINVAL, "%v may not be accessed so (%v)", seg.Range, v.perms)
		}
		end, err := mm.fillFor(c, seg, seg.Intersect(ar), at)
		if noRoom(err) {
			return end, err
		} else if err != nil {
			return end, populateError(err)
		}
		ar.Start = seg.End
	}
	return ar.End, nil
}

func populateError(err error) error {
	var bus *memmap.BusError
	var trap *TrapError
	var user *UserfaultError
	if errors.As(err, &user) { // whoever asked may wait
		return err
	}
	errno := unix.ENOMEM
	if errors.Is(err, unix.EHWPOISON) {
		errno = unix.EHWPOISON
	} else if (errors.As(err, &bus) || errors.As(err, &trap)) && !noRoom(err) {
		errno = unix.EFAULT
	}
	return memmap.Refuse("madvise", errno, "%v", err)
}

// Touch brings the pages of ar in as accesses of kind at would, page by page, and
// stops at the first refusal. It returns what each page's fault did, in order:
// NoCause for a page that was there, which the host may not have mapped.
func (mm *MemoryManager) Touch(by *Actor, ar memmap.AddrRange, at memmap.AccessType) ([]memmap.Cause, error) {
	var causes []memmap.Cause
	for addr := ar.Start.RoundDown(); addr < ar.End; addr += memmap.PageSize {
		cause, err := mm.userFault(by, max(addr, ar.Start), at, false)
		causes = append(causes, cause)
		if err != nil {
			return causes, err
		}
		if addr+memmap.PageSize < addr {
			break
		}
	}
	return causes, nil
}
