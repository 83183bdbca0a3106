package sentry

import (
	"time"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
)

// Task is a thread of a guest: a context, its registers, and the goroutine,
// locked to the tracing thread, that runs it.
type Task struct {
	_ [0]func()
}

// TID returns the thread id that guests see.
func (t *Task) TID() int32 { panic("sentry: unwritten") }

// Process returns the thread group.
func (t *Task) Process() *Process { panic("sentry: unwritten") }

// Kernel returns the world.
func (t *Task) Kernel() *Kernel { panic("sentry: unwritten") }

// MM returns the memory that the task runs in.
func (t *Task) MM() *mm.MemoryManager { panic("sentry: unwritten") }

// Actor returns the task as who asks the engine for op, with the current program
// counter. The value is the task's own and is overwritten by the next Actor.
func (t *Task) Actor(op string) *mm.Actor { panic("sentry: unwritten") }

// Regs returns the registers: the task's own while it is in a system call, a
// person's while the world is held. Changes take effect when the task goes on.
func (t *Task) Regs() *platform.Regs { panic("sentry: unwritten") }

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
func (t *Task) State() (TaskState, string) { panic("sentry: unwritten") }

// CopyIn fills dst from the guest's memory at addr; a short copy is EFAULT.
func (t *Task) CopyIn(addr memmap.Addr, dst []byte) error { panic("sentry: unwritten") }

// CopyOut writes src to the guest's memory; a short copy is EFAULT.
func (t *Task) CopyOut(addr memmap.Addr, src []byte) error { panic("sentry: unwritten") }

// CopyInPath reads a path: EFAULT, ENAMETOOLONG, ENOENT if it is empty and not emptyOK.
func (t *Task) CopyInPath(addr memmap.Addr, emptyOK bool) (string, error) {
	panic("sentry: unwritten")
}

// Block waits until ready is closed or receives, or the deadline passes (zero:
// none), giving its turn to other tasks. It returns nil, ErrTimedOut, or a
// Restart error if a signal came: the call then says with which errno it is to be
// left. No lock may be held.
func (t *Task) Block(ready <-chan struct{}, deadline time.Duration) error {
	panic("sentry: unwritten")
}

// Yield gives other runnable tasks a turn.
func (t *Task) Yield() { panic("sentry: unwritten") }

// Exit ends the task; the last one's status is the process's. It returns only to
// let the call return: the run loop ends the task.
func (t *Task) Exit(status int) { panic("sentry: unwritten") }

// ExitGroup ends the whole process with that exit status.
func (t *Task) ExitGroup(status int) { panic("sentry: unwritten") }

// CloneOptions are what clone, fork and vfork ask for.
type CloneOptions struct {
	Flags                    uint64 // CLONE_*; issue A answers those of fork, else EINVAL
	ExitSignal               int32
	Stack                    memmap.Addr // 0: the parent's
	ParentTID, ChildTID, TLS memmap.Addr
}

// Clone makes a child and returns its id.
func (t *Task) Clone(o CloneOptions) (int32, error) { panic("sentry: unwritten") }

// WaitResult is a child that ended.
type WaitResult struct {
	PID          int32
	Status       uint32
	User, System time.Duration
	MaxRSS       uint64
}

// Wait is wait4: which children pid means, and options, are wait4's. With WNOHANG
// and nothing to tell the result's PID is 0. ECHILD if there is none to wait for.
func (t *Task) Wait(pid int32, options int) (WaitResult, error) { panic("sentry: unwritten") }

// Call makes system call nr as t would, on t's tracing thread; the world is held.
// Blocking calls return their Restart error at once. For the shell's `call`.
func (t *Task) Call(h *Hold, nr uint64, a Args) (uintptr, error) { panic("sentry: unwritten") }

// Fork makes a copy of t's process that stands where t stands; the world is held.
func (t *Task) Fork(h *Hold) (*Process, error) { panic("sentry: unwritten") }
