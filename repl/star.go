package repl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

func assertCommand() *Command {
	return &Command{
		Name: "assert", Group: "check", Synopsis: "EXPR", Summary: "fail if a Starlark expression is false",
		Help: "The names of `let` are numbers (a leading $ may be written). Functions: vma(a) pma(a) page(a) mem(a, n) reg(\"rip\") sym(\"main\") rss() stats(\"cow-copy\"); " +
			"each takes pid=. vma and pma answer None where there is none; page answers a letter of `pages`; mem answers bytes.",
		Examples: []Example{{Setup: "mmap 64k rw; let a = $_", Line: `assert vma(a).size == 65536 and vma(a).perms == "rw-p"`, Shows: "of a mapping"}},
		Data:     []view.Value{view.Expected{}}, Run: runAssert,
	}
}

var noRegs platform.Regs // to look names up

var fileOptions = &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true}

func runAssert(c *call) (view.Value, error) {
	text := strings.TrimSpace(c.cmd.Rest(1))
	if text == "" {
		return nil, c.usage()
	}
	thread, done := c.s.starThread(c.ctx, "assert")
	defer done()
	v, err := starlark.EvalOptions(fileOptions, thread, "assert", plainNames(text), c.s.starNames(c.ctx))
	if err != nil {
		return nil, starError(c.ctx, err)
	}
	if !v.Truth() {
		found := fmt.Sprint(v)
		return nil, &Failure{Kind: view.KindExpect, Reason: fmt.Sprintf("asked: %s; found: %s%s", text, found, c.operands(text)), Asked: text, Found: found + c.operands(text)}
	}
	return view.Expected{Asked: text, Found: v.String()}, nil
}

// operands evaluates the two sides of a failed comparison.
func (c *call) operands(text string) string {
	left, _, right, ok := lang.SplitComparison(text)
	if !ok {
		return ""
	}
	var sides []string
	for _, side := range []string{left, right} {
		thread, done := c.s.starThread(c.ctx, "assert")
		v, err := starlark.EvalOptions(fileOptions, thread, "assert", plainNames(side), c.s.starNames(c.ctx))
		done()
		if err != nil {
			return ""
		}
		sides = append(sides, fmt.Sprintf("%s is %v", strings.TrimSpace(side), v))
	}
	return ": " + strings.Join(sides, ", ")
}

// starThread returns a thread that ends with ctx.
func (s *Session) starThread(ctx context.Context, name string) (*starlark.Thread, func()) {
	thread := &starlark.Thread{Name: name, Print: func(_ *starlark.Thread, text string) { s.print(view.Text{Words: text}) }}
	stop := context.AfterFunc(ctx, func() { thread.Cancel("interrupted") })
	return thread, func() { stop() }
}

// starError is what a Starlark failure says to people.
func starError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return stoppedBy(ctx)
	}
	var eval *starlark.EvalError
	if errors.As(err, &eval) {
		if cause := eval.Unwrap(); cause != nil && errors.Is(cause, errReported) {
			return errReported
		}
		return errors.New(eval.Msg)
	}
	return err
}

