package sentry

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
)

// Task is a thread of a guest: a context, its registers, and the goroutine,
// locked to the tracing thread, that runs it.
type Task struct {
	k   *Kernel
	p   *Process
	mm  *mm.MemoryManager
	tid int32

	// Of the task's own goroutine; others may look while the world is held.
	ctx       platform.Context
	regs      platform.Regs
	actor     mm.Actor
	limits    mm.Limits
	restart   error // how the call that was interrupted goes on; nil if none was
	restartFn func(*Task) (uintptr, error)
	restoring bool   // savedMask is to be restored after the next delivery
	savedMask SigSet // sigsuspend's
	alt       SigStack
	policy    *mm.Policy // of new memory; nil: the default
	trapNo    uint64     // of the last fault or exception, for signal frames
	trapErr   uint64
	cr2       uint64
	clearTID  memmap.Addr
	setTID    memmap.Addr // where the id goes before the first instruction, 0: nowhere
	robust    memmap.Addr
	await     func(error) error // awaitCopy, for Actor.Await
	asker     memmap.Asker      // who makes its calls: the guest, or a person (Call, Fork)
	inCommand bool              // a command runs: nothing may block or stop
	lifted    []lifted          // traps that are off until an instruction has run
	panicked  string            // what the run loop panicked with

	attn    atomic.Uint32 // attn bits
	inGuest atomic.Bool   // ctx runs guest code
	call    atomic.Int64  // the number of the system call it is in, or noCall
	stops   atomic.Int64  // so far; the virtual clock's processor time
	hostTID atomic.Int32  // 0 before and after its context's life

	wake     chan struct{} // one nudge is kept
	commands chan *command
	done     chan struct{} // closed at the very end

	// Guarded by sched.mu.
	state  runState
	waits  waits
	pass   bool      // may run though the world is held
	embryo bool      // is not to run yet: who makes it is not done
	step   *stepping // also read by t itself, which it is handed to while parked

	// Guarded by Process.mu.
	mask        SigSet
	pending     sigQueue
	sigWait     SigSet // what SigTimedWait waits for
	sigWaitMask SigSet // the mask before it
}

const noCall = -1

func newTask(p *Process, tid int32, m *mm.MemoryManager) *Task {
	t := &Task{
		k:        p.k,
		p:        p,
		mm:       m,
		tid:      tid,
		wake:     make(chan struct{}, 1),
		commands: make(chan *command),
		done:     make(chan struct{}),
		asker:    memmap.ByGuest,
	}
	t.await = t.awaitCopy
	t.call.Store(noCall)
	return t
}

// TID returns the thread id that guests see.
func (t *Task) TID() int32 { return t.tid }

// Process returns the thread group.
func (t *Task) Process() *Process { return t.p }

// Kernel returns the world.
func (t *Task) Kernel() *Kernel { return t.k }

// MM returns the memory that the task runs in.
func (t *Task) MM() *mm.MemoryManager { return t.mm }

// Done returns a channel that is closed when the task has ended and its stub is gone.
func (t *Task) Done() <-chan struct{} { return t.done }

// Dead reports whether the task has ended.
func (t *Task) Dead() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// Actor returns the task as who asks the engine for op, with the current program
// counter; in a shell's Call or Fork the person is who asks. The value is the task's own and is overwritten by the next Actor.
func (t *Task) Actor(op string) *mm.Actor { return t.actorBy(t.asker, op) }

// WaitingActor is Actor for a copy that waits for userfaultfds: no lock may be held that
// another task could want.
func (t *Task) WaitingActor(op string) *mm.Actor {
	by := t.Actor(op)
	by.Await = t.await
	return by
}

