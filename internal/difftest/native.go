package difftest

import (
	"bytes"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// addrNoRandomize is personality's ADDR_NO_RANDOMIZE.
const addrNoRandomize = 0x0040000

// Native runs prog on the host with address randomisation off (setarch -R).
func Native(t testing.TB, prog string, o Options) Result {
	t.Helper()
	o.setDefaults(t)
	cmd := exec.Command(prog, o.Args...)
	cmd.Env, cmd.Dir = o.Env, o.Cwd
	cmd.Stdin = strings.NewReader(o.Stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if o.TTY != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = o.TTY, o.TTY, o.TTY
	}
	if err := startWithoutRandomness(cmd); err != nil {
		t.Fatalf("starting %s: %v", prog, err)
	}
	timer := time.AfterFunc(o.Timeout, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("%s did not end natively", prog)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", prog, err)
	}
	return Result{
		Stdout: stdout.String(),
		Stderr: stderr.String(),
		Status: status(unix.WaitStatus(cmd.ProcessState.Sys().(syscall.WaitStatus))),
	}
}

// startWithoutRandomness starts cmd from a thread whose personality the child
// inherits.
func startWithoutRandomness(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
	if errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, old|addrNoRandomize, 0, 0); errno != 0 {
		return errno
	}
	defer unix.RawSyscall(unix.SYS_PERSONALITY, old, 0, 0)
	return cmd.Start()
}
