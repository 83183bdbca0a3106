package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
)

// Failure is a command that did not do what it was asked, with what programs want
// to know of it.
type Failure struct {
	Kind   view.ErrorKind
	Errno  string
	Reason string
	Asked  string // of an expectation
	Found  string
}

func (f *Failure) Error() string {
	if f.Errno != "" {
		return f.Errno + ": " + f.Reason
	}
	return f.Reason
}

// errReported ends a block whose failure has been shown already.
var errReported = errors.New("a command inside it failed")

// call is a command that is being run.
type call struct {
	s     *Session
	ctx   context.Context
	entry *Command
	cmd   *lang.Command
	args  []lang.Word
	env   *env
	value *lang.Number // what `let` takes
}

// set makes n the value of the command: of $_ and of `let`.
func (c *call) set(n lang.Number) {
	c.value = &n
	c.s.vars["_"] = n
}

// yield makes n what `let` takes, and leaves $_ alone.
func (c *call) yield(n lang.Number) { c.value = &n }

// Do runs a command and shows its answer or its failure, which it also returns.
func (s *Session) Do(ctx context.Context, cmd *lang.Command) error {
	entry, v, _, err := s.run(ctx, cmd)
	s.checkOutput(&err)
	if err == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = stoppedBy(ctx)
	}
	if err == nil && s.checking && entry.Name != "check" {
		err = s.checkEngine(ctx)
	}
	s.answer(entry, cmd, v, err)
	return err
}

// run runs a command and returns its answer and the value that `let` would take.
func (s *Session) run(ctx context.Context, cmd *lang.Command) (entry *Command, v view.Value, value *lang.Number, err error) {
	if cmd.Host != "" || cmd.Name == "!" {
		v, err = s.hostShell(ctx, cmd.Host)
		return nil, v, nil, err
	}
	cmd, err = s.unalias(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	entry, err = s.table.find(cmd.Name, s.at)
	if err != nil {
		return nil, nil, nil, err
	}
	c := &call{s: s, ctx: ctx, entry: entry, cmd: cmd, args: cmd.Args(), env: s.env(0)}
	s.depth++
	defer func() { s.depth-- }()
	defer s.survive(&err)
	if err := c.takeMoment(); err != nil {
		return entry, nil, nil, err
	}
	v, err = entry.Run(c)
	return entry, v, c.value, err
}

// stoppedBy is the failure of a command that ctx ended.
func stoppedBy(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Failure{Kind: view.KindLimit, Reason: "time is up"}
	}
	return &Failure{Kind: view.KindLimit, Reason: "interrupted"}
}

// survive turns a panic of a command into a failure: the guests are killed, the
// shell lives.
func (s *Session) survive(err *error) {
	p := recover()
	if p == nil {
		return
	}
	stack := debug.Stack()
	func() {
		defer func() { _ = recover() }()
		_ = s.d.Abort() // Close tells what was not written
		_ = s.d.Kill()
	}()
	*err = &Failure{Kind: view.KindInternal, Reason: fmt.Sprintf("mmsh failed: %v; the guests were killed\n%s", p, stack)}
}

// takeMoment answers the @N of see-commands.
func (c *call) takeMoment() error {
	n := len(c.args)
	if !c.entry.See || n == 0 || !lang.IsMoment(c.args[n-1].Text) {
		return nil
	}
	if n > 1 && (c.args[n-2].Text == "since" || c.args[n-2].Text == "until") {
		return nil // it is the filter's
	}
	m, err := lang.ParseMoment(c.args[n-1].Text)
	if err != nil {
		return err
	}
	return notKept(m)
}

// answer shows what a command answered.
func (s *Session) answer(entry *Command, cmd *lang.Command, v view.Value, err error) {
	f := failureOf(err, commandName(entry, cmd))
	if f != nil {
		s.worsen(statusOf(f))
	}
	switch {
	case s.muted > 0 && f == nil:
	case s.config.JSON != JSONOff:
		s.envelope(entry, cmd, v, f)
	case f == nil:
		if v != nil {
			s.print(v)
		}
	default:
		if v != nil {
			s.print(v)
		}
		if !errors.Is(err, errReported) {
			s.complain(entry, cmd, f)
		}
	}
}

func commandName(entry *Command, cmd *lang.Command) string {
	if entry == nil {
		return cmd.Name
	}
	return entry.Name
}

