package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// MMap makes a mapping and returns its address.
//
// Errors, in this order: EINVAL length 0; ENOMEM length beyond all addresses;
// EINVAL offset not page-aligned; EOVERFLOW its end; EINVAL Fixed address not
// page-aligned; EACCES more than MaxPerms; EINVAL options that contradict each
// other; ENOMEM vm.max_map_count; ENOMEM, EPERM, EEXIST the place; EPERM,
// EAGAIN RLIMIT_MEMLOCK; EACCES PR_SET_MDWE; EPERM a sealed mapping there; ENOMEM RLIMIT_AS,
// RLIMIT_DATA, overcommit; what the Mappable says.
func (mm *MemoryManager) MMap(by *Actor, o memmap.MMapOpts) (memmap.Addr, error) {
	if err := mm.checkMMapOpts(&o); err != nil {
		return 0, err
	}
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	if o.MLock != memmap.MLockNone && !mayLockAtAll(by) {
		return 0, memmap.Refuse("mmap", unix.EPERM, "RLIMIT_MEMLOCK is 0")
	}
	o.MLock = max(o.MLock, mm.defMLock)
	ar, err := mm.createVMA(c, "mmap", &o)
	if err != nil {
		return 0, err
	}
	atOnce := o.Mappable == nil && o.Private && o.Perms.Write && mm.populateAtOnce(ar.Length())
	wanted := o.Populate || o.MLock == memmap.MLockEager || atOnce || o.Droppable && o.MLock != memmap.MLockNone // which it does not take
	if wanted {
		if seg := mm.made(ar); seg.Value.mlock != memmap.MLockLazy {
			_ = mm.populate(c, seg, ar) // a kindness, as in Linux
		}
	}
	return ar.Start, nil
}

// FindRoom returns the address that MMap would choose for o now. Nothing is mapped;
// limits are not asked. Errors are those of MMap.
func (mm *MemoryManager) FindRoom(_ *Actor, o memmap.MMapOpts) (memmap.Addr, error) {
	if err := mm.checkMMapOpts(&o); err != nil {
		return 0, err
	}
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	ar, err := mm.findRoom("mmap", placeFor(&o))
	return ar.Start, err
}

// checkMMapOpts checks what can be checked without a lock, and rounds.
func (mm *MemoryManager) checkMMapOpts(o *memmap.MMapOpts) error {
	const op = "mmap"
	if o.Length == 0 {
		return memmap.Refuse(op, unix.EINVAL, "length is 0")
	}
	length, ok := memmap.PageRoundUp(o.Length)
	if !ok {
		return memmap.Refuse(op, unix.ENOMEM, "length %#x is beyond all addresses", o.Length)
	}
	o.Length = length
	o.NoReserve = o.NoReserve && mm.mem.Overcommit().Mode != pgalloc.OvercommitNever
	if o.Mappable == nil && o.Identity == nil {
		o.Offset = 0
	} else if o.Offset%memmap.PageSize != 0 {
		return memmap.Refuse(op, unix.EINVAL, "offset %#x is not page-aligned", uint64(o.Offset))
	} else if o.Offset+memmap.MappableOffset(length) < o.Offset {
		return memmap.Refuse(op, unix.EOVERFLOW, "offset %#x and length %#x overflow", uint64(o.Offset), length)
	}
	if !o.Addr.IsPageAligned() {
		if o.Fixed {
			return unaligned(op, o.Addr)
		}
		o.Addr = o.Addr.RoundDown()
	}
	if !o.Fixed && o.Addr != 0 { // Linux's round_hint_to_min
		o.Addr = max(o.Addr, mm.layout.Min)
	}
	switch {
	case !o.MaxPerms.SupersetOf(o.Perms):
		return memmap.Refuse(op, unix.EACCES, "%v is more than the file allows, %v", o.Perms, o.MaxPerms)
	case o.Unmap && !o.Fixed:
		return memmap.Refuse(op, unix.EINVAL, "only a fixed mapping replaces others")
	case o.NoReplace && (!o.Fixed || o.Unmap):
		return memmap.Refuse(op, unix.EINVAL, "MAP_FIXED_NOREPLACE contradicts the other flags")
	case o.GrowsDown && o.Mappable != nil:
		return memmap.Refuse(op, unix.EINVAL, "only private anonymous memory grows down")
	case o.Droppable && (o.Mappable != nil || o.MLock != memmap.MLockNone || o.GrowsDown):
		return memmap.Refuse(op, unix.EINVAL, "what may be dropped is neither locked, nor a stack, nor a file")
	}
	return nil
}

