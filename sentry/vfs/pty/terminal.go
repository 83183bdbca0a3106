package pty

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// terminal is an open terminal: the end that programs think is one.
type terminal struct {
	end
	closed atomic.Bool
}

// end is what both ends have in common: what fstat says, and all that is asked of the
// terminal whichever end is asked.
type end struct {
	*pair
	stat func() (unix.Stat_t, error)
}

func (e end) Stat() (unix.Stat_t, error) { return e.stat() }
func (e end) Seekable() bool             { return false }

// TTY implements vfs.Terminal.
func (e end) TTY() *vfs.TTY { return &e.tty }

// alive runs f with the lock: EIO once the master is gone.
func (p *pair) alive(f func() error) (err error) {
	p.do(func() {
		if err = unix.EIO; !p.hung {
			err = f()
		}
	})
	return err
}

// Termios implements vfs.Terminal.
func (e end) Termios() (t unix.Termios, err error) {
	err = e.alive(func() error { t = e.termios; return nil })
	return t, err
}

// SetTermios implements vfs.Terminal. There is nothing to wait for: what is written
// has arrived.
func (e end) SetTermios(t *unix.Termios, when uint32) error {
	return e.alive(func() error {
		if when == unix.TCSETSF {
			e.flushInput()
		}
		e.setTermios(t)
		return nil
	})
}

// Winsize implements vfs.Terminal.
func (e end) Winsize() (w unix.Winsize, err error) {
	err = e.alive(func() error { w = e.size; return nil })
	return w, err
}

// SetWinsize implements vfs.Terminal: a change is a SIGWINCH.
func (e end) SetWinsize(w unix.Winsize) error {
	return e.alive(func() error {
		if w != e.size {
			e.size = w
			e.signal(unix.SIGWINCH)
		}
		return nil
	})
}

// Drain implements vfs.Terminal.
func (e end) Drain(bool) error { return e.alive(func() error { return nil }) }

// Exclusive and SetExclusive implement vfs.Exclusive.
func (e end) Exclusive() (on bool) {
	e.do(func() { on = e.exclusive })
	return on
}

func (e end) SetExclusive(on bool) { e.do(func() { e.exclusive = on }) }

func (f *terminal) PRead(b []byte, _ int64) (n int, err error) {
	f.do(func() { n, err = f.read(b) })
	return n, err
}

func (f *terminal) PWrite(b []byte, _ int64) (n int, err error) {
	f.do(func() { n, err = f.write(b) })
	return n, err
}

// Ready implements vfs.Waiter.
func (f *terminal) Ready() int16 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.slaveEvents(f.enough())
}

// Wait implements vfs.Waiter.
func (f *terminal) Wait(events int16) (<-chan struct{}, func()) {
	return f.slaves.Wait(events, f.Ready)
}

// Arrival implements vfs.Terminal.
func (f *terminal) Arrival() (<-chan struct{}, func()) {
	return f.slaves.Wait(unix.POLLIN, func() int16 {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.slaveEvents(1)
	})
}

// Queued implements vfs.Queued.
func (f *terminal) Queued() (n int, err error) {
	err = f.alive(func() error { n = f.queued(); return nil })
	return n, err
}

// Flush implements vfs.Terminal.
func (f *terminal) Flush(queue int) error {
	return f.alive(func() error {
		switch queue {
		case unix.TCIFLUSH, unix.TCIOFLUSH:
			f.onHold = nil
			f.flushInput()
			if queue == unix.TCIOFLUSH {
				f.flushOutput()
			}
		case unix.TCOFLUSH:
			f.flushOutput()
		default:
			return unix.EINVAL
		}
		return nil
	})
}

// Flow implements vfs.Terminal.
func (f *terminal) Flow(action int) error {
	return f.alive(func() error {
		switch action {
		case unix.TCOOFF:
			f.stop()
			f.out.off = true
		case unix.TCOON:
			if f.out.off {
				f.out.off = false
				f.start()
			}
		case unix.TCIOFF, unix.TCION:
			c := f.termios.Cc[unix.VSTOP]
			if action == unix.TCION {
				c = f.termios.Cc[unix.VSTART]
			}
			if c != disabled && f.out.room() > 0 { // stopped output or not
				f.out.put(c)
			}
		default:
			return unix.EINVAL
		}
		return nil
	})
}

// Insert implements vfs.Terminal.
func (f *terminal) Insert(b byte) error {
	return f.alive(func() error { f.typed([]byte{b}); return nil })
}

// Pace implements vfs.Terminal.
func (f *terminal) Pace() (pace vfs.Pace) {
	f.do(func() { pace = f.pace() })
	return pace
}

// Reopen implements vfs.Reopener.
func (f *terminal) Reopen(flags int) (vfs.File, error) { return f.pair.reopen(flags, f.stat) }

// Release implements vfs.File: the master of a terminal that nobody has open reads
// what was written, and then EIO.
func (f *terminal) Release() error {
	if f.closed.Swap(true) {
		return nil
	}
	f.do(func() {
		f.open--
		if f.open == 0 {
			f.left = true
			f.packet = false
		}
	})
	return nil
}
