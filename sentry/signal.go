package sentry

import (
	"mmsh.dev/mmsh/memmap"
)

// SigSet is a set of signals: bit n-1 is signal n.
type SigSet uint64

// SigAction is what rt_sigaction sets, in the kernel's layout.
type SigAction struct {
	Handler  uint64 // SIG_DFL 0, SIG_IGN 1
	Flags    uint64
	Restorer uint64
	Mask     SigSet
}

// SigInfo is what a handler is told.
type SigInfo struct {
	Signal, Errno, Code int32
	Addr                memmap.Addr // faults
	PID                 int32       // SI_USER, SI_TKILL, SIGCHLD
	UID                 uint32
	Status              int32  // SIGCHLD
	Value               uint64 // SI_QUEUE
}

// SigStack is sigaltstack's stack_t.
type SigStack struct {
	SP    memmap.Addr
	Flags int32
	Size  uint64
}

// SetAction replaces the action for sig if a is not nil, and returns the old one:
// EINVAL for a number out of range and for changing SIGKILL and SIGSTOP.
func (t *Task) SetAction(sig int32, a *SigAction) (SigAction, error) { panic("sentry: unwritten") }

// SigMask returns the blocked signals.
func (t *Task) SigMask() SigSet { panic("sentry: unwritten") }

// SetSigMask replaces them; SIGKILL and SIGSTOP are never blocked.
func (t *Task) SetSigMask(s SigSet) { panic("sentry: unwritten") }

// Pending returns the blocked signals that wait, the process's included.
func (t *Task) Pending() SigSet { panic("sentry: unwritten") }

// AltStack and SetAltStack are sigaltstack: EPERM while on it, EINVAL, ENOMEM.
func (t *Task) AltStack() SigStack { panic("sentry: unwritten") }

// SetAltStack sets the stack for SA_ONSTACK handlers.
func (t *Task) SetAltStack(s SigStack) error { panic("sentry: unwritten") }

// SigReturn undoes a delivery: registers, vector state and mask come from the
// frame at the stack pointer. The value is the restored rax.
func (t *Task) SigReturn() (uintptr, error) { panic("sentry: unwritten") }

// Signal sends info to the process (any thread may take it), SignalThread to t.
func (p *Process) Signal(info SigInfo) { panic("sentry: unwritten") }

// SignalThread sends info to t alone.
func (t *Task) SignalThread(info SigInfo) { panic("sentry: unwritten") }

// Kill is kill(2) from t: which processes pid means is kill's. Sig 0 only looks.
func (t *Task) Kill(pid int32, sig int32) error { panic("sentry: unwritten") }