// createVMA finds a place for o, whose length is rounded, makes the vma there and
// appends the event. What was there is unmapped first, even if the Mappable then
// refuses, as in Linux. The vma may have merged into a larger one: see made.
//
// Preconditions: mm.mappingMu is held for writing; o is checked.
func (mm *MemoryManager) createVMA(c *change, op string, o *memmap.MMapOpts) (memmap.AddrRange, error) {
	if o.MaxPerms != o.MaxPerms.Effective() {
		panic("mm: MaxPerms that no processor can grant")
	}
	// As in Linux, one more than the limit: the check is of what there is already.
	if err := mm.mayCount(op, 0); err != nil {
		return memmap.AddrRange{}, err
	}
	ar, err := mm.findRoom(op, placeFor(o))
	if err != nil {
		return ar, err
	}
	if err := mm.checkLimits(c, op, o, ar); err != nil {
		return ar, err
	}
	if o.Unmap && mm.vmas.Overlaps(ar) {
		if err := mm.unmapRange(c, ar); err != nil {
			return ar, err
		}
	}
	v := newVMA(o, ar)
	v.heap = c.heap
	if v.mappable != nil {
		if err := v.mappable.AddMapping(mm, ar, v.off, v.canWriteMappable()); err != nil {
			return ar, err
		}
	}
	v.origin = c.origin(mm.note(c, Event{Kind: EventMap, Access: v.perms, Range: ar, Addr: ar.Start}))
	if o.Droppable {
		mm.activeMu.Lock()
		mm.giveLazy()
		mm.activeMu.Unlock()
	}
	mm.insertVMA(ar, v)
	return ar, nil
}

// made returns the vma that holds ar, which was just inserted.
func (mm *MemoryManager) made(ar memmap.AddrRange) vmaSeg {
	seg, _ := mm.vmas.Find(ar.Start)
	return seg
}

func placeFor(o *memmap.MMapOpts) place {
	return place{
		addr: o.Addr, length: o.Length,
		fixed: o.Fixed, unmap: o.Unmap, noReplace: o.NoReplace, low32: o.Map32Bit,
		off:  o.Offset,
		huge: (!o.Stack || o.Mappable != nil) && !o.GrowsDown && wantsHuge(o.Mappable, o.Identity, o.Addr, o.Length),
	}
}

// wantsHuge reports whether a mapping's place should suit huge pages: private
// anonymous memory of whole huge pages without a hint, and files of file systems
// that say so by a method `HugeAligned() bool`.
func wantsHuge(m memmap.Mappable, id memmap.MappingIdentity, hint memmap.Addr, length uint64) bool {
	if m == nil {
		return id == nil && hint == 0 && length%memmap.HugePageSize == 0
	}
	f, ok := m.(interface{ HugeAligned() bool })
	return ok && f.HugeAligned()
}

func (mm *MemoryManager) checkLimits(c *change, op string, o *memmap.MMapOpts, ar memmap.AddrRange) error {
	if o.MLock != memmap.MLockNone { // what is replaced still counts, as in Linux
		if err := mm.mayLock(op, c.by, ar.Length()); err != nil {
			return err
		}
	}
	if err := mm.mayExecute(op, o.Perms, o.Perms); err != nil {
		return err
	}
	replaced := uint64(0)
	if o.Unmap {
		if err := mm.unsealed(op, ar); err != nil {
			return err
		}
		if err := mm.wholeSpecials(op, ar); err != nil {
			return err
		}
		replaced = mm.vmas.SpanIn(ar)
	}
	data := o.Private && o.Perms.Write && !o.GrowsDown
	if err := mm.mayExpand(op, c.by, ar.Length(), replaced, data); err != nil {
		return err
	}
	if !accountable(o.Private || o.Mappable == nil, o.Perms.Write, o.NoReserve) {
		return nil
	}
	more := ar.Length()
	if o.Unmap { // as Linux since 6.12
		more -= mm.committedIn(ar)
	}
	if more == 0 {
		return nil
	}
	return mm.mayCommit(op, c.by, more)
}

