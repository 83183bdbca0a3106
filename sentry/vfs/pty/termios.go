package pty

import (
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// disabled is the control character that none is: it also marks an end of file among
// what was typed.
const disabled = 0

// tenth is the unit of VTIME.
const tenth = time.Second / 10

// defaults are the settings of a new terminal.
func defaults() unix.Termios {
	t := unix.Termios{
		Iflag: unix.ICRNL | unix.IXON,
		Oflag: unix.OPOST | unix.ONLCR,
		Cflag: unix.B38400 | unix.CS8 | unix.CREAD,
		Lflag: unix.ISIG | unix.ICANON | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHOCTL | unix.ECHOKE | unix.IEXTEN,

		Ispeed: 38400, Ospeed: 38400,
	}
	t.Cc = [19]uint8{
		unix.VINTR: 3, unix.VQUIT: 28, unix.VERASE: 127, unix.VKILL: 21, unix.VEOF: 4, unix.VMIN: 1,
		unix.VSTART: 17, unix.VSTOP: 19, unix.VSUSP: 26, unix.VREPRINT: 18, unix.VDISCARD: 15, unix.VWERASE: 23, unix.VLNEXT: 22,
	}
	return t
}

func (p *pair) iflag(f uint32) bool { return p.termios.Iflag&f != 0 }
func (p *pair) oflag(f uint32) bool { return p.termios.Oflag&f != 0 }
func (p *pair) lflag(f uint32) bool { return p.termios.Lflag&f != 0 }

// is reports whether c is the control character at.
func (p *pair) is(c byte, at int) bool { return c != disabled && c == p.termios.Cc[at] }

// canonical reports whether lines are edited and read whole.
func (p *pair) canonical() bool { return p.lflag(unix.ICANON) }

// pace says how a read of the terminal waits.
func (p *pair) pace() vfs.Pace {
	if p.canonical() {
		return vfs.Pace{Least: 1}
	}
	least, time := int(p.termios.Cc[unix.VMIN]), time.Duration(p.termios.Cc[unix.VTIME])*tenth
	if least == 0 {
		return vfs.Pace{First: time}
	}
	return vfs.Pace{Least: least, Between: time}
}

// enough is how many bytes make the terminal readable for poll.
func (p *pair) enough() int {
	cc := &p.termios.Cc
	if !p.canonical() && cc[unix.VTIME] == 0 && cc[unix.VMIN] > 0 {
		return int(cc[unix.VMIN])
	}
	return 1
}

// setTermios changes the settings. p.mu is held.
func (p *pair) setTermios(t *unix.Termios) {
	old := p.termios
	p.termios = *t
	n := &p.termios
	n.Cflag = n.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD
	n.Ispeed, n.Ospeed = speeds(n)
	p.tellFlow(&old)
	if (old.Lflag^n.Lflag)&(unix.ICANON|unix.EXTPROC) != 0 {
		p.in.regroup(n.Lflag&unix.ICANON != 0)
	}
	if old.Iflag&unix.IXON != 0 && n.Iflag&unix.IXON == 0 && !p.out.off {
		p.start()
		p.flushEchoes()
	}
}

// tellFlow tells a master in packet mode what changed for it: who stops the output,
// and with EXTPROC that anything did.
func (p *pair) tellFlow(old *unix.Termios) {
	usual := func(t *unix.Termios) bool {
		return t.Iflag&unix.IXON != 0 && t.Cc[unix.VSTOP] == 'S'&31 && t.Cc[unix.VSTART] == 'Q'&31
	}
	switch was, is := usual(old), usual(&p.termios); {
	case was && !is:
		p.tell(unix.TIOCPKT_DOSTOP, unix.TIOCPKT_NOSTOP)
	case !was && is:
		p.tell(unix.TIOCPKT_NOSTOP, unix.TIOCPKT_DOSTOP)
	}
	if (old.Lflag|p.termios.Lflag)&unix.EXTPROC != 0 {
		p.tell(0, unix.TIOCPKT_IOCTL)
	}
}

// bauds are the speeds of B0 to B38400, and of those above.
var bauds = []uint32{0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400}
var fastBauds = []uint32{
	0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000,
}

// speeds returns what t's flags say of input and output speed.
func speeds(t *unix.Termios) (in, out uint32) {
	const inputShift = 16 // IBSHIFT
	out = speed(t.Cflag&unix.CBAUD, t.Ospeed)
	if bits := t.Cflag >> inputShift & unix.CBAUD; bits != unix.B0 {
		return speed(bits, t.Ispeed), out
	}
	return out, out
}

// speed returns the speed that bits of c_cflag name: BOTHER is the number given.
func speed(bits, other uint32) uint32 {
	switch n := bits &^ unix.CBAUDEX; {
	case bits == unix.BOTHER:
		return other
	case bits&unix.CBAUDEX != 0:
		return fastBauds[n]
	default:
		return bauds[n]
	}
}
