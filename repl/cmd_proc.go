package repl

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/debugger"
)

func processCommands() []*Command {
	return []*Command{
		{
			Name: "ps", Group: "processes", Summary: "list the processes, dead ones included",
			Examples: []Example{{Setup: "fork", Line: "ps", Shows: "parent and child"}},
			Data:     []view.Value{view.Processes{}}, See: true, Run: runPS,
		},
		{
			Name: "proc", Group: "processes", Synopsis: "[PID]", Summary: "make a process the current one",
			Help:     "A process that has ended can be looked at: its last state.",
			Examples: []Example{{Setup: "fork", Line: "proc $child", Shows: "go to the child"}},
			Data:     []view.Value{view.Process{}}, Complete: []hint{hintPID}, Run: runProc,
		},
		{
			Name: "on", Group: "processes", Synopsis: "PID CMD…", Summary: "run a command on another process",
			Examples: []Example{{Setup: "fork", Line: "on $child vmas", Shows: "the child's mappings"}},
			Complete: []hint{hintPID, hintCommand}, Run: runOn,
		},
		{
			Name: "fork", Group: "processes", Synopsis: "[PID]", Summary: "copy a process",
			Help:     "Parent and child share all pages until one of them writes. The current process stays; $_ and $child are the child's pid.",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,64k w", Line: "fork", Shows: "a child that shares 16 pages"}},
			Data:     []view.Value{view.Forked{}}, Complete: []hint{hintPID}, Run: runFork,
		},
		{
			Name: "call", Group: "processes", Synopsis: "NAME|NR [ARG…]", Summary: "make a system call as the current thread would",
			Help:     "Arguments are expressions and are not checked: the call's own answer is seen. The value goes to $_; a refusal is printed as errno and reason.",
			Examples: []Example{{Line: "call mmap 0 8k PROT_READ MAP_PRIVATE|MAP_ANONYMOUS -1 0", Shows: "mmap by hand"}},
			Data:     []view.Value{view.Call{}}, Complete: []hint{hintSyscall, hintAddr}, Run: runCall,
		},
	}
}

func runPS(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	k := c.s.d.Kernel()
	if k == nil {
		return nil, debugger.ErrNoProcess
	}
	v := view.Processes{Rows: []view.Process{}}
	for _, p := range k.Processes() {
		v.Rows = append(v.Rows, c.s.viewProcess(p))
	}
	return v, nil
}

func (s *Session) viewProcess(p *sentry.Process) view.Process {
	st := debugger.Stats(p)
	v := view.Process{
		PID: p.PID(), PPID: p.PPID(), Name: p.Name(), VMAs: st.VMAs, Virtual: st.Virtual, RSS: st.RSS, COW: st.COWWaiting,
		Current: p.PID() == s.d.PID(), Threads: len(p.Tasks()),
	}
	if img := p.Image(); img != nil {
		v.Path = img.Path()
	}
	if m := p.MM(); m != nil {
		v.HostPID = m.AddressSpace().HostPID()
	}
	s.addState(p, &v)
	return v
}

// addState adds where p is in its life, or how it ended.
func (s *Session) addState(p *sentry.Process, v *view.Process) {
	state, status := p.State()
	ending := s.d.LastStop()
	switch {
	case state == sentry.Alive && ending != nil && ending.Ended() && ending.PID == p.PID():
		v.State = "ending"
		if ending.Reason == debugger.Exit {
			v.Exit = &ending.Exit
		} else if ending.Signal != 0 {
			v.Signal = signalName(ending.Signal)
		}
	case state == sentry.Alive:
		s.addThread(p, v)
	default:
		v.State = map[sentry.ProcState]string{sentry.Zombie: "zombie", sentry.Dead: "dead"}[state]
		if w := unix.WaitStatus(status); w.Signaled() {
			v.Signal = signalName(w.Signal())
		} else {
			exit := w.ExitStatus()
			v.Exit = &exit
		}
	}
}

