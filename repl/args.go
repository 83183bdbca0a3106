package repl

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/debugger"
	"mmsh.dev/mmsh/sentry/journal"
)

// usage is the error of wrong words.
func (c *call) usage() error {
	return &Failure{Kind: view.KindCommand, Reason: "usage: " + c.entry.usage()}
}

func (e *Command) usage() string {
	if e.Synopsis == "" {
		return e.Name
	}
	return e.Name + " " + e.Synopsis
}

// count refuses a number of words outside [low, high].
func (c *call) count(low, high int) error {
	if len(c.args) < low || len(c.args) > high {
		return c.usage()
	}
	return nil
}

// number evaluates word i.
func (c *call) number(i int) (lang.Number, error) {
	if i >= len(c.args) {
		return lang.Number{}, c.usage()
	}
	return lang.Eval(c.env, c.args[i].Text)
}

// place is an address in a process.
type place struct {
	target
	addr memmap.Addr
}

// place evaluates word i where an address is asked.
func (c *call) place(i int) (place, error) {
	if i >= len(c.args) {
		return place{}, c.usage()
	}
	return c.placeOf(c.args[i].Text)
}

func (c *call) placeOf(text string) (place, error) {
	n, err := lang.EvalAddr(c.env, text)
	if err != nil {
		return place{}, err
	}
	t, err := c.target(n.PID)
	return place{t, n.Addr()}, err
}

// target is the process that a command works on.
type target struct {
	proc *sentry.Process
	pid  int32
}

// target returns process pid; 0 is the current one.
func (c *call) target(pid int) (target, error) {
	if pid < 0 || pid > math.MaxInt32 {
		return target{}, fmt.Errorf("%d is no process id", pid)
	}
	p, err := c.s.d.Process(int32(pid))
	if err != nil {
		return target{}, err
	}
	return target{p, p.PID()}, nil
}

// memory returns the target's memory; a process that has given it back is an error.
func (t target) memory() (*mm.MemoryManager, error) {
	if m := t.proc.MM(); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("process %d has ended and holds no memory", t.pid)
}

// hands returns the target's memory and the person at the prompt as its actor.
func (t target) hands(op string) (*mm.MemoryManager, *mm.Actor, error) {
	m, err := t.memory()
	return m, debugger.Actor(t.proc, op), err
}

// span is a range of a process, unchecked.
type span struct {
	target
	lang.Range
}

// span reads the range that the words from i on begin with, and returns the words
// behind it.
func (c *call) span(i int, lone lang.Lone) (span, []lang.Word, error) {
	if i >= len(c.args) {
		return span{}, nil, c.usage()
	}
	r, used, err := lang.ParseRange(c.env, c.args[i:], lone)
	if err != nil {
		return span{}, nil, err
	}
	t, err := c.target(r.PID)
	return span{t, r}, c.args[i+used:], err
}

// onlySpan reads a range that is all of the command's words.
func (c *call) onlySpan(lone lang.Lone) (span, error) {
	sp, rest, err := c.span(0, lone)
	if err == nil && len(rest) > 0 {
		err = c.usage()
	}
	return sp, err
}

// rangeOrAll reads the range that is all of the command's words; with none it is
// the whole memory of the current process.
func (c *call) rangeOrAll(op string) (target, memmap.AddrRange, error) {
	if len(c.args) == 0 {
		t, err := c.target(0)
		return t, debugger.All, err
	}
	sp, err := c.onlySpan(lang.LoneRefused)
	if err != nil {
		return target{}, memmap.AddrRange{}, err
	}
	ar, err := sp.ends(op)
	return sp.target, ar, err
}

// ends returns the span as start and end. A span that wraps is refused for op.
func (s span) ends(op string) (memmap.AddrRange, error) {
	ar, ok := s.AddrRange()
	if !ok {
		return ar, memmap.Refuse(op, unix.EINVAL, "%v and %#x bytes wrap around the end of memory", s.Start, s.Length)
	}
	return ar, nil
}

// change describes what was done to the span.
func (s span) change(did string) view.Change {
	return view.Change{PID: s.pid, Did: did, Start: view.Addr(s.Start), End: view.Addr(s.Start) + view.Addr(s.Length), Length: s.Length}
}

// notKept is the answer to a past moment.
func notKept(m lang.Moment) error { return &journal.NotKeptError{Moment: m.String()} }

// accessWord reads r, w, x or several of them.
func accessWord(w lang.Word) (memmap.AccessType, error) {
	at, err := lang.ParsePerms(w.Text)
	if err == nil && !at.Any() {
		err = fmt.Errorf("%q is no access: r, w or x", w.Text)
	}
	return at, err
}
