// Package mm is the memory engine: a MemoryManager is the whole memory of a
// process. It owns the vmas (what the program asked for) and the pmas (the pages
// it holds), answers faults, and keeps the host's mappings in the stub no
// wider than what it decided.
//
// Lock order, outer to inner:
//
//	file locks (but Mappable locks)
//	  metadataMu                          argv, envv, auxv, executable
//	    mappingMu (RW)                    vmas, brk, sums over them, traps
//	      Mappable locks outside Translate
//	        activeMu (RW)                 pmas, RSS
//	          Mappable locks inside Translate
//	            platform.AddressSpace
//	  pgalloc.MemoryFile, Ring            leaves
//
// The last DecRef of an identity is done with mappingMu released.
//
// Read vma.go and pma.go first, then fault.go.
package mm

import (
	"sync/atomic"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
)

// Infinity is a limit that limits nothing.
const Infinity = ^uint64(0)

// Limits are the resource limits of a caller that the engine asks for, in bytes.
type Limits struct {
	AS, Data, Stack, MemLock uint64
}

// NoLimits are limits that limit nothing.
func NoLimits() *Limits { return &Limits{Infinity, Infinity, Infinity, Infinity} }

// Actor is who asks: limits, privilege, provenance and the tracing context are
// the caller's, not the memory manager's (processes may share one).
type Actor struct {
	Limits  *Limits
	LockCap bool             // CAP_IPC_LOCK: RLIMIT_MEMLOCK does not bind
	Origin  memmap.Origin    // stamped on what is made
	Via     platform.Context // the stopped context whose tracing thread this is, or nil
}

// FaultWindow is how much a fault brings in at once, in bytes; WindowAuto grows
// with sequential use up to 2 MiB. One setting is shared by a world of processes.
type FaultWindow struct{ bytes atomic.Uint64 }

// WindowAuto is the growing window.
const WindowAuto = 0

// Set changes the window to 4 KiB, 64 KiB, 2 MiB or WindowAuto.
func (w *FaultWindow) Set(bytes uint64) { w.bytes.Store(bytes) }

// Get returns the window. A nil FaultWindow is one of 4 KiB.
func (w *FaultWindow) Get() uint64 {
	if w == nil {
		return memmap.PageSize
	}
	return w.bytes.Load()
}

// Layout is where things go in an address space.
type Layout struct {
	Min, Max    memmap.Addr // guest mappings lie in [Min, Max)
	TopDown     bool        // the direction of search for room
	TopDownBase memmap.Addr // mmap base: top-down search starts below it
	BottomUp    memmap.Addr // where bottom-up search starts
	StackTop    memmap.Addr // the end of the first stack
	PIEBase     memmap.Addr // load address of a PIE that has an interpreter
}

// NewLayout returns Linux's layout for addresses in user with that RLIMIT_STACK:
// exactly Linux's with randomisation off if seed is 0, else shifted by
// pseudo-random pages drawn from seed.
func NewLayout(user memmap.AddrRange, stackLimit uint64, seed int64) (Layout, error) {
	panic("mm: unwritten")
}

// Config is what a MemoryManager is made of.
type Config struct {
	Memory *pgalloc.MemoryFile
	AS     platform.AddressSpace
	Layout Layout
	Window *FaultWindow // nil: 4 KiB
	Events *Ring        // nil: events are off
	PID    int32        // stamped on events
}

// MemoryManager is the memory of one process, or of several that share it.
// It implements memmap.MappingSpace.
type MemoryManager struct {
	_ [0]func()
}

// New returns an empty MemoryManager with one user. It takes over c.AS.
func New(c Config) *MemoryManager { panic("mm: unwritten") }

// IncUsers adds a user (CLONE_VM); false if there is none left to share with.
func (mm *MemoryManager) IncUsers() bool { panic("mm: unwritten") }

// DecUsers drops a user. With the last one the address space is released, then
// all memory.
func (mm *MemoryManager) DecUsers(by *Actor) { panic("mm: unwritten") }

