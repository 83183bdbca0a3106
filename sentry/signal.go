package sentry

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// numSignals is the highest signal; the realtime ones begin at firstRealtime.
const (
	numSignals    = 64
	firstRealtime = 32
)

// Handlers that are no addresses.
const (
	sigDefault = 0 // SIG_DFL
	sigIgnore  = 1 // SIG_IGN
)

// SigSet is a set of signals: bit n-1 is signal n.
type SigSet uint64

func setOf(signals ...unix.Signal) (s SigSet) {
	for _, sig := range signals {
		s |= bit(int32(sig))
	}
	return s
}

func bit(sig int32) SigSet { return 1 << (sig - 1) }

// Has reports whether sig is in s.
func (s SigSet) Has(sig int32) bool { return s&bit(sig) != 0 }

var (
	unblockable      = setOf(unix.SIGKILL, unix.SIGSTOP)
	ignoredByDefault = setOf(unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH)
	stopsByDefault   = setOf(unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	// synchronous signals are delivered before others, as Linux does, so that a
	// frame shows the instruction that caused one.
	synchronous = setOf(unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGTRAP, unix.SIGFPE, unix.SIGSYS)
)

// SigAction is what rt_sigaction sets, in the kernel's layout.
type SigAction struct {
	Handler  uint64 // SIG_DFL 0, SIG_IGN 1
	Flags    uint64
	Restorer uint64
	Mask     SigSet
}

// Flags of sigaction(2) that x/sys/unix lacks, and all that are kept: programs set
// garbage above them.
const (
	saNoCldWait = 0x2
	saSigInfo   = 0x4
	saRestorer  = 0x04000000
	saOnStack   = 0x08000000
	saRestart   = 0x10000000
	saNoDefer   = 0x40000000
	saResetHand = 0x80000000
	saNoCldStop = 0x1
	saExposeTag = 0x800
	saKnown     = saNoCldStop | saNoCldWait | saSigInfo | saExposeTag | saRestorer | saOnStack | saRestart | saNoDefer | saResetHand
)

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
func (t *Task) SetAction(sig int32, a *SigAction) (SigAction, error) {
	if sig < 1 || sig > numSignals {
		return SigAction{}, fmt.Errorf("signal %d: %w: there is no such signal", sig, unix.EINVAL)
	}
	if a != nil && unblockable.Has(sig) {
		return SigAction{}, fmt.Errorf("signal %d: %w: its action cannot be changed", sig, unix.EINVAL)
	}
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.actions[sig]
	if a == nil {
		return old, nil
	}
	act := *a
	act.Flags &= saKnown
	act.Mask &^= unblockable
	p.actions[sig] = act
	if p.ignoresLocked(sig) {
		p.discardLocked(bit(sig))
	}
	return old, nil
}

// ignoresLocked reports whether sig, if it is not blocked, has no effect.
//
// Preconditions: p.mu is held.
func (p *Process) ignoresLocked(sig int32) bool {
	h := p.actions[sig].Handler
	return h == sigIgnore || h == sigDefault && ignoredByDefault.Has(sig)
}

// SigMask returns the blocked signals.
func (t *Task) SigMask() SigSet {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	return t.mask
}

// SetSigMask replaces them; SIGKILL and SIGSTOP are never blocked.
func (t *Task) SetSigMask(s SigSet) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.setMaskLocked(s)
}

func (t *Task) setMaskLocked(s SigSet) {
	t.mask = s &^ unblockable
	t.lookLocked()
}

// lookLocked makes t look at its signals if one may be deliverable. t is the
// caller's own task, or parked.
//
// Preconditions: t.p.mu is held.
func (t *Task) lookLocked() {
	if t.deliverableLocked() {
		t.attn.Or(attnSignal)
	} else {
		t.attn.And(^attnSignal)
	}
}

func (t *Task) deliverableLocked() bool {
	return (t.pending.set|t.p.pending.set)&^t.mask != 0
}

// Pending returns the blocked signals that wait, the process's included.
func (t *Task) Pending() SigSet {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	return (t.pending.set | t.p.pending.set) & t.mask
}

// SetTemporaryMask blocks mask until the call that t is in has ended, or a handler
// runs; then the old mask comes back, through the handler's frame if one runs.
func (t *Task) SetTemporaryMask(mask SigSet) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if !t.restoring {
		t.savedMask, t.restoring = t.mask, true
	}
	t.setMaskLocked(mask)
}

// restoreMask ends SetTemporaryMask where no handler ran.
func (t *Task) restoreMask() {
	if !t.restoring {
		return
	}
	t.restoring = false
	t.SetSigMask(t.savedMask)
}

// SigSuspend waits under mask for a signal and returns ErrRestartNoHand.
func (t *Task) SigSuspend(mask SigSet) error {
	t.SetTemporaryMask(mask)
	_ = t.Block(nil, 0) // only a signal ends it
	return ErrRestartNoHand
}
