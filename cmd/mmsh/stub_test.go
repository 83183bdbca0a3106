package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// dialogue is mmsh that is spoken to through pipes, an envelope a command.
type dialogue struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	err strings.Builder
}

// answer is what the tests need of an envelope.
type answer struct {
	OK   bool
	Data struct {
		Reason    string
		Processes []struct {
			PID     int32
			HostPID int `json:"host_pid"`
			State   string
		}
	}
}

// talk starts a dialogue, as user uid if it is not 0.
func talk(t *testing.T, uid uint32, args ...string) *dialogue {
	t.Helper()
	d := &dialogue{t: t, cmd: exec.Command(builtMmsh, append([]string{"--json=lines", "-k"}, args...)...)}
	if uid != 0 {
		d.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		d.cmd.Dir = "/"
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr, d.out = &d.err, bufio.NewScanner(out)
	d.out.Buffer(nil, 1<<20)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
	return d
}

// says sends a command and returns its envelope.
func (d *dialogue) says(line string) (a answer) {
	d.t.Helper()
	if _, err := io.WriteString(d.in, line+"\n"); err != nil {
		d.t.Fatal(err)
	}
	if !d.out.Scan() {
		d.t.Fatalf("%s: no answer: %v", line, d.out.Err())
	}
	if err := json.Unmarshal(d.out.Bytes(), &a); err != nil {
		d.t.Fatalf("%s: %v in %s", line, err, d.out.Bytes())
	}
	return a
}

// stub returns the host's id of the first process's stub.
func (d *dialogue) stub() int {
	d.t.Helper()
	all := d.says("ps").Data.Processes
	if len(all) == 0 || all[0].HostPID == 0 {
		d.t.Fatalf("no stub in %+v", all)
	}
	return all[0].HostPID
}

// awaitEnd waits until the process pid has ended.
func awaitEnd(t *testing.T, pidfd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(limit.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Fatalf("it lives on: %v", err)
		}
		return
	}
}

// kill kills a process and waits for its end.
func kill(t *testing.T, pid int) {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, pidfd)
}

// users are root and an ordinary user, if we may be both.
func users() []uint32 {
	if os.Getuid() == 0 {
		return []uint32{0, 65534}
	}
	return []uint32{0} // ourselves
}

// reachable makes the binary reachable for ordinary users.
func reachable(t *testing.T) {
	t.Helper()
	if err := os.Chmod(filepath.Dir(builtMmsh), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestAKilledStubIsADeadProcessAndTheShellLives(t *testing.T) {
	reachable(t)
	for _, uid := range users() {
		d := talk(t, uid)
		d.says("demo cow")
		d.says("stepi")
		kill(t, d.stub())
		if a := d.says("continue"); a.Data.Reason != "died" && a.OK {
			t.Errorf("uid %d: the death is not told: %+v", uid, a)
		}
		if a := d.says("ps"); a.Data.Processes[0].State != "dead" {
			t.Errorf("uid %d: %+v", uid, a)
		}
		if a := d.says("demo hello; check"); !a.OK {
			t.Errorf("uid %d: the shell does not live on", uid)
		}
		d.out.Scan() // check's
		if a := d.says("run"); a.Data.Reason != "exit" {
			t.Errorf("uid %d: %+v", uid, a)
		}
	}
}

func TestNoStubOutlivesMmsh(t *testing.T) {
	reachable(t)
	for _, uid := range users() {
		d := talk(t, uid)
		d.says("fork")
		d.says("fork")
		pidfd, err := unix.PidfdOpen(d.stub(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		awaitEnd(t, pidfd)
		_ = unix.Close(pidfd)
	}
}

func TestSignalsEndASession(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		args   []string
		status int
	}{
		{syscall.SIGINT, []string{"--batch", "-c", "echo; run"}, 130},
		{syscall.SIGTERM, []string{"--batch", "-c", "echo; run"}, 143},
		{syscall.SIGHUP, []string{"--batch", "-c", "echo; run"}, 129},
	} {
		cmd := exec.Command(builtMmsh, append(c.args, endless(t))...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // echo's: it is in its script
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != c.status {
			t.Errorf("%v: status %d, want %d", c.signal, got, c.status)
		}
	}
}

func TestStarlarkProgramsCallCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "story.star")
	program := `
r = run("mmap 64k rw")
a = int(r["start"], 16)
run("touch 0x%x,8k w" % a)
print(vma(a).rss, page(a), page(a + 8192))
run("munmap 1 4k")
`
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	r := play(t, "source "+file)
	if r.status != 1 || r.out != "8192 W .\n" {
		t.Errorf("status %d, output %q", r.status, r.out)
	}
	needs(t, "standard error", r.err, `^-c:1: source: munmap: EINVAL: .*page-aligned`)
}
