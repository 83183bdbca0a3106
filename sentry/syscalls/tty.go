package syscalls

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// maxLine is the most that one read of a terminal gets: what its queue holds.
const maxLine = 4096

// isMaster reports whether tty is the master of a pseudoterminal, which is no terminal
// to those who use it.
func isMaster(tty vfs.Terminal) bool {
	_, ok := tty.(vfs.Master)
	return ok
}

// ttyRead is read(2) of a terminal, which waits as the terminal's settings say. Linux:
// n_tty_read.
func ttyRead(t *sentry.Task, op string, d *vfs.Description, tty vfs.Terminal, v vector) (uintptr, error) {
	if !isMaster(tty) {
		if err := t.MayUseTTY(tty.TTY(), unix.SIGTTIN); err != nil {
			return 0, err
		}
	}
	buf := make([]byte, min(v.total(), maxLine))
	if len(buf) == 0 {
		return 0, nil
	}
	n, err := ttyFill(t, d, tty, buf)
	if n == 0 {
		return 0, err
	}
	done, err := v.scatter(t, t.WaitingActor(op), buf[:n])
	return orError(uint64(done), err)
}

// ttyFill reads into buf until what pace says is enough has come. What was read before
// an error counts.
func ttyFill(t *sentry.Task, d *vfs.Description, tty vfs.Terminal, buf []byte) (int, error) {
	pace := tty.Pace()
	deadline := within(t, pace.First)
	done := 0
	for {
		n, err := d.Read(buf[done:], nil)
		done += n
		switch {
		case n > 0 && (done >= pace.Least || done == len(buf)):
			return done, nil
		case n > 0:
			deadline = within(t, pace.Between)
			continue
		case !errors.Is(err, vfs.ErrWouldBlock):
			return done, err
		case pace.Least == 0 && pace.First == 0:
			return done, nil
		case d.Flags()&unix.O_NONBLOCK != 0:
			return done, err
		}
		arrived, giveUp := tty.Arrival()
		err = block(t, arrived, deadline, isExternal(d))
		giveUp()
		if errors.Is(err, sentry.ErrTimedOut) {
			return done, nil
		}
		if err != nil {
			return done, err
		}
	}
}

// within is the deadline of a wait for d, forever if that is 0.
func within(t *sentry.Task, d time.Duration) time.Duration {
	if d == 0 {
		return forever
	}
	return after(t, d)
}

// mayWriteTTY refuses the background to write to its terminal, if the settings do.
func mayWriteTTY(t *sentry.Task, d *vfs.Description) error {
	tty, ok := d.File().(vfs.Terminal)
	if !ok || isMaster(tty) {
		return nil
	}
	if s, err := tty.Termios(); err != nil || s.Lflag&unix.TOSTOP == 0 {
		return nil // a terminal that is gone says so itself
	}
	return t.MayUseTTY(tty.TTY(), unix.SIGTTOU)
}

// openedTTY does what only opening a terminal does.
func openedTTY(t *sentry.Task, d *vfs.Description, flags int) error {
	if flags&unix.O_PATH != 0 {
		return nil
	}
	if x, ok := d.File().(vfs.Exclusive); ok && !isMasterFile(d) && x.Exclusive() && !t.Process().Credentials().Effective.Has(sentry.CapSysAdmin) {
		return unix.EBUSY
	}
	tty, ok := d.File().(vfs.Terminal)
	if ok && !isMaster(tty) && flags&unix.O_NOCTTY == 0 && readable(d) {
		t.OpenedTTY(tty.TTY())
	}
	return nil
}

func isMasterFile(d *vfs.Description) bool {
	_, ok := d.File().(vfs.Master)
	return ok
}
