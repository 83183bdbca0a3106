package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// Requests that package unix lacks.
const (
	tcgets2   = 0x802c542a // TCGETS2
	tcsets2   = 0x402c542b // TCSETS2
	tcsetsw2  = 0x402c542c
	tcsetsf2  = 0x402c542d
	tiocGLock = 0x5456 // TIOCGLCKTRMIOS
)

// ttyRequest is an ioctl of a terminal under way.
type ttyRequest struct {
	t       *sentry.Task
	d       *vfs.Description
	tty     vfs.Terminal
	master  bool
	request uint32
	arg     memmap.Addr
}

// ttyIoctl are the requests of terminals. The value is that of TIOCGPTPEER, a
// descriptor, else 0.
func ttyIoctl(t *sentry.Task, d *vfs.Description, tty vfs.Terminal, request uint32, arg memmap.Addr) (uintptr, error) {
	r := &ttyRequest{t, d, tty, isMaster(tty), request, arg}
	if _, err := tty.Winsize(); err != nil && !r.master { // it was hung up
		if request == unix.TIOCSPGRP {
			return 0, unix.ENOTTY
		}
		return 0, err
	}
	if r.changes() {
		if err := t.MayUseTTY(tty.TTY(), unix.SIGTTOU); err != nil {
			return 0, err
		}
	}
	for _, f := range []func() (bool, error){r.settings, r.window, r.queues, r.jobs, r.odd} {
		if known, err := f(); known {
			return 0, err
		}
	}
	if m, ok := tty.(vfs.Master); ok {
		return r.ofMaster(m)
	}
	if request == unix.TIOCGPTPEER {
		return 0, unix.EIO
	}
	return 0, unix.ENOTTY
}

// changes reports whether the request is for the foreground only. A master's
// settings are its terminal's, its queues are not.
func (r *ttyRequest) changes() bool {
	switch r.request {
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF, tcsets2, tcsetsw2, tcsetsf2, unix.TCSETA, unix.TCSETAW, unix.TCSETAF:
		return true
	case unix.TIOCSETD, unix.TIOCSBRK, unix.TIOCCBRK, unix.TCSBRK, unix.TCSBRKP, unix.TCFLSH, unix.TCXONC:
		return !r.master
	}
	return false
}

// settings are the requests that read and change them.
func (r *ttyRequest) settings() (bool, error) {
	s, err := r.tty.Termios()
	if err != nil {
		return true, err
	}
	const short, long = 36, 44 // struct termios is a prefix of struct termios2
	switch r.request {
	case unix.TCGETS:
		return true, r.t.CopyOut(r.arg, bytesOf(&s)[:short])
	case tcgets2:
		return true, r.t.CopyOut(r.arg, bytesOf(&s)[:long])
	case unix.TCGETA:
		return true, copyOut(r.t, r.arg, oldOf(&s))
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF:
		err = r.t.CopyIn(r.arg, bytesOf(&s)[:short])
		return true, r.set(err, &s, r.request)
	case tcsets2, tcsetsw2, tcsetsf2:
		err = r.t.CopyIn(r.arg, bytesOf(&s)[:long])
		return true, r.set(err, &s, r.request-tcsets2+unix.TCSETS)
	case unix.TCSETA, unix.TCSETAW, unix.TCSETAF:
		var old termio
		old, err = copyIn[termio](r.t, r.arg)
		old.into(&s)
		return true, r.set(err, &s, r.request-unix.TCSETA+unix.TCSETS)
	case unix.TIOCGSOFTCAR:
		return true, copyOut(r.t, r.arg, b2i(s.Cflag&unix.CLOCAL != 0))
	case unix.TIOCSSOFTCAR:
		on, err := copyIn[int32](r.t, r.arg)
		s.Cflag &^= unix.CLOCAL
		if on != 0 {
			s.Cflag |= unix.CLOCAL
		}
		return true, r.set(err, &s, unix.TCSETS)
	case tiocGLock: // nothing is locked
		return true, r.t.CopyOut(r.arg, make([]byte, short))
	}
	return false, nil
}

// set changes the settings, unless err says that there are none.
func (r *ttyRequest) set(err error, s *unix.Termios, when uint32) error {
	if err != nil {
		return err
	}
	return r.tty.SetTermios(s, when)
}

