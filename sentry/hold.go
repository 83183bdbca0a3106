package sentry

import "mmsh.dev/mmsh/platform"

// Hold is the world standing still. While one is held, every task is parked: one
// that ran was interrupted, one in a call has finished it, one that blocks passes
// a gate before it touches anything.
type Hold struct {
	_ [0]func()
}

// Hold makes the world stand still and returns when it does. Holds nest.
func (k *Kernel) Hold(why string) *Hold { panic("sentry: unwritten") }

// Do runs f on t's tracing thread, with its context, and waits for it. It is the
// only way to a task's vector state. A dead task is an error.
func (h *Hold) Do(t *Task, f func(platform.Context)) error { panic("sentry: unwritten") }

// Step runs one instruction of t, a system call whole, while all else stands
// still, and returns the Report if the step met something that the Observer
// would have been asked about (a signal, an exit), whatever it answers; a plain
// step is a ReasonTrap report.
func (h *Hold) Step(t *Task) (*Report, error) { panic("sentry: unwritten") }

// Release lets the world go on, when the last Hold is released.
func (h *Hold) Release() { panic("sentry: unwritten") }
