package sentry

import (
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
	_ [0]func()
}

// PID returns the process id that guests see.
func (p *Process) PID() int32 { panic("sentry: unwritten") }

// PPID returns the parent's id, 1 for orphans.
func (p *Process) PPID() int32 { panic("sentry: unwritten") }

// Name returns the program's name as in /proc/PID/comm.
func (p *Process) Name() string { panic("sentry: unwritten") }

// Image returns what the loader knows of the program: symbols, segments. Nil for
// a blank process.
func (p *Process) Image() *loader.Image { panic("sentry: unwritten") }

// MM returns the memory; nil once it was given back.
func (p *Process) MM() *mm.MemoryManager { panic("sentry: unwritten") }

// LastState returns what is kept of a process without memory: its mappings as
// they were at its end. Nil if nothing is kept.
func (p *Process) LastState() *LastState { panic("sentry: unwritten") }

// LastState is a dead process's memory as it was; it holds no page.
type LastState struct {
	VMAs  []mm.VMAInfo
	PMAs  []mm.PMAInfo
	Stats mm.Stats
	Maps  string
}

// State returns where p is in its life, and its wait status if it has ended.
func (p *Process) State() (ProcState, uint32) { panic("sentry: unwritten") }

// Tasks returns the live threads by tid, the leader first.
func (p *Process) Tasks() []*Task { panic("sentry: unwritten") }

// Children returns the live and zombie children by pid.
func (p *Process) Children() []*Process { panic("sentry: unwritten") }

// Limits returns the resource limits as prlimit64 shows them, which
// callers may change while the process is held.
func (p *Process) Limits() *RLimits { panic("sentry: unwritten") }

// RLimit is a soft and a hard limit.
type RLimit struct{ Cur, Max uint64 }

// RLimits are the limits by RLIMIT_* number.
type RLimits [16]RLimit

// FDs returns the descriptor table.
func (p *Process) FDs() *vfs.Table { panic("sentry: unwritten") }

// Context returns root, working directory and umask.
func (p *Process) Context() *vfs.Context { panic("sentry: unwritten") }
