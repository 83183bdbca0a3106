package sentry

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mmsh.dev/mmsh/loader"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry/vfs"
)

// ProcState is where a process is in its life.
type ProcState uint8

// The states.
const (
	Alive  ProcState = iota
	Zombie           // ended, not waited for
	Dead             // ended and waited for, or the reaper has taken it
)

// Process is a thread group: what its threads share.
type Process struct {
	k      *Kernel
	pid    int32
	image  *loader.Image // nil for a blank process
	exe    string        // the program's path
	leader *Task         // its first thread, also when that has ended
	fds    *vfs.Table
	fs     *vfs.Context
	creds  atomic.Pointer[Credentials]
	quiet  atomic.Bool // ends without the Observer being asked
	lost   atomic.Bool // its stub is dead or broken: nothing can be kept of it

	personality atomic.Uint32
	dumpable    atomic.Int32
	deathSignal atomic.Int32
	pastCPU     atomic.Int64 // processor time of ended threads, nanoseconds

	limits RLimits
	alarm  alarm // guarded by sched.mu

	// Guarded by Kernel.mu.
	parent    *Process
	children  []*Process    // live and zombies, by pid
	stirred   chan struct{} // closed when there is news of a child; nil if nobody waits
	pgid, sid int32
	tty       *vfs.TTY // that controls it; nil: none does
	lostGroup int32    // which was in the foreground when a leader's terminal hung up
	name      string
	state     ProcState
	mm        *mm.MemoryManager // nil once it was given back
	last      *LastState
	usage     Usage // once it has ended
	waitedFor Usage // sums of the children that were waited for

	// Guarded by mu.
	mu      sync.Mutex
	threads []*Task // live, the leader first
	actions [numSignals + 1]SigAction
	pending sigQueue
	exiting bool
	status  uint32        // wait status, if exiting
	goOn    chan struct{} // closed when a stopped process goes on; nil while it runs
	news    childNews     // of job control, for the parent
}

// PID returns the process id that guests see.
func (p *Process) PID() int32 { return p.pid }

// Kernel returns the world.
func (p *Process) Kernel() *Kernel { return p.k }

// PPID returns the parent's id, 1 for orphans.
func (p *Process) PPID() int32 {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if p.parent == nil {
		return 0
	}
	return p.parent.pid
}

// Name returns the program's name as in /proc/PID/comm.
func (p *Process) Name() string {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.name
}

// SetName changes what Name returns, cut to 15 bytes as PR_SET_NAME does.
func (p *Process) SetName(name string) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	p.name = commName(name)
}

func commName(name string) string {
	const commLen = 15 // TASK_COMM_LEN without the NUL
	return name[:min(len(name), commLen)]
}

// Exe returns the program's path as /proc/PID/exe shows it, "" if there is none.
func (p *Process) Exe() string { return p.exe }

// Image returns what the loader knows of the program: symbols, segments. Nil for
// a blank process.
func (p *Process) Image() *loader.Image { return p.image }

// MM returns the memory; nil once it was given back.
func (p *Process) MM() *mm.MemoryManager {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.mm
}

// LastState returns what is kept of a process without memory: its mappings as
// they were at its end. Nil if nothing is kept.
func (p *Process) LastState() *LastState {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.last
}

// LastState is a dead process's memory as it was; it holds no page.
type LastState struct {
	VMAs  []mm.VMAInfo
	PMAs  []mm.PMAInfo
	Stats mm.Stats
	Maps  string
}

// State returns where p is in its life, and its wait status if it has ended.
func (p *Process) State() (ProcState, uint32) {
	p.k.mu.Lock()
	state := p.state
	p.k.mu.Unlock()
	if state == Alive {
		return state, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return state, p.status
}

// Tasks returns the live threads by tid, the leader first.
func (p *Process) Tasks() []*Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.threads)
}

// Children returns the live and zombie children by pid.
func (p *Process) Children() []*Process {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return slices.Clone(p.children)
}

// FDs returns the descriptor table.
func (p *Process) FDs() *vfs.Table { return p.fds }

// Context returns root, working directory and umask.
func (p *Process) Context() *vfs.Context { return p.fs }

// cpuTime returns the processor time of all threads, ended ones included.
func (p *Process) cpuTime(c Clock) time.Duration {
	sum := time.Duration(p.pastCPU.Load())
	for _, t := range p.Tasks() {
		sum += c.CPU(t)
	}
	return sum
}
