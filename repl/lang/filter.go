package lang

import "mmsh.dev/mmsh/memmap"

// Filter selects events. All that is set must hold.
type Filter struct {
	Kinds    []string       // of EventKinds
	Causes   []memmap.Cause // more than one never holds
	In       *Range         // overlaps this range, resolved when the filter was read
	InName   string         // the mapping name that In was written as, "" if it was not
	PID      int            // 0: any
	By       string         // "shell", "elf" or a symbol's name; "": any
	Perms    *PermPattern
	Syscalls []string // names, numbers or %groups that follow `syscall`; one must hold
	Since    *Moment
	Until    *Moment
	If       *Expr // evaluated for each event
	Text     string
}

// EventKinds are the kinds of events that filters and @kind know.
var EventKinds = []string{"fault", "cow", "map", "unmap", "protect", "fork", "exec", "exit", "signal", "syscall"}

// ParseFilter reads all words as a filter; no words select every event.
func ParseFilter(env Env, words []Word) (*Filter, error) { panic("lang: unwritten") }
