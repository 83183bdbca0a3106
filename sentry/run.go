package sentry

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
)

// start makes the goroutine of t and its context, on a thread of their own; from,
// if not nil, is the context whose vector state it gets, as its FPState has just
// told. The task is in the scheduler's list then, but does not run before hatch.
func (t *Task) start(from platform.Context) error {
	t.k.sched.join(t)
	made := make(chan error)
	go t.main(from, made)
	if err := <-made; err != nil {
		return err
	}
	// From now on it counts as one that wants to run, however long its goroutine takes.
	t.k.sched.ready(t)
	return nil
}

// main is the task's goroutine.
func (t *Task) main(from platform.Context, made chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	defer close(t.done)
	defer t.k.sched.remove(t)

	err := t.makeContext(from)
	made <- err
	if err != nil {
		return
	}
	if t.survive(t.loop) && t.survive(t.exit) {
		return
	}
	t.salvage()
}

func (t *Task) makeContext(from platform.Context) error {
	ctx, err := t.mm.AddressSpace().NewContext(from)
	if err != nil {
		return err
	}
	t.ctx = ctx
	t.hostTID.Store(int32(ctx.HostTID()))
	return nil
}

// loop runs the guest until its process ends.
func (t *Task) loop() {
	t.k.sched.enter(t)
	if !t.ending() {
		t.born()
	}
	for t.attention() {
		stop, err := t.resume()
		if err != nil {
			t.died(err.Error())
			continue
		}
		t.handle(&stop)
	}
}

// attention deals with everything that t was asked to look at, and returns
// false if it is to end.
func (t *Task) attention() bool {
	for {
		if t.attn.Load()&attnAlarm != 0 {
			t.attn.And(^attnAlarm)
			t.p.Signal(SigInfo{Signal: int32(unix.SIGALRM), Code: siKernel})
		}
		a := t.attn.Load()
		if a&attnSignal == 0 && t.restart != nil {
			t.rewind()
		}
		switch {
		case a&attnExit != 0:
			return false
		case a&attnHold != 0 && t.step == nil:
			t.gate()
		case a&attnSignal != 0:
			t.takeSignal()
		default:
			return true
		}
	}
}

// resume lets the guest run until it stops.
func (t *Task) resume() (platform.Stop, error) {
	t.inGuest.Store(true)
	defer t.inGuest.Store(false)
	switch {
	case t.ending():
		return platform.Stop{Kind: platform.Interrupted}, nil
	case t.step != nil, t.lifted != nil:
		return t.ctx.Step(&t.regs)
	case t.attn.Load() != 0: // set after attention looked, before an Interrupt was thought useful
		return platform.Stop{Kind: platform.Interrupted}, nil
	}
	return t.ctx.Run(&t.regs)
}

// handle answers a stop.
func (t *Task) handle(stop *platform.Stop) {
	if stop.Kind != platform.Interrupted {
		t.k.clock.tick(t)
		t.k.sched.checkAlarms()
	}
	if t.lifted != nil && stop.Kind != platform.Fault && stop.Kind != platform.Interrupted {
		t.lower()
	}
	switch stop.Kind {
	case platform.Interrupted:
	case platform.Syscall:
		t.syscall()
	case platform.Vsyscall: // comes with number and arguments in place
		t.syscall()
		if t.regs.Rax == errnoValue(unix.EFAULT) { // as Linux: callers of old do not look at errors
			t.badStack(0)
		}
	case platform.Syscall32:
		t.regs.Rax = errnoValue(t.unknown(t.regs.Orig_rax, "32-bit system call"))
	case platform.Fault:
		t.fault(stop)
	case platform.Exception:
		t.exception(stop)
	case platform.Stepped:
		t.stepped("step")
	case platform.Compat:
		t.died("32-bit mode: " + stop.Detail)
	case platform.Died:
		t.died("killed from outside: " + stop.Detail)
	}
}

