// Package sentry is the kernel that guests see: processes and threads, signals,
// waiting, time, and the run loop that turns a context's stops into system calls,
// faults and signals. The calls themselves are in sentry/syscalls.
//
// Read kernel.go, process.go, task.go, then run.go (the loop), sched.go (whose
// turn it is) and hold.go (how everything is made to stand still).
//
// Lock order, outer to inner:
//
//	Kernel.mu      the tree of processes: parents, children, states, groups
//	  Process.mu   signals: actions, masks, pending ones; that the process ends
//	    sched.mu   who runs, who waits, holds
//
// Kernel.reporting is taken with none of them held and is outermost: an Observer
// runs under it. None is held while a memory manager is called, nor is any of
// them taken by a system call that meets no signal, no hold and no other process.
package sentry

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/loader"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/mm/shmem"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/sentry/ipc"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/memfs"
	"mmsh.dev/mmsh/sentry/vfs/pipe"
	"mmsh.dev/mmsh/sentry/vfs/pty"
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
// The Linux that is followed: programs ask before they use a feature.
const (
	Release = "6.18.0"
	Version = "#1 SMP PREEMPT_DYNAMIC"
)

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
	Tree     *vfs.Tree        // what paths lead to
	Cache    *pagecache.Cache // the pages of the files in Tree; may be nil
	Events   *mm.Ring         // may be nil
	Window   *mm.FaultWindow
	ASIO     *mm.ASIO
	Sched    Sched
	Seed     int64 // 0: Linux's layout with randomisation off
	MaxProcs int   // most live processes; 0: 1000
	// Stdin, Stdout, Stderr are descriptors 0, 1, 2 of the first process. If one is a
	// terminal, it controls the process.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Terminals is the devpts in Tree; nil: there is none.
	Terminals *pty.FS
	// Observer may be nil.
	Observer Observer
	// KeepDead keeps what `ps`, `vmas`, `pmas` and `maps` show of processes after
	// their end, holding no page, and keeps the first process's memory itself.
	KeepDead bool
}

const (
	defaultMaxProcs = 1000
	MaxPID          = 4 << 20 // PID_MAX_LIMIT
	reaperPID       = 1
	maxKeptDead     = 1000 // LastStates are kept of no more processes than this
)

// Kernel is one world of guest processes.
type Kernel struct {
	cfg     Config
	sched   sched
	clock   clock
	vdso    *loader.VDSO // nil if there is no Memory
	rand    random
	futexes futexTable
	ipc     *ipc.Table
	pipes   pipe.Pool
	std     [3]vfs.File // descriptors 0, 1, 2
	shmem   *memfs.FS   // where memory without a name lies: memfds; nil if there is no Memory

	reporting sync.Mutex // one Observer call at a time; see report.go
	stops     chan *Report

	watchCalls atomic.Bool
	logCalls   atomic.Bool

	mu      sync.Mutex
	procs   map[int32]*Process // all but the forgotten; nil: an id that is reserved
	reaper  *Process
	first   *Process
	lastPID int32
	live    int        // processes that are Alive
	dead    []*Process // that are kept for KeepDead, oldest first
	closed  bool       // Shutdown began
}

// New returns a Kernel with only its reaper, pid 1.
func New(c Config) (*Kernel, error) {
	if c.MaxProcs == 0 {
		c.MaxProcs = defaultMaxProcs
	}
	k := &Kernel{
		cfg:     c,
		procs:   make(map[int32]*Process),
		stops:   make(chan *Report, 64),
		lastPID: reaperPID,
	}
	if c.Cache != nil {
		c.Cache.OnFailure(k.noteIOError)
	}
	if c.Tree != nil {
		c.Tree.SetNamedPipes(&k.pipes)
	}
	k.sched.init(k)
	k.clock = newClock(k)
	k.rand.init(c.Sched, c.Seed)
	k.reaper = &Process{k: k, pid: reaperPID, pgid: reaperPID, sid: reaperPID, name: "reaper"}
	k.openTerminals()
	if c.Memory != nil {
		v, err := loader.NewVDSO(c.Memory)
		if err != nil {
			return nil, fmt.Errorf("sentry: making the vdso: %w", err)
		}
		k.vdso = v
		if c.Cache != nil {
			c.Memory.AddGiver(c.Cache)
		}
		k.ipc = ipc.New(c.Memory, k.clock.Now)
		k.shmem = memfs.New(c.Memory, memfs.Options{Mode: unix.S_ISVTX | 0o777, Minor: shmem.Device, Now: k.clock.Now})
	}
	return k, nil
}

// Process returns the process pid, also one that is dead if KeepDead; nil if
// there is none.
func (k *Kernel) Process(pid int32) *Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.procs[pid]
}

// Processes returns all processes by pid, dead ones that are kept included,
// without the reaper.
func (k *Kernel) Processes() []*Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sortedLocked(func(*Process) bool { return true })
}

// sortedLocked returns the processes that f picks, by pid.
//
// Preconditions: k.mu is held.
func (k *Kernel) sortedLocked(f func(*Process) bool) []*Process {
	var ps []*Process
	for _, p := range k.procs {
		if p != nil && f(p) {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *Process) int { return int(a.pid - b.pid) })
	return ps
}

// NumProcesses returns how many processes are alive.
func (k *Kernel) NumProcesses() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.live
}

// First returns the process that Load or LoadBlank made last, nil if there is none.
func (k *Kernel) First() *Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.first
}

// Clock returns the guests' clock.
func (k *Kernel) Clock() Clock { return k.clock }

// IPC returns the segments of System V memory.
func (k *Kernel) IPC() *ipc.Table { return k.ipc }

// Shmem returns the file system of memory without a name, which is mounted nowhere.
func (k *Kernel) Shmem() *memfs.FS { return k.shmem }

// Config returns what the kernel was made of.
func (k *Kernel) Config() *Config { return &k.cfg }

// Pipes returns the world's pipes.
func (k *Kernel) Pipes() *pipe.Pool { return &k.pipes }

// Random fills p with bytes for getrandom(2) and AT_RANDOM: in sched det the same
// ones for the same seed and order of calls, else the host's.
func (k *Kernel) Random(p []byte) { k.rand.read(p) }

// WatchSyscalls makes every system call a ReasonSyscall and a ReasonSysret
// report, or no longer does. It is off at first.
func (k *Kernel) WatchSyscalls(on bool) { k.watchCalls.Store(on) }

// LogSyscalls makes every system call an event, or no longer does. It is off at
// first; calls that are not known are events always.
func (k *Kernel) LogSyscalls(on bool) { k.logCalls.Store(on) }

// noteIOError appends the event that f could not be written back.
func (k *Kernel) noteIOError(f *pagecache.File, err error) {
	k.cfg.Events.Append(mm.Event{Kind: mm.EventWriteback, Cause: memmap.IOError, Errno: errnoOf(err), Note: fmt.Sprintf("%s: %v", f.Name(), err)})
}

// note appends an event that people should know of.
func (k *Kernel) note(pid int32, text string) {
	k.cfg.Events.Append(mm.Event{Kind: mm.EventNote, PID: pid, Note: text})
}

// newPIDLocked returns an unused process id above the last one, wrapping at the
// end as Linux does; 0 if there is none.
//
// Preconditions: k.mu is held.
func (k *Kernel) newPIDLocked() int32 {
	for range MaxPID {
		k.lastPID++
		if k.lastPID >= MaxPID {
			k.lastPID = reaperPID + 1
		}
		if _, used := k.procs[k.lastPID]; !used {
			return k.lastPID
		}
	}
	return 0
}
