package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// session is mmsh on a terminal.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	tty    *os.File
	before unix.Termios

	mu   sync.Mutex
	seen bytes.Buffer
	more chan struct{} // a token when seen has grown
	end  chan struct{} // closed at the end of output
}

// interactive starts mmsh on a terminal of its own and waits for the prompt.
func interactive(t *testing.T, args ...string) *session {
	t.Helper()
	return onTerminal(t, builtMmsh, append([]string{"--color", "never"}, args...)...)
}

// onTerminal is interactive for a program that runs mmsh.
func onTerminal(t *testing.T, program string, args ...string) *session {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, tty: master, more: make(chan struct{}, 1), end: make(chan struct{})}
	s.before = settings(t, slave)
	home := t.TempDir()
	s.cmd = exec.Command(program, args...)
	s.cmd.Env = append(os.Environ(), "TERM=xterm", "PAGER=", "XDG_STATE_HOME="+home, "XDG_CONFIG_HOME="+home)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.collect()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = slave.Close()
		_ = master.Close()
		<-s.end
	})
	s.wants(`mmsh> `)
	return s
}

func settings(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	got, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *got
}

func (s *session) collect() {
	defer close(s.end)
	b := make([]byte, 4096)
	for {
		n, err := s.tty.Read(b)
		s.mu.Lock()
		s.seen.Write(b[:n])
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// types sends keys.
func (s *session) types(keys string) {
	s.t.Helper()
	if _, err := s.tty.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07`)

// wants waits until the output since the last wants has a match for pattern, and forgets it
// up to there.
func (s *session) wants(pattern string) string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(limit)
	for {
		s.mu.Lock()
		text := escapes.ReplaceAllString(s.seen.String(), "")
		if at := re.FindStringIndex(text); at != nil {
			s.seen.Reset()
			s.seen.WriteString(text[at[1]:])
			s.mu.Unlock()
			return text[:at[1]]
		}
		s.mu.Unlock()
		select {
		case <-s.more:
		case <-timeout:
			s.t.Fatalf("the terminal never showed %q:\n%s", pattern, text)
		}
	}
}

// ends waits for mmsh to exit and checks status and terminal.
func (s *session) ends(status int) {
	s.t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(limit):
		s.t.Fatal("mmsh does not end")
	}
	if got := s.cmd.ProcessState.ExitCode(); got != status {
		s.t.Errorf("exit status %d, want %d", got, status)
	}
	if after := settings(s.t, s.tty); after != s.before {
		s.t.Errorf("terminal before %+v, after %+v", s.before, after)
	}
}

// endless is a program whose only instruction jumps to itself.
func endless(t *testing.T) string {
	t.Helper()
	return program(t, 0xeb, 0xfe)
}

// busy is endless, but for a word that says that the guest runs.
func busy(t *testing.T) string {
	t.Helper()
	return program(t, append([]byte{
		0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
		0xbf, 1, 0, 0, 0, // mov edi, 1
		0x48, 0x8d, 0x35, 9, 0, 0, 0, // lea rsi, [rip+9]
		0xba, 6, 0, 0, 0, // mov edx, 6
		0x0f, 0x05, // syscall
		0xeb, 0xfe, // jmp to itself
	}, "ready\n"...)...)
}

// program is an ELF program of that machine code, which begins at 0x400078.
func program(t *testing.T, code ...byte) string {
	t.Helper()
	const base = 0x400000
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, field := range []any{
		uint16(2), uint16(62), uint32(1), uint64(base + 120), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), uint64(120 + len(code)), uint64(120 + len(code)), uint64(0x1000),
	} {
		if err := binary.Write(&b, binary.LittleEndian, field); err != nil {
			t.Fatal(err)
		}
	}
	b.Write(code)
	file := filepath.Join(t.TempDir(), "tiny")
	if err := os.WriteFile(file, b.Bytes(), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTerminalPromptAndEnd(t *testing.T) {
	s := interactive(t)
	s.types("mmap 64k rw\r")
	s.wants(`mapped 0x7ffff7fef000\.\.0x7ffff7fff000`)
	s.wants(`mmsh> `)
	s.types("\x04")
	s.ends(0)
}

func TestTerminalCompletes(t *testing.T) {
	s := interactive(t)
	for _, c := range []struct{ keys, shows string }{
		{"hexd\t $_\r", `hexdump \$_`},
		{"demo hell\t\r", `demo hello[^\n]*\n(?s:.*)stopped: loaded`},
		{"info _star\t\r", `0x401000 is _start`},
		{"pages [sta\t\r", `33 pages`},
		{"print $ri\t\r", `0x401000`},
	} {
		s.types(c.keys)
		s.wants(c.shows)
		s.wants(`mmsh> $`)
	}
	s.types("quit\r")
	s.ends(1) // $_ was nothing yet
}

func TestTerminalCtrlCAtThePromptDropsTheLine(t *testing.T) {
	s := interactive(t)
	s.types("munmap nonsense\x03")
	s.wants(`mmsh> $`)
	s.types("print 6*7\r")
	s.wants(`\n42\r`)
	s.types("quit\r")
	s.ends(0)
}

func TestTerminalCtrlCStopsAnEndlessGuest(t *testing.T) {
	s := interactive(t, busy(t))
	s.types("run\r")
	s.wants(`\nready\r\n`)
	s.types("\x03")
	s.wants(`stopped: interrupt · pid 2`)
	s.wants(`mmsh> $`)
	s.types("stepi\r")
	s.wants(`stopped: step`)
	s.wants(`mmsh> $`)
	s.types("\x04")
	s.wants(`kill it and quit`)
	s.types("y\r")
	s.ends(0)
}

func TestTerminalCtrlCStopsALongCommand(t *testing.T) {
	s := interactive(t)
	s.types("echo ready; repeat 1000000000 { quiet print 1 }\r")
	s.wants(`\nready\r\n`)
	s.types("\x03")
	s.wants(`repeat: interrupted`)
	s.wants(`mmsh> $`)
	s.types("quit 0\r")
	s.ends(0)
}

func TestTerminalIsRestoredBySIGTERM(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			s := interactive(t, busy(t))
			if running {
				s.types("run\r")
				s.wants(`\nready\r\n`)
			}
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.ends(143)
		})
	}
}

func TestTerminalSurvivesResizes(t *testing.T) {
	s := interactive(t)
	for i := range 200 {
		if err := pty.Setsize(s.tty, &pty.Winsize{Rows: uint16(i % 50), Cols: uint16(i * 7 % 200)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	s.types("print 6*7\r")
	s.wants(`\n42\r`)
	s.wants(`mmsh> $`)
	s.types("\x04")
	s.ends(0)
}

func TestTerminalEnterRepeats(t *testing.T) {
	s := interactive(t)
	s.types("demo hello\r")
	s.wants(`mmsh> $`)
	s.types("x/2i $pc\r")
	s.wants(`0x401002 <_start\+0x2>`)
	s.wants(`mmsh> $`)
	s.types("\r")
	s.wants(`0x401006 <_start\+0x6>`)
	s.wants(`mmsh> $`)
	s.types("mmap 4k rw\r")
	s.wants(`mapped`)
	s.wants(`mmsh> $`)
	s.types("\r")
	s.types("echo again\r")
	if text := s.wants(`\nagain\r`); strings.Contains(text, "mapped") {
		t.Error("mmap was repeated")
	}
	s.types("quit\r")
	s.ends(0)
}

func TestTerminalCtrlZAndFg(t *testing.T) {
	s := onTerminal(t, "/bin/sh", "-c", `set -m; "$0" --color never; echo away; fg; echo "status $?"`, builtMmsh)
	s.types("mmap 64k rw\r")
	s.wants(`mapped`)
	s.wants(`mmsh> $`)
	s.types("\x1a")
	s.wants(`\naway\r`)
	s.wants(`mmsh> `)
	s.types("expect vma 0x7ffff7fef000 size == 64k; echo still there\r")
	s.wants(`\nstill there\r`)
	s.wants(`mmsh> $`)
	s.types("\x04")
	s.wants(`status 0`)
	s.ends(0)
}