func (t *Task) actorBy(who memmap.Asker, op string) *mm.Actor {
	l, caps := &t.p.limits, t.p.creds.Load().Effective
	t.limits = mm.Limits{
		AS:      l[unix.RLIMIT_AS].Cur,
		Data:    l[unix.RLIMIT_DATA].Cur,
		Stack:   l[unix.RLIMIT_STACK].Cur,
		MemLock: l[unix.RLIMIT_MEMLOCK].Cur,
	}
	t.actor = mm.Actor{
		Limits:  &t.limits,
		LockCap: caps.Has(CapIPCLock), AdminCap: caps.Has(CapSysAdmin),

		ReadImpliesExec: t.p.personality.Load()&readImpliesExec != 0,

		Origin: memmap.Origin{By: who, Op: op, PC: memmap.Addr(t.regs.Rip), TID: t.tid},
		Via:    t.ctx,
	}
	return &t.actor
}

// Regs returns the registers: the task's own while it is in a system call, a
// person's while the world is held. Changes take effect when the task goes on.
func (t *Task) Regs() *platform.Regs { return &t.regs }

// readImpliesExec is personality's READ_IMPLIES_EXEC.
const readImpliesExec = 0x0400000

// MemPolicy returns what set_mempolicy said, nil for the default.
func (t *Task) MemPolicy() *mm.Policy { return t.policy }

// SetMemPolicy changes what MemPolicy returns. The task itself calls it.
func (t *Task) SetMemPolicy(p *mm.Policy) { t.policy = p }

// TaskState is what a task is doing.
type TaskState uint8

// The states.
const (
	Running  TaskState = iota
	Runnable           // waiting for its turn, or held
	Blocked            // in a system call that waits
	Exited
)

// State returns what t is doing, and the name of the system call it is in, if any.
func (t *Task) State() (TaskState, string) {
	s := &t.k.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	states := [...]TaskState{active: Running, waiting: Runnable, blocked: Blocked, gone: Exited}
	return states[t.state], t.CallName()
}

// CallName returns the name of the system call that t is in, "" if it is in none.
func (t *Task) CallName() string {
	nr := t.call.Load()
	if nr == noCall {
		return ""
	}
	return t.k.callName(uint64(nr))
}

// callName returns the name of call nr, "syscall_NR" if it has none.
func (k *Kernel) callName(nr uint64) string {
	if nr < uint64(len(k.cfg.Calls)) && k.cfg.Calls[nr].Name != "" {
		return k.cfg.Calls[nr].Name
	}
	return fmt.Sprintf("syscall_%d", int64(nr))
}

// CopyIn fills dst from the guest's memory at addr; a short copy is EFAULT.
func (t *Task) CopyIn(addr memmap.Addr, dst []byte) error {
	_, err := t.mm.CopyIn(t.WaitingActor(t.CallName()), addr, dst, mm.IOOpts{})
	return err
}

// CopyOut writes src to the guest's memory; a short copy is EFAULT.
func (t *Task) CopyOut(addr memmap.Addr, src []byte) error {
	_, err := t.mm.CopyOut(t.WaitingActor(t.CallName()), addr, src, mm.IOOpts{})
	return err
}

// CopyInPath reads a path: EFAULT, ENAMETOOLONG, ENOENT if it is empty and not emptyOK.
func (t *Task) CopyInPath(addr memmap.Addr, emptyOK bool) (string, error) {
	path, err := t.mm.CopyInString(t.WaitingActor(t.CallName()), addr, unix.PathMax-1, mm.IOOpts{})
	if err != nil {
		return "", err
	}
	if path == "" && !emptyOK {
		return "", fmt.Errorf("empty path: %w", unix.ENOENT)
	}
	return path, nil
}

// Block waits until ready is closed or receives, or the deadline passes (zero:
// none; else on Clock.Monotonic), giving its turn to other tasks. It returns nil,
// ErrTimedOut, or ErrRestart if a signal came: the call then says how it is to be
// left. No lock may be held. In a shell's Call and in a Step it never waits:
// ErrRestart.
func (t *Task) Block(ready <-chan struct{}, deadline time.Duration) error {
	return t.block(waits{ready: ready, deadline: deadline, breaks: attnBreaks})
}