var dollars = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\$[A-Za-z_][A-Za-z0-9_]*`)

// plainNames turns $name into name, and $rip into reg("rip"), outside of strings.
func plainNames(text string) string {
	return dollars.ReplaceAllStringFunc(text, func(m string) string {
		if m[0] != '$' {
			return m
		}
		if registerOf(&noRegs, m[1:]) != nil || halves[m[1:]] != "" {
			return fmt.Sprintf("reg(%q)", m[1:])
		}
		return m[1:]
	})
}

// starNames are the names that Starlark knows.
func (s *Session) starNames(ctx context.Context) starlark.StringDict {
	names := starlark.StringDict{"struct": starlark.NewBuiltin("struct", starlarkstruct.Make), "json": starjson.Module}
	for name, v := range s.vars {
		names[name] = starNumber(v)
	}
	if child := s.d.Child(); child != 0 {
		names["child"] = starlark.MakeInt(int(child))
	}
	for name, f := range map[string]func(*starCall) (starlark.Value, error){
		"vma": starVMA, "pma": starPMA, "page": starPage, "mem": starMem, "reg": starReg, "sym": starSym, "rss": starRSS, "stats": starStats,
	} {
		names[name] = s.starBuiltin(name, f)
	}
	names["run"] = starlark.NewBuiltin("run", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var line string
		if err := starlark.UnpackArgs("run", args, kwargs, "line", &line); err != nil {
			return nil, err
		}
		return s.starRun(ctx, line)
	})
	return names
}

func starNumber(n lang.Number) starlark.Value {
	if n.Kind == lang.Signed {
		return starlark.MakeInt64(n.Int())
	}
	return starlark.MakeUint64(n.Bits)
}

// starCall is a call of one of our functions from Starlark.
type starCall struct {
	s    *Session
	args starlark.Tuple
	target
}

func (s *Session) starBuiltin(name string, f func(*starCall) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		pid, at := 0, ""
		if err := starlark.UnpackArgs(name, nil, kwargs, "pid?", &pid, "at?", &at); err != nil {
			return nil, err
		}
		if at != "" {
			m, err := lang.ParseMoment(at)
			if err != nil {
				return nil, err
			}
			return nil, notKept(m)
		}
		t, err := (&call{s: s}).target(pid)
		if err != nil {
			return nil, err
		}
		return f(&starCall{s, args, t})
	})
}

// addr reads argument i as an address.
func (c *starCall) addr(i int) (memmap.Addr, error) {
	if i >= len(c.args) {
		return 0, errors.New("an address is missing")
	}
	n, ok := c.args[i].(starlark.Int)
	if !ok {
		return 0, fmt.Errorf("%v is no address", c.args[i])
	}
	v, ok := n.Uint64()
	if !ok {
		return 0, fmt.Errorf("%v is no address", n)
	}
	return memmap.Addr(v), nil
}

func (c *starCall) text(i int) (string, error) {
	if i >= len(c.args) {
		return "", errors.New("a name is missing")
	}
	text, ok := starlark.AsString(c.args[i])
	if !ok {
		return "", fmt.Errorf("%v is no name", c.args[i])
	}
	return text, nil
}

func record(fields starlark.StringDict) starlark.Value {
	return starlarkstruct.FromStringDict(starlarkstruct.Default, fields)
}

func starVMA(c *starCall) (starlark.Value, error) {
	a, err := c.addr(0)
	if err != nil {
		return nil, err
	}
	v, ok := findVMA(c.proc, a)
	if !ok {
		return starlark.None, nil
	}
	shown := c.s.viewVMA(c.proc, v)
	return record(starlark.StringDict{
		"start": starlark.MakeUint64(uint64(shown.Start)), "end": starlark.MakeUint64(uint64(shown.End)),
		"size": starlark.MakeUint64(shown.Size), "rss": starlark.MakeUint64(shown.RSS), "cow": starlark.MakeUint64(shown.COW),
		"offset": starlark.MakeUint64(uint64(v.Offset)), "perms": starlark.String(shown.Perms), "max": starlark.String(shown.MaxPerms),
		"name": starlark.String(shown.Name), "origin": starlark.String(shown.Origin.String()),
	}), nil
}

func starPMA(c *starCall) (starlark.Value, error) {
	a, err := c.addr(0)
	if err != nil {
		return nil, err
	}
	pmas := debugger.PMAs(c.proc, a.Page())
	if len(pmas) == 0 {
		return starlark.None, nil
	}
	shown := c.s.viewPMA(pmas[0])
	refs := uint64(1)
	if len(shown.Refs) > 0 {
		refs = uint64(shown.Refs[0].Refs)
	}
	return record(starlark.StringDict{
		"perms": starlark.String(shown.Perms), "cow": starlark.Bool(shown.COW), "private": starlark.Bool(shown.Private),
		"zero": starlark.Bool(shown.Zero), "refs": starlark.MakeUint64(refs), "backing": starlark.String(shown.Backing),
		"offset": starlark.MakeUint64(uint64(pmas[0].Offset)), "cause": starlark.String(shown.Cause),
	}), nil
}

func starPage(c *starCall) (starlark.Value, error) {
	a, err := c.addr(0)
	if err != nil {
		return nil, err
	}
	letters, err := c.s.pageLetters(c.target, a.Page())
	return starlark.String(letters), err
}

func starMem(c *starCall) (starlark.Value, error) {
	a, err := c.addr(0)
	if err != nil {
		return nil, err
	}
	n, err := c.addr(1)
	if err != nil {
		return nil, err
	}
	if n > maxUnits*16 {
		return nil, fmt.Errorf("%d bytes are too many", uint64(n))
	}
	b := make([]byte, n)
	if got, err := c.s.d.Peek(c.pid, a, b); err != nil {
		return nil, cannotRead(a+memmap.Addr(got), err)
	}
	return starlark.Bytes(b), nil
}

func starReg(c *starCall) (starlark.Value, error) {
	name, err := c.text(0)
	if err != nil {
		return nil, err
	}
	v, ok, err := c.s.env(c.pid).Register(name)
	if !ok {
		return nil, fmt.Errorf("there is no register %q", name)
	}
	return starlark.MakeUint64(v.Bits), err
}

func starSym(c *starCall) (starlark.Value, error) {
	name, err := c.text(0)
	if err != nil {
		return nil, err
	}
	a, ok := c.s.env(c.pid).Symbol(name)
	if !ok {
		return nil, fmt.Errorf("there is no symbol %q", name)
	}
	return starlark.MakeUint64(uint64(a)), nil
}

func starRSS(c *starCall) (starlark.Value, error) {
	return starlark.MakeUint64(statsOf(c.target).RSS), nil
}

func starStats(c *starCall) (starlark.Value, error) {
	name, err := c.text(0)
	if err != nil {
		return nil, err
	}
	cause, ok := memmap.ParseCause(name)
	if !ok {
		return nil, fmt.Errorf("%q is no cause of a fault", name)
	}
	return starlark.MakeUint64(statsOf(c.target).Causes[cause]), nil
}

// starRun runs a line of commands and answers the last one's data.
func (s *Session) starRun(ctx context.Context, line string) (starlark.Value, error) {
	cmds, err := s.Parse("run", line)
	if err != nil {
		return nil, err
	}
	var last view.Value
	for _, cmd := range cmds {
		entry, v, _, err := s.run(ctx, cmd)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", commandName(entry, cmd), failureOf(err, commandName(entry, cmd)))
		}
		last = v
	}
	if last == nil {
		return starlark.None, nil
	}
	text, err := json.Marshal(last)
	if err != nil {
		return nil, err
	}
	decode := starjson.Module.Members["decode"].(*starlark.Builtin)
	return starlark.Call(&starlark.Thread{Name: "run"}, decode, starlark.Tuple{starlark.String(text)}, nil)
}

// sourceStar runs a Starlark program, which can call run("COMMAND").
func (s *Session) sourceStar(ctx context.Context, name string, content []byte) error {
	thread, done := s.starThread(ctx, name)
	defer done()
	_, err := starlark.ExecFileOptions(fileOptions, thread, name, content, s.starNames(ctx))
	if err != nil {
		return starError(ctx, err)
	}
	return nil
}
