package mm

import (
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// EventKind is the sort of thing that happened.
type EventKind uint8

// The kinds, by the names that filters use.
const (
	EventFault      EventKind = iota + 1
	EventMap                  // mmap, brk growing, stack, loader
	EventUnmap                // munmap, brk shrinking, replaced by MAP_FIXED, exit
	EventProtect              // mprotect
	EventRemap                // mremap
	EventAdvise               // madvise
	EventLock                 // mlock, munlock, mlockall, munlockall
	EventSeal                 // mseal
	EventPolicy               // mbind, set_mempolicy_home_node
	EventName                 // PR_SET_VMA_ANON_NAME
	EventPin                  // Pin, Unpin
	EventInvalidate           // pages dropped by their file: truncation, eviction
	EventFork
	EventExec
	EventExit
	EventSignal
	EventSyscall
	EventWriteback // a file's dirty pages could not be written back: they stay dirty
	EventNote      // something that people should know: an unknown call, a died stub
)

var eventNames = [...]string{
	EventFault: "fault", EventMap: "map", EventUnmap: "unmap", EventProtect: "protect",
	EventRemap: "remap", EventAdvise: "advise", EventInvalidate: "invalidate",
	EventLock: "lock", EventSeal: "seal", EventPolicy: "policy", EventName: "name", EventPin: "pin",
	EventFork: "fork", EventExec: "exec", EventExit: "exit", EventSignal: "signal",
	EventSyscall: "syscall", EventWriteback: "writeback", EventNote: "note",
}

func (k EventKind) String() string {
	if int(k) >= len(eventNames) {
		return ""
	}
	return eventNames[k]
}

// ParseEventKind returns the kind that String prints as s.
func ParseEventKind(s string) (EventKind, bool) {
	for k := EventFault; k <= EventNote; k++ {
		if eventNames[k] == s {
			return k, true
		}
	}
	return 0, false
}

// Event is one entry of a Ring. What Range and the numbers mean depends on Kind:
// a fault's Range is its page and Addr the address (of a copy by the sandbox,
// which has no Access, the pages that it brought in); a remap's Range is the new
// place, Addr the old one and Number the old size; a protect's Access is what was
// asked; an advise's Number is the advice, a pin's its number (its Access is what it was pinned for, none when it ends), a lock's the memmap.MLockMode; a syscall has Number, Args and Result; a fork Number is the child's pid;
// an exit Number is the wait status; a signal Number is the signal and Code its
// si_code.
type Event struct {
	Seq    uint64 // 1, 2, 3, … in the order of effect
	Kind   EventKind
	Cause  memmap.Cause
	Access memmap.AccessType
	Errno  unix.Errno // why it was refused, 0 if it was not
	PID    int32      // whose memory
	Range  memmap.AddrRange
	Addr   memmap.Addr
	Origin memmap.Origin
	Number int64
	Code   int32
	Args   [6]uint64
	Result uint64
	Note   string // a constant or rarely made text
}

// Ring is the log of all events of a world of processes, in the order in which
// they took effect: the engine appends under its own locks. It holds the newest
// Cap events; Lost tells how many older ones are gone. A nil Ring takes nothing.
type Ring struct {
	mu     sync.Mutex
	events []Event // event n lies at (n-1) % size once the ring is full
	size   uint64
	last   uint64
}

// NewRing returns a ring that holds n events. Memory is taken as they come.
func NewRing(n int) *Ring { return &Ring{size: uint64(max(n, 1))} }

// Append numbers e, stores it and returns its number; 0 for a nil Ring.
func (r *Ring) Append(e Event) uint64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Seq = r.last
	if uint64(len(r.events)) < r.size {
		r.events = append(r.events, e)
	} else {
		r.events[(r.last-1)%r.size] = e
	}
	return r.last
}

// Last returns the number of the newest event, 0 if there is none.
func (r *Ring) Last() uint64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Since returns the events numbered above seq that are still held, oldest first,
// and the number of events in between that were lost.
func (r *Ring) Since(seq uint64) (events []Event, lost uint64) {
	if r == nil {
		return nil, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.last - uint64(len(r.events)) // the number before the oldest held
	if seq < oldest {
		lost = oldest - seq
		seq = oldest
	}
	for n := seq + 1; n <= r.last; n++ {
		events = append(events, r.events[(n-1)%r.size])
	}
	return events, lost
}

// note appends e as c's, and returns its number, 0 if events are off.
//
// Preconditions: the locks under which e takes effect are held.
func (mm *MemoryManager) note(c *change, e Event) uint64 {
	if mm.events == nil {
		return 0
	}
	e.PID = mm.pid
	if c.by != nil {
		e.Origin = c.by.Origin
	}
	return mm.events.Append(e)
}

// origin returns what is stamped on a mapping that c makes with event seq.
func (c *change) origin(seq uint64) *memmap.Origin {
	o := c.by.Origin
	o.Event = seq
	return &o
}