func b2i(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// termio is struct termio: the lower halves of the flags.
type termio struct {
	Iflag, Oflag, Cflag, Lflag uint16
	Line                       uint8
	Cc                         [8]uint8
	_                          uint8
}

func oldOf(s *unix.Termios) termio {
	o := termio{Iflag: uint16(s.Iflag), Oflag: uint16(s.Oflag), Cflag: uint16(s.Cflag), Lflag: uint16(s.Lflag), Line: s.Line}
	copy(o.Cc[:], s.Cc[:])
	return o
}

func (o *termio) into(s *unix.Termios) {
	for _, f := range []struct {
		to   *uint32
		from uint16
	}{{&s.Iflag, o.Iflag}, {&s.Oflag, o.Oflag}, {&s.Cflag, o.Cflag}, {&s.Lflag, o.Lflag}} {
		*f.to = *f.to&^0xffff | uint32(f.from)
	}
	s.Line = o.Line
	copy(s.Cc[:], o.Cc[:])
}

// window are the requests about the size.
func (r *ttyRequest) window() (bool, error) {
	switch r.request {
	case unix.TIOCGWINSZ:
		size, err := r.tty.Winsize()
		if err == nil {
			err = copyOut(r.t, r.arg, size)
		}
		return true, err
	case unix.TIOCSWINSZ:
		size, err := copyIn[unix.Winsize](r.t, r.arg)
		if err == nil {
			err = r.tty.SetWinsize(size)
		}
		return true, err
	}
	return false, nil
}

// queues are the requests about what is on its way.
func (r *ttyRequest) queues() (bool, error) {
	switch r.request {
	case unix.TIOCINQ:
		return true, queued(r.t, r.d, r.arg)
	case unix.TIOCOUTQ: // what is written has arrived
		return true, copyOut(r.t, r.arg, int32(0))
	case unix.TCFLSH:
		return true, r.tty.Flush(int(int32(r.arg)))
	case unix.TCXONC:
		return true, r.tty.Flow(int(int32(r.arg)))
	case unix.TCSBRK:
		return true, r.tty.Drain(r.arg == 0)
	case unix.TCSBRKP, unix.TIOCSBRK, unix.TIOCCBRK: // there is no line to break
		return true, nil
	case unix.TIOCSTI:
		return true, r.insert()
	}
	return false, nil
}

// insert is TIOCSTI.
func (r *ttyRequest) insert() error {
	if !r.t.Process().Credentials().Effective.Has(sentry.CapSysAdmin) {
		return unix.EIO
	}
	c, err := copyIn[uint8](r.t, r.arg)
	if err != nil {
		return err
	}
	return r.tty.Insert(c)
}

// jobs are the requests of job control.
func (r *ttyRequest) jobs() (bool, error) {
	tty := r.tty.TTY()
	switch r.request {
	case unix.TIOCSCTTY:
		return true, r.t.SetControllingTTY(tty, readable(r.d), r.arg == 1)
	case unix.TIOCNOTTY:
		if r.master {
			return true, unix.ENOTTY
		}
		return true, r.t.DropTTY(tty)
	case unix.TIOCGPGRP:
		pgid, err := r.t.ForegroundGroup(tty, r.master)
		if err == nil {
			err = copyOut(r.t, r.arg, pgid)
		}
		return true, err
	case unix.TIOCSPGRP:
		return true, r.setForeground(tty)
	case unix.TIOCGSID:
		sid, err := r.t.TTYSession(tty, r.master)
		if err == nil {
			err = copyOut(r.t, r.arg, sid)
		}
		return true, err
	}
	return false, nil
}

// setForeground is TIOCSPGRP.
func (r *ttyRequest) setForeground(tty *vfs.TTY) error {
	switch err := r.t.MayUseTTY(tty, unix.SIGTTOU); {
	case err == nil:
	case errors.Is(err, unix.EIO):
		return unix.ENOTTY
	default:
		return err
	}
	pgid, err := copyIn[int32](r.t, r.arg)
	if err != nil {
		return err
	}
	return r.t.SetForegroundGroup(tty, pgid)
}

// odd are the requests that say what kind of terminal it is.
func (r *ttyRequest) odd() (bool, error) {
	switch r.request {
	case unix.TIOCGETD: // N_TTY
		return true, copyOut(r.t, r.arg, int32(0))
	case unix.TIOCSETD:
		line, err := copyIn[int32](r.t, r.arg)
		if err == nil && line != 0 {
			err = invalid("ioctl", "there is no line discipline %d", line)
		}
		return true, err
	case unix.TIOCGDEV:
		dev := r.tty.TTY().Device
		minor := unix.Minor(dev)
		return true, copyOut(r.t, r.arg, minor&0xff|unix.Major(dev)<<8|minor&^0xff<<12)
	}
	x, ok := r.tty.(vfs.Exclusive)
	if !ok {
		return false, nil
	}
	switch r.request {
	case unix.TIOCEXCL, unix.TIOCNXCL:
		x.SetExclusive(r.request == unix.TIOCEXCL)
		return true, nil
	case unix.TIOCGEXCL:
		return true, copyOut(r.t, r.arg, b2i(x.Exclusive()))
	}
	return false, nil
}

// ofMaster are the requests of a pseudoterminal's master.
func (r *ttyRequest) ofMaster(m vfs.Master) (uintptr, error) {
	switch r.request {
	case unix.TIOCGPTN:
		return 0, copyOut(r.t, r.arg, uint32(m.Number()))
	case unix.TIOCGPTLCK:
		return 0, copyOut(r.t, r.arg, b2i(m.Locked()))
	case unix.TIOCGPKT:
		return 0, copyOut(r.t, r.arg, b2i(m.PacketMode()))
	case unix.TIOCSPTLCK, unix.TIOCPKT:
		on, err := copyIn[int32](r.t, r.arg)
		if err != nil {
			return 0, err
		}
		if r.request == unix.TIOCPKT {
			m.SetPacketMode(on != 0)
		} else {
			m.Lock(on != 0)
		}
		return 0, nil
	case unix.TIOCSIG:
		switch sig := unix.Signal(r.arg); sig {
		case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP:
			m.Signal(sig)
			return 0, nil
		}
		return 0, invalid("ioctl", "terminals send no signal %d", int32(r.arg))
	case unix.TIOCGPTPEER:
		return r.peer(m)
	}
	return 0, unix.ENOTTY
}

// peer is TIOCGPTPEER.
func (r *ttyRequest) peer(m vfs.Master) (uintptr, error) {
	flags := int(int32(r.arg))
	d, err := m.Peer(flags)
	if err != nil {
		return 0, err
	}
	if err := openedTTY(r.t, d, flags); err != nil {
		_ = d.DecRef()
		return 0, err
	}
	return addFD(r.t, d, flags&unix.O_CLOEXEC != 0, 0)
}