func (s *Session) addThread(p *sentry.Process, v *view.Process) {
	v.State = "stopped"
	tasks := p.Tasks()
	if len(tasks) == 0 {
		return
	}
	if state, in := tasks[0].State(); state == sentry.Blocked {
		v.State, v.In = "blocked", in
	}
	pc := memmap.Addr(tasks[0].Regs().Rip)
	addr := view.Addr(pc)
	v.Addr = &addr
	if pc != 0 {
		v.Symbol = s.d.Symbol(p, pc)
	}
}

func runProc(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	if len(c.args) == 1 {
		n, err := c.number(0)
		if err != nil {
			return nil, err
		}
		if _, err := c.target(int(n.Int())); err != nil {
			return nil, err
		}
		if err := c.s.d.Select(int32(n.Int())); err != nil {
			return nil, err
		}
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	return c.s.viewProcess(t.proc), nil
}

func runOn(c *call) (view.Value, error) {
	inner := c.cmd.From(2)
	if inner == nil {
		return nil, c.usage()
	}
	n, err := c.number(0)
	if err != nil {
		return nil, err
	}
	before := c.s.d.PID()
	if err := c.s.d.Select(int32(n.Int())); err != nil {
		return nil, err
	}
	defer func() {
		if c.s.d.Kernel() != nil {
			_ = c.s.d.Select(before) // the inner command may have ended it with its world
		}
	}()
	_, v, value, err := c.s.run(c.ctx, inner)
	c.value = value
	return v, err
}

func runFork(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	var pid int32
	if len(c.args) == 1 {
		n, err := c.number(0)
		if err != nil {
			return nil, err
		}
		pid = int32(n.Int())
	}
	child, err := c.s.d.Fork(pid)
	if err != nil {
		return nil, err
	}
	c.set(lang.Int(int64(child.PID())))
	return view.Forked{PID: child.PID(), Parent: child.PPID(), COW: debugger.Stats(child).COWWaiting}, nil
}

func runCall(c *call) (view.Value, error) {
	if err := c.count(1, 7); err != nil {
		return nil, err
	}
	nr, name, err := c.s.syscall(c.args[0].Text)
	if err != nil {
		return nil, err
	}
	v := view.Call{Name: name, Number: nr}
	var args sentry.Args
	for i, w := range c.args[1:] {
		n, err := lang.EvalAddr(c.env, w.Text)
		if err != nil {
			return nil, err
		}
		args[i] = n.Bits
		v.Args = append(v.Args, view.Addr(n.Bits))
	}
	result, err := c.s.d.Call(nr, args)
	if err != nil {
		return nil, callFailed(err)
	}
	v.Result = view.Addr(result)
	c.set(resultNumber(uint64(result)))
	return v, nil
}

// resultNumber is a result as a number that prints well: what may be an address
// as one.
func resultNumber(v uint64) lang.Number {
	if n := int64(v); n > -4096 && n < 1<<16 {
		return lang.Int(n)
	}
	return lang.At(memmap.Addr(v))
}

// callFailed names a restart, which is no errno.
func callFailed(err error) error {
	for _, restart := range []error{sentry.ErrRestart, sentry.ErrRestartAlways, sentry.ErrRestartNoHand} {
		if errors.Is(err, restart) {
			return fmt.Errorf("%w: the call would wait, and nothing runs while the guests are held", unix.EINTR)
		}
	}
	return err
}

// syscall returns a system call's number and name.
func (s *Session) syscall(word string) (uint64, string, error) {
	k := s.d.Kernel()
	if k == nil {
		return 0, "", debugger.ErrNoProcess
	}
	calls := k.Config().Calls
	if nr, err := strconv.ParseUint(word, 0, 32); err == nil {
		return nr, syscallName(calls, nr), nil
	}
	var names []string
	for nr, entry := range calls {
		if entry.Name == word && word != "" {
			return uint64(nr), word, nil
		}
		names = append(names, entry.Name)
	}
	reason := fmt.Sprintf("there is no system call %q", word)
	if near := lang.Nearest(word, names); near != "" {
		reason += fmt.Sprintf(": did you mean %s?", near)
	}
	return 0, "", errors.New(reason)
}

func syscallName(calls sentry.Table, nr uint64) string {
	if nr < uint64(len(calls)) && calls[nr].Name != "" {
		return calls[nr].Name
	}
	return fmt.Sprintf("syscall_%d", nr)
}
