package stdio

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// next reads the next piece, waiting for it as a system call does.
func next(t *testing.T, f vfs.File) (string, error) {
	t.Helper()
	for {
		b := make([]byte, 100)
		n, err := f.PRead(b, 0)
		if !errors.Is(err, vfs.ErrWouldBlock) {
			return string(b[:n]), err
		}
		ready, stop := f.(vfs.Waiter).Wait(unix.POLLIN)
		<-ready
		stop()
	}
}

func hostPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// Any reader can be waited for, and ends.
func TestReaders(t *testing.T) {
	hr, hw := hostPipe(t)
	_, _ = hw.WriteString("some text")
	_ = hw.Close()
	pr, pw := io.Pipe()
	go func() {
		_, _ = io.WriteString(pw, "some ")
		_, _ = io.WriteString(pw, "text")
		_ = pw.Close()
	}()
	for name, r := range map[string]io.Reader{"string": strings.NewReader("some text"), "host pipe": hr, "Go pipe": pr} {
		f := NewReader(r)
		var got strings.Builder
		for {
			s, err := next(t, f)
			if err != nil {
				t.Fatal(name, err)
			}
			if s == "" {
				break
			}
			got.WriteString(s)
		}
		if got.String() != "some text" {
			t.Errorf("%s: %q", name, got.String())
		}
		if f.(vfs.Waiter).Ready()&(unix.POLLIN|unix.POLLHUP) == 0 {
			t.Errorf("%s: at the end, but not ready", name)
		}
	}
	if s, err := next(t, NewReader(nil)); s != "" || err != nil {
		t.Errorf("nil: %q, %v", s, err)
	}
}

// A guest that gave up waiting for the host's input has taken none of it.
func TestNoInputIsStolen(t *testing.T) {
	r, w := hostPipe(t)
	f := NewReader(r)
	if _, err := f.PRead(make([]byte, 10), 0); !errors.Is(err, vfs.ErrWouldBlock) {
		t.Fatal(err)
	}
	ready, stop := f.(vfs.Waiter).Wait(unix.POLLIN)
	stop()
	<-ready
	stop() // twice is once
	_, _ = w.WriteString("for the shell")
	b := make([]byte, 100)
	n, err := r.Read(b)
	if string(b[:n]) != "for the shell" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// Who waits for what never comes waits, and is not told to ask again.
func TestWhatNeverComes(t *testing.T) {
	r, w := hostPipe(t)
	for name, c := range map[string]struct {
		f      vfs.File
		events int16
	}{
		"reader for room": {NewReader(r), unix.POLLOUT}, "reader for urgent bytes": {NewReader(r), unix.POLLPRI},
		"writer for bytes": {NewWriter(w), unix.POLLIN}, "buffer for bytes": {NewWriter(&bytes.Buffer{}), unix.POLLIN},
		"string for room": {NewReader(strings.NewReader("x")), unix.POLLOUT},
	} {
		came, stop := c.f.(vfs.Waiter).Wait(c.events)
		select {
		case <-came:
			t.Errorf("%s: told that it came", name)
		default:
		}
		stop()
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if got := NewReader(null).(vfs.Waiter).Ready(); got&(unix.POLLIN|unix.POLLOUT) != unix.POLLIN|unix.POLLOUT {
		t.Errorf("/dev/null: %#x", got)
	}
}

// Errors of streams have an errno.
func TestErrors(t *testing.T) {
	pr, pw := io.Pipe()
	_ = pw.CloseWithError(errors.New("odd"))
	if _, err := next(t, NewReader(pr)); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if _, err := NewWriter(pw).PWrite([]byte("x"), 0); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	r, w := hostPipe(t)
	_ = r.Close()
	if _, err := NewWriter(w).PWrite([]byte("x"), 0); !errors.Is(err, unix.EPIPE) {
		t.Error(err)
	}
	if _, err := NewWriter(w).PRead(make([]byte, 1), 0); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

func TestWriters(t *testing.T) {
	var b bytes.Buffer
	f := NewWriter(&b)
	if n, err := f.PWrite([]byte("out"), 99); n != 3 || err != nil || b.String() != "out" {
		t.Errorf("%d, %v, %q", n, err, b.String())
	}
	if n, err := NewWriter(nil).PWrite([]byte("out"), 0); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, ok := f.(vfs.Terminal); ok {
		t.Error("a buffer is no terminal")
	}
	if st, err := f.Stat(); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		t.Errorf("%o, %v", st.Mode, err)
	}
}

// A terminal answers its ioctls and is read line by line.
func TestTerminal(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = master.Close(), tty.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Rows: 11, Cols: 22}); err != nil {
		t.Fatal(err)
	}
	in, out := NewReader(tty), NewWriter(tty)
	for _, f := range []vfs.File{in, out} {
		term := f.(vfs.Terminal)
		if size, err := term.Winsize(); err != nil || size.Row != 11 || size.Col != 22 {
			t.Errorf("%+v, %v", size, err)
		}
		if st, err := f.Stat(); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
			t.Errorf("%o, %v", st.Mode, err)
		}
	}
	settings, err := in.(vfs.Terminal).Termios()
	if err != nil {
		t.Fatal(err)
	}
	settings.Lflag &^= unix.ECHO
	if err := in.(vfs.Terminal).SetTermios(&settings, unix.TCSETS); err != nil {
		t.Fatal(err)
	}
	if again, _ := out.(vfs.Terminal).Termios(); again.Lflag&unix.ECHO != 0 {
		t.Error("settings did not change")
	}
	_, _ = master.WriteString("line\n")
	ready, stop := in.(vfs.Waiter).Wait(unix.POLLIN)
	<-ready
	stop()
	for _, f := range []vfs.File{in, out} {
		if n, err := f.(vfs.Queued).Queued(); n != 5 || err != nil {
			t.Errorf("%d bytes wait, %v", n, err)
		}
	}
	if s, err := next(t, in); s != "line\n" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
}

