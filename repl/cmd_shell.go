package repl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strings"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
)

func shellCommands() []*Command {
	return []*Command{
		{
			Name: "help", Aliases: []string{"h"}, Group: "shell", Synopsis: "[WORD]", Summary: "what commands there are; how one is used",
			Examples: []Example{{Line: "help mmap", Shows: ""}},
			Data:     []view.Value{view.Text{}}, Complete: []hint{hintCommand}, Run: runHelp,
		},
		{
			Name: "apropos", Group: "shell", Synopsis: "WORD…", Summary: "commands whose help speaks of something",
			Examples: []Example{{Line: "apropos copy-on-write", Shows: ""}},
			Data:     []view.Value{view.Text{}}, Run: runApropos,
		},
		{
			Name: "alias", Group: "shell", Synopsis: "[NAME = CMD…]", Summary: "give a command another name, or list those given",
			Examples: []Example{{Line: "alias room = vmas --gaps", Shows: ""}},
			Data:     []view.Value{view.Names{}}, Complete: []hint{hintNone, hintNone, hintCommand}, Run: runAlias,
		},
		{
			Name: "show", Group: "shell", Synopsis: "[NAME]", Summary: "the settings",
			Examples: []Example{{Line: "show fault-window", Shows: ""}},
			Data:     []view.Value{view.Settings{}, view.Setting{}}, Complete: []hint{hintSetting}, Run: runShow,
		},
		{
			Name: "history", Group: "shell", Synopsis: "[N]", Summary: "the lines of this session, or the last N",
			Examples: []Example{{Line: "history", Shows: ""}},
			Data:     []view.Value{view.Names{}}, Run: runHistory,
		},
		{
			Name: "quit", Aliases: []string{"q", "exit"}, Group: "shell", Synopsis: "[N]", Summary: "end mmsh, with exit status N",
			Examples: []Example{{Line: "quit", Shows: ""}},
			Run:      runQuit,
		},
	}
}

func runHelp(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	if len(c.args) == 0 {
		return view.Text{Words: c.s.table.overview()}, nil
	}
	word := c.args[0].Text
	if entry, err := c.s.table.find(word, true); err == nil {
		return view.Text{Words: entry.manual()}, nil
	}
	found := c.s.table.about(word)
	if found == "" {
		_, err := c.s.table.find(word, true)
		return nil, err
	}
	return view.Text{Words: found}, nil
}

// overview lists all commands by group.
func (t *table) overview() string {
	var out strings.Builder
	for _, group := range Groups {
		fmt.Fprintf(&out, "%s\n", group)
		for _, c := range t.commands {
			if c.Group == group {
				fmt.Fprintf(&out, "  %-13s %s\n", c.Name, c.Summary)
			}
		}
	}
	out.WriteString("help COMMAND says more; addresses, ranges and filters: help range, help filter\n")
	return out.String()
}

// manual is all that is known of a command.
func (e *Command) manual() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n  %s\n", e.usage(), e.Summary)
	if len(e.Aliases) > 0 {
		fmt.Fprintf(&out, "  also: %s\n", strings.Join(e.Aliases, " "))
	}
	for line := range strings.Lines(e.Help) {
		fmt.Fprintf(&out, "  %s\n", strings.TrimSuffix(line, "\n"))
	}
	for _, x := range e.Examples {
		line := x.Line
		if x.Setup != "" {
			line = x.Setup + "; " + line
		}
		if x.Shows != "" {
			line += "    # " + x.Shows
		}
		fmt.Fprintf(&out, "  e.g. %s\n", line)
	}
	return out.String()
}

// topics are pages of help that belong to no command.
var topics = map[string]string{
	"range": `ranges: A..B (B not included)   A,LEN   ADDR LEN   A-B as maps prints it   [heap]   vma:3
addresses: 0x7ffff7fef000   7ffff7fef000   $rip   $name   $_   main   [stack]-0x20   libc   ADDR@PID
numbers: 16 0x10 0b1 0o7, suffix k m g t or p (pages)
`,
	"filter": `filters are words that must all hold:
fault cow map unmap protect fork exec exit signal syscall writeback    a kind
zero-fill cow-copy permission …    a cause
in RANGE|NAME   pid P   by SYMBOL|shell|elf   perms ?w?   syscall NAME|%group   since @A   until @B   if EXPR
`,
}

