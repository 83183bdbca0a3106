package mm

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// fault is an access of the guest that stopped.
type fault struct {
	addr  memmap.Addr
	at    memmap.AccessType
	grew  bool         // a stack was extended for it
	cause memmap.Cause // what was done, once it was
	event uint64
}

// HandleUserFault answers an access of the guest that its host mappings did not
// allow. sp is the stack pointer. It returns what was done; the error, if the
// access is refused, is a *memmap.BusError (SIGBUS), a *TrapError, or a
// *memmap.Refusal with EPERM (SEGV_ACCERR) or EFAULT (SEGV_MAPERR). The event is
// appended either way. An error that wraps platform.ErrDied says that the page is
// there but the stub is not.
func (mm *MemoryManager) HandleUserFault(by *Actor, addr memmap.Addr, at memmap.AccessType, sp memmap.Addr) (memmap.Cause, error) {
	if !at.Any() {
		at = memmap.Read
	}
	return mm.userFault(by, addr, at, true)
}

// userFault is HandleUserFault, and without always also the touch of a page that
// may be there: then nothing is done and NoCause returned.
func (mm *MemoryManager) userFault(by *Actor, addr memmap.Addr, at memmap.AccessType, always bool) (memmap.Cause, error) {
	f := fault{addr: addr, at: at}
	c := change{mm: mm, by: by, fault: &f}
	mm.mappingMu.RLock()
	seg, ok := mm.vmas.Find(addr)
	if !ok && mm.mayGrow(addr) {
		mm.mappingMu.RUnlock()
		if err := mm.growStack(by, addr, false); err != nil {
			return mm.refused(&c, err)
		}
		f.grew = true
		mm.mappingMu.RLock()
		seg, ok = mm.vmas.Find(addr)
	}
	defer mm.mappingMu.RUnlock()
	if !ok {
		return mm.refused(&c, mm.notMapped("fault", addr))
	}
	if err := mm.checkAccess(seg, addr, at); err != nil {
		return mm.refused(&c, err)
	}
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	page := addr.Page()
	if _, err := mm.bringIn(&c, seg, page, at); err != nil {
		_ = c.flush() // nothing to map: the refusal is what counts
		return mm.refusedLocked(&c, err)
	}
	if f.cause == memmap.NoCause {
		if !always {
			return memmap.NoCause, nil
		}
		mm.brought(&c, memmap.Refault, page)
		c.made = mm.reach(page)
	}
	mm.mapIn(&c, seg, page, c.made)
	return f.cause, c.flush()
}

// checkAccess asks the vma, then the traps.
func (mm *MemoryManager) checkAccess(seg vmaSeg, addr memmap.Addr, at memmap.AccessType) error {
	if !seg.Value.effective().SupersetOf(at) {
		return &memmap.Refusal{
			Op: "fault", Errno: unix.EPERM, Why: memmap.Permission,
			Reason: fmt.Sprintf("%v allows %v, not %v, at %v", seg.Range, seg.Value.perms, at, addr),
		}
	}
	return mm.trapped(addr, at)
}

// notMapped is the refusal of an address in a hole.
func (mm *MemoryManager) notMapped(op string, addr memmap.Addr) *memmap.Refusal {
	return &memmap.Refusal{
		Op: op, Errno: unix.EFAULT, Why: memmap.NoMapping,
		Reason: fmt.Sprintf("%v is not mapped (%s)", addr, mm.holeAt(addr)),
	}
}

// countable is the most vmas that are counted to give a hole's neighbour its row.
const countable = 1024

// holeAt describes the hole around addr.
func (mm *MemoryManager) holeAt(addr memmap.Addr) string {
	if !mm.All().Contains(addr) {
		return fmt.Sprintf("outside guest memory %v", mm.All())
	}
	prev, below := mm.vmas.UpperBound(addr)
	next, above := mm.vmas.LowerBound(addr)
	switch {
	case below && above:
		return fmt.Sprintf("hole after vma%s, between %v and %v", mm.rowOf(prev), prev.Range, next.Range)
	case below:
		return fmt.Sprintf("above the last vma, %v", prev.Range)
	case above:
		return fmt.Sprintf("below the first vma, %v", next.Range)
	}
	return "nothing is"
}

// rowOf returns " 4" for the fourth vma, or nothing if counting would take long.
func (mm *MemoryManager) rowOf(seg vmaSeg) string {
	if mm.vmas.Len() > countable {
		return ""
	}
	row := 0
	for s := range mm.vmas.All() {
		row++
		if s.Start == seg.Start {
			break
		}
	}
	return fmt.Sprintf(" %d", row)
}

