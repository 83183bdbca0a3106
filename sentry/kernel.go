// Package sentry is the kernel that guests see: processes and threads, signals,
// waiting, time, and the run loop that turns a context's stops into system calls,
// faults and signals. The calls themselves are in sentry/syscalls.
//
// Read kernel.go, process.go, task.go, then run.go (the loop) and hold.go (how
// everything is made to stand still).
package sentry

import (
	"io"
	"time"

	"mmsh.dev/mmsh/loader"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/sentry/vfs"
)

// Args are the six arguments of a system call.
type Args [6]uint64

// Syscall answers one system call of t: the value for rax, or an error in which
// errors.As finds a unix.Errno (or one of the Restart errors).
type Syscall func(t *Task, a Args) (uintptr, error)

// Entry is one row of the system call table.
type Entry struct {
	Name  string
	Fn    Syscall // nil: not known, ENOSYS and one event
	NArgs int     // how many arguments mean something, for events and displays
}

// Table is indexed by number (x86-64).
type Table []Entry

// Sched is how tasks take turns.
type Sched uint8

// The schedulers.
const (
	// SchedDet runs one task at a time, switches only where it blocks, exits or
	// stops, round-robin by tid, and keeps a virtual clock.
	SchedDet Sched = iota
	// SchedFree runs all tasks in parallel on the host's clock.
	SchedFree
)

// Config is what a Kernel is made of.
type Config struct {
	Platform platform.Platform
	Memory   *pgalloc.MemoryFile
	Calls    Table
	Tree     *vfs.Tree // what paths lead to
	Events   *mm.Ring  // may be nil
	Window   *mm.FaultWindow
	Sched    Sched
	Seed     int64 // 0: Linux's layout with randomisation off
	MaxProcs int   // most live processes; 0: 1000
	// Stdin, Stdout, Stderr are descriptors 0, 1, 2 of the first process.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Observer may be nil.
	Observer Observer
	// KeepDead keeps what `ps`, `vmas`, `pmas` and `maps` show of processes after
	// their end, holding no page, and keeps the first process's memory itself.
	KeepDead bool
}

// Kernel is one world of guest processes.
type Kernel struct {
	_ [0]func()
}

// New returns a Kernel with only its reaper, pid 1.
func New(c Config) (*Kernel, error) { panic("sentry: unwritten") }

// LoadOptions say what the first program is given.
type LoadOptions struct {
	Path string   // in the guest's tree
	Args []string // argv, Args[0] included
	Env  []string
	Cwd  string
}

// Load makes a process of a program, stopped at its first instruction. All tasks are held:
// the caller holds h.
func (k *Kernel) Load(h *Hold, o LoadOptions) (*Process, error) { panic("sentry: unwritten") }

// LoadFile is Load of a program that is not in the tree, e.g. an embedded one.
func (k *Kernel) LoadFile(h *Hold, f loader.File, o LoadOptions) (*Process, error) {
	panic("sentry: unwritten")
}

// LoadBlank makes a process with no program: an empty address space with one
// thread whose registers are zero.
func (k *Kernel) LoadBlank(h *Hold) (*Process, error) { panic("sentry: unwritten") }

// Process returns the process pid, also one that is dead if KeepDead; nil if
// there is none.
func (k *Kernel) Process(pid int32) *Process { panic("sentry: unwritten") }

// Processes returns all processes by pid, dead ones that are kept included,
// without the reaper.
func (k *Kernel) Processes() []*Process { panic("sentry: unwritten") }

// First returns the process that Load or LoadBlank made last.
func (k *Kernel) First() *Process { panic("sentry: unwritten") }

// Clock is the guests' time.
type Clock interface {
	Now() time.Time            // CLOCK_REALTIME
	Monotonic() time.Duration  // CLOCK_MONOTONIC, since boot
	CPU(t *Task) time.Duration // CLOCK_THREAD_CPUTIME_ID
	ProcessCPU(p *Process) time.Duration
}

// Clock returns the guests' clock.
func (k *Kernel) Clock() Clock { panic("sentry: unwritten") }

// Config returns what the kernel was made of.
func (k *Kernel) Config() *Config { panic("sentry: unwritten") }

// Shutdown kills every process, waits for their stubs to be gone and frees their
// memory. It works whatever state the world is in.
func (k *Kernel) Shutdown() { panic("sentry: unwritten") }

// Reason is why an Observer is asked, and why the world stopped.
type Reason uint8

// The reasons.
const (
	ReasonSignal  Reason = iota + 1 // a signal is about to be delivered
	ReasonExit                      // a process is about to end; its memory is still there
	ReasonSyscall                   // a task is about to enter a system call
	ReasonSysret                    // a task has left a system call
	ReasonExec
	ReasonFork
	ReasonDied // a stub was killed from outside, or went where it cannot be followed
	ReasonTrap // a trap of the engine (watchpoint) or of the processor (breakpoint, step)
	ReasonInterrupt
)

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
	// otherwise it is about to die of it.
	Handled bool
	Status  uint32 // ReasonExit: the wait status
	Number  uint64 // ReasonSyscall, ReasonSysret: the call's
	Detail  string
}

// Observer watches tasks; it is called on their tracing threads, before the
// kernel acts. If it answers true the task parks right there and the whole world
// is held, as if by Hold; the Report is then what Kernel.Stops delivers.
type Observer interface {
	Observe(r *Report) (hold bool)
}

// Stops delivers the Reports that made the world stop. Its buffer never fills: a
// world that is held makes no reports.
func (k *Kernel) Stops() <-chan *Report { panic("sentry: unwritten") }
