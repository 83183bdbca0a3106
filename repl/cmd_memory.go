package repl

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
)

func memoryViews() []*Command {
	return []*Command{
		{
			Name: "x", Aliases: []string{"db", "dd", "dq"}, Group: "see memory", Synopsis: "[/NFU] [EXPR]", Summary: "memory in units, as gdb's x",
			Help: "N is a count (negative: backwards), F one of x d u o t a c f s i z, U one of b h w g; what is not given is as it was the last time. " +
				"Without EXPR it goes on where it ended. Looking changes nothing: a page that was never touched is shown as zeroes and stays untouched. $_ is the last address shown.",
			Examples: []Example{
				{Setup: `mmap 4k rw; write $_ "hello"`, Line: "x/4xw $_", Shows: "four words"},
				{Setup: "demo hello", Line: "x/3i $pc", Shows: "instructions"},
			},
			Data: []view.Value{view.Examined{}}, Complete: []hint{hintAddr}, See: true, Repeats: true, Run: runExamine,
		},
		{
			Name: "print", Aliases: []string{"p"}, Group: "see memory", Synopsis: "[/F] EXPR", Summary: "the value of an expression",
			Examples: []Example{{Line: "print 2*8k", Shows: "16384"}, {Setup: "demo hello", Line: "print/x $rsp", Shows: "a register"}},
			Data:     []view.Value{view.Printed{}}, Complete: []hint{hintAddr}, Run: runPrint,
		},
		{
			Name: "hexdump", Group: "see memory", Synopsis: "[RANGE]", Summary: "bytes and characters, 16 a line",
			Help:     "An address alone means 128 bytes; nothing means the next 128.",
			Examples: []Example{{Setup: `mmap 4k rw; write $_ "hello"`, Line: "hexdump $_,32", Shows: "two lines"}},
			Data:     []view.Value{view.Bytes{}}, Complete: []hint{hintAddr}, See: true, Repeats: true, Run: runHexdump,
		},
		{
			Name: "string", Group: "see memory", Synopsis: "ADDR", Summary: "the NUL-terminated string at an address",
			Examples: []Example{{Setup: `mmap 4k rw; write $_ "hello"`, Line: "string $_", Shows: "hello"}},
			Data:     []view.Value{view.CString{}}, Complete: []hint{hintAddr}, See: true, Run: runString,
		},
		{
			Name: "regs", Group: "see memory", Summary: "the current thread's registers, and what they point to",
			Examples: []Example{{Setup: "demo hello", Line: "regs", Shows: "at the first instruction"}},
			Data:     []view.Value{view.Regs{}}, See: true, Run: runRegs,
		},
		{
			Name: "auxv", Group: "see memory", Summary: "the auxiliary vector that the program was given",
			Examples: []Example{{Setup: "demo hello", Line: "auxv", Shows: "AT_ENTRY, AT_PHDR, …"}},
			Data:     []view.Value{view.Auxv{}}, See: true, Run: runAuxv,
		},
		{
			Name: "disas", Aliases: []string{"disassemble", "nearpc"}, Group: "see memory", Synopsis: "[ADDR [N]]", Summary: "instructions in AT&T syntax, N of them (10)",
			Examples: []Example{{Setup: "demo hello", Line: "disas $pc 5", Shows: "the first five"}},
			Data:     []view.Value{view.Examined{}}, Complete: []hint{hintAddr}, See: true, Run: runDisas,
		},
	}
}

// windbg's spellings of x.
var dumps = map[string]lang.Format{
	"db": {Count: 64, Letter: 'x', Unit: 1}, "dd": {Count: 32, Letter: 'x', Unit: 4}, "dq": {Count: 16, Letter: 'x', Unit: 8},
}

// maxUnits bounds what one x shows.
const maxUnits = 1 << 16

func runExamine(c *call) (view.Value, error) {
	f, err := c.examineFormat()
	if err != nil {
		return nil, err
	}
	at := place{addr: c.s.examined}
	if text := c.cmd.Rest(1); text != "" {
		at, err = c.placeOf(text)
	} else {
		at.target, err = c.target(0)
	}
	if err != nil {
		return nil, err
	}
	if f.Count > maxUnits || f.Count < -maxUnits {
		return nil, fmt.Errorf("%d units are too many to show; at most %d", f.Count, maxUnits)
	}
	c.s.format = f
	v := view.Examined{PID: at.pid, Format: fmt.Sprintf("%d%c%c", f.Count, f.Letter, "?bh?w???g"[f.Unit]), Rows: []view.Unit{}}
	switch f.Letter {
	case 's':
		err = c.examineStrings(at, f, &v)
	case 'i':
		err = c.examineCode(at, f, &v)
	default:
		err = c.examineUnits(at, f, &v)
	}
	if err != nil && len(v.Rows) == 0 {
		return nil, err
	}
	return v, err
}

