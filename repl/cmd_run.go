package repl

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

func runCommands() []*Command {
	return []*Command{
		{
			Name: "load", Group: "run", Synopsis: "FILE [ARGS…]", Summary: "load a program, stopped at its first instruction",
			Help:     "The program gets a world of its own: what ran before is killed. FILE is looked up in the guests' tree, a name without / along PATH.",
			Examples: []Example{{Setup: "", Line: "expect error ENOENT load /no/such/file", Shows: "a program that is not there"}},
			Data:     []view.Value{view.Stop{}}, Complete: []hint{hintFile}, Run: runLoad,
		},
		{
			Name: "demo", Group: "run", Synopsis: "[NAME]", Summary: "load an embedded program, or list them",
			Examples: []Example{{Line: "demo", Shows: "the names"}, {Line: "demo hello", Shows: "load one"}},
			Data:     []view.Value{view.Stop{}, view.Names{}}, Complete: []hint{hintDemo}, Run: runDemo,
		},
		{
			Name: "run", Aliases: []string{"r"}, Group: "run", Summary: "run the program from its start until it stops",
			Help:     "A program that has moved is loaded again first.",
			Examples: []Example{{Setup: "demo hello", Line: "run", Shows: "to the end"}},
			Data:     []view.Value{view.Stop{}}, Run: runRun,
		},
		{
			Name: "start", Group: "run", Summary: "load the program again and stop at its first instruction",
			Examples: []Example{{Setup: "demo hello; run", Line: "start", Shows: "back to the beginning"}},
			Data:     []view.Value{view.Stop{}}, Run: runStart,
		},
		{
			Name: "continue", Aliases: []string{"c"}, Group: "run", Summary: "let the guests run until something stops them",
			Examples: []Example{{Setup: "demo hello", Line: "continue", Shows: "go on"}},
			Data:     []view.Value{view.Stop{}}, Repeats: true, Run: runContinue,
		},
		{
			Name: "stepi", Aliases: []string{"si", "s"}, Group: "run", Synopsis: "[N]", Summary: "run one instruction, or N",
			Help:     "A system call is one instruction. All other threads stand still.",
			Examples: []Example{{Setup: "demo hello", Line: "stepi 3", Shows: "three instructions"}},
			Data:     []view.Value{view.Stop{}}, Repeats: true, Run: runStepI,
		},
		{
			Name: "step-syscall", Aliases: []string{"ss"}, Group: "run", Summary: "run until the next system call of this thread is done",
			Examples: []Example{{Setup: "demo hello", Line: "step-syscall", Shows: "the first call and its result"}},
			Data:     []view.Value{view.Stop{}}, Repeats: true, Run: runStepSyscall,
		},
		{
			Name: "kill", Aliases: []string{"k"}, Group: "run", Summary: "kill every process and give their memory back",
			Help:     "A program stays known to `run`; where there was none, there is a new blank process.",
			Examples: []Example{{Setup: "demo hello", Line: "kill", Shows: "end it"}},
			Data:     []view.Value{view.Text{}}, Run: runKill,
		},
	}
}

// stopValue makes an answer of a stop, and sets $_ to the address of a fault.
func (c *call) stopValue(s *debugger.Stop, err error) (view.Value, error) {
	if s == nil || err != nil {
		return nil, err
	}
	if s.Reason == debugger.Fault {
		c.set(lang.At(s.Fault))
	}
	c.s.rememberRegs()
	v := c.s.viewStop(s)
	if !c.s.config.Batch && !s.Ended() && c.s.config.JSON == JSONOff {
		v.Where = c.s.viewContext()
	}
	return v, nil
}