func newVMA(o *memmap.MMapOpts, ar memmap.AddrRange) *vma {
	v := &vma{
		mappable: o.Mappable, id: o.Identity, off: o.Offset,
		perms: o.Perms, maxPerms: o.MaxPerms,
		private: o.Private, growsDown: o.GrowsDown,
		noReserve: o.NoReserve, mlock: o.MLock, name: o.Name,
	}
	if v.mappable == nil {
		v.private = true
	}
	if o.Droppable {
		v.flags |= flagDroppable | flagWipeOnFork | flagDontDump
		v.noReserve = true
	}
	if v.anonymous() && v.id == nil {
		v.off = memmap.MappableOffset(ar.Start)
	}
	if o.Stack { // as Linux since 6.7
		v.flags |= flagNoHuge
	}
	if _, counted := v.id.(attachment); counted {
		v.flags |= flagCounted
	}
	if !v.lockable() {
		v.mlock = memmap.MLockNone
	}
	if v.pageless() {
		v.flags |= flagDontDump
	}
	v.accounted = accountable(v.private, v.perms.Write, v.noReserve)
	return v
}

// populate brings ar in as Linux's MAP_POPULATE does: private memory that may be
// written is written to, all else is read. It returns why that is not all of ar; what
// is left for lack of memory is c's to refill.
//
// Preconditions: mm.mappingMu is held; ar lies in seg.
func (mm *MemoryManager) populate(c *change, seg vmaSeg, ar memmap.AddrRange) error {
	end, err := mm.populatePart(c, seg, ar)
	if noRoom(err) {
		c.short = append(c.short, memmap.AddrRange{Start: end, End: ar.End})
	}
	return err
}

// populatePart is populate that also returns how far it came.
func (mm *MemoryManager) populatePart(c *change, seg vmaSeg, ar memmap.AddrRange) (memmap.Addr, error) {
	v := seg.Value
	if !v.perms.Any() {
		return ar.Start, memmap.Refuse("populate", unix.EFAULT, "%v may not be accessed at all", seg.Range)
	}
	at := memmap.Read
	if v.private && v.perms.Write {
		at = memmap.Write
	}
	return mm.fillFor(c, seg, ar, at)
}

// fillFor brings ar, a part of seg, in for accesses of kind at, as far as it goes, and
// returns how far and why.
//
// Preconditions: mm.mappingMu is held; seg allows at.
func (mm *MemoryManager) fillFor(c *change, seg vmaSeg, ar memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	end, err := mm.fillLocked(c, seg, ar, at)
	if died := c.flush(); err == nil {
		err = died
	}
	return end, err
}

func (mm *MemoryManager) fillLocked(c *change, seg vmaSeg, ar memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	ar, trapped := mm.untrapped(ar, at)
	var err error
	if !ar.IsEmpty() {
		ar.End, err = mm.bringIn(c, seg, ar, at)
	}
	if !ar.IsEmpty() {
		mm.mapPMAs(c, ar, true)
	}
	if err == nil {
		err = trapped
	}
	return ar.End, err
}

// MapStack maps the first stack: size bytes rounded up, growing down from the layout's
// top, and returns its range.
func (mm *MemoryManager) MapStack(by *Actor, size uint64) (memmap.AddrRange, error) {
	const op = "stack"
	length, ok := memmap.PageRoundUp(size)
	limit := by.limits().Stack
	if !ok || length == 0 || length > limit || length > uint64(mm.layout.StackTop-mm.layout.Min) {
		return memmap.AddrRange{}, memmap.Refuse(op, unix.ENOMEM, "a stack of %#x bytes, RLIMIT_STACK is %#x", size, limit)
	}
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	return mm.createVMA(c, op, &memmap.MMapOpts{
		Length: length, Addr: mm.layout.StackTop - memmap.Addr(length), Fixed: true,
		Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess, Private: true,
		GrowsDown: true, MLock: mm.defMLock,
	})
}

// SetStackPointer tells where the first thread's stack pointer starts: the vma
// that holds it is the one that maps calls [stack]. Without it the highest
// address of the stack serves.
func (mm *MemoryManager) SetStackPointer(sp memmap.Addr) {
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	mm.startSP = sp
}