// print draws v, through the pager if it is long.
func (s *Session) print(v view.Value) {
	p := &view.Printer{Color: s.config.Color}
	if s.config.Width != nil {
		p.Width = s.config.Width()
	}
	v.Text(p)
	if s.config.Page != nil && s.config.Page(p.String()) {
		return
	}
	io.WriteString(s.config.Out, p.String())
}

// complain writes a failure to standard error.
func (s *Session) complain(entry *Command, cmd *lang.Command, f *Failure) {
	text := f.Error()
	if f.Kind != view.KindSyntax || entry != nil {
		text = commandName(entry, cmd) + ": " + text
	}
	if s.scripted > 0 {
		text = cmd.Where() + ": " + text
	}
	fmt.Fprintln(s.config.Err, strings.TrimRight(text, "\n"))
}

func (s *Session) envelope(entry *Command, cmd *lang.Command, v view.Value, f *Failure) {
	e := view.Envelope{
		Schema: view.Schema, Cmd: commandName(entry, cmd), Line: oneLine(cmd.Source), At: cmd.Where(),
		PID: s.d.PID(), OK: f == nil, Data: v,
	}
	if j := s.d.Journal(); j != nil {
		e.Event = j.Last()
	}
	if f != nil {
		e.Error = &view.Error{Kind: f.Kind, Errno: f.Errno, Reason: f.Reason, Asked: f.Asked, Found: f.Found}
	}
	e.Output, e.Cut = s.takeOutput()
	b, err := e.JSON(s.config.JSON == JSONLines)
	if err != nil {
		fmt.Fprintf(s.config.Err, "%s: %s: answer cannot be written: %v\n", cmd.Where(), e.Cmd, err)
		s.worsen(3)
		return
	}
	s.config.Out.Write(b)
}

func oneLine(source string) string { return strings.TrimSpace(source) }

func (s *Session) takeOutput() (out []view.Output, cut bool) {
	if s.config.Sink == nil {
		return nil, false
	}
	chunks, cut := s.config.Sink.Take()
	for _, c := range chunks {
		out = append(out, view.OutputOf(s.d.PID(), c.FD, c.Data))
	}
	return out, cut
}

// checkOutput makes output beyond its cap a failure of the command that made it, once.
func (s *Session) checkOutput(err *error) {
	if s.config.Sink == nil || !s.config.Sink.FirstCut() || *err != nil {
		return
	}
	*err = &Failure{Kind: view.KindLimit, Reason: "the guest wrote more than --max-output allows: the rest is dropped"}
}

// failureOf sorts an error; nil stays nil. name is the command's, which an engine's
// reason need not repeat.
func failureOf(err error, name string) *Failure {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	f = &Failure{Kind: view.KindCommand}
	var syntax *lang.SyntaxError
	var refusal *memmap.Refusal
	var errno unix.Errno
	switch {
	case errors.As(err, &syntax):
		f.Kind, f.Reason = view.KindSyntax, syntax.Reason
	case errors.As(err, &refusal) && refusal.Error() == err.Error():
		f.Errno, f.Reason = unix.ErrnoName(refusal.Errno), refusal.Reason
	case errors.Is(err, platform.ErrDied):
		f.Reason = err.Error()
	case errors.As(err, &errno):
		f.Errno = unix.ErrnoName(errno)
		f.Reason = withoutErrno(err.Error(), name, errno)
	default:
		f.Reason = strings.TrimPrefix(err.Error(), name+": ")
	}
	return f
}

// withoutErrno takes the command's name and the errno off a reason that will be
// printed behind them. The errno's words stay where they are all that says what is wrong:
// "nosuch": no such file or directory.
func withoutErrno(reason, name string, errno unix.Errno) string {
	reason = strings.TrimPrefix(reason, name+": ")
	for _, form := range []string{unix.ErrnoName(errno), errno.Error()} {
		reason = strings.TrimPrefix(reason, form+": ")
		if trimmed, ok := strings.CutSuffix(reason, ": "+form); ok && (form != errno.Error() || !strings.HasSuffix(trimmed, `"`)) {
			reason = trimmed
		}
	}
	return reason
}

// statusOf is what mmsh exits with after a failure.
func statusOf(f *Failure) int {
	if f.Kind == view.KindInternal {
		return 3
	}
	return 1
}