func (c *call) examineFormat() (lang.Format, error) {
	if f, ok := dumps[c.cmd.Name]; ok {
		return f, nil
	}
	last := c.s.format
	last.Count = 1
	return lang.ParseFormat(c.cmd.Slash, last)
}

func (c *call) examineUnits(at place, f lang.Format, v *view.Examined) error {
	start, n := at.addr, f.Count
	if n < 0 {
		n = -n
		start -= memmap.Addr(n * f.Unit)
	}
	perRow := unitsPerRow(f)
	for i := 0; i < n; i += perRow {
		row := view.Unit{Addr: view.Addr(start), Symbol: c.s.d.Symbol(at.proc, start)}
		for range min(perRow, n-i) {
			b := make([]byte, f.Unit)
			if got, err := c.s.d.Peek(at.pid, start, b); err != nil {
				return cannotRead(start+memmap.Addr(got), err)
			}
			bits := little(b)
			row.Values = append(row.Values, c.s.formatUnit(at, bits, f))
			c.s.vars["_"] = lang.At(start)
			start += memmap.Addr(f.Unit)
		}
		v.Rows = append(v.Rows, row)
	}
	c.yield(c.s.vars["_"])
	c.s.examined = start
	return nil
}

// cannotRead is gdb's "Cannot access memory" with the engine's reason.
func cannotRead(a memmap.Addr, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	return fmt.Errorf("%w: cannot read %v: %s", errno, a, withoutErrno(err.Error(), "", errno))
}

func unitsPerRow(f lang.Format) int {
	switch {
	case f.Letter == 't' && f.Unit > 1:
		return 2
	case f.Letter == 'a':
		return 2
	case f.Unit == 8:
		return 2
	case f.Unit == 4:
		return 4
	}
	return 8
}

func (s *Session) formatUnit(at place, bits uint64, f lang.Format) string {
	if f.Letter == 'a' {
		if sym := s.points(at.proc, memmap.Addr(bits)); sym != "" {
			return fmt.Sprintf("%#x <%s>", bits, sym)
		}
	}
	return formatBits(bits, f.Letter, f.Unit)
}

func (c *call) examineStrings(at place, f lang.Format, v *view.Examined) error {
	a := at.addr
	for range max(f.Count, 1) {
		text, cut, err := c.s.readString(at.pid, a)
		if err != nil {
			return cannotRead(a, err)
		}
		quoted := fmt.Sprintf("%q", text)
		if cut {
			quoted += "…"
		}
		v.Rows = append(v.Rows, view.Unit{Addr: view.Addr(a), Symbol: c.s.d.Symbol(at.proc, a), Values: []string{quoted}})
		c.set(lang.At(a))
		a += memmap.Addr(len(text) + 1)
	}
	c.s.examined = a
	return nil
}

func (c *call) examineCode(at place, f lang.Format, v *view.Examined) error {
	n := max(f.Count, 1)
	list := c.s.disassemble(at.proc, at.addr, n)
	if len(list) == 0 {
		var b [1]byte
		_, err := c.s.d.Peek(at.pid, at.addr, b[:])
		return cannotRead(at.addr, err)
	}
	for _, in := range list {
		v.Rows = append(v.Rows, view.Unit{Addr: view.Addr(in.addr), Symbol: in.symbol, Values: []string{in.text}})
		c.set(lang.At(in.addr))
		c.s.examined = in.addr + memmap.Addr(in.length)
	}
	return nil
}

func runDisas(c *call) (view.Value, error) {
	if err := c.count(0, 2); err != nil {
		return nil, err
	}
	at := place{}
	var err error
	switch {
	case len(c.args) > 0:
		at, err = c.place(0)
	default:
		at, err = c.placeOf("$pc")
	}
	if err != nil {
		return nil, err
	}
	n := lang.Int(10)
	if len(c.args) == 2 {
		if n, err = c.number(1); err != nil {
			return nil, err
		}
	}
	v := view.Examined{PID: at.pid, Format: fmt.Sprintf("%di", n.Int())}
	err = c.examineCode(at, lang.Format{Count: int(min(n.Bits, maxUnits)), Letter: 'i', Unit: 1}, &v)
	return v, err
}

func runPrint(c *call) (view.Value, error) {
	text := c.cmd.Rest(1)
	if text == "" {
		return nil, c.usage()
	}
	n, err := lang.Eval(c.env, text)
	if err != nil {
		return nil, err
	}
	c.yield(n)
	v := view.Printed{Expr: text, Value: n.String(), Bits: view.Addr(n.Bits)}
	if c.cmd.Slash == "" {
		return v, nil
	}
	f, err := lang.ParseFormat(c.cmd.Slash, lang.Format{Count: 1, Letter: 'x', Unit: 8})
	if err != nil {
		return nil, err
	}
	t, err := c.target(n.PID)
	switch {
	case f.Letter == 's':
		if err == nil {
			v.Value, _, err = c.s.readString(t.pid, n.Addr())
			v.Value = fmt.Sprintf("%q", v.Value)
		}
		return v, err
	case f.Letter == 'i' && err == nil:
		if list := c.s.disassemble(t.proc, n.Addr(), 1); len(list) == 1 {
			v.Value = list[0].text
			return v, nil
		}
		return nil, fmt.Errorf("%w: nothing to read at %v", unix.EFAULT, n.Addr())
	case f.Letter == 'a' && err == nil:
		v.Value = c.s.formatUnit(place{t, 0}, n.Bits, f)
		return v, nil
	}
	v.Value = formatBits(n.Bits, f.Letter, 8)
	return v, nil
}

