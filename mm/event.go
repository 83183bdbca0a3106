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
	EventInvalidate           // pages dropped by their file: truncation, eviction
	EventFork
	EventExec
	EventExit
	EventSignal
	EventSyscall
	EventNote // something that people should know: an unknown call, a died stub
)

func (k EventKind) String() string { panic("mm: unwritten") }

// ParseEventKind returns the kind that String prints as s.
func ParseEventKind(s string) (EventKind, bool) { panic("mm: unwritten") }

// Event is one entry of a Ring. What Range and the numbers mean depends on Kind:
// a fault's Range is its page and Addr the address; a syscall has Number, Args and
// Result; a fork Number is the child's pid; an exit Number is the wait status; a
// signal Number is the signal and Code its si_code.
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
	mu sync.Mutex
	_  [0]func()
}

// NewRing returns a ring that holds n events.
func NewRing(n int) *Ring { panic("mm: unwritten") }

// Append numbers e, stores it and returns its number; 0 for a nil Ring.
func (r *Ring) Append(e Event) uint64 { panic("mm: unwritten") }

// Last returns the number of the newest event, 0 if there is none.
func (r *Ring) Last() uint64 { panic("mm: unwritten") }

// Since returns the events numbered above seq that are still held, oldest first,
// and the number of events in between that were lost.
func (r *Ring) Since(seq uint64) (events []Event, lost uint64) { panic("mm: unwritten") }