func (s *Session) viewStop(stop *debugger.Stop) view.Stop {
	v := view.Stop{
		Reason: string(stop.Reason), PID: stop.PID, TID: stop.TID, Addr: view.Addr(stop.Addr), Symbol: stop.Symbol,
		Event: stop.Event, Detail: stop.Detail,
	}
	switch stop.Reason {
	case debugger.Exit:
		v.Exit = &stop.Exit
	case debugger.Killed:
		v.Signal = unix.SignalName(stop.Signal)
	case debugger.Signal, debugger.Trap:
		v.Signal, v.Code = signalName(stop.Signal), debugger.SignalCode(stop.Signal, stop.Code)
	case debugger.Fault:
		v.Signal, v.Code = signalName(stop.Signal), debugger.SignalCode(stop.Signal, stop.Code)
		fault := view.Addr(stop.Fault)
		v.Fault, v.Cause, v.Access = &fault, stop.Cause.String(), accessName(stop.Access)
		if stop.Why != nil {
			v.Why = reasonOf(stop.Why)
		}
	case debugger.Syscall:
		v.Call = viewCall(stop.Call)
	}
	return v
}

// reasonOf is an engine's refusal without operation and errno, which are shown
// beside it.
func reasonOf(err error) string {
	var refusal *memmap.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return err.Error()
}

func signalName(sig unix.Signal) string {
	if sig == 0 {
		return ""
	}
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// viewCall names the errno of a result that is one.
func viewCall(c *debugger.Call) *view.Call {
	v := &view.Call{Name: c.Name, Number: c.Number, Result: view.Addr(c.Result)}
	for _, a := range c.Args {
		v.Args = append(v.Args, view.Addr(a))
	}
	if errno := -int64(c.Result); errno > 0 && errno < 4096 {
		v.Errno = unix.ErrnoName(unix.Errno(errno))
	}
	return v
}

func runLoad(c *call) (view.Value, error) {
	if len(c.args) == 0 {
		return nil, c.usage()
	}
	var argv []string
	for _, w := range c.args {
		text, err := w.Value()
		if err != nil {
			return nil, err
		}
		argv = append(argv, text)
	}
	file := argv[0]
	if c.s.config.Find != nil {
		file = c.s.config.Find(file)
	}
	return c.load(debugger.Program{Path: file, Args: argv})
}

func (c *call) load(p debugger.Program) (view.Value, error) {
	if c.s.config.Sink != nil {
		c.s.config.Sink.Clear()
	}
	stop, err := c.s.d.Load(p)
	clear(c.s.rows)
	return c.stopValue(stop, err)
}

func runDemo(c *call) (view.Value, error) {
	names := c.s.config.Demos()
	if len(c.args) == 0 {
		return view.Names{Names: names}, nil
	}
	name, err := c.args[0].Value()
	if err != nil {
		return nil, err
	}
	content, ok := c.s.config.Demo(name)
	if !ok {
		reason := fmt.Sprintf("there is no demo %q: %s", name, strings.Join(names, " "))
		return nil, &Failure{Kind: view.KindCommand, Reason: reason}
	}
	argv := []string{path.Base(name)}
	for _, w := range c.args[1:] {
		text, err := w.Value()
		if err != nil {
			return nil, err
		}
		argv = append(argv, text)
	}
	return c.load(debugger.Program{Path: "/demo/" + name, Content: content, Args: argv})
}

func runRun(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	if c.s.config.Sink != nil {
		c.s.config.Sink.Clear()
	}
	return c.stopValue(c.s.d.Run(c.ctx))
}

func runStart(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	p := c.s.d.Program()
	if p == nil {
		return nil, debugger.ErrNoProgram
	}
	return c.load(*p)
}

func runContinue(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	return c.stopValue(c.s.d.Continue(c.ctx))
}

func runStepI(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	n := uint64(1)
	if len(c.args) == 1 {
		v, err := c.number(0)
		if err != nil {
			return nil, err
		}
		n = v.Bits
	}
	return c.stopValue(c.s.d.StepI(c.ctx, n))
}

func runStepSyscall(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	return c.stopValue(c.s.d.StepSyscall(c.ctx))
}

func runKill(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	if err := c.s.d.Kill(); err != nil {
		return nil, err
	}
	if c.s.d.Program() != nil {
		return view.Text{Words: "every process was killed"}, nil
	}
	return view.Text{Words: "every process was killed; a new blank one takes their place"}, c.s.d.Blank()
}