// about returns the commands and topics that speak of a word.
func (t *table) about(word string) string {
	if page, ok := topics[strings.TrimSuffix(word, "s")]; ok {
		return page
	}
	var out strings.Builder
	word = strings.ToLower(word)
	for _, c := range t.commands {
		if strings.Contains(strings.ToLower(c.Name+" "+c.Group+" "+c.Summary+" "+c.Help), word) {
			fmt.Fprintf(&out, "%-13s %s\n", c.Name, c.Summary)
		}
	}
	return out.String()
}

func runApropos(c *call) (view.Value, error) {
	if len(c.args) == 0 {
		return nil, c.usage()
	}
	found := c.s.table.about(c.cmd.Rest(1))
	if found == "" {
		return nil, fmt.Errorf("no command speaks of %q", c.cmd.Rest(1))
	}
	return view.Text{Words: found}, nil
}

func runAlias(c *call) (view.Value, error) {
	if len(c.args) == 0 {
		v := view.Names{Names: []string{}}
		for name, text := range c.s.aliases {
			v.Names = append(v.Names, fmt.Sprintf("alias %s = %s", name, text))
		}
		slices.Sort(v.Names)
		return v, nil
	}
	name, text, err := c.aliasWords()
	if err != nil {
		return nil, err
	}
	if c.s.table.byName[name] != nil {
		return nil, fmt.Errorf("%s is a command", name)
	}
	c.s.aliases[name] = text
	return nil, nil
}

func (c *call) aliasWords() (name, text string, err error) {
	i := 2
	if len(c.args) > 1 && c.args[1].Text == "=" {
		i = 3
	}
	text = strings.TrimSpace(c.cmd.Rest(i))
	if text == "" {
		return "", "", c.usage()
	}
	return c.args[0].Text, text, nil
}

// unalias replaces a command's name by what `alias` made of it.
func (s *Session) unalias(cmd *lang.Command) (*lang.Command, error) {
	for range 10 {
		text, ok := s.aliases[cmd.Name]
		if !ok {
			return cmd, nil
		}
		if rest := cmd.Rest(1); rest != "" {
			text += " " + rest
		}
		cmds, err := lang.ParseScript(cmd.File, text)
		if err != nil {
			return nil, err
		}
		if len(cmds) != 1 {
			return nil, fmt.Errorf("alias %s is not one command", cmd.Name)
		}
		next := cmds[0]
		next.Line, next.Col, next.Source = cmd.Line, cmd.Col, cmd.Source
		next.Blocks = append(next.Blocks, cmd.Blocks...)
		cmd = next
	}
	return nil, errors.New("aliases lead to each other without end")
}

// windows are the words of `set fault-window`.
var windows = map[string]uint64{"4k": 4 << 10, "64k": 64 << 10, "2m": 2 << 20, "auto": mm.WindowAuto}

func windowName(bytes uint64) string {
	for name, n := range windows {
		if n == bytes {
			return name
		}
	}
	return fmt.Sprint(bytes)
}

// asioNames are the words of `set as-io`.
var asioNames = map[mm.ASIOMode]string{mm.ASIOOn: "on", mm.ASIOOff: "off", mm.ASIOAuto: "auto"}

// setASIO is `set as-io WORD`.
func (s *Session) setASIO(word string) error {
	for mode, name := range asioNames {
		if name == word {
			s.config.ASIO.Set(mode)
			return nil
		}
	}
	return fmt.Errorf("as-io is on, off or auto, not %q", word)
}

