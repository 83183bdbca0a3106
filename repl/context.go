package repl

import (
	"fmt"

	"golang.org/x/arch/x86/x86asm"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry"
)

// rememberRegs takes the current thread's registers at a stop, so that the next
// one can show what changed.
func (s *Session) rememberRegs() {
	t, err := s.d.Task(0)
	if err != nil {
		return
	}
	s.prevRegs, s.regs = s.regs, *t.Regs()
}

// viewRegs shows r; what differs from before is marked.
func (s *Session) viewRegs(p *sentry.Process, r, before *platform.Regs) []view.Reg {
	var regs []view.Reg
	for _, name := range registers {
		v := *registerOf(r, name)
		regs = append(regs, view.Reg{
			Name: name, Value: view.Addr(v), Points: s.points(p, memmap.Addr(v)), Changed: v != *registerOf(before, name),
		})
	}
	return regs
}

// points says what an address leads to: a symbol, a named mapping; "" for a number.
func (s *Session) points(p *sentry.Process, a memmap.Addr) string {
	if a < memmap.PageSize {
		return ""
	}
	v, ok := findVMA(p, a)
	switch {
	case !ok:
		return ""
	case v.Perms.Execute:
		return s.d.Symbol(p, a)
	}
	return s.d.Place(p, a)
}

// shownRegs is how many of the registers a stop shows: not those of segments.
const shownRegs = 18

// viewContext is what a person sees at a stop: registers that changed, the next
// instructions, the top of the stack.
func (s *Session) viewContext() *view.Context {
	t, err := s.d.Task(0)
	if err != nil {
		return nil
	}
	p := t.Process()
	ctx := &view.Context{Regs: s.viewRegs(p, &s.regs, &s.prevRegs)[:shownRegs]}
	for _, in := range s.disassemble(p, memmap.Addr(s.regs.Rip), 4) {
		ctx.Code = append(ctx.Code, in.line())
	}
	for i := range 4 {
		a := memmap.Addr(s.regs.Rsp) + memmap.Addr(8*i)
		v, err := s.word(p.PID(), a)
		if err != nil {
			break
		}
		ctx.Stack = append(ctx.Stack, view.Unit{Addr: view.Addr(a), Values: []string{view.Addr(v).String()}, Symbol: s.points(p, memmap.Addr(v))})
	}
	return ctx
}

func (s *Session) word(pid int32, a memmap.Addr) (uint64, error) {
	var b [8]byte
	if _, err := s.d.Peek(pid, a, b[:]); err != nil {
		return 0, err
	}
	return little(b[:]), nil
}

func little(b []byte) uint64 {
	var v uint64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

// instruction is a decoded one.
type instruction struct {
	addr   memmap.Addr
	symbol string
	text   string
	length int
}

func (i instruction) line() string { return fmt.Sprintf("%v <%s>  %s", i.addr, i.symbol, i.text) }

// disassemble decodes n instructions from a on, as far as memory can be read.
func (s *Session) disassemble(p *sentry.Process, a memmap.Addr, n int) []instruction {
	var list []instruction
	for range n {
		var b [15]byte
		got, _ := s.d.Peek(p.PID(), a, b[:])
		if got == 0 {
			break
		}
		in := instruction{addr: a, symbol: s.d.Symbol(p, a), text: "(bad)", length: 1}
		if inst, err := x86asm.Decode(b[:got], 64); err == nil {
			in.text = x86asm.GNUSyntax(inst, uint64(a), func(target uint64) (string, uint64) { return s.symbolFor(p, target) })
			in.length = inst.Len
		}
		list = append(list, in)
		a += memmap.Addr(in.length)
	}
	return list
}

func (s *Session) symbolFor(p *sentry.Process, target uint64) (string, uint64) {
	if img := p.Image(); img != nil {
		if sym, ok := img.SymbolAt(memmap.Addr(target)); ok {
			return sym.Name, uint64(sym.Addr)
		}
	}
	return "", 0
}
