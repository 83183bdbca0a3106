package mm

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
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
// access is refused, is a *memmap.BusError (SIGBUS), a *TrapError, a *UserfaultError, or a
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
	for tries := 1; ; tries++ {
		cause, err := mm.tryFault(by, addr, at, always, false)
		if cause != memmap.NoCause || !noRoom(err) {
			return cause, err
		}
		if tries == mostRetries || !mm.relieve() {
			return mm.tryFault(by, addr, at, always, true)
		}
	}
}

// tryFault is userFault once. Only the last attempt that finds no memory is an event,
// others are an error with NoCause.
func (mm *MemoryManager) tryFault(by *Actor, addr memmap.Addr, at memmap.AccessType, always, last bool) (memmap.Cause, error) {
	c := change{mm: mm, by: by, byGuest: true, fault: fault{addr: addr, at: at}}
	mm.mappingMu.RLock()
	seg, ok := mm.vmas.Find(addr)
	if !ok && mm.mayGrow(addr) {
		mm.mappingMu.RUnlock()
		if err := mm.growStack(by, addr, false); err != nil {
			return mm.refused(&c, err)
		}
		c.fault.grew = true
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
		if !last && noRoom(err) {
			return memmap.NoCause, err
		}
		return mm.refusedLocked(&c, err)
	}
	if c.fault.cause == memmap.NoCause {
		if !always {
			return memmap.NoCause, nil
		}
		mm.brought(&c, memmap.Refault, page)
		c.made = mm.reach(page)
	}
	mm.mapIn(&c, seg, page, c.made)
	return c.fault.cause, c.flush()
}

// checkAccess asks the vma, then guard regions, then the traps.
func (mm *MemoryManager) checkAccess(seg vmaSeg, addr memmap.Addr, at memmap.AccessType) error {
	if !seg.Value.effective().SupersetOf(at) {
		return &memmap.Refusal{
			Op: "fault", Errno: unix.EPERM, Why: memmap.Permission,
			Reason: fmt.Sprintf("%v allows %v, not %v, at %v", seg.Range, seg.Value.perms, at, addr),
		}
	}
	if err := mm.guardAt(addr, at); err != nil {
		return err
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
	var user *UserfaultError
	if errors.As(err, &user) {
		return memmap.UserFault
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
	if !c.byGuest {
		n := ar.Length() / memmap.PageSize
		mm.faults.Causes[cause] += n
		mm.faults.MinorFaults += n
		return mm.note(c, Event{Kind: EventFault, Cause: cause, Range: ar, Addr: ar.Start})
	}
	f := &c.fault
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
