// Package platform is the contract between the engine and the thing that runs
// guest code: an address space whose every mapping we make, and contexts that
// run in it until they stop. Package platform/ptrace keeps it with stub processes.
package platform

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Platform makes address spaces. Its methods may be called from any goroutine.
type Platform interface {
	// UserRange is where guests may have mappings.
	UserRange() memmap.AddrRange
	// NewAddressSpace returns an empty address space.
	NewAddressSpace() (AddressSpace, error)
	// ForgetFD says that a descriptor that a File's FD has returned is about to be
	// closed, so that the platform closes its copy. A number that comes back as
	// another file is noticed anyhow; one that comes back as the same file,
	// opened with other rights, is not. What is mapped stays mapped.
	ForgetFD(fd int)
	// Close ends every stub. No context may run any more.
	Close() error
}

// AddressSpace is one guest address space on the host. Methods may be called
// from any goroutine.
type AddressSpace interface {
	// Apply performs ops in order, in as few stops of the tracee as it can. via is
	// the Context on whose tracing thread the caller runs, stopped; nil if there is
	// none. If that is not of this address space, the keeper does the work.
	// ENOMEM: the host's map is full; the caller drops host mappings (they are a
	// cache of pmas) and retries. ErrDied: the stub is gone. What was done of ops
	// before an error stays.
	Apply(via Context, ops []MapOp) error

	// NewContext returns a context for a new guest thread; the calling goroutine
	// must be locked to its OS thread, which becomes the context's tracing thread.
	// from, if not nil, is a context of any address space of the platform, whose
	// vector state is copied as its FPState returned it last; EINVAL if from has run
	// since. (Only from's own thread can ask the host for it.)
	NewContext(from Context) (Context, error)

	// HostMappings returns what the host says is mapped, the stub's own pages
	// excepted, in ascending order. For `check` and `walk` only.
	HostMappings() ([]HostMapping, error)

	// HostPID is the host's process id of a process that has the address space.
	HostPID() int

	// Release ends the address space, when all its contexts have been released.
	Release()
}

// AddressSpaceIO is what an AddressSpace may offer besides: copies by way of the
// guest's own mappings. Both return how many bytes were copied, from the first on:
// fewer than all, if the host's mappings do not allow the access there, or if the
// stub is gone. They never change a mapping, and must not be called after Release.
type AddressSpaceIO interface {
	// CopyOut writes src at addr.
	CopyOut(addr memmap.Addr, src []byte) int
	// CopyIn reads len(dst) bytes at addr.
	CopyIn(addr memmap.Addr, dst []byte) int
}

// MapOp maps [Offset, Offset+len(AR)) of File at AR, shared, replacing what is
// there; or unmaps AR if File is nil. The engine holds a reference on the pages
// for as long as they are mapped.
type MapOp struct {
	AR       memmap.AddrRange
	File     memmap.File
	Offset   memmap.FileOffset
	At       memmap.AccessType // never empty for a mapping
	Populate bool              // let the host make its page tables now (a hint)
}

// HostMapping is one line of the host's /proc/PID/maps.
type HostMapping struct {
	AR     memmap.AddrRange
	Perms  memmap.AccessType
	Shared bool
	Offset uint64
	Dev    uint64 // dev_t
	Inode  uint64
	Name   string
}

// Context runs one guest thread. All methods but Interrupt must be called on its
// tracing thread: the goroutine that made it.
type Context interface {
	// Run lets the guest run with regs until it stops, and updates regs. An error
	// means that the sandbox is broken (not that the guest is).
	Run(regs *Regs) (Stop, error)
	// Step runs a single instruction; a system call instruction is a step that
	// answers a Syscall stop.
	Step(regs *Regs) (Stop, error)
	// Interrupt makes a running Run or Step, or else the next one, return an
	// Interrupted stop soon. Any goroutine may call it, at any time.
	Interrupt()
	// FPState returns the vector state in XSAVE's standard format, SetFPState
	// replaces it. A state that the processor would refuse is EINVAL.
	FPState() ([]byte, error)
	SetFPState(xsave []byte) error
	// HostTID is the host's id of the tracee.
	HostTID() int
	// Release ends the tracee.
	Release()
}

// ErrDied is returned once a stub no longer lives: the address space and its
// contexts are of no more use, all else goes on.
var ErrDied = errors.New("the stub process died")

// Regs are the general registers as PTRACE_GETREGS gives them. At a Syscall or
// Syscall32 stop Orig_rax is the number and Rax the value to be returned (ENOSYS
// until it is set); rip is behind the instruction. At a Vsyscall stop it is the
// same, but that rip is where the caller goes on: the call is undone from the
// stack already, so it is answered like a system call. Run and Step ignore Cs,
// Ss and Orig_rax; an Fs_base or Gs_base beyond the user range is EIO.
type Regs = unix.PtraceRegs

// StopKind says why a context stopped.
type StopKind uint8

// The kinds of stop.
const (
	Interrupted StopKind = iota // Interrupt was called; registers are valid
	Syscall                     // a 64-bit system call, not executed
	Syscall32                   // int 0x80: not executed, Orig_rax is the number
	Vsyscall                    // a call into the vsyscall page, not executed; see Regs
	Fault                       // an access that the host's mappings do not allow (SIGSEGV)
	Exception                   // any other hardware exception, for the guest: Signal, Code, Addr
	Stepped                     // Step finished its instruction
	Compat                      // the guest went to 32-bit mode (sysenter, far return): no way back
	Died                        // the tracee was killed by somebody else, or by the host
)

func (k StopKind) String() string {
	return [...]string{"interrupted", "syscall", "int 0x80", "vsyscall", "fault", "exception", "stepped", "32-bit mode", "died"}[k]
}

// Stop is what a context stopped for.
type Stop struct {
	Kind   StopKind
	Addr   memmap.Addr       // Fault, Exception: siginfo's address
	Access memmap.AccessType // Fault, and SIGBUS for a page: what was tried, from siginfo and the instruction
	Signal unix.Signal       // Fault, Exception: what the host raised
	Code   int32             // Fault, Exception: siginfo's si_code
	Detail string            // Died, Compat: what happened, for people
}

func (s Stop) String() string {
	switch s.Kind {
	case Fault:
		return fmt.Sprintf("fault %v at %v", s.Access, s.Addr)
	case Exception:
		return fmt.Sprintf("%s code %d at %v", unix.SignalName(s.Signal), s.Code, s.Addr)
	case Died, Compat:
		return s.Kind.String() + ": " + s.Detail
	}
	return s.Kind.String()
}