// A guest's requests are the host's terminal's, but for those that reach beyond the
// guest: no byte is typed for the person, no output of the shell's stops.
func TestTerminalRequests(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = master.Close(), tty.Close() })
	in, out := NewReader(tty), NewWriter(tty)
	if joined := Join(in, out, NewReader(nil)); joined == nil || joined != in.(vfs.Terminal).TTY() || joined != out.(vfs.Terminal).TTY() {
		t.Error("one terminal is two")
	}
	if st, err := in.Stat(); err != nil || st.Dev != vfs.DevptsDevice || st.Rdev != in.(vfs.Terminal).TTY().Device {
		t.Errorf("%+v, %v", st, err)
	}
	term := in.(vfs.Terminal)
	settings, err := term.Termios()
	if err != nil {
		t.Fatal(err)
	}
	for name, throwAway := range map[string]func() error{
		"TCSETSF": func() error { return term.SetTermios(&settings, unix.TCSETSF) },
		"TCFLSH":  func() error { return term.Flush(unix.TCIFLUSH) },
	} {
		_, _ = master.WriteString("line\n")
		arrived, stop := term.Arrival()
		<-arrived
		stop()
		if err := throwAway(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := in.(vfs.Queued).Queued(); n != 0 || err != nil {
			t.Errorf("%s left %d bytes, %v", name, n, err)
		}
	}
	if err := term.SetWinsize(unix.Winsize{Row: 7, Col: 9}); err != nil {
		t.Error(err)
	}
	if size, err := pty.GetsizeFull(master); err != nil || size.Rows != 7 || size.Cols != 9 {
		t.Errorf("%+v, %v", size, err)
	}
	if err := term.Insert('x'); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if err := term.Flow(unix.TCOOFF); err != nil || !errors.Is(term.Flow(9), unix.EINVAL) {
		t.Error(err)
	}
	if _, err := tty.WriteString("still goes out"); err != nil {
		t.Error(err)
	}
	both, err := in.(vfs.Reopener).Reopen(unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := both.PWrite([]byte("x"), 0); n != 1 || err != nil || both.(vfs.Terminal).TTY() != term.TTY() {
		t.Errorf("%d, %v", n, err)
	}
}
