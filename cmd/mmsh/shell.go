package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/examples"
	"mmsh.dev/mmsh/repl"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/line"
	"mmsh.dev/mmsh/sentry/debugger"
)

// shellEnv is the environment of programs that the shell loads: a small one, so
// that stacks look alike on every machine. --env adds to it.
var shellEnv = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LANG=C.UTF-8"}

// shell is a session with what it needs to end well.
type shell struct {
	options *options
	machine *machine
	d       *debugger.Debugger
	session *repl.Session
	// terminal: a person types; piped: commands come from standard input.
	terminal, piped bool
	scripts         [][]*lang.Command
}

// shellCommand is `mmsh` without a subcommand.
func shellCommand(args []string) int {
	o, err := parseFlags(args, false)
	if err != nil {
		return usageStatus(err)
	}
	sh := &shell{options: o}
	sh.choose()
	status, err := sh.run()
	var syntax *lang.SyntaxError
	switch {
	case errors.As(err, &syntax):
		fmt.Fprintln(os.Stderr, err) // says where itself
	case err != nil:
		fmt.Fprintf(os.Stderr, "mmsh: %v\n", err)
	}
	return status
}

// choose decides where commands come from.
func (sh *shell) choose() {
	onTerminal := isTerminal(os.Stdin) && isTerminal(os.Stdout)
	given := len(sh.options.scripts) > 0
	sh.terminal = onTerminal && !sh.options.batch
	sh.piped = !given && !sh.terminal && !(sh.options.batch && isTerminal(os.Stdin))
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (sh *shell) run() (status int, err error) {
	o := sh.options
	if sh.machine, err = newMachine(o); err != nil {
		return exitInternal, err
	}
	defer func() {
		if sh.d != nil {
			sh.d.Close()
			status = tellLost(sh.d.Lost(), status)
		}
		if leak := sh.machine.close(); leak != nil && err == nil {
			status, err = exitInternal, leak
		}
	}()
	closeFiles, err := sh.open()
	if err != nil {
		return exitUsage, err
	}
	defer closeFiles()
	ctx, cancel := o.context()
	defer cancel()
	defer sh.watchSignals(ctx)()
	if status, err := sh.begin(); err != nil {
		return status, err
	}
	sh.play(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return exitTime, nil
	}
	return sh.session.Status(), nil
}

// open makes debugger and session.
func (sh *shell) open() (closeFiles func(), err error) {
	o := sh.options
	guestIn := io.Reader(os.Stdin)
	if sh.piped || sh.scriptFromStdin() {
		guestIn = strings.NewReader("")
	}
	toGuestOut := io.Writer(os.Stdout)
	toGuestErr := io.Writer(os.Stderr)
	if o.json != repl.JSONOff {
		toGuestOut, toGuestErr = nil, nil
	}
	in, out, closeFiles, err := o.guestFiles(guestIn, toGuestOut)
	if err != nil {
		return nil, err
	}
	capture := o.json != repl.JSONOff && o.stdout == ""
	sink := debugger.NewSink(out, toGuestErr, capture, o.maxOutput)
	sh.d = sh.machine.debugger(in, sink.Writer(1), sink.Writer(2), sink.Full(), o.guestEnv(shellEnv), false)
	c := repl.Config{
		Debugger: sh.d, Sink: sink, Memory: sh.machine.memory, Window: sh.machine.window, ASIO: sh.machine.asio,
		Out: os.Stdout, Err: os.Stderr, JSON: o.json, Color: o.wantsColor(), KeepGoing: o.keepGoing,
		Batch: !sh.terminal, HostShell: sh.terminal || o.unsafe, Find: func(name string) string { return findProgram(name, o.root) },
		Demos: examples.Names, Demo: examples.Demo, Version: version(),
	}
	if isTerminal(os.Stdout) {
		c.Width = terminalWidth
	}
	if sh.terminal {
		c.Page = page
	}
	sh.session = repl.New(c)
	return closeFiles, nil
}

func (sh *shell) scriptFromStdin() bool {
	for _, s := range sh.options.scripts {
		if s.file == "-" {
			return true
		}
	}
	return false
}

// begin parses the scripts and makes the first process.
func (sh *shell) begin() (status int, err error) {
	for _, s := range sh.options.scripts {
		cmds, err := sh.parse(s)
		if err != nil {
			return exitUsage, err
		}
		sh.scripts = append(sh.scripts, cmds)
	}
	if len(sh.options.program) == 0 {
		if err := sh.d.Blank(); err != nil {
			return exitInternal, err
		}
		return 0, nil
	}
	if err := sh.session.Load(sh.options.programPath(), sh.options.program); err != nil {
		return exitUsage, err
	}
	return 0, nil
}

func (sh *shell) parse(s script) ([]*lang.Command, error) {
	name, text := "-c", s.text
	if s.file != "" {
		content, err := readScript(s.file)
		if err != nil {
			return nil, err
		}
		name, text = s.file, string(content)
		if s.file == "-" {
			name = "<stdin>"
		}
	}
	cmds, err := sh.session.Parse(name, text)
	if err != nil {
		return nil, err
	}
	return cmds, nil
}

func readScript(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}

// play runs rc file, scripts, and what is typed or piped.
func (sh *shell) play(ctx context.Context) {
	s := sh.session
	if sh.terminal && !sh.options.noRC {
		s.SourceRC(ctx, rcFile())
	}
	for _, cmds := range sh.scripts {
		if s.Quitting() || (s.Status() != 0 && !sh.options.keepGoing && !sh.terminal) {
			return
		}
		s.Play(ctx, cmds)
	}
	switch {
	case s.Quitting() || ctx.Err() != nil:
	case sh.piped:
		s.ReadPipe(ctx, line.NewPlain(os.Stdin), "<stdin>")
	case sh.terminal:
		sh.interact(ctx)
	}
}

func (sh *shell) interact(ctx context.Context) {
	history, err := line.OpenHistory(line.DefaultHistoryPath())
	if err != nil {
		fmt.Fprintln(os.Stderr, "mmsh: history:", err)
	}
	r, err := line.NewTerminal(line.Config{
		Complete: sh.session.Complete, Color: sh.options.wantsColor(), History: history, Exit: sh.leave,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "mmsh:", err)
		sh.session.ReadPipe(ctx, line.NewPlain(os.Stdin), "<stdin>")
		return
	}
	defer r.Close()
	if !sh.options.quiet {
		sh.greet()
	}
	sh.session.Interact(ctx, r)
}

func (sh *shell) greet() {
	what := "a blank process: `mmap 64k rw`, or `demo` for a program"
	if p := sh.d.Program(); p != nil {
		what = p.Path + " is loaded: `run`"
	}
	fmt.Printf("mmsh %s · %s · `help` lists the commands\n", version(), what)
	if stop := sh.session.FirstStop(); stop != nil {
		sh.session.Show(stop)
	}
}

// leave ends mmsh at once, whatever it is doing.
func (sh *shell) leave(status int) {
	line.Restore()
	done := make(chan error, 1)
	go func() { done <- sh.d.Abort() }()
	limit := 2 * time.Second // the stubs die with us in any case
	if len(sh.options.rw) > 0 {
		limit = time.Minute // what guests have written does not
	}
	select {
	case lost := <-done:
		tellLost(lost, status)
	case <-time.After(limit):
	}
	os.Exit(status)
}

// tellLost says what could not be written to the host, which makes the exit status 1
// at least.
func tellLost(lost error, status int) int {
	if lost == nil {
		return status
	}
	for line := range strings.SplitSeq(lost.Error(), "\n") {
		fmt.Fprintln(os.Stderr, "mmsh: lost:", line)
	}
	if status == 0 {
		return exitLost
	}
	return status
}

// watchSignals handles Ctrl-C, SIGTERM, SIGHUP and the end of the session's time
// until the returned function is called.
func (sh *shell) watchSignals(ctx context.Context) (stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				sh.signal(s)
			case <-ctx.Done():
				sh.overtime(done)
				return
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

func (sh *shell) signal(s os.Signal) {
	switch s {
	case syscall.SIGTERM:
		sh.leave(128 + int(syscall.SIGTERM))
	case syscall.SIGHUP:
		sh.leave(128 + int(syscall.SIGHUP))
	}
	if !sh.session.Interrupt() && !sh.terminal {
		sh.leave(128 + int(syscall.SIGINT)) // it waits for its next line
	}
}

// grace is how long a command may take to notice that the time is up.
const grace = 3 * time.Second

// overtime ends mmsh if it does not end by itself.
func (sh *shell) overtime(done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(grace):
		sh.leave(exitTime)
	}
}

func rcFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "mmsh", "mmshrc")
}
