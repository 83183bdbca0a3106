package pty

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// office records what terminals ask of the kernel.
type office struct {
	sent []unix.Signal
	hung []*vfs.TTY
	tty  *vfs.TTY
}

func (o *office) SignalForeground(_ *vfs.TTY, sig unix.Signal) { o.sent = append(o.sent, sig) }
func (o *office) Hangup(t *vfs.TTY)                            { o.hung = append(o.hung, t) }
func (o *office) Controlling(int32) *vfs.TTY                   { return o.tty }

// open returns both ends of a new pair.
func open(t *testing.T, fs *FS) (*master, *terminal) {
	t.Helper()
	n, _, err := fs.Walk("ptmx", vfs.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := n.Open(unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	m := f.(*master)
	m.Lock(false)
	d, err := m.Peer(unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	return m, d.File().(*terminal)
}

func readAll(f vfs.File) string {
	var all []byte
	b := make([]byte, 5000)
	for {
		n, err := f.PRead(b, 0)
		all = append(all, b[:n]...)
		if n == 0 || err != nil {
			return string(all)
		}
	}
}

// Terminals have the lowest free numbers, and only so many of them.
func TestNumbers(t *testing.T) {
	fs := New(Options{Max: 3})
	var masters []*master
	for want := range 3 {
		m, _ := open(t, fs)
		if m.Number() != want {
			t.Errorf("number %d, want %d", m.Number(), want)
		}
		masters = append(masters, m)
	}
	n, _, _ := fs.Walk("ptmx", vfs.Caller{})
	if _, err := n.Open(unix.O_RDWR); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	_ = masters[1].Release()
	_ = masters[1].Release() // twice is once
	if _, _, err := fs.Walk("1", vfs.Caller{}); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	if m, _ := open(t, fs); m.Number() != 1 {
		t.Errorf("number %d is not reused", m.Number())
	}
	entries, err := fs.root().List()
	if err != nil || len(entries) != 4 || entries[0].Name != "2" || entries[3].Name != "ptmx" {
		t.Errorf("%v, %v", entries, err)
	}
}

// The kernel hears of interrupts and of the end, and nobody reads a terminal that is
// gone.
func TestJobs(t *testing.T) {
	fs, o := New(Options{}), &office{}
	fs.SetJobs(o)
	m, s := open(t, fs)
	_, _ = m.PWrite([]byte("ab\x03\x1c\x1a\x03"), 0)
	_ = m.SetWinsize(unix.Winsize{Row: 5})
	_ = s.SetWinsize(unix.Winsize{Row: 5})
	want := []unix.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGWINCH}
	if len(o.sent) != 4 || o.sent[0] != want[0] || o.sent[1] != want[1] || o.sent[2] != want[2] || o.sent[3] != want[3] {
		t.Errorf("%v, want %v", o.sent, want)
	}
	hup, stop := s.Wait(0)
	defer stop()
	_ = m.Release()
	<-hup
	if len(o.hung) != 1 || o.hung[0] != s.TTY() {
		t.Errorf("%v", o.hung)
	}
	if n, err := s.PRead(make([]byte, 1), 0); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := s.PWrite([]byte("x"), 0); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	if _, err := s.Reopen(unix.O_RDWR); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
}

// Nothing that is typed, echoed or written grows without end, whatever the settings.
func TestBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	m, s := open(t, New(Options{}))
	big := bytes.Repeat([]byte("\ttext\x16\x01\x7f;\r"), 1000)
	for range 3000 {
		switch rnd.IntN(8) {
		case 0:
			settings, _ := s.Termios()
			settings.Iflag ^= 1 << rnd.IntN(16)
			settings.Oflag ^= 1 << rnd.IntN(16)
			settings.Lflag ^= 1 << rnd.IntN(17)
			settings.Cc[rnd.IntN(19)] = byte(rnd.IntN(256))
			_ = s.SetTermios(&settings, []uint32{unix.TCSETS, unix.TCSETSW, unix.TCSETSF}[rnd.IntN(3)])
		case 1, 2:
			_, _ = m.PWrite(big[:rnd.IntN(len(big))], 0)
		case 3:
			random := make([]byte, 300)
			for i := range random {
				random[i] = byte(rnd.IntN(256))
			}
			_, _ = m.PWrite(random, 0)
		case 4:
			_, _ = s.PWrite(big[:rnd.IntN(len(big))], 0)
		case 5:
			_, _ = m.PRead(make([]byte, rnd.IntN(5000)), 0)
		case 6:
			_, _ = s.PRead(make([]byte, rnd.IntN(5000)), 0)
		case 7:
			_ = s.Flow(rnd.IntN(4))
			m.SetPacketMode(rnd.IntN(2) == 0)
		}
		p := m.pair
		if len(p.in.cells) > lineSize || p.in.whole > len(p.in.cells) || len(p.onHold) > stageSize ||
			len(p.out.queue) > masterRead+1+stageSize || len(p.out.echoes) > echoSize || p.out.column < 0 {
			t.Fatalf("%d cells, %d of them lines, %d on hold, %d written, %d echoes, column %d",
				len(p.in.cells), p.in.whole, len(p.onHold), len(p.out.queue), len(p.out.echoes), p.out.column)
		}
		if s.Ready()&vfs.PollWrite == vfs.PollWrite { // who is told that there is room finds some
			if n, err := s.PWrite([]byte("\t"), 0); n != 1 || err != nil {
				t.Fatalf("ready, but %d, %v", n, err)
			}
		}
	}
}

// A writer is stopped by a master that does not read, and goes on when it does.
func TestFull(t *testing.T) {
	m, s := open(t, New(Options{}))
	line := []byte("0123456789\n")
	sent := 0
	for {
		n, err := s.PWrite(line, 0)
		sent += n
		if errors.Is(err, vfs.ErrWouldBlock) {
			break
		}
	}
	room, stop := s.Wait(unix.POLLOUT)
	defer stop()
	select {
	case <-room:
		t.Fatal("there is room in what is full")
	default:
	}
	got := readAll(m)
	<-room
	if want := sent + sent/len(line); len(got) != want { // a return for each line
		t.Errorf("%d bytes, want %d", len(got), want)
	}
}

// What finds no room in a raw terminal waits, and the writer with it.
func TestTypedAhead(t *testing.T) {
	m, s := open(t, New(Options{}))
	settings, _ := s.Termios()
	settings.Lflag &^= unix.ICANON | unix.ECHO
	_ = s.SetTermios(&settings, unix.TCSETS)
	var sent []byte
	for {
		piece := make([]byte, 777)
		for i := range piece {
			piece[i] = 'a' + byte((len(sent)+i)%26)
		}
		n, err := m.PWrite(piece, 0)
		sent = append(sent, piece[:n]...)
		if err != nil {
			break
		}
	}
	if want := lineSize - 1 + stageSize; len(sent) != want {
		t.Errorf("%d bytes fit, want %d", len(sent), want)
	}
	if m.Ready()&unix.POLLOUT != 0 {
		t.Error("there is room in what is full")
	}
	if got := readAll(s); got != string(sent) {
		t.Errorf("%d bytes came of %d", len(got), len(sent))
	}
}

// A terminal that is to be read in pieces of VMIN bytes is not ready before, but one
// byte arrives.
func TestPieces(t *testing.T) {
	m, s := open(t, New(Options{}))
	settings, _ := s.Termios()
	settings.Lflag &^= unix.ICANON
	settings.Cc[unix.VMIN] = 3
	_ = s.SetTermios(&settings, unix.TCSETS)
	arrived, stop := s.Arrival()
	defer stop()
	_, _ = m.PWrite([]byte("x"), 0)
	<-arrived
	if s.Ready()&unix.POLLIN != 0 || s.Pace() != (vfs.Pace{Least: 3}) {
		t.Errorf("%#x, %+v", s.Ready(), s.Pace())
	}
	_, _ = m.PWrite([]byte("yz"), 0)
	if s.Ready()&unix.POLLIN == 0 {
		t.Error("not ready with three bytes")
	}
}

// A terminal of the host's keeps its number to itself.
func TestAdopted(t *testing.T) {
	fs := New(Options{})
	_, other := open(t, New(Options{}))
	if path := fs.Adopt(other); path != "/dev/pts/0" {
		t.Errorf("%q", path)
	}
	if m, _ := open(t, fs); m.Number() != 1 {
		t.Errorf("number %d is given away twice", m.Number())
	}
	n, _, err := fs.Walk("0", vfs.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	if f, err := n.Open(unix.O_RDWR); err != nil || f.(*terminal).TTY() != other.TTY() {
		t.Errorf("%v, %v", f, err)
	}
}
