package sentry

import (
	"fmt"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// Hold is the world standing still. While one is held, every task is parked: one
// that ran was interrupted, one in a call has finished it, one that blocks passes
// a gate before it touches anything.
type Hold struct {
	k    *Kernel
	why  string
	once sync.Once
}

// Hold makes the world stand still and returns when it does. Holds nest. It must
// not be called on a tracing thread: that is what it waits for.
func (k *Kernel) Hold(why string) *Hold {
	s := &k.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holdLocked()
	for s.active > 0 {
		s.quiet.Wait()
	}
	return &Hold{k: k, why: why}
}

// Why returns what the hold is for.
func (h *Hold) Why() string { return h.why }

// Release lets the world go on, when the last Hold is released. A second Release
// does nothing.
func (h *Hold) Release() { h.once.Do(h.k.sched.release) }

// command is something to be run on a task's tracing thread.
type command struct {
	f    func() error
	err  error
	done chan struct{}
}

// Do runs f on t's tracing thread, with its context, and waits for it. It is the
// only way to a task's vector state. A dead task is an error; so is a panic of f,
// which the world survives.
func (h *Hold) Do(t *Task, f func(platform.Context)) error {
	return t.command(func() error { f(t.ctx); return nil })
}

// command runs f on t's tracing thread. The world is held.
func (t *Task) command(f func() error) error {
	c := &command{f: f, done: make(chan struct{})}
	select {
	case t.commands <- c:
	case <-t.done:
		return fmt.Errorf("tid %d: %w", t.tid, ErrDead)
	}
	<-c.done
	t.k.sched.waitQuiet()
	return c.err
}

// asPerson is command for what a person asks of t.
func (t *Task) asPerson(f func() error) error {
	return t.command(func() error {
		t.asker = memmap.ByShell
		defer func() { t.asker = memmap.ByGuest }()
		return f()
	})
}

// obey runs c; t is parked.
func (t *Task) obey(c *command) {
	t.inCommand = true
	defer close(c.done)
	defer func() {
		t.inCommand = false
		if p := recover(); p != nil {
			t.k.note(t.p.pid, fmt.Sprintf("panic in a command: %v\n%s", p, debug.Stack()))
			c.err = fmt.Errorf("panic: %v", p)
		}
	}()
	c.err = c.f()
}

// stepping is a Step in progress.
type stepping struct {
	done chan stepResult
}

type stepResult struct {
	report *Report
	err    error
}

// Step runs one instruction of t, a system call whole, while all else stands
// still, and returns the Report if the step met something that the Observer
// would have been asked about (a signal, an exit), whatever it answers; a plain
// step is a ReasonTrap report, as is a system call that would have blocked and was
// taken back. A task that is blocked in a system call cannot be stepped: EAGAIN.
func (h *Hold) Step(t *Task) (*Report, error) {
	s := &h.k.sched
	s.mu.Lock()
	switch {
	case t.state == gone:
		s.mu.Unlock()
		return nil, fmt.Errorf("step: tid %d: %w", t.tid, ErrDead)
	case t.state == blocked:
		s.mu.Unlock()
		return nil, fmt.Errorf("step: %w: tid %d is blocked in %s", unix.EAGAIN, t.tid, t.CallName())
	}
	req := &stepping{done: make(chan stepResult, 1)}
	t.step, t.pass = req, true
	t.nudge()
	s.mu.Unlock()

	var got stepResult
	select {
	case got = <-req.done:
	case <-t.done:
		select {
		case got = <-req.done:
		default:
			got.err = fmt.Errorf("step: tid %d: %w", t.tid, ErrDead)
		}
	}
	s.waitQuiet()
	return got.report, got.err
}

// stepped ends the Step in progress, if there is one, after an instruction or the
// delivery of a signal. If the process ends, that is what the step will report.
func (t *Task) stepped(detail string) {
	if t.step != nil && !t.ending() {
		t.endStep(&Report{Reason: ReasonTrap, Addr: memmap.Addr(t.regs.Rip), Detail: detail})
	}
}

// endStep ends the Step in progress, if there is one; t parks at its next gate.
func (t *Task) endStep(r *Report) {
	s := &t.k.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.step == nil {
		return
	}
	r.Task = t
	t.step.done <- stepResult{report: r}
	t.step = nil
	if t.attn.Load()&attnExit == 0 || !t.p.quiet.Load() {
		t.pass = false
	}
}
