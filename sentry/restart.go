package sentry

import (
	"errors"
)

const (
	sysRestart    = 219 // restart_syscall
	syscallLength = 2   // bytes of the syscall instruction
)

func isRestart(err error) bool {
	return err != nil && (errors.Is(err, ErrRestart) || errors.Is(err, ErrRestartAlways) ||
		errors.Is(err, ErrRestartNoHand) || errors.Is(err, ErrRestartBlock))
}

// rewind takes an interrupted call back, so that it is made again: no handler runs.
func (t *Task) rewind() {
	nr := t.regs.Orig_rax
	if errors.Is(t.restart, ErrRestartBlock) {
		nr = sysRestart
	}
	t.again(nr)
	t.restoreMask()
}

// again makes the guest execute its system call instruction once more, as call nr.
func (t *Task) again(nr uint64) {
	t.regs.Rax = nr
	t.regs.Rip -= syscallLength
	t.restart = nil
}

// settleRestart decides what an interrupted call comes to when a handler with
// flags is about to run: EINTR (which rax holds already), or once more after it.
func (t *Task) settleRestart(flags uint64) {
	switch err := t.restart; {
	case err == nil:
	case errors.Is(err, ErrRestartAlways), errors.Is(err, ErrRestart) && flags&saRestart != 0:
		t.again(t.regs.Orig_rax)
	default:
		t.restart = nil
	}
}
