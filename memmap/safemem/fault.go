package safemem

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// FaultError says that memory at Addr, or a few bytes after it, could not be
// accessed. Whether the host raised SIGSEGV or SIGBUS cannot be told.
type FaultError struct{ Addr uintptr }

func (e *FaultError) Error() string {
	return fmt.Sprintf("memory of the sandbox at %#x could not be accessed", e.Addr)
}

// Unwrap returns EFAULT.
func (e *FaultError) Unwrap() error { return unix.EFAULT }

// allowFaults makes memory faults of this goroutine panics, which can be
// recovered, and returns what they were before.
func allowFaults() (before bool) { return debug.SetPanicOnFault(true) }

// catchFaults, deferred, undoes allowFaults and turns the panic of a memory fault
// into a *FaultError. Other panics go on.
func catchFaults(before bool, fault **FaultError) {
	debug.SetPanicOnFault(before)
	r := recover()
	if r == nil {
		return
	}
	// Only the runtime's error for a memory fault knows an address.
	if e, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		*fault = &FaultError{e.Addr()}
		return
	}
	panic(r)
}

// asError returns fault as an error that is nil if fault is.
func asError(fault *FaultError) error {
	if fault == nil {
		return nil
	}
	return fault
}
