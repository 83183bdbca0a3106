package sentry

import "errors"

// What an interrupted call says: how it goes on after the signal.
var (
	ErrRestart       = errors.New("restart unless the handler lacks SA_RESTART") // ERESTARTSYS
	ErrRestartAlways = errors.New("restart whatever the handler")                // ERESTARTNOINTR
	ErrRestartNoHand = errors.New("restart if no handler ran")                   // ERESTARTNOHAND
	// ErrTimedOut is Block's answer when the deadline came first.
	ErrTimedOut = errors.New("timed out")
)
