package sentry

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
)

// watchedByUser waits until who holds the userfaultfd has dealt with the guest's access,
// or a signal comes; then it is made again.
func (t *Task) watchedByUser(e *mm.UserfaultError) {
	if err := t.awaitUserfault(e, attnBreaks); err != nil {
		t.stepped("the access waits for a userfaultfd")
	}
}

// awaitUserfault waits until the access that e stopped may be tried again. In a command
// or a Step it does not: ErrRestart.
func (t *Task) awaitUserfault(e *mm.UserfaultError, breaks uint32) error {
	w := t.mm.AwaitUserfault(e, t.tid)
	if w == nil {
		return nil
	}
	defer w.Done()
	return t.block(waits{ready: w.Ready, breaks: breaks})
}

// awaitCopy is Actor.Await: as in Linux only the end of the process ends the wait of a
// system call that copies.
func (t *Task) awaitCopy(err error) error {
	var e *mm.UserfaultError
	if !errors.As(err, &e) {
		return err
	}
	actor := t.actor // a person may ask for things meanwhile
	err = t.awaitUserfault(e, attnExit)
	t.actor = actor
	if err != nil {
		return fmt.Errorf("%w: %w", unix.EFAULT, err)
	}
	return nil
}

// AwaitUserfaults calls f until no userfaultfd stops it any more.
func (t *Task) AwaitUserfaults(f func() error) error {
	for {
		err := f()
		var e *mm.UserfaultError
		if !errors.As(err, &e) || t.awaitCopy(err) != nil {
			return err
		}
	}
}
