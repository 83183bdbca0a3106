package sentry

import (
	"mmsh.dev/mmsh/memmap"
)

// Reason is why an Observer is asked, and why the world stopped.
type Reason uint8

// The reasons.
const (
	ReasonSignal  Reason = iota + 1 // a signal is about to be delivered
	ReasonExit                      // a process is about to end; its memory is still there
	ReasonSyscall                   // a task is about to enter a system call (WatchSyscalls)
	ReasonSysret                    // a task has left a system call (WatchSyscalls)
	ReasonExec
	ReasonFork
	ReasonDied // a stub was killed from outside, or went where it cannot be followed
	ReasonTrap // a trap of the engine (watchpoint) or of the processor (breakpoint, step)
	ReasonInterrupt
	// ReasonDeadlock: with SchedDet, every task waits for what can never come. No
	// Observer is asked.
	ReasonDeadlock
)

var reasonNames = [...]string{
	ReasonSignal: "signal", ReasonExit: "exit", ReasonSyscall: "syscall", ReasonSysret: "sysret",
	ReasonExec: "exec", ReasonFork: "fork", ReasonDied: "died", ReasonTrap: "trap",
	ReasonInterrupt: "interrupt", ReasonDeadlock: "deadlock",
}

func (r Reason) String() string { return reasonNames[r] }

// Report says what a task met.
type Report struct {
	Reason Reason
	Task   *Task
	Addr   memmap.Addr       // of a fault or trap
	Access memmap.AccessType // of a fault or trap
	Cause  memmap.Cause      // why a fault was refused
	Err    error             // the engine's reason for it
	Signal int32             // ReasonSignal
	Code   int32             // its si_code
	// Handled: the guest has a handler for Signal, ignores or blocks it;
	// otherwise it is about to die of it. For ReasonTrap the Observer sets it if the
	// trap is its own: then the guest never hears of it.
	Handled bool
	Status  uint32 // ReasonExit: the wait status
	Number  uint64 // ReasonSyscall, ReasonSysret: the call's; ReasonFork: the child's pid
	Detail  string
	// Hold is what keeps the world still, in a Report that Stops delivers. It is
	// the receiver's to release.
	Hold *Hold

	held bool // the world stood still for it: it may be another one now
}

// Observer watches tasks; it is called on their tracing threads, before the
// kernel acts, one at a time. If it answers true the task parks right there and
// the whole world is held, as if by Hold; the Report is then what Kernel.Stops
// delivers. An Observer may read registers and memory; it must not hold the world.
type Observer interface {
	Observe(r *Report) (hold bool)
}

// Stops delivers the Reports that made the world stop, each once the world
// stands still. Its buffer never fills: a world that is held makes no reports.
// Who calls Hold while the world runs looks here afterwards: a task may have
// stopped it in the same moment.
func (k *Kernel) Stops() <-chan *Report { return k.stops }

// report asks the Observer about r, and parks t if it says so. A step in
// progress ends here instead. It returns when t may go on, or is to end.
func (t *Task) report(r *Report) {
	r.Task = t
	if t.inCommand || t.p.quiet.Load() {
		return
	}
	if t.step != nil {
		r.held = true
		t.endStep(r)
		t.gate()
		return
	}
	if t.k.cfg.Observer == nil {
		return
	}
	if t.askObserver(r) {
		r.held = true
		t.gate()
	}
}

// askObserver calls the Observer while the world is not held, and holds it if
// the answer is so.
func (t *Task) askObserver(r *Report) (held bool) {
	k := t.k
	for {
		k.reporting.Lock()
		if !k.sched.held() {
			break
		}
		// Somebody held the world first: this report is made when it goes on.
		k.reporting.Unlock()
		t.gate()
		if t.p.quiet.Load() || t.step != nil {
			t.report(r)
			return false
		}
	}
	defer k.reporting.Unlock()
	if !k.cfg.Observer.Observe(r) {
		return false
	}
	k.sched.stopFor(r)
	return true
}
