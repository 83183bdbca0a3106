package debugger

import (
	"context"
	"fmt"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// Continue lets the world run until something stops it or ctx is done, which is
// an Interrupt stop.
func (d *Debugger) Continue(ctx context.Context) (*Stop, error) {
	if err := d.canMove(); err != nil {
		return nil, err
	}
	return d.resume(ctx)
}

// StepSyscall lets the world run until the current thread has left its next
// system call, or something else stops it.
func (d *Debugger) StepSyscall(ctx context.Context) (*Stop, error) {
	if err := d.canMove(); err != nil {
		return nil, err
	}
	t, err := d.Task(0)
	if err != nil {
		return nil, err
	}
	d.observe.stopAtSysret(t.TID())
	d.kernel.WatchSyscalls(true)
	defer func() {
		d.observe.stopAtSysret(0)
		d.kernel.WatchSyscalls(false)
	}()
	return d.resume(ctx)
}

// StepI runs n instructions of the current thread while all else stands still. It
// ends early at anything that would have stopped the world.
func (d *Debugger) StepI(ctx context.Context, n uint64) (*Stop, error) {
	if err := d.canMove(); err != nil {
		return nil, err
	}
	t, err := d.Task(0)
	if err != nil {
		return nil, err
	}
	if state, call := t.State(); state == sentry.Blocked {
		return nil, fmt.Errorf("thread %d waits in %s and has no next instruction: `continue` lets it wait on", t.TID(), call)
	}
	d.moved = true
	for range n {
		if ctx.Err() != nil {
			return d.stopped(&Stop{Reason: Interrupted}), nil
		}
		r, err := d.hold.Step(t)
		if err != nil {
			return nil, fmt.Errorf("thread %d: %w", t.TID(), err)
		}
		if r != nil && endsStep(r) {
			return d.report(r), nil
		}
	}
	return d.stopped(&Stop{Reason: Step}), nil
}

// plainStep is the Detail of a step that met nothing.
const plainStep = "step"

// endsStep reports whether a step met more than its own end.
func endsStep(r *sentry.Report) bool {
	switch r.Reason {
	case sentry.ReasonExit, sentry.ReasonDied:
		return true
	case sentry.ReasonSignal:
		return !r.Handled
	case sentry.ReasonTrap:
		return r.Detail != plainStep // the call would have waited
	}
	return false
}

func (d *Debugger) canMove() error {
	switch {
	case d.kernel == nil:
		return ErrNoProcess
	case d.program == nil:
		return ErrBlank
	case !d.anyAlive():
		return ErrEnded
	case d.stop != nil && d.stop.ended && countAlive(d.kernel, d.stop.PID) == 0:
		return ErrEnded
	}
	return nil
}

// resume releases the world and waits for it to stop.
func (d *Debugger) resume(ctx context.Context) (*Stop, error) {
	d.moved = true
	k := d.kernel
	d.hold.Release()
	select {
	case r := <-k.Stops():
		d.hold = r.Hold
		return d.report(r), nil
	case <-ctx.Done():
	case <-d.config.Full: // of a nil Full nothing comes
	}
	d.hold = k.Hold("interrupt")
	select {
	case r := <-k.Stops(): // came between the interrupt and the standstill
		r.Hold.Release()
		return d.report(r), nil
	default:
		return d.stopped(&Stop{Reason: Interrupted}), nil
	}
}

// report makes a Stop of what a task met; its process becomes the current one.
func (d *Debugger) report(r *sentry.Report) *Stop {
	p := r.Task.Process()
	d.pid, d.tid = p.PID(), r.Task.TID()
	s := &Stop{Reason: Trap, Detail: r.Detail}
	switch r.Reason {
	case sentry.ReasonExit:
		s.setStatus(r.Status)
		s.ended = true
	case sentry.ReasonDied:
		s.Reason = Died
		s.ended = true
	case sentry.ReasonSignal:
		s.setSignal(r)
	case sentry.ReasonSysret, sentry.ReasonSyscall:
		s.Reason = Syscall
		s.Call = d.describeCall(r)
	case sentry.ReasonInterrupt:
		s.Reason = Interrupted
	case sentry.ReasonDeadlock:
		s.Reason = Deadlock
	}
	d.stopped(s)
	if s.Reason == Died {
		d.kernel.Kill(d.hold, p) // its memory is given back
	}
	return s
}

// stopped completes s with where the current thread stands, and remembers it.
func (d *Debugger) stopped(s *Stop) *Stop {
	s.PID, s.TID = d.pid, d.tid
	s.Event = d.journal.Last()
	if t, err := d.Task(0); err == nil {
		s.Addr = memmap.Addr(t.Regs().Rip)
		s.Symbol = d.Symbol(t.Process(), s.Addr)
	}
	d.stop = s
	return s
}

// Call is a system call as a person reads it.
type Call struct {
	Name   string
	Number uint64
	Args   []uint64
	Result uint64
}

func (d *Debugger) describeCall(r *sentry.Report) *Call {
	regs := r.Task.Regs()
	args := []uint64{regs.Rdi, regs.Rsi, regs.Rdx, regs.R10, regs.R8, regs.R9}
	c := &Call{Name: fmt.Sprintf("syscall_%d", r.Number), Number: r.Number, Result: regs.Rax}
	if table := d.config.Kernel.Calls; r.Number < uint64(len(table)) && table[r.Number].Name != "" {
		c.Name = table[r.Number].Name
		args = args[:min(len(args), table[r.Number].NArgs)]
	}
	c.Args = args
	return c
}
