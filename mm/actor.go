package mm

import (
	"mmsh.dev/mmsh/memmap"
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

var unlimited = *NoLimits()

// Actor is who asks: limits, privilege, provenance and the tracing context are
// the caller's, not the memory manager's (processes may share one).
type Actor struct {
	Limits  *Limits // nil: none
	LockCap bool    // CAP_IPC_LOCK: RLIMIT_MEMLOCK does not bind
	// AdminCap is CAP_SYS_ADMIN: what is kept back of the memory that may be committed is
	// for such callers.
	AdminCap bool
	// ReadImpliesExec is personality's READ_IMPLIES_EXEC: mprotect that lets read lets
	// execute, and so is the heap.
	ReadImpliesExec bool
	// Await waits until an access that err, which wraps a *UserfaultError, stopped may be
	// tried again; an error: it may not. Copies call it, with no lock of the engine held.
	// nil: they answer EFAULT instead.
	Await  func(err error) error
	Origin memmap.Origin    // stamped on what is made
	Via    platform.Context // the stopped context whose tracing thread this is, or nil
}

func (by *Actor) limits() Limits {
	if by.Limits == nil {
		return unlimited
	}
	return *by.Limits
}
