package repl

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/debugger"
)

// env implements lang.Env: what expressions see of one process.
type env struct {
	s   *Session
	pid int32 // 0: the current one
}

func (s *Session) env(pid int32) *env { return &env{s, pid} }

func (e *env) process() (*sentry.Process, error) { return e.s.d.Process(e.pid) }

// registers are the names of the general registers, in gdb's order.
var registers = []string{"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
	"r14", "r15", "rip", "eflags", "cs", "ss", "ds", "es", "fs", "gs", "fs_base", "gs_base"}

// registerOf returns where a register is kept; nil for a name that is none.
func registerOf(r *platform.Regs, name string) *uint64 {
	switch name {
	case "pc":
		name = "rip"
	case "sp":
		name = "rsp"
	case "fp":
		name = "rbp"
	}
	return map[string]*uint64{
		"rax": &r.Rax, "rbx": &r.Rbx, "rcx": &r.Rcx, "rdx": &r.Rdx, "rsi": &r.Rsi, "rdi": &r.Rdi, "rbp": &r.Rbp, "rsp": &r.Rsp,
		"r8": &r.R8, "r9": &r.R9, "r10": &r.R10, "r11": &r.R11, "r12": &r.R12, "r13": &r.R13, "r14": &r.R14, "r15": &r.R15,
		"rip": &r.Rip, "eflags": &r.Eflags, "cs": &r.Cs, "ss": &r.Ss, "ds": &r.Ds, "es": &r.Es, "fs": &r.Fs, "gs": &r.Gs,
		"fs_base": &r.Fs_base, "gs_base": &r.Gs_base,
	}[name]
}

// halves are the 32-bit names of registers.
var halves = map[string]string{"eax": "rax", "ebx": "rbx", "ecx": "rcx", "edx": "rdx", "esi": "rsi", "edi": "rdi", "ebp": "rbp",
	"esp": "rsp", "eip": "rip", "r8d": "r8", "r9d": "r9", "r10d": "r10", "r11d": "r11", "r12d": "r12", "r13d": "r13", "r14d": "r14", "r15d": "r15"}

// Register implements lang.Env.
func (e *env) Register(name string) (lang.Number, bool, error) {
	full, half := halves[name]
	if !half {
		full = name
	}
	if registerOf(&platform.Regs{}, full) == nil {
		return lang.Number{}, false, nil
	}
	t, err := e.s.d.Task(e.pid)
	if err != nil {
		return lang.Number{}, true, err
	}
	v := *registerOf(t.Regs(), full)
	if half {
		return lang.Int(int64(uint32(v))), true, nil
	}
	switch full {
	case "rip", "pc", "rsp", "sp", "rbp", "fp":
		return lang.At(memmap.Addr(v)), true, nil
	}
	return lang.Int(int64(v)), true, nil
}

// Variable implements lang.Env.
func (e *env) Variable(name string) (lang.Number, bool) {
	if name == "child" {
		if pid := e.s.d.Child(); pid != 0 {
			return lang.Int(int64(pid)), true
		}
		return lang.Number{}, false
	}
	v, ok := e.s.vars[name]
	return v, ok
}

// Symbol implements lang.Env.
func (e *env) Symbol(name string) (memmap.Addr, bool) {
	p, err := e.process()
	if err != nil || p.Image() == nil {
		return 0, false
	}
	sym, ok := p.Image().Symbol(name)
	return sym.Addr, ok
}

// Mapping implements lang.Env.
func (e *env) Mapping(name string) (memmap.AddrRange, bool) {
	p, err := e.process()
	if err != nil {
		return memmap.AddrRange{}, false
	}
	var found memmap.AddrRange
	ok := false
	for _, v := range debugger.VMAs(p, debugger.All) {
		if !named(v, name) {
			continue
		}
		if !ok {
			found, ok = v.AR, true
		}
		found.End = v.AR.End
	}
	return found, ok
}

var version = regexp.MustCompile(`(-[0-9.]+)?\.so([.0-9]*)$`)

// named reports whether a mapping answers to name: its whole name, the file's
// base name, or that without its version.
func named(v mm.VMAInfo, name string) bool {
	if v.Name == "" {
		return false
	}
	base := path.Base(v.Name)
	return v.Name == name || base == name || version.ReplaceAllString(base, "") == name
}

// Row implements lang.Env.
func (e *env) Row(n uint64) (memmap.AddrRange, error) {
	p, err := e.process()
	if err != nil {
		return memmap.AddrRange{}, err
	}
	rows := e.s.rows[p.PID()]
	switch {
	case len(rows) == 0:
		return memmap.AddrRange{}, fmt.Errorf("vma:%d counts the rows of the last `vmas` of process %d, and there was none", n, p.PID())
	case n == 0 || n > uint64(len(rows)):
		return memmap.AddrRange{}, fmt.Errorf("vma:%d: the last `vmas` of process %d had %d rows", n, p.PID(), len(rows))
	}
	r := rows[n-1]
	for _, v := range debugger.VMAs(p, memmap.AddrRange{Start: r.ar.Start, End: r.ar.Start + 1}) {
		if v.Origin.Event == r.origin {
			return v.AR, nil
		}
	}
	return memmap.AddrRange{}, fmt.Errorf("vma:%d was %v, and that mapping is gone", n, r.ar)
}

// Read implements lang.Env.
func (e *env) Read(a memmap.Addr, p []byte) error {
	_, err := e.s.d.Peek(e.pid, a, p)
	return err
}

// Process implements lang.Env.
func (e *env) Process(pid int) (lang.Env, error) {
	if _, err := e.s.d.Process(int32(pid)); err != nil {
		return nil, err
	}
	return &env{e.s, int32(pid)}, nil
}

// Names implements lang.Env.
func (e *env) Names(sort lang.NameSort) []string {
	var names []string
	switch sort {
	case lang.RegisterNames:
		return registers
	case lang.VariableNames:
		for name := range e.s.vars {
			names = append(names, name)
		}
	case lang.SymbolNames:
		if p, err := e.process(); err == nil && p.Image() != nil {
			for _, sym := range p.Image().Symbols() {
				names = append(names, sym.Name)
			}
		}
	case lang.MappingNames:
		if p, err := e.process(); err == nil {
			names = mappingNames(p)
		}
	}
	return names
}

// mappingNames returns the names that mappings answer to.
func mappingNames(p *sentry.Process) []string {
	var names []string
	seen := map[string]bool{"": true}
	for _, v := range debugger.VMAs(p, debugger.All) {
		name := v.Name
		if !strings.HasPrefix(name, "[") {
			name = path.Base(name)
		}
		if v.Name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}
