package line

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// modeVar makes the test binary be one of the programs below, on a terminal.
const modeVar = "LINE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	programs := map[string]func() int{"": m.Run, "edit": edit, "jobs": jobs}
	os.Exit(programs[os.Getenv(modeVar)]())
}

// edit is a small shell: it says what each ReadLine returned.
func edit() int {
	defer Restore()
	defer func() {
		if v := recover(); v != nil {
			Restore()
			fmt.Printf("<panic %v>\n", v)
			os.Exit(3)
		}
	}()
	h, err := OpenHistory(os.Getenv("LINE_TEST_HISTORY"))
	if err != nil {
		fmt.Println(err)
		return 3
	}
	term, err := NewTerminal(Config{Complete: suggest, History: h, Color: true})
	if err != nil {
		fmt.Printf("<no terminal: %v>\n", err)
		return 3
	}
	for {
		s, err := term.ReadLine("mmsh> ")
		switch {
		case err == io.EOF:
			if err := term.Close(); err != nil {
				fmt.Println(err)
			}
			fmt.Println("<eof>")
			return 0
		case err != nil:
			fmt.Printf("<%v>\n", err)
		case s == "work": // until the test says that it is enough
			fmt.Println("<working>")
			_, _ = os.NewFile(3, "pipe").Read(make([]byte, 1))
			fmt.Println("<done>")
		default:
			fmt.Printf("<line %q>\n", s)
		}
	}
}

func suggest(line string, pos int) []Suggestion {
	word := line[strings.LastIndexByte(line[:pos], ' ')+1 : pos]
	if word == "boom" {
		panic("completer")
	}
	var list []Suggestion
	for _, s := range []string{"vmas", "version", "vvar", "vdso", "verify", "vx", "vy", "vz"} {
		if strings.HasPrefix(s, word) && word != "" {
			list = append(list, Suggestion{s, "about-" + s})
		}
	}
	return list
}

// jobs is a shell with job control and one job: edit. It says when the job stops, and
// continues it when a line comes.
func jobs() int {
	signal.Ignore(syscall.SIGTTOU)
	job := exec.Command("/proc/self/exe")
	job.Env = append(os.Environ(), modeVar+"=edit")
	job.Stdin, job.Stdout, job.Stderr = os.Stdin, os.Stdout, os.Stderr
	job.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true, Ctty: 0}
	if err := job.Start(); err != nil {
		fmt.Println(err)
		return 3
	}
	lines := bufio.NewReader(os.Stdin)
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(job.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil {
			continue
		}
		if !status.Stopped() {
			return status.ExitStatus()
		}
		_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, syscall.Getpgrp())
		fmt.Println("<stopped>")
		if _, err := lines.ReadString('\n'); err != nil {
			return 3
		}
		_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, job.Process.Pid)
		_ = syscall.Kill(-job.Process.Pid, syscall.SIGCONT)
	}
}

// session is a program on a terminal of its own.
type session struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	enough *os.File // ends `work`
	before unix.Termios

	mu      sync.Mutex
	changed *sync.Cond
	out     bytes.Buffer
	seen    int // how much of out was expected
	late    bool
	closed  bool
}

// options of a session; the zero options are those of most tests.
type options struct {
	mode       string
	rows, cols uint16
	noTTY      bool // a terminal, but not a controlling one
	history    string
}

func start(t *testing.T, o options) *session {
	t.Helper()
	if o.mode == "" {
		o.mode = "edit"
	}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	s := &session{t: t, master: pollable(t, master)}
	s.changed = sync.NewCond(&s.mu)
	s.resize(o.rows, o.cols)
	s.before = s.termios()
	fromTest, enough, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer fromTest.Close()
	s.enough = enough
	s.cmd = exec.Command("/proc/self/exe")
	s.cmd.Env = append(os.Environ(), modeVar+"="+o.mode, "LINE_TEST_HISTORY="+o.history)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.ExtraFiles = []*os.File{fromTest}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: !o.noTTY, Ctty: 0}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.collect()
	tooLong := time.AfterFunc(3*time.Minute, func() {
		s.mu.Lock()
		s.late = true
		s.mu.Unlock()
		s.changed.Broadcast()
		_ = s.cmd.Process.Kill()
	})
	t.Cleanup(func() {
		tooLong.Stop()
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
		s.master.Close()
		enough.Close()
	})
	return s
}

