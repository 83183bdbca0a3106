package repl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
)

func scriptCommands() []*Command {
	return []*Command{
		{
			Name: "let", Group: "scripting", Synopsis: "NAME = CMD… | EXPR", Summary: "keep a value under a name, for $NAME",
			Help:     "If the first word is exactly a command's name the command is run and its value ($_) is kept; else the text is an expression.",
			Examples: []Example{{Line: "let a = mmap 64k rw", Shows: "an address"}, {Line: "let n = 16*4k", Shows: "a number"}},
			Data:     []view.Value{view.Let{}}, Complete: []hint{hintNone, hintNone, hintCommand}, Run: runLet,
		},
		{
			Name: "echo", Group: "scripting", Synopsis: "TEXT…", Summary: "print words; $name and ${EXPR} are replaced",
			Examples: []Example{{Setup: "let a = 4k", Line: "echo one page is $a bytes, two are ${2*$a}", Shows: "4096, 8192"}},
			Data:     []view.Value{view.Text{}}, Run: runEcho,
		},
		{
			Name: "repeat", Group: "scripting", Synopsis: "N { … }", Summary: "run commands N times; $i counts from 0",
			Examples: []Example{{Setup: "mmap 64k rw; let a = $_", Line: "repeat 4 { touch $a+$i*8k,4k w }", Shows: "every other page"}},
			Run:      runRepeat,
		},
		{
			Name: "if", Group: "scripting", Synopsis: "EXPR { … } [else { … }]", Summary: "run commands if an expression is not 0",
			Examples: []Example{{Line: "if 1 < 2 { echo yes } else { echo no }", Shows: "yes"}},
			Run:      runIf,
		},
		{
			Name: "source", Group: "scripting", Synopsis: "FILE", Summary: "run the commands of a file; FILE.star is a Starlark program",
			Help:     "A Starlark program calls run(\"COMMAND\"), which answers the command's data, and the functions of `assert`. Write numbers into commands as 0x%x: long decimal words are read as addresses.",
			Examples: []Example{{Line: "expect error ENOENT source /no/such/file", Shows: "a file that is not there"}},
			Complete: []hint{hintFile}, Run: runSource,
		},
		{
			Name: "quiet", Group: "scripting", Synopsis: "CMD…", Summary: "run a command and show its failure only",
			Examples: []Example{{Line: "quiet mmap 64k rw", Shows: ""}},
			Complete: []hint{hintCommand}, Run: runQuiet,
		},
		{
			Name: "time", Group: "scripting", Synopsis: "CMD…", Summary: "run a command and say how long it took",
			Examples: []Example{{Line: "time mmap 64k rw", Shows: ""}},
			Data:     []view.Value{view.Timed{}}, Complete: []hint{hintCommand}, Run: runTime,
		},
	}
}

func runLet(c *call) (view.Value, error) {
	left, right, ok := lang.SplitAssign(c.cmd.Rest(1))
	name := strings.TrimPrefix(strings.TrimSpace(left), "$")
	right = strings.TrimSpace(right)
	if !ok || right == "" {
		return nil, c.usage()
	}
	if err := goodName(name); err != nil {
		return nil, err
	}
	v := view.Let{Name: name}
	value, err := c.letValue(right, &v)
	if err != nil {
		return nil, err
	}
	c.s.vars[name] = value
	c.yield(value)
	v.Value, v.Bits = value.String(), view.Addr(value.Bits)
	return v, nil
}

func (c *call) letValue(text string, v *view.Let) (lang.Number, error) {
	word, _, _ := strings.Cut(text, " ")
	word, _, _ = strings.Cut(word, "/")
	if entry := c.s.table.byName[word]; entry == nil || entry.Name != word {
		return lang.Eval(c.env, text)
	}
	inner, err := c.rightSide(text)
	if err != nil {
		return lang.Number{}, err
	}
	_, data, value, err := c.s.run(c.ctx, inner)
	if err != nil {
		return lang.Number{}, err
	}
	v.Data = data
	if value == nil {
		return lang.Number{}, fmt.Errorf("%s gives no value to keep", word)
	}
	return *value, nil
}