// setOvercommit is `set overcommit WORD`, `set overcommit-ratio N` and `set
// overcommit-kbytes N`: as in /proc/sys/vm, of the two numbers one counts.
func (s *Session) setOvercommit(name, value string) error {
	o := s.config.Memory.Overcommit()
	if name == "overcommit" {
		for o.Mode = pgalloc.OvercommitHeuristic; o.Mode.String() != value; o.Mode++ {
			if o.Mode == pgalloc.OvercommitNever {
				return fmt.Errorf("overcommit is heuristic, always or never, not %q", value)
			}
		}
		s.config.Memory.SetOvercommit(o)
		return nil
	}
	n, err := lang.ParseNumber(value)
	switch {
	case err != nil:
		return err
	case n > math.MaxInt32 && name == "overcommit-ratio" || n > math.MaxInt64:
		return fmt.Errorf("%s cannot be %d", name, n)
	case name == "overcommit-ratio":
		o.Ratio, o.KBytes = int32(n), 0
	default:
		o.Ratio, o.KBytes = 0, n
	}
	s.config.Memory.SetOvercommit(o)
	return nil
}

func (s *Session) settings() view.Settings {
	o := s.config.Memory.Overcommit()
	return view.Settings{Rows: []view.Setting{
		{Name: "fault-window", Value: windowName(s.config.Window.Get()), Help: "how much a fault brings in: 4k 64k 2m auto"},
		{Name: "as-io", Value: asioNames[s.config.ASIO.Get()], Help: "copy small things through the guest's own mappings: on off auto"},
		{Name: "overcommit", Value: o.Mode.String(), Help: "how much memory may be promised: heuristic always never"},
		{Name: "overcommit-ratio", Value: fmt.Sprint(o.Ratio), Help: "the limit of never, in percent of all memory"},
		{Name: "overcommit-kbytes", Value: fmt.Sprint(o.KBytes), Help: "the limit of never, unless 0"},
		{Name: "check", Value: pickWord(s.checking, "every", "off"), Help: "verify the engine after every command: every off"},
	}}
}

func pickWord(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// setting is `set NAME VALUE`.
func (c *call) setting() (view.Value, error) {
	if err := c.count(2, 2); err != nil {
		return nil, err
	}
	name, value := c.args[0].Text, c.args[1].Text
	switch name {
	case "fault-window":
		bytes, ok := windows[value]
		if !ok {
			return nil, fmt.Errorf("a fault window is 4k, 64k, 2m or auto, not %q", value)
		}
		c.s.config.Window.Set(bytes)
	case "as-io":
		return nil, c.s.setASIO(value)
	case "overcommit", "overcommit-ratio", "overcommit-kbytes":
		return nil, c.s.setOvercommit(name, value)
	case "check":
		if value != "every" && value != "off" {
			return nil, fmt.Errorf("check is every or off, not %q", value)
		}
		c.s.checking = value == "every"
	default:
		return nil, fmt.Errorf("there is no setting %q: `show` lists them", name)
	}
	return nil, nil
}

func runShow(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	all := c.s.settings()
	if len(c.args) == 0 {
		return all, nil
	}
	for _, one := range all.Rows {
		if one.Name == c.args[0].Text {
			return one, nil
		}
	}
	return nil, fmt.Errorf("there is no setting %q: `show` lists them", c.args[0].Text)
}

func runHistory(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	lines := c.s.typed
	if len(c.args) == 1 {
		n, err := c.number(0)
		if err != nil {
			return nil, err
		}
		lines = lines[len(lines)-int(min(n.Bits, uint64(len(lines)))):]
	}
	return view.Names{Names: append([]string{}, lines...)}, nil
}

func runQuit(c *call) (view.Value, error) {
	if err := c.count(0, 1); err != nil {
		return nil, err
	}
	if len(c.args) == 1 {
		n, err := c.number(0)
		if err != nil {
			return nil, err
		}
		if n.Bits > 255 {
			return nil, fmt.Errorf("an exit status is at most 255, not %v", n)
		}
		c.s.status = int(n.Bits)
	}
	c.s.quitting = true
	return nil, nil
}

// hostShell gives a line to the host's shell.
func (s *Session) hostShell(ctx context.Context, line string) (view.Value, error) {
	if !s.config.HostShell {
		return nil, errors.New("the host's shell is not open to scripts: --unsafe-host opens it")
	}
	out, err := exec.CommandContext(ctx, "/bin/sh", "-c", line).CombinedOutput()
	if len(out) == 0 && err == nil {
		return nil, nil
	}
	return view.Text{Words: string(out)}, err
}