// pollable returns f as a file whose Close ends a Read, as pty's does not.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// collect gathers what the program prints.
func (s *session) collect() {
	buf := make([]byte, 4096)
	for {
		n, err := s.master.Read(buf)
		s.mu.Lock()
		s.out.Write(buf[:n])
		s.closed = err != nil
		s.mu.Unlock()
		s.changed.Broadcast()
		if err != nil {
			return
		}
	}
}

// expect waits until text is printed, behind what was expected before.
func (s *session) expect(text string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if i := bytes.Index(s.out.Bytes()[s.seen:], []byte(text)); i >= 0 {
			s.seen += i + len(text)
			return
		}
		if s.late || s.closed {
			s.t.Fatalf("%q was not printed; this was: %q", text, s.out.Bytes()[s.seen:])
		}
		s.changed.Wait()
	}
}

func (s *session) typed(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) control(f func(fd int) error) {
	s.t.Helper()
	raw, err := s.master.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { err = f(int(fd)) })
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) resize(rows, cols uint16) {
	s.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
}

func (s *session) termios() (t unix.Termios) {
	s.control(func(fd int) error {
		p, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			t = *p
		}
		return err
	})
	return t
}

// restored checks that the terminal is as the program found it.
func (s *session) restored() {
	s.t.Helper()
	if now := s.termios(); now != s.before {
		s.t.Errorf("the terminal is not as it was:\n%+v, was\n%+v", now, s.before)
	}
}

// raw checks that the terminal is in editing mode.
func (s *session) raw() {
	s.t.Helper()
	if s.termios().Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
		s.t.Error("the terminal is not raw at the prompt")
	}
}

// exits waits for the program's end.
func (s *session) exits(code int) {
	s.t.Helper()
	err := s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.t.Errorf("exit status %d (%v), want %d; printed %q", got, err, code, s.out.Bytes()[s.seen:])
	}
}

// quits ends the session by Ctrl-D.
func (s *session) quits() {
	s.t.Helper()
	s.typed("\x04")
	s.expect("<eof>")
	s.exits(0)
	s.restored()
}

var usual = options{rows: 24, cols: 80}

func TestCompletionShowsAndInserts(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.raw()
	s.typed("vm")
	s.expect("about-vmas")
	s.typed("\t\r")
	s.expect(`<line "vmas">`)
	s.expect("mmsh> ")
	s.typed("x vd\t\r") // in the second word
	s.expect(`<line "x vdso">`)
	s.expect("mmsh> ")
	s.quits()
}

func TestCtrlCDropsTheLine(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.typed("abc\x03")
	s.expect("<interrupted>")
	s.expect("mmsh> ")
	s.typed("d\r")
	s.expect(`<line "d">`)
	s.expect("mmsh> ")
	s.typed("\x03")
	s.expect("<interrupted>")
	s.expect("mmsh> ")
	s.quits()
}

func TestSIGINTDropsTheLine(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.typed("abc")
	s.expect("abc")
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	s.expect("<interrupted>")
	s.expect("mmsh> ")
	s.typed("d\r")
	s.expect(`<line "d">`)
	s.expect("mmsh> ")
	s.quits()
}

func TestCtrlDEndsOnlyOnAnEmptyLine(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.typed("\r")
	s.expect(`<line "">`)
	s.expect("mmsh> ")
	s.typed("ab\x04\r") // nothing is right of the cursor
	s.expect(`<line "ab">`)
	s.expect("mmsh> ")
	s.typed("ab\x01\x04c\r") // Ctrl-A: a is
	s.expect(`<line "cb">`)
	s.expect("mmsh> ")
	s.typed("a\x7f\x04") // empty again
	s.expect("<eof>")
	s.exits(0)
	s.restored()
}

func TestResizeStorm(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.typed("be")
	s.expect("be")
	for i := range 300 {
		s.resize(24+uint16(i%7), 80-uint16(i%13))
	}
	s.typed("\x1b[Dx\r") // left: the cursor was kept
	s.expect(`<line "bxe">`)
	for i := range 50 {
		s.expect("mmsh> ")
		s.resize(24, 60+uint16(i))
	}
	s.typed("\r")
	s.expect(`<line "">`)
	s.expect("mmsh> ")
	s.quits()
}

func TestResizeIsUsedAtOnce(t *testing.T) {
	s := start(t, options{rows: 24, cols: 20})
	s.expect("mmsh> ")
	s.resize(24, 60)
	s.expect("\x1b[1A\r\x1b[J") // the line is drawn anew in its place
	s.typed("vm")
	s.expect("about-vmas")
	s.typed("\r")
	s.expect(`<line "vm">`)
	s.expect("mmsh> ")
	s.quits()
}

