package repl

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
)

func memoryChanges() []*Command {
	return []*Command{
		{
			Name: "set", Group: "change memory", Synopsis: "{SIZE}ADDR = V | $REG = V | $NAME = V | NAME VALUE", Summary: "store a value: in memory, a register, a variable, a setting",
			Help:     "A store ignores permissions, as a debugger's does, and breaks COW. SIZE is 1, 2, 4 or 8. `show` lists the settings.",
			Examples: []Example{{Setup: "mmap 4k rw; let a = $_", Line: "set {4}$a = 0x2a", Shows: "four bytes"}, {Line: "set fault-window 64k", Shows: "a setting"}, {Line: "set as-io on", Shows: ""}, {Line: "set overcommit never", Shows: "mappings count when they are made"}},
			Data:     []view.Value{view.Change{}, view.Setting{}, view.Settings{}}, Complete: []hint{hintSetting, hintAddr}, Run: runSet,
		},
		{
			Name: "write", Aliases: []string{"eb"}, Group: "change memory", Synopsis: `ADDR "text"|hex…`, Summary: "store bytes",
			Help:     "\"…\" knows C's escapes, '…' is literal; hexadecimal digits may be spread over words.",
			Examples: []Example{{Setup: "mmap 4k rw", Line: `write $_ "hi\n"`, Shows: "three bytes"}, {Setup: "mmap 4k rw", Line: "write $_ de ad be ef", Shows: "four bytes"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runWrite,
		},
		{
			Name: "fill", Group: "change memory", Synopsis: "RANGE BYTE", Summary: "store one byte all over a range",
			Examples: []Example{{Setup: "mmap 8k rw", Line: "fill $_,8k 0xcc", Shows: "two pages"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr, hintNumber}, Run: runFill,
		},
		{
			Name: "zero", Group: "change memory", Synopsis: "RANGE", Summary: "store zeroes all over a range",
			Examples: []Example{{Setup: "mmap 8k rw; fill $_,8k 1", Line: "zero $_,4k", Shows: "one page"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runZero,
		},
		{
			Name: "ed", Group: "change memory", Synopsis: "ADDR VALUE…", Summary: "store 4-byte values (windbg's)",
			Examples: []Example{{Setup: "mmap 4k rw", Line: "ed $_ 1 2", Shows: "two values"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runStoreUnits,
		},
		{
			Name: "eq", Group: "change memory", Synopsis: "ADDR VALUE…", Summary: "store 8-byte values (windbg's)",
			Examples: []Example{{Setup: "mmap 4k rw", Line: "eq $_ 0x1122334455667788", Shows: "one value"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runStoreUnits,
		},
	}
}

// store writes b and names the range.
func (c *call) store(at place, op string, b []byte) (view.Value, error) {
	n, err := c.s.d.Poke(at.pid, op, at.addr, b)
	if err != nil {
		return nil, partly(n, err)
	}
	return view.Change{PID: at.pid, Did: "wrote", Start: view.Addr(at.addr), End: view.Addr(at.addr) + view.Addr(n), Length: uint64(n)}, nil
}

// partly says how far a store came before it failed.
func partly[N int | uint64](n N, err error) error {
	if n == 0 {
		return err
	}
	return fmt.Errorf("%w (%d bytes were written before that)", err, n)
}

func runWrite(c *call) (view.Value, error) {
	if len(c.args) < 2 {
		return nil, c.usage()
	}
	at, err := c.place(0)
	if err != nil {
		return nil, err
	}
	b, err := lang.ParseBytes(c.args[1:])
	if err != nil {
		return nil, err
	}
	return c.store(at, "write", b)
}

func runStoreUnits(c *call) (view.Value, error) {
	if len(c.args) < 2 {
		return nil, c.usage()
	}
	at, err := c.place(0)
	if err != nil {
		return nil, err
	}
	unit := map[string]int{"ed": 4, "eq": 8}[c.entry.Name]
	var b []byte
	for i := range c.args[1:] {
		n, err := c.number(i + 1)
		if err != nil {
			return nil, err
		}
		b = append(b, bytesOf(n.Bits, unit)...)
	}
	return c.store(at, "write", b)
}

// bytesOf returns the low n bytes of v, the lowest first.
func bytesOf(v uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return b
}

func runFill(c *call) (view.Value, error) {
	sp, rest, err := c.span(0, lang.LoneRefused)
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, c.usage()
	}
	v, err := lang.Eval(c.env, rest[0].Text)
	if err != nil {
		return nil, err
	}
	if v.Bits > 255 {
		return nil, fmt.Errorf("%v is no byte", v)
	}
	if _, err := sp.ends("fill"); err != nil {
		return nil, err
	}
	chunk := bytes.Repeat([]byte{byte(v.Bits)}, int(min(sp.Length, 1<<20)))
	for done := uint64(0); done < sp.Length; {
		if c.ctx.Err() != nil {
			return nil, partly(done, stoppedBy(c.ctx))
		}
		n, err := c.s.d.Poke(sp.pid, "fill", sp.Start+memmap.Addr(done), chunk[:min(uint64(len(chunk)), sp.Length-done)])
		done += uint64(n)
		if err != nil {
			return nil, partly(done, err)
		}
	}
	return sp.change(fmt.Sprintf("filled with %#02x", v.Bits)), nil
}

func runZero(c *call) (view.Value, error) {
	sp, err := c.onlySpan(lang.LoneRefused)
	if err != nil {
		return nil, err
	}
	m, by, err := sp.hands("zero")
	if err != nil {
		return nil, err
	}
	if n, err := m.ZeroOut(by, sp.Start, sp.Length, mm.IOOpts{IgnorePermissions: true}); err != nil {
		return nil, partly(n, err)
	}
	return sp.change("zeroed"), nil
}

// sized matches {SIZE}ADDR.
var sized = regexp.MustCompile(`^\{([^}]*)\}(.*)$`)

func runSet(c *call) (view.Value, error) {
	if len(c.args) == 0 {
		return c.s.settings(), nil
	}
	left, right, ok := lang.SplitAssign(c.cmd.Rest(1))
	if !ok {
		if c.args[0].Text == "var" || strings.HasPrefix(c.args[0].Text, "$") || strings.HasPrefix(c.args[0].Text, "{") {
			return nil, c.usage()
		}
		return c.setting()
	}
	left = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(left), "var "))
	value, err := lang.Eval(c.env, strings.TrimSpace(right))
	if err != nil {
		return nil, err
	}
	if m := sized.FindStringSubmatch(left); m != nil {
		return c.setMemory(m[1], strings.TrimSpace(m[2]), value)
	}
	name, ok := strings.CutPrefix(left, "$")
	if !ok {
		return nil, fmt.Errorf("cannot store in %q: {SIZE}ADDR, $REG or $NAME can be", left)
	}
	return c.setNamed(name, value)
}

func (c *call) setMemory(size, addr string, value lang.Number) (view.Value, error) {
	n, err := lang.Eval(c.env, size)
	if err != nil {
		return nil, err
	}
	switch n.Bits {
	case 1, 2, 4, 8:
	default:
		return nil, fmt.Errorf("a store is of 1, 2, 4 or 8 bytes, not %v", n)
	}
	at, err := c.placeOf(addr)
	if err != nil {
		return nil, err
	}
	return c.store(at, "set", bytesOf(value.Bits, int(n.Bits)))
}

// setNamed stores in a register of the current thread, or in a variable.
func (c *call) setNamed(name string, value lang.Number) (view.Value, error) {
	if _, half := halves[name]; half {
		return nil, fmt.Errorf("$%s is half a register: set $%s", name, halves[name])
	}
	t, err := c.s.d.Task(0)
	if err == nil {
		if r := registerOf(t.Regs(), name); r != nil {
			*r = value.Bits
			return view.Setting{Name: "$" + name, Value: fmt.Sprintf("%#x", value.Bits)}, nil
		}
	}
	if err := goodName(name); err != nil {
		return nil, err
	}
	c.s.vars[name] = value
	return view.Setting{Name: "$" + name, Value: value.String()}, nil
}

var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// goodName refuses names that no variable can have.
func goodName(name string) error {
	switch {
	case !namePattern.MatchString(name):
		return fmt.Errorf("%q is no name of a variable", name)
	case name == "_" || name == "child" || name == "i":
		return fmt.Errorf("$%s is set by the shell", name)
	case registerOf(&platform.Regs{}, name) != nil || halves[name] != "":
		return fmt.Errorf("$%s is a register", name)
	}
	return nil
}