// Fork returns a copy of the memory for process pid, in the address space as,
// which it takes over (and releases on error). Private memory is shared until
// either side writes it.
func (mm *MemoryManager) Fork(by *Actor, as platform.AddressSpace, pid int32) (*MemoryManager, error) {
	panic("mm: unwritten")
}

// AddressSpace returns where the guest runs.
func (mm *MemoryManager) AddressSpace() platform.AddressSpace { panic("mm: unwritten") }

// Layout returns the layout.
func (mm *MemoryManager) Layout() Layout { panic("mm: unwritten") }

// HandleUserFault answers an access of the guest that its host mappings did not
// allow. sp is the stack pointer. It returns what was done; the error, if the
// access is refused, is a *memmap.BusError (SIGBUS), a *TrapError, or a
// *memmap.Refusal with EPERM (SEGV_ACCERR) or EFAULT (SEGV_MAPERR). The event is
// appended either way.
func (mm *MemoryManager) HandleUserFault(by *Actor, addr memmap.Addr, at memmap.AccessType, sp memmap.Addr) (memmap.Cause, error) {
	panic("mm: unwritten")
}

// MMap makes a mapping and returns its address.
func (mm *MemoryManager) MMap(by *Actor, o memmap.MMapOpts) (memmap.Addr, error) {
	panic("mm: unwritten")
}

// MapStack maps the first stack: size bytes rounded up, growing down from the layout's
// top, and returns its range.
func (mm *MemoryManager) MapStack(by *Actor, size uint64) (memmap.AddrRange, error) {
	panic("mm: unwritten")
}

// MUnmap removes what is mapped in [addr, addr+length).
func (mm *MemoryManager) MUnmap(by *Actor, addr memmap.Addr, length uint64) error {
	panic("mm: unwritten")
}

// MRemapOpts says how MRemap may move.
type MRemapOpts struct {
	MayMove   bool        // MREMAP_MAYMOVE
	Fixed     bool        // MREMAP_FIXED: to NewAddr, which is unmapped first
	DontUnmap bool        // MREMAP_DONTUNMAP: the old range stays mapped, without its pages
	NewAddr   memmap.Addr // with Fixed; a hint with DontUnmap
}

// MRemap is mremap(2).
func (mm *MemoryManager) MRemap(by *Actor, old memmap.Addr, oldSize, newSize uint64, o MRemapOpts) (memmap.Addr, error) {
	panic("mm: unwritten")
}

// MProtect is mprotect(2); growsDown is PROT_GROWSDOWN.
func (mm *MemoryManager) MProtect(by *Actor, addr memmap.Addr, length uint64, perms memmap.AccessType, growsDown bool) error {
	panic("mm: unwritten")
}

// BrkSetup puts an empty heap at addr (page-aligned or not: brk starts there).
func (mm *MemoryManager) BrkSetup(by *Actor, addr memmap.Addr) { panic("mm: unwritten") }

// Brk moves the break and returns where it is now, also on errors.
func (mm *MemoryManager) Brk(by *Actor, addr memmap.Addr) (memmap.Addr, error) {
	panic("mm: unwritten")
}

// Decommit is madvise(MADV_DONTNEED): the pages go, the mapping stays.
func (mm *MemoryManager) Decommit(by *Actor, addr memmap.Addr, length uint64) error {
	panic("mm: unwritten")
}

// Touch brings the pages of ar in as accesses of kind at would, page by page, and
// stops at the first refusal. It returns what each page's fault did, in order.
func (mm *MemoryManager) Touch(by *Actor, ar memmap.AddrRange, at memmap.AccessType) ([]memmap.Cause, error) {
	panic("mm: unwritten")
}

// BreakCOW gives the process its own copy of exactly the pages of ar that wait
// for copy-on-write (taking those over that have no other owner), whatever the
// fault window, and returns how many pages were copied and taken over.
func (mm *MemoryManager) BreakCOW(by *Actor, ar memmap.AddrRange) (copied, reused uint64, err error) {
	panic("mm: unwritten")
}