func TestPasteOfLines(t *testing.T) {
	s := start(t, usual)
	s.expect("\x1b[?2004h")
	s.expect("mmsh> ")
	s.typed("\x1b[200~one\rtwo\t2\nthr\x03ee\x1b[201~\r")
	s.expect(`<line "one">`)
	s.expect(`<line "two 2">`)
	s.expect(`<line "three">`)
	s.expect("mmsh> ")
	s.quits()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.out.String()
	if strings.Count(out, "\x1b[?2004h") != strings.Count(out, "\x1b[?2004l") {
		t.Error("paste brackets are left on")
	}
}

func TestTypeAheadIsKept(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.typed("work\rfirst\r") // in one chunk
	s.expect("<working>")
	s.restored() // while a command runs the terminal is as it was
	s.typed("second\rthi")
	_, _ = s.enough.Write([]byte{1})
	s.expect("<done>")
	s.expect(`<line "first">`)
	s.expect(`<line "second">`)
	s.expect("mmsh> ")
	s.typed("rd\r")
	s.expect(`<line "third">`)
	s.expect("mmsh> ")
	s.quits()
}

func TestCtrlZAndForeground(t *testing.T) {
	s := start(t, options{mode: "jobs", rows: 24, cols: 80})
	s.expect("mmsh> ")
	s.typed("bef")
	s.expect("bef")
	for range 3 {
		s.typed("\x1a")
		s.expect("<stopped>")
		s.restored()
		s.typed("fg\r")
		s.expect("mmsh> ")
		s.expect("bef") // the line is still there
		s.raw()
	}
	s.typed("ore\r")
	s.expect(`<line "before">`)
	s.expect("mmsh> ")
	s.quits()
}

func TestCtrlZWithoutJobControl(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.typed("a\x1ab\r")
	s.expect(`<line "ab">`)
	s.expect("mmsh> ")
	s.quits()
}

func TestWindowsOfOddSizes(t *testing.T) {
	for _, o := range []options{{}, {rows: 1, cols: 1}, {rows: 2, cols: 10}, {rows: 3, cols: 80}, {rows: 4, cols: 17}, {rows: 5, cols: 20}, {rows: 24, cols: 18}, {rows: 0, cols: 80}} {
		t.Run(fmt.Sprintf("%dx%d", o.rows, o.cols), func(t *testing.T) {
			s := start(t, o)
			s.expect(pasteOn) // go-prompt writes no prompt in a window of 1x1
			s.typed("v" + strings.Repeat("\t", 12) + "\x1b[Z\x1b[Z" + "\x15done\r")
			s.expect(`<line "done">`)
			s.expect(pasteOn)
			s.quits()
		})
	}
}

func TestSignalsWhileEditing(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		s := start(t, usual)
		s.expect("mmsh> ")
		s.typed("abc")
		s.expect("abc")
		s.raw()
		_ = s.cmd.Process.Signal(sig)
		s.exits(code)
		s.restored()
	}
}

func TestHangup(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.master.Close()
	s.exits(129)
}

func TestPanicOfTheCompleter(t *testing.T) {
	s := start(t, usual)
	s.expect("mmsh> ")
	s.typed("boom")
	s.expect("<panic completer>")
	s.exits(3)
	s.restored()
}

func TestNoControllingTerminal(t *testing.T) {
	s := start(t, options{noTTY: true, rows: 24, cols: 80})
	s.expect("<no terminal: open /dev/tty: ")
	s.exits(3)
}

func TestHistoryOfTwoSessions(t *testing.T) {
	o := usual
	o.history = filepath.Join(t.TempDir(), "history")
	s := start(t, o)
	s.expect("mmsh> ")
	s.typed("one\rtwo\rdropped\x03one\r")
	s.expect("<interrupted>")
	s.expect(`<line "one">`)
	s.expect("mmsh> ")
	s.typed("\x1b[A\x1b[A\r") // up twice: without duplicates, without the dropped line
	s.expect(`<line "two">`)
	s.expect("mmsh> ")
	s.quits()

	s = start(t, o)
	s.expect("mmsh> ")
	s.typed("\x1b[A\r")
	s.expect(`<line "two">`)
	s.expect("mmsh> ")
	s.quits()
	if text, err := os.ReadFile(o.history); err != nil || string(text) != "one\ntwo\n" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestNotATerminal(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), modeVar+"=edit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, _ := cmd.Output()
	if !bytes.HasPrefix(out, []byte("<no terminal: standard input is no terminal")) {
		t.Errorf("printed %q", out)
	}
}

func TestRestoreWithoutATerminal(t *testing.T) {
	Restore()
	Restore()
}
