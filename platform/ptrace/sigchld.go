package ptrace

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction is the kernel's struct for rt_sigaction.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const saNoCldStop = 1

// quietChildren keeps our handler of SIGCHLD as it is, but for stops: each stop of
// a tracee would run it on some thread of ours. (SIG_IGN would also discard the
// ends of children that others wait for.)
func quietChildren() error {
	var act sigaction
	if err := rtSigaction(unix.SIGCHLD, nil, &act); err != nil {
		return err
	}
	act.flags |= saNoCldStop
	return rtSigaction(unix.SIGCHLD, &act, nil)
}

func rtSigaction(sig unix.Signal, act, old *sigaction) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if e != 0 {
		return fmt.Errorf("sigaction of %s: %w", unix.SignalName(sig), e)
	}
	return nil
}