// Invalidate implements memmap.MappingSpace.
func (mm *MemoryManager) Invalidate(ar memmap.AddrRange, private bool) { panic("mm: unwritten") }

// IOOpts says how data is accessed. The zero IOOpts is the guest's own rights.
type IOOpts struct {
	// IgnorePermissions uses what mprotect could give instead of what it gave: for
	// the debugger, /proc/PID/mem and the loader.
	IgnorePermissions bool
}

// The copies below return the bytes done; fewer than asked comes with an error,
// which is EFAULT to the guest and a *memmap.Refusal or *TrapError with the
// reason inside. They break COW and fill pages as the guest's accesses would.

// CopyOut writes src at addr.
func (mm *MemoryManager) CopyOut(by *Actor, addr memmap.Addr, src []byte, o IOOpts) (int, error) {
	panic("mm: unwritten")
}

// CopyIn reads len(dst) bytes at addr.
func (mm *MemoryManager) CopyIn(by *Actor, addr memmap.Addr, dst []byte, o IOOpts) (int, error) {
	panic("mm: unwritten")
}

// ZeroOut clears n bytes at addr.
func (mm *MemoryManager) ZeroOut(by *Actor, addr memmap.Addr, n uint64, o IOOpts) (uint64, error) {
	panic("mm: unwritten")
}

// CopyOutFrom fills the ranges from r, which is asked at most once; a short result
// with a nil error is r's.
func (mm *MemoryManager) CopyOutFrom(by *Actor, to []memmap.AddrRange, r safemem.Reader, o IOOpts) (uint64, error) {
	panic("mm: unwritten")
}

// CopyInTo gives the bytes of the ranges to w, which is asked at most once.
func (mm *MemoryManager) CopyInTo(by *Actor, from []memmap.AddrRange, w safemem.Writer, o IOOpts) (uint64, error) {
	panic("mm: unwritten")
}

// CopyInString reads a NUL-terminated string of at most maxLen bytes, NUL
// excluded: ENAMETOOLONG with the cut string if it is longer, EFAULT with what was
// read if memory ends first.
func (mm *MemoryManager) CopyInString(by *Actor, addr memmap.Addr, maxLen int, o IOOpts) (string, error) {
	panic("mm: unwritten")
}

// SwapUint32 stores v at addr atomically and returns what was there.
func (mm *MemoryManager) SwapUint32(by *Actor, addr memmap.Addr, v uint32, o IOOpts) (uint32, error) {
	panic("mm: unwritten")
}

// CompareAndSwapUint32 stores v if old is at addr and returns what was there.
func (mm *MemoryManager) CompareAndSwapUint32(by *Actor, addr memmap.Addr, old, v uint32, o IOOpts) (uint32, error) {
	panic("mm: unwritten")
}

// LoadUint32 returns the word at addr.
func (mm *MemoryManager) LoadUint32(by *Actor, addr memmap.Addr, o IOOpts) (uint32, error) {
	panic("mm: unwritten")
}

// TrapKind says who wants to know of an access.
type TrapKind uint8

// The kinds of trap.
const (
	TrapWatch TrapKind = iota + 1 // a watchpoint of the debugger
	TrapSoftDirty
	TrapUserfault
	TrapGuard
)

// Trap makes accesses of kind At to a range stop, whatever the vma allows.
type Trap struct {
	Kind TrapKind
	At   memmap.AccessType
	ID   int64 // the owner's
}

// TrapError is an access that met a trap and was not made.
type TrapError struct {
	Trap Trap
	Addr memmap.Addr
	At   memmap.AccessType
}

func (e *TrapError) Error() string { panic("mm: unwritten") }

// SetTrap puts t on ar, over any trap that is there; a zero Trap removes them.
func (mm *MemoryManager) SetTrap(by *Actor, ar memmap.AddrRange, t Trap) error {
	panic("mm: unwritten")
}
