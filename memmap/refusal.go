package memmap

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Refusal is an operation that was refused: the errno that a guest gets and the
// reason that a person gets, which names addresses and the rule. errors.As finds
// the unix.Errno in it.
type Refusal struct {
	Op     string // "mprotect"
	Errno  unix.Errno
	Reason string // "0x1 is not page-aligned"
	// Why is the same refusal as a fault's cause, NoCause where that means nothing.
	Why Cause
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %s: %s", r.Op, unix.ErrnoName(r.Errno), r.Reason)
}

// Unwrap returns the errno.
func (r *Refusal) Unwrap() error { return r.Errno }

// Refuse returns a *Refusal with a formatted reason.
func Refuse(op string, errno unix.Errno, format string, args ...any) *Refusal {
	return &Refusal{Op: op, Errno: errno, Reason: fmt.Sprintf(format, args...)}
}
