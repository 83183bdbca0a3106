package sentry

import "errors"

// What an interrupted call says: how it goes on after the signal.
var (
	ErrRestart       = errors.New("restart unless the handler lacks SA_RESTART") // ERESTARTSYS
	ErrRestartAlways = errors.New("restart whatever the handler")                // ERESTARTNOINTR
	ErrRestartNoHand = errors.New("restart if no handler ran")                   // ERESTARTNOHAND
	// ErrRestartBlock goes on by restart_syscall if no handler ran: Task.RestartBlock
	// says how. With a handler the call ends with EINTR.
	ErrRestartBlock = errors.New("go on by restart_syscall if no handler ran") // ERESTART_RESTARTBLOCK
	// ErrTimedOut is Block's answer when the deadline came first.
	ErrTimedOut = errors.New("timed out")
	// ErrDead is the answer for a task that has ended.
	ErrDead = errors.New("the task has ended")
)
