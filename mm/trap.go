package mm

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// TrapKind says who wants to know of an access.
type TrapKind uint8

// The kinds of trap.
const (
	TrapWatch TrapKind = iota + 1 // a watchpoint of the debugger
	TrapGuard
)

// Trap makes accesses of kind At to a range stop, whatever the vma allows.
type Trap struct {
	Kind TrapKind
	At   memmap.AccessType
	ID   int64 // the owner's
}

// Merge implements segment.Value.
func (t Trap) Merge(_, _ memmap.AddrRange, next Trap) bool { return t == next }

// Split implements segment.Value.
func (t Trap) Split(memmap.AddrRange, memmap.Addr) Trap { return t }

// TrapError is an access that met a trap and was not made.
type TrapError struct {
	Trap Trap
	Addr memmap.Addr
	At   memmap.AccessType
}

func (e *TrapError) Error() string {
	name := [...]string{"no trap", "a watchpoint", "a guard region"}[e.Trap.Kind]
	return fmt.Sprintf("access %v at %v met %s", e.At, e.Addr, name)
}

// Unwrap returns what a copy that met the trap answers the guest.
func (e *TrapError) Unwrap() error { return unix.EFAULT }

// SetTrap puts t on ar, over any trap that is there; a zero Trap removes them.
func (mm *MemoryManager) SetTrap(by *Actor, ar memmap.AddrRange, t Trap) error {
	ar, err := mm.pagesOf("trap", ar)
	if err != nil {
		return err
	}
	c := mm.begin(by)
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	mm.traps.Cut(ar, nil)
	if t == (Trap{}) {
		return nil
	}
	mm.traps.Insert(ar, t)
	if mm.pmas.Overlaps(ar) {
		c.spoil(ar)
	}
	return c.flush()
}

// trapped returns the *TrapError of a guest's access to one place, nil if no trap
// minds. Where reads must stop all accesses do, since the host then maps nothing.
func (mm *MemoryManager) trapped(addr memmap.Addr, at memmap.AccessType) error {
	if mm.traps.IsEmpty() {
		return nil
	}
	seg, ok := mm.traps.Find(addr)
	if !ok || weaken(memmap.AnyAccess, seg.Value.At).SupersetOf(at) {
		return nil
	}
	return &TrapError{Trap: seg.Value, Addr: addr, At: at}
}

// untrapped clips ar to what lies before the first trap or guard region that minds
// accesses of kind at, and returns that trap's error.
func (mm *MemoryManager) untrapped(ar memmap.AddrRange, at memmap.AccessType) (memmap.AddrRange, error) {
	ar, err := mm.unguarded(ar, at)
	for seg := range mm.traps.In(ar) {
		if seg.Value.At.Intersect(at).Any() {
			ar.End = max(ar.Start, seg.Start)
			return ar, &TrapError{Trap: seg.Value, Addr: ar.End, At: at}
		}
	}
	return ar, err
}

// leaveTraps calls f for the parts of ar that the host may map with some of rights.
func (mm *MemoryManager) leaveTraps(ar memmap.AddrRange, rights memmap.AccessType, f func(memmap.AddrRange, memmap.AccessType)) {
	if !rights.Any() {
		return
	}
	if mm.traps.IsEmpty() {
		mm.leaveMarks(ar, rights, f)
		return
	}
	at := ar.Start
	for seg := range mm.traps.In(ar) {
		trap := seg.Intersect(ar)
		if at < trap.Start {
			mm.leaveMarks(memmap.AddrRange{Start: at, End: trap.Start}, rights, f)
		}
		if left := weaken(rights, seg.Value.At); left.Any() {
			mm.leaveMarks(trap, left, f)
		}
		at = trap.End
	}
	if at < ar.End {
		mm.leaveMarks(memmap.AddrRange{Start: at, End: ar.End}, rights, f)
	}
}

// weaken returns what the processor can still grant when accesses of kind at must
// stop: nothing if reads must, for what can be written or executed can be read.
func weaken(rights, at memmap.AccessType) memmap.AccessType {
	if at.Read {
		return memmap.NoAccess
	}
	rights.Write = rights.Write && !at.Write
	rights.Execute = rights.Execute && !at.Execute
	return rights
}

// cutTraps forgets the traps of ar that belong to its mappings. Watchpoints
// belong to addresses and stay.
//
// Preconditions: mm.mappingMu and mm.activeMu are held for writing.
func (mm *MemoryManager) cutTraps(ar memmap.AddrRange) {
	if mm.traps.IsEmpty() {
		return
	}
	for _, seg := range mm.traps.Cut(ar, nil) {
		if seg.Value.Kind == TrapWatch {
			mm.traps.Insert(seg.Range, seg.Value)
		}
	}
}