// died ends the process of a task that cannot run any more, as if by SIGKILL.
func (t *Task) died(why string) {
	text := fmt.Sprintf("pid %d tid %d: %s", t.p.pid, t.tid, why)
	t.k.note(t.p.pid, text)
	t.p.lost.Store(true)
	t.report(&Report{Reason: ReasonDied, Signal: int32(unix.SIGKILL), Detail: why})
	t.p.end(uint32(unix.SIGKILL))
}

// survive calls f and returns false if it panicked: then everybody is told.
func (t *Task) survive(f func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			t.inGuest.Store(false)
			t.inCommand = false
			t.k.note(t.p.pid, fmt.Sprintf("panic in tid %d: %v\n%s", t.tid, p, debug.Stack()))
			t.p.lost.Store(true)
			t.panicked = fmt.Sprintf("the sandbox panicked: %v", p)
		}
	}()
	f()
	return true
}

// salvage ends the process of a task whose run loop or exit panicked.
func (t *Task) salvage() {
	t.survive(func() {
		t.report(&Report{Reason: ReasonDied, Signal: int32(unix.SIGKILL), Detail: t.panicked})
	})
	t.p.end(uint32(unix.SIGKILL))
	t.survive(t.exit)
}

// syscall answers the system call that t stopped for.
func (t *Task) syscall() {
	watched := t.k.watchCalls.Load()
	t.call.Store(int64(t.regs.Orig_rax))
	if watched {
		t.report(&Report{Reason: ReasonSyscall, Number: t.regs.Orig_rax})
		if t.ending() {
			return
		}
	}
	nr := t.regs.Orig_rax
	v, err := t.dispatch(nr)
	t.writeDue()
	t.answer(nr, v, err)
	if t.restart == nil {
		t.restoreMask()
	}
	if watched {
		t.report(&Report{Reason: ReasonSysret, Number: nr})
	}
	t.call.Store(noCall)
	if isRestart(err) {
		t.stepped("the call would block")
	} else {
		t.stepped("step")
	}
}

// dispatch calls the table's function for nr.
func (t *Task) dispatch(nr uint64) (uintptr, error) {
	if nr >= uint64(len(t.k.cfg.Calls)) || t.k.cfg.Calls[nr].Fn == nil {
		return 0, t.unknown(nr, "unknown system call")
	}
	r := &t.regs
	return t.k.cfg.Calls[nr].Fn(t, Args{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9})
}

// unknown is the answer to a call that there is not; people are told.
func (t *Task) unknown(nr uint64, what string) unix.Errno {
	t.k.cfg.Events.Append(mm.Event{
		Kind:   mm.EventNote,
		PID:    t.p.pid,
		Errno:  unix.ENOSYS,
		Number: int64(nr),
		Origin: t.Actor(t.k.callName(nr)).Origin,
		Note:   what + " " + t.k.callName(nr),
	})
	return unix.ENOSYS
}

// answer puts a call's result into the registers.
func (t *Task) answer(nr uint64, v uintptr, err error) {
	switch {
	case err == nil:
		t.regs.Rax = uint64(v)
	case isRestart(err):
		t.restart = err
		t.regs.Rax = errnoValue(unix.EINTR)
	default:
		t.regs.Rax = errnoValue(errnoOf(err))
	}
	if t.k.logCalls.Load() {
		t.logCall(nr, err)
	}
}

func (t *Task) logCall(nr uint64, err error) {
	r := &t.regs
	e := mm.Event{
		Kind:   mm.EventSyscall,
		PID:    t.p.pid,
		Origin: t.Actor(t.k.callName(nr)).Origin,
		Number: int64(nr),
		Args:   Args{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9},
		Result: r.Rax,
	}
	if err != nil && !isRestart(err) {
		e.Errno = errnoOf(err)
	}
	t.k.cfg.Events.Append(e)
}

// errnoValue is what rax holds for a failed call.
func errnoValue(e unix.Errno) uint64 { return uint64(-int64(e)) }
