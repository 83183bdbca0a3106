package stdio

import (
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// Requests of struct termios2, whose speeds are numbers.
const (
	tcgets2 = 0x802c542a // TCGETS2
	tcsets2 = 0x402c542b // TCSETS2; TCSETSW2 and TCSETSF2 follow
)

// terminal is a stream that is a terminal of the host's. What a guest asks of it is
// asked of the host, but for what would reach beyond the guest: no byte is put before
// the person's own (TIOCSTI), and output that is stopped by TCXONC would be the
// shell's too.
type terminal struct {
	stream
	host hostFile
	tty  *vfs.TTY
	stat func() (unix.Stat_t, error) // of the node that was opened; nil: the host's
}

// Join makes all of files that are one terminal know that they are, and returns the
// terminal of the first that is one, nil if none is.
func Join(files ...vfs.File) (first *vfs.TTY) {
	known := make(map[uint64]*vfs.TTY)
	for _, f := range files {
		t, ok := f.(*terminal)
		if !ok {
			continue
		}
		if known[t.tty.Device] == nil {
			known[t.tty.Device] = t.tty
			t.tty.Open = t.reopen
		}
		t.tty = known[t.tty.Device]
		if first == nil {
			first = t.tty
		}
	}
	return first
}

// reopen returns the terminal for both reading and writing.
func (t *terminal) reopen(_ int, stat func() (unix.Stat_t, error)) (vfs.File, error) {
	both := &terminal{host: t.host, tty: t.tty, stat: stat}
	both.stream = &duplex{hostReader{t.host}, hostWriter{hostFile: t.host}}
	return both, nil
}

// duplex is a host file that is read and written.
type duplex struct {
	hostReader
	w hostWriter
}

func (d *duplex) PWrite(p []byte, off int64) (int, error) { return d.w.PWrite(p, off) }

// Stat implements vfs.File. A terminal of the host's /dev/pts is one of ours.
func (t *terminal) Stat() (unix.Stat_t, error) {
	if t.stat != nil {
		return t.stat()
	}
	st, err := t.host.Stat()
	if unix.Major(st.Rdev) == vfs.PtsMajor {
		st.Dev = vfs.DevptsDevice
	}
	return st, err
}

// Reopen implements vfs.Reopener.
func (t *terminal) Reopen(flags int) (vfs.File, error) { return t.reopen(flags, t.Stat) }

// TTY implements vfs.Terminal.
func (t *terminal) TTY() *vfs.TTY { return t.tty }

// Termios implements vfs.Terminal: ENOTTY if it is none.
func (t *terminal) Termios() (got unix.Termios, err error) {
	err = t.host.do(func(fd int) error {
		s, err := unix.IoctlGetTermios(fd, tcgets2)
		if err == nil {
			got = *s
		}
		return err
	})
	return got, err
}

// SetTermios implements vfs.Terminal.
func (t *terminal) SetTermios(to *unix.Termios, when uint32) error {
	return t.host.do(func(fd int) error { return unix.IoctlSetTermios(fd, uint(tcsets2+when-unix.TCSETS), to) })
}

// Winsize implements vfs.Terminal.
func (t *terminal) Winsize() (w unix.Winsize, err error) {
	err = t.host.do(func(fd int) error {
		got, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err == nil {
			w = *got
		}
		return err
	})
	return w, err
}

// SetWinsize implements vfs.Terminal.
func (t *terminal) SetWinsize(w unix.Winsize) error {
	return t.host.do(func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &w) })
}

// Flush implements vfs.Terminal.
func (t *terminal) Flush(queue int) error {
	return t.host.do(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, queue) })
}

// Flow implements vfs.Terminal: nothing is stopped.
func (t *terminal) Flow(action int) error {
	if action < unix.TCOOFF || action > unix.TCION {
		return unix.EINVAL
	}
	return nil
}

// Drain implements vfs.Terminal.
func (t *terminal) Drain(brk bool) error {
	arg := 1
	if brk {
		arg = 0
	}
	return t.host.do(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCSBRK, arg) })
}

// Insert implements vfs.Terminal: Linux refuses it too unless it is told not to.
func (t *terminal) Insert(byte) error { return unix.EIO }

// Queued implements vfs.Queued.
func (t *terminal) Queued() (int, error) { return t.host.Queued() }

// Pace implements vfs.Terminal.
func (t *terminal) Pace() vfs.Pace {
	s, err := t.Termios()
	if err != nil || s.Lflag&unix.ICANON != 0 {
		return vfs.Pace{Least: 1}
	}
	least, wait := int(s.Cc[unix.VMIN]), time.Duration(s.Cc[unix.VTIME])*time.Second/10
	if least == 0 {
		return vfs.Pace{First: wait}
	}
	return vfs.Pace{Least: least, Between: wait}
}

// Arrival implements vfs.Terminal.
func (t *terminal) Arrival() (<-chan struct{}, func()) { return t.stream.Wait(unix.POLLIN) }
