package line

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// tty is the controlling terminal, with the settings in which it was found.
//
// mu orders changes of its settings against each other, so that Restore may come from
// any goroutine. It is held for ioctls and short writes only.
type tty struct {
	fd    int
	found unix.Termios

	mu     sync.Mutex
	raw    bool // our settings are in force
	locked bool // Restore was called: raw is refused until the next unlock
}

// current is the terminal that Restore restores.
var current atomic.Pointer[tty]

// Restore puts the terminal back as it was found. It may be called at any time, from
// any goroutine, any number of times, and does nothing where there is nothing to do:
// `defer line.Restore()` in main and before every exit.
func Restore() {
	if t := current.Load(); t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.locked = true
		_ = t.restoreLocked()
	}
}

// openTTY opens the controlling terminal and saves its settings.
func openTTY() (*tty, error) {
	for fd, name := range []string{"standard input", "standard output"} {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			return nil, fmt.Errorf("%s is no terminal: %w", name, err)
		}
	}
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/tty: %w", err)
	}
	found, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("/dev/tty: %w", err)
	}
	t := &tty{fd: fd, found: *found}
	current.Store(t)
	return t, nil
}

// The terminal's switch for brackets around pasted text.
const (
	pasteOn  = "\x1b[?2004h"
	pasteOff = "\x1b[?2004l"
)

// setRaw makes the terminal give single keys, from a copy of the settings found.
func (t *tty) setRaw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.locked {
		return fmt.Errorf("the terminal was restored")
	}
	s := t.found
	s.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	s.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.IEXTEN | unix.ISIG
	s.Cflag &^= unix.CSIZE | unix.PARENB
	s.Cflag |= unix.CS8
	s.Cc[unix.VMIN], s.Cc[unix.VTIME] = 1, 0
	t.raw = true
	if err := unix.IoctlSetTermios(t.fd, unix.TCSETS, &s); err != nil {
		return err
	}
	return t.write(pasteOn)
}

// restore undoes setRaw.
func (t *tty) restore() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.restoreLocked()
}

func (t *tty) restoreLocked() error {
	if !t.raw {
		return nil
	}
	t.raw = false
	_ = t.write(pasteOff)
	// At once: waiting for output to drain could wait for ever.
	return unix.IoctlSetTermios(t.fd, unix.TCSETS, &t.found)
}

// unlock allows raw again: a new line is read.
func (t *tty) unlock() {
	t.mu.Lock()
	t.locked = false
	t.mu.Unlock()
}

func (t *tty) write(s string) error {
	_, err := unix.Write(t.fd, []byte(s))
	return err
}

// close restores and closes the terminal.
func (t *tty) close() error {
	err := t.restore()
	current.CompareAndSwap(t, nil)
	unix.Close(t.fd)
	return err
}

// size returns rows and columns, 24 and 80 for what the terminal does not know.
func (t *tty) size() (rows, cols uint16) {
	rows, cols = 24, 80
	ws, err := unix.IoctlGetWinsize(t.fd, unix.TIOCGWINSZ)
	if err != nil {
		return rows, cols
	}
	if ws.Row > 0 {
		rows = ws.Row
	}
	if ws.Col > 0 {
		cols = ws.Col
	}
	return rows, cols
}

// wait returns whether input came within ms milliseconds. A hangup is input.
func (t *tty) wait(ms int) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, ms)
	if err == unix.EINTR {
		return false, nil
	}
	return n > 0, err
}

// hideInherited marks descriptors of /dev/tty that go-prompt opened as closed on
// exec: no guest shall get one.
func hideInherited() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if name, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && name == "/dev/tty" {
			if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
				unix.CloseOnExec(fd)
			}
		}
	}
}
