package vfs

import (
	"time"

	"golang.org/x/sys/unix"
)

// DevptsDevice is st_dev of the terminals in /dev/pts: an anonymous one.
var DevptsDevice = unix.Mkdev(0, 24)

// PtsMajor is the device number of those terminals.
const PtsMajor = 136

// Terminal is a File that answers terminal ioctls: a terminal, or the master of a
// pseudoterminal, which answers for its other end.
type Terminal interface {
	// TTY returns the terminal as sessions know it; one and the same for all Files of it.
	TTY() *TTY
	// Termios is TCGETS2. SetTermios is TCSETS2; when is TCSETS, TCSETSW or TCSETSF.
	Termios() (unix.Termios, error)
	SetTermios(t *unix.Termios, when uint32) error
	Winsize() (unix.Winsize, error)
	SetWinsize(w unix.Winsize) error
	// Flush is TCFLSH: TCIFLUSH, TCOFLUSH or TCIOFLUSH, else EINVAL.
	Flush(queue int) error
	// Flow is TCXONC: TCOOFF, TCOON, TCIOFF or TCION, else EINVAL.
	Flow(action int) error
	// Drain waits until all output is gone, and with brk sends a break.
	Drain(brk bool) error
	// Insert is TIOCSTI: b is as if typed.
	Insert(b byte) error
	// Pace says how reads wait, and Arrival waits for something to read: a byte, where
	// Wait is for as many as Pace asks for.
	Pace() Pace
	Arrival() (<-chan struct{}, func())
}

// Pace is how a read of a terminal waits: until Least bytes have come; no longer than
// First for the first one and Between for each further one, if these are not 0.
type Pace struct {
	Least          int // 0: whatever is there, if First is 0 too
	First, Between time.Duration
}

// Master is the end of a pseudoterminal that a program plays the terminal with.
type Master interface {
	Terminal
	// Number is N of /dev/pts/N.
	Number() int
	// Locked says that the other end cannot be opened yet: TIOCSPTLCK.
	Locked() bool
	Lock(on bool)
	// PacketMode is TIOCPKT: reads begin with a byte that says what follows.
	PacketMode() bool
	SetPacketMode(on bool)
	// Peer opens the other end: TIOCGPTPEER. flags are O_*.
	Peer(flags int) (*Description, error)
	// Signal sends sig to who is in the foreground of the other end: TIOCSIG.
	Signal(sig unix.Signal)
}

// Exclusive is a Terminal that can be had for oneself: TIOCEXCL.
type Exclusive interface {
	Exclusive() bool
	SetExclusive(on bool)
}

// TTY is a terminal as sessions know it. The fields but Device and Open are the
// kernel's, and guarded by its lock; other floors only pass the pointer on.
type TTY struct {
	Device uint64 // st_rdev
	// Open opens the terminal: fstat(2) of it says what stat does. flags are O_*.
	Open func(flags int, stat func() (unix.Stat_t, error)) (File, error)

	Session    int32 // that it controls, 0: none
	Foreground int32 // the group that may read from it, 0: none
}

// Jobs is the kernel of a terminal's users, as far as terminals know it. It is called
// with no lock held.
type Jobs interface {
	// SignalForeground sends sig to the foreground group of t.
	SignalForeground(t *TTY, sig unix.Signal)
	// Hangup says that t is gone: its session loses it.
	Hangup(t *TTY)
	// Controlling returns the terminal that controls process pid, nil if none does.
	Controlling(pid int32) *TTY
}
