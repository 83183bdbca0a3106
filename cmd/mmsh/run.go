package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/debugger"
)

// runCommand is `mmsh run`: the program runs to its end, as if without mmsh.
func runCommand(args []string) int {
	o, err := parseFlags(args, true)
	if err != nil {
		return usageStatus(err)
	}
	if len(o.program) == 0 {
		fmt.Fprintln(os.Stderr, "mmsh: run: PROGRAM is missing")
		return exitUsage
	}
	if len(o.scripts) > 0 {
		fmt.Fprintln(os.Stderr, "mmsh: run: -x and -c are the shell's")
		return exitUsage
	}
	status, err := runProgram(o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "mmsh: %v\n", err)
	}
	return status
}

func runProgram(o *options) (status int, err error) {
	m, err := newMachine(o)
	if err != nil {
		return exitRunFailed, err
	}
	stdin, stdout, closeFiles, err := o.guestFiles(os.Stdin, os.Stdout)
	if err != nil {
		_ = m.close()
		return exitRunFailed, err
	}
	defer closeFiles()
	stderr, full := io.Writer(os.Stderr), (<-chan struct{})(nil)
	if o.maxOutput > 0 {
		sink := debugger.NewSink(stdout, stderr, false, o.maxOutput)
		stdout, stderr, full = sink.Writer(1), sink.Writer(2), sink.Full()
	}
	d := m.debugger(stdin, stdout, stderr, full, o.guestEnv(os.Environ()), true)
	ctx, cancel := o.context()
	defer cancel()
	defer func() {
		d.Close()
		status = tellLost(d.Lost(), status)
		if leak := m.close(); leak != nil && err == nil {
			status, err = exitRunFailed, leak
		}
	}()
	stop, err := d.Load(debugger.Program{Path: o.programPath(), Args: o.program})
	if err != nil {
		return loadStatus(err), err
	}
	defer forwardSignals(d, stop.PID)()
	return finish(ctx, d)
}

// finish runs the loaded program to its end.
func finish(ctx context.Context, d *debugger.Debugger) (int, error) {
	for {
		stop, err := d.Continue(ctx)
		switch {
		case err != nil:
			return exitRunFailed, err
		case ctx.Err() != nil:
			return exitTime, errors.New("time is up: the guest was killed")
		case stop.Reason == debugger.Interrupted: // by nothing else than Full
			return exitRunFailed, errors.New("the guest wrote more than --max-output allows: it was killed")
		case stop.Reason == debugger.Died:
			return exitRunFailed, fmt.Errorf("the guest's stub process died: %s", stop.Detail)
		case stop.Reason == debugger.Deadlock:
			return exitRunFailed, errors.New("every thread waits for another: the guest was killed")
		}
		if status, ok := stop.ExitStatus(); ok {
			return status, nil
		}
	}
}

// loadStatus is what shells exit with: 127 not found, 126 cannot be run.
func loadStatus(err error) int {
	if errors.Is(err, unix.ENOENT) {
		return exitNotFound
	}
	return exitCannotRun
}

// programPath finds a name without / along PATH, as a shell would.
func (o *options) programPath() string { return findProgram(o.program[0], o.root) }

func findProgram(name, root string) string {
	if strings.Contains(name, "/") || root != "" {
		return name
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return name
}

// forwarded are the signals that mmsh run hands to the guest.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}

// forwardSignals gives mmsh's signals to process pid until the returned function
// is called.
func forwardSignals(d *debugger.Debugger, pid int32) (stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	k := d.Kernel()
	go func() {
		for s := range signals {
			if p := k.Process(pid); p != nil {
				p.Signal(sentry.SigInfo{Signal: int32(s.(syscall.Signal)), PID: 0})
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// context returns a context that ends with --timeout.
func (o *options) context() (context.Context, context.CancelFunc) {
	if o.timeout > 0 {
		return context.WithTimeout(context.Background(), o.timeout)
	}
	return context.WithCancel(context.Background())
}

func usageStatus(err error) int {
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return 0 // --help
}