// refused ends a fault that err refuses: it is counted and becomes an event.
func (mm *MemoryManager) refused(c *change, err error) (memmap.Cause, error) {
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	return mm.refusedLocked(c, err)
}

func (mm *MemoryManager) refusedLocked(c *change, err error) (memmap.Cause, error) {
	cause := causeOf(err)
	var errno unix.Errno
	errors.As(err, &errno)
	mm.faults.Causes[cause]++
	mm.note(c, Event{
		Kind: EventFault, Cause: cause, Access: c.fault.at, Errno: errno,
		Range: c.fault.addr.Page(), Addr: c.fault.addr,
	})
	return cause, err
}

// causeOf returns why err refused an access, NoCause if err is nil.
func causeOf(err error) memmap.Cause {
	if err == nil {
		return memmap.NoCause
	}
	var refusal *memmap.Refusal
	if errors.As(err, &refusal) && refusal.Why != memmap.NoCause {
		return refusal.Why
	}
	var trap *TrapError
	if errors.As(err, &trap) && trap.Trap.Kind == TrapGuard {
		return memmap.GuardPage
	} else if trap != nil {
		return memmap.Permission
	}
	switch {
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOSPC):
		return memmap.LimitHit
	case errors.Is(err, io.EOF):
		return memmap.BeyondEOF
	}
	return memmap.IOError
}

// brought counts what came in at ar, or was there, and appends the event. Of a
// guest's fault only the page it asked for does; what comes in around it shares
// the event. It returns the event's number.
func (mm *MemoryManager) brought(c *change, cause memmap.Cause, ar memmap.AddrRange) uint64 {
	f := c.fault
	if f == nil {
		n := ar.Length() / memmap.PageSize
		mm.faults.Causes[cause] += n
		mm.faults.MinorFaults += n
		return mm.note(c, Event{Kind: EventFault, Cause: cause, Range: ar, Addr: ar.Start})
	}
	c.made = hull(c.made, ar)
	if f.cause != memmap.NoCause {
		return f.event
	}
	f.cause = cause
	if f.grew {
		f.cause = memmap.StackGrow
	}
	mm.faults.Causes[f.cause]++
	mm.faults.MinorFaults++
	f.event = mm.note(c, Event{
		Kind: EventFault, Cause: f.cause, Access: f.at, Range: f.addr.Page(), Addr: f.addr,
	})
	return f.event
}

// bringIn sees to it that pmas that allow at lie over all of ar, a range of pages
// of seg's vma, which allows at. It returns how far it came, and if that is short
// of ar.End, why.
//
// Preconditions: mm.mappingMu is held; mm.activeMu is held for writing.
// Postcondition: c is to be flushed, whatever the outcome.
func (mm *MemoryManager) bringIn(c *change, seg vmaSeg, ar memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	for pos := ar.Start; pos < ar.End; {
		rest := memmap.AddrRange{Start: pos, End: ar.End}
		p, ok := mm.pmas.LowerBound(pos)
		var err error
		switch {
		case !ok || p.Start > pos:
			pos, err = mm.fillHole(c, seg, rest, at)
			if seg.Value.private && !seg.Value.anonymous() && at.Write && err == nil {
				pos = rest.Start // what was found in the file is now to be copied
			}
		case mm.mustOwn(&p.Value, at):
			pos, err = mm.breakCOW(c, seg, p, rest)
		case p.Value.kind != owned && !p.Value.translate.SupersetOf(at):
			pos, err = mm.upgrade(c, seg, p, rest, at)
		default:
			pos = p.End
		}
		if err != nil {
			return pos, err
		}
	}
	return ar.End, nil
}

// mustOwn reports whether an access needs private memory where there is none yet.
// The zero page is never executed: the host maps it for reading only.
func (mm *MemoryManager) mustOwn(p *pma, at memmap.AccessType) bool {
	return at.Write && mm.needCOW(p) || at.Execute && p.kind == zero
}

// fillHole makes pmas from rest.Start on, where there is none, and returns how far.
func (mm *MemoryManager) fillHole(c *change, seg vmaSeg, rest memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	hole := mm.holeIn(seg, rest.Start)
	required := rest.Intersect(hole)
	if !seg.Value.anonymous() {
		optional := mm.reach(required).Intersect(hole)
		return mm.translate(c, seg, required, optional, at)
	}
	window := mm.windowFor(required).Intersect(hole)
	if !at.Write && !at.Execute {
		mm.insertZero(c, seg, window)
		return window.End, nil
	}
	return mm.allocate(c, seg, required, window)
}