// rightSide returns the command behind =.
func (c *call) rightSide(text string) (*lang.Command, error) {
	if i := c.cmd.Index("=", 1); i > 0 && c.cmd.From(i+1) != nil {
		return c.cmd.From(i + 1), nil
	}
	cmds, err := lang.ParseScript(c.cmd.File, text)
	if err != nil || len(cmds) != 1 {
		return nil, c.usage()
	}
	return cmds[0], nil
}

func runEcho(c *call) (view.Value, error) {
	var words []string
	for _, w := range c.args {
		text, err := lang.Expand(c.env, w)
		if err != nil {
			return nil, err
		}
		words = append(words, text)
	}
	return view.Text{Words: strings.Join(words, " ") + "\n"}, nil
}

func runRepeat(c *call) (view.Value, error) {
	if len(c.cmd.Blocks) != 1 || len(c.args) == 0 {
		return nil, c.usage()
	}
	n, err := lang.Eval(c.env, strings.TrimSpace(c.cmd.Rest(1)))
	if err != nil {
		return nil, err
	}
	if n.Int() < 0 {
		return nil, fmt.Errorf("cannot repeat %v times", n)
	}
	outer, nested := c.s.vars["i"]
	defer func() {
		if delete(c.s.vars, "i"); nested {
			c.s.vars["i"] = outer
		}
	}()
	for i := range n.Int() {
		c.s.vars["i"] = lang.Int(i)
		if err := c.s.block(c.ctx, c.cmd.Blocks[0]); err != nil || c.s.quitting {
			return nil, err
		}
	}
	return nil, nil
}

// block runs the commands of a block. Their failures have been shown when it
// returns errReported.
func (s *Session) block(ctx context.Context, cmds []*lang.Command) error {
	failed := false
	for _, cmd := range cmds {
		if ctx.Err() != nil {
			return stoppedBy(ctx)
		}
		if err := s.Do(ctx, cmd); err != nil {
			failed = true
			if !s.config.KeepGoing {
				break
			}
		}
		if s.quitting {
			break
		}
	}
	if failed {
		return errReported
	}
	return nil
}

func runIf(c *call) (view.Value, error) {
	if len(c.cmd.Blocks) == 0 {
		return nil, c.usage()
	}
	n, err := lang.Eval(c.env, strings.TrimSpace(c.cmd.Rest(1)))
	if err != nil {
		return nil, err
	}
	switch {
	case n.True():
		return nil, c.s.block(c.ctx, c.cmd.Blocks[0])
	case len(c.cmd.Blocks) > 1:
		return nil, c.s.block(c.ctx, c.cmd.Blocks[1])
	}
	return nil, nil
}

// deepest is how far commands may be inside commands: a file that sources itself
// comes to an end.
const deepest = 100

func runSource(c *call) (view.Value, error) {
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	name, err := c.args[0].Value()
	if err != nil {
		return nil, err
	}
	if c.s.depth > deepest {
		return nil, errors.New("files source each other without end")
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".star") {
		return nil, c.s.sourceStar(c.ctx, name, content)
	}
	cmds, err := c.s.Parse(name, string(content))
	if err != nil {
		return nil, &Failure{Kind: view.KindSyntax, Reason: err.Error()}
	}
	defer c.s.asScript()()
	return nil, c.s.block(c.ctx, cmds)
}

// asScript makes errors say where they stand, and names be whole, until the
// returned function is called.
func (s *Session) asScript() (undo func()) {
	at := s.at
	s.at = false
	s.scripted++
	return func() { s.at = at; s.scripted-- }
}

func runQuiet(c *call) (view.Value, error) {
	inner := c.cmd.From(1)
	if inner == nil {
		return nil, c.usage()
	}
	c.s.muted++
	defer func() { c.s.muted-- }()
	_, _, value, err := c.s.run(c.ctx, inner)
	c.value = value
	return nil, err
}

func runTime(c *call) (view.Value, error) {
	inner := c.cmd.From(1)
	if inner == nil {
		return nil, c.usage()
	}
	start := time.Now()
	_, v, value, err := c.s.run(c.ctx, inner)
	c.value = value
	return view.Timed{Line: oneLine(inner.Source), Took: time.Since(start).Seconds(), Value: v}, err
}