func runHexdump(c *call) (view.Value, error) {
	var sp span
	var err error
	if len(c.args) == 0 {
		sp.target, err = c.target(0)
		sp.Start, sp.Length = c.s.dumped, 128
	} else {
		sp, err = c.onlySpan(lang.Lone128)
	}
	if err != nil {
		return nil, err
	}
	if sp.Length > maxUnits*16 {
		return nil, fmt.Errorf("%d bytes are too many to show; at most %d", sp.Length, maxUnits*16)
	}
	b := make([]byte, sp.Length)
	if got, err := c.s.d.Peek(sp.pid, sp.Start, b); err != nil {
		return nil, cannotRead(sp.Start+memmap.Addr(got), err)
	}
	c.s.dumped = sp.Start + memmap.Addr(sp.Length)
	return view.Bytes{PID: sp.pid, Addr: view.Addr(sp.Start), Hex: hex.EncodeToString(b), ASCII: view.Printable(b), Raw: b}, nil
}

// longestString is as much of a string as is shown.
const longestString = 4096

// readString reads up to a NUL.
func (s *Session) readString(pid int32, a memmap.Addr) (text string, cut bool, err error) {
	var out strings.Builder
	for out.Len() < longestString {
		part := make([]byte, min(memmap.PageSize-int(a.PageOffset()), longestString-out.Len()))
		if _, err := s.d.Peek(pid, a, part); err != nil {
			if out.Len() > 0 {
				return out.String(), true, nil
			}
			return "", false, err
		}
		if end := strings.IndexByte(string(part), 0); end >= 0 {
			out.Write(part[:end])
			return out.String(), false, nil
		}
		out.Write(part)
		a += memmap.Addr(len(part))
	}
	return out.String(), true, nil
}

func runString(c *call) (view.Value, error) {
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	at, err := c.place(0)
	if err != nil {
		return nil, err
	}
	text, cut, err := c.s.readString(at.pid, at.addr)
	if err != nil {
		return nil, cannotRead(at.addr, err)
	}
	return view.CString{PID: at.pid, Addr: view.Addr(at.addr), String: text, Cut: cut}, nil
}

func runRegs(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	return c.s.currentRegs()
}

func (s *Session) currentRegs() (view.Value, error) {
	t, err := s.d.Task(0)
	if err != nil {
		return nil, err
	}
	return view.Regs{PID: t.Process().PID(), TID: t.TID(), Regs: s.viewRegs(t.Process(), t.Regs(), &s.prevRegs)}, nil
}

func runAuxv(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	if t.proc.Image() == nil {
		return nil, errors.New("a blank process has no auxiliary vector")
	}
	v := view.Auxv{PID: t.pid}
	for _, e := range t.proc.Image().Auxv() {
		aux := view.Aux{Type: e.Type, Name: auxName(e.Type), Value: view.Addr(e.Value)}
		if e.Type == 15 || e.Type == 31 { // AT_PLATFORM, AT_EXECFN
			aux.Text, _, _ = c.s.readString(t.pid, memmap.Addr(e.Value))
		}
		v.Entries = append(v.Entries, aux)
	}
	return v, nil
}

var auxNames = map[uint64]string{
	2: "AT_EXECFD", 3: "AT_PHDR", 4: "AT_PHENT", 5: "AT_PHNUM", 6: "AT_PAGESZ", 7: "AT_BASE", 8: "AT_FLAGS", 9: "AT_ENTRY",
	11: "AT_UID", 12: "AT_EUID", 13: "AT_GID", 14: "AT_EGID", 15: "AT_PLATFORM", 16: "AT_HWCAP", 17: "AT_CLKTCK", 23: "AT_SECURE",
	24: "AT_BASE_PLATFORM", 25: "AT_RANDOM", 26: "AT_HWCAP2", 27: "AT_RSEQ_FEATURE_SIZE", 28: "AT_RSEQ_ALIGN", 29: "AT_HWCAP3",
	30: "AT_HWCAP4", 31: "AT_EXECFN", 33: "AT_SYSINFO_EHDR", 51: "AT_MINSIGSTKSZ",
}

func auxName(t uint64) string {
	if name, ok := auxNames[t]; ok {
		return name
	}
	return fmt.Sprintf("AT_%d", t)
}