// holeIn returns the stretch of seg around addr that has no pmas.
func (mm *MemoryManager) holeIn(seg vmaSeg, addr memmap.Addr) memmap.AddrRange {
	hole := seg.Range
	if prev, ok := mm.pmas.UpperBound(addr); ok {
		hole.Start = max(hole.Start, prev.End)
	}
	if next, ok := mm.pmas.LowerBound(addr); ok {
		hole.End = min(hole.End, next.Start)
	}
	return hole
}

func (mm *MemoryManager) insertZero(c *change, seg vmaSeg, ar memmap.AddrRange) {
	p := zeroPMA(ar, &seg.Value)
	p.cause = memmap.ZeroMap
	p.event = mm.brought(c, memmap.ZeroMap, ar)
	mm.insertPMA(ar, p)
}

// allocate puts fresh pages at window, or if there is not so much memory at required.
func (mm *MemoryManager) allocate(c *change, seg vmaSeg, required, window memmap.AddrRange) (memmap.Addr, error) {
	fr, err := mm.mem.Allocate(window.Length(), pgalloc.Anonymous, mm.near(window))
	if err != nil && window != required {
		window = required
		fr, err = mm.mem.Allocate(window.Length(), pgalloc.Anonymous, mm.near(window))
	}
	if err != nil {
		return required.Start, outOfMemory(required, err)
	}
	p := mm.ownPMA(fr, &seg.Value)
	p.cause = memmap.ZeroFill
	p.event = mm.brought(c, memmap.ZeroFill, window)
	mm.insertPMA(window, p)
	return window.End, nil
}

// outOfMemory is what a guest meets that needs a page where none is left: SIGBUS,
// as with Linux's memory files.
func outOfMemory(ar memmap.AddrRange, err error) error {
	return &memmap.BusError{Err: &memmap.Refusal{
		Op: "fault", Errno: unix.ENOMEM, Why: memmap.LimitHit,
		Reason: fmt.Sprintf("no memory for %v: %v", ar, err),
	}}
}

// translate makes pmas for required, and as much of optional as the Mappable
// offers, out of its answer.
func (mm *MemoryManager) translate(c *change, seg vmaSeg, required, optional memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	toCopy := seg.Value.private && at.Write
	if seg.Value.private { // we must read to copy later, and never dirty the file
		at.Read, at.Write = true, false
	}
	ts, err := mm.askMappable(seg, required, optional, at)
	end := required.Start
	for _, t := range ts {
		ar := addrRangeOf(seg, t.Source)
		t.File.IncRef(t.FileRange())
		p := translatedPMA(t, &seg.Value)
		p.cause = memmap.FileMap
		if !toCopy { // else the copy is the event
			p.event = mm.brought(c, memmap.FileMap, ar)
		}
		mm.insertPMA(ar, p)
		end = ar.End
	}
	if end < required.End {
		return end, err
	}
	return end, nil
}

// askMappable is Translate for addresses, with its answer checked.
func (mm *MemoryManager) askMappable(seg vmaSeg, required, optional memmap.AddrRange, at memmap.AccessType) ([]memmap.Translation, error) {
	req, opt := mappableRange(seg, required), mappableRange(seg, optional)
	ts, err := seg.Value.mappable.Translate(req, opt, at)
	if bad := memmap.CheckTranslateResult(req, opt, at, ts, err); bad != nil {
		panic(fmt.Sprintf("mm: %v: %v", seg.Range, bad))
	}
	return ts, err
}

// addrRangeOf returns where seg has the offsets mr.
func addrRangeOf(seg vmaSeg, mr memmap.MappableRange) memmap.AddrRange {
	start := seg.Start + memmap.Addr(mr.Start-seg.Value.off)
	return memmap.AddrRange{Start: start, End: start + memmap.Addr(mr.Length())}
}

// upgrade asks the Mappable of p, whose translation does not allow at, anew, and
// puts its answer in p's place.
func (mm *MemoryManager) upgrade(c *change, seg vmaSeg, p pmaSeg, rest memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	piece := p.Intersect(seg.Range)
	required := piece.Intersect(rest)
	optional := mm.reach(required).Intersect(piece)
	at = at.Union(p.Value.translate)
	if seg.Value.private {
		at.Read, at.Write = true, false
	}
	ts, err := mm.askMappable(seg, required, optional, at)
	end := required.Start
	for _, t := range ts {
		ar := addrRangeOf(seg, t.Source)
		mm.cutPMAs(c, ar, everything)
		t.File.IncRef(t.FileRange())
		next := translatedPMA(t, &seg.Value)
		next.cause = memmap.Upgrade
		next.event = mm.brought(c, memmap.Upgrade, ar)
		mm.insertPMA(ar, next)
		end = ar.End
	}
	if end < required.End {
		return end, err
	}
	return end, nil
}