// BlockExternal is Block for something that the world outside makes ready, e.g.
// the host's terminal: no deadlock, however long it takes.
func (t *Task) BlockExternal(ready <-chan struct{}, deadline time.Duration) error {
	return t.block(waits{ready: ready, deadline: deadline, external: true, breaks: attnBreaks})
}

// BlockAny is Block until one of several is ready; external as for BlockExternal.
func (t *Task) BlockAny(ready []<-chan struct{}, deadline time.Duration, external bool) error {
	w := waits{any: ready, deadline: deadline, external: external, breaks: attnBreaks}
	if t.k.sched.free || external { // else the scheduler looks at all of them, when it is time to
		first := make(chan struct{}, 1)
		done := make(chan struct{})
		defer close(done)
		for _, one := range ready {
			go forward(one, first, done)
		}
		w.ready = first
	}
	return t.block(w)
}

// forward tells first when one is ready, until done.
func forward(one <-chan struct{}, first chan<- struct{}, done <-chan struct{}) {
	select {
	case <-one:
		select {
		case first <- struct{}{}:
		default:
		}
	case <-done:
	}
}

func (t *Task) block(w waits) error {
	if t.inCommand || t.step != nil {
		if w.isReady() {
			return nil
		}
		return ErrRestart
	}
	return t.k.sched.block(t, w)
}

// Yield gives other runnable tasks a turn.
func (t *Task) Yield() {
	if !t.inCommand && t.step == nil {
		t.k.sched.yield(t)
	}
}

// RestartBlock makes the call that returns its result (ErrRestartBlock) go on with
// f, by restart_syscall, if a signal without handler interrupted it.
func (t *Task) RestartBlock(f func(*Task) (uintptr, error)) error {
	t.restartFn = f
	return ErrRestartBlock
}

// RunRestart is restart_syscall(2): it goes on with what RestartBlock left,
// EINTR if nothing is left.
func (t *Task) RunRestart() (uintptr, error) {
	f := t.restartFn
	if f == nil {
		return 0, unix.EINTR
	}
	t.restartFn = nil
	return f(t)
}

// SetClearTID sets the address that is cleared when t ends (set_tid_address).
func (t *Task) SetClearTID(a memmap.Addr) { t.clearTID = a }

// SetRobustList and RobustList keep the head of the robust futex list.
func (t *Task) SetRobustList(head memmap.Addr) { t.robust = head }

// RobustList returns what SetRobustList set, 0 at first.
func (t *Task) RobustList() memmap.Addr { return t.robust }

// Exit ends the task; the last one's status is the process's. It returns only to
// let the call return: the run loop ends the task.
func (t *Task) Exit(status int) { t.ExitGroup(status) } // a process has one thread

// ExitGroup ends the whole process with that exit status.
func (t *Task) ExitGroup(status int) { t.p.end(uint32(status&0xff) << 8) }

// woke says why idle returned.
type woke uint8

const (
	wokeNudge woke = iota
	wokeReady
	wokeTimer
)

// idle waits for a nudge, a command (which it runs), ready or timer.
func (t *Task) idle(ready <-chan struct{}, timer <-chan time.Time) woke {
	select {
	case <-t.wake:
	case c := <-t.commands:
		t.obey(c)
	case <-ready:
		return wokeReady
	case <-timer:
		return wokeTimer
	}
	return wokeNudge
}

// nudge makes t, if it idles, look again.
func (t *Task) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// interrupt makes t leave guest code if it is there. t is in the scheduler's list
// (so its context lives) and its attn bits were set before.
func (t *Task) interrupt() {
	if t.inGuest.Load() {
		t.ctx.Interrupt()
	}
}

// gate parks t for as long as the world is held.
func (t *Task) gate() { t.k.sched.enter(t) }

// ending reports whether t's process ends.
func (t *Task) ending() bool { return t.attn.Load()&attnExit != 0 }

// errnoOf returns the errno in err, EIO if there is none.
func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}
