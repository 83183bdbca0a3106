package ptrace

import (
	"unsafe"

	"golang.org/x/arch/x86/x86asm"
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// maxInsn is the longest instruction, in bytes.
const maxInsn = 15

// access returns what the guest tried at the address of a SIGSEGV. ptrace does
// not show the processor's error code, so it is found in other ways:
//
//   - Data on a page that is mapped can always be read (mappings are made with
//     AccessType.Effective), so SEGV_ACCERR is a write, or a fetch.
//   - Where nothing is mapped, the instruction tells. One that cannot be decoded
//     counts as a read: if it was a write, SEGV_ACCERR follows.
//   - An instruction may go on in the next page, and so be fetched from there.
func (c *Context) access(si *signalInfo) memmap.AccessType {
	switch {
	case si.Addr == c.hw.Rip:
		return memmap.Execute
	case si.Code == segvAccErr && !c.straddles(si):
		return memmap.Write
	}
	return c.decoded(si)
}

// straddles reports whether the address may be where the instruction goes on in the
// next page.
func (c *Context) straddles(si *signalInfo) bool {
	next := uint64(memmap.Addr(c.hw.Rip).Page().End)
	return si.Addr == next && next < c.hw.Rip+maxInsn
}

// attempt is access for a SIGBUS, whose code tells nothing: the page is mapped, and
// cannot be had.
func (c *Context) attempt(si *signalInfo) memmap.AccessType {
	if si.Addr == c.hw.Rip {
		return memmap.Execute
	}
	return c.decoded(&signalInfo{Code: segvMapErr, Addr: si.Addr})
}

// decoded is access by what the instruction says.
func (c *Context) decoded(si *signalInfo) memmap.AccessType {
	rip := c.hw.Rip
	next := uint64(memmap.Addr(rip).Page().End)
	code := c.codeAt(rip)
	inst, err := x86asm.Decode(code, 64)
	known := err == nil && inst.Op != 0 // a truncated one has neither error nor Op
	end := rip + uint64(len(code))
	var ops []operand
	if known {
		end = rip + uint64(inst.Len)
		ops = operands(&inst, &c.hw)
	}
	switch {
	case c.straddles(si) && isFetch(next, end, known, ops):
		return memmap.Execute
	case si.Code == segvAccErr || writes(ops, si.Addr):
		return memmap.Write
	}
	return memmap.Read
}

// isFetch reports whether a fault at next, where the page behind an instruction's
// begins, was the fetch of the instruction, which ends at end. If the
// instruction is not known, end is how far it could be read: not into that page,
// if nothing is mapped there.
func isFetch(next, end uint64, known bool, ops []operand) bool {
	if !known {
		return end <= next
	}
	for _, op := range ops {
		if op.covers(next) {
			return false
		}
	}
	return end > next
}

// codeAt returns up to maxInsn bytes at rip, as many as are mapped.
func (c *Context) codeAt(rip uint64) []byte {
	var b [maxInsn]byte
	first := min(maxInsn, int(uint64(memmap.Addr(rip).Page().End)-rip))
	local := unix.Iovec{Base: &b[0], Len: maxInsn}
	remote := [2]unix.RemoteIovec{{Base: uintptr(rip), Len: first}, {Base: uintptr(rip) + uintptr(first), Len: maxInsn - first}}
	n, _, e := unix.RawSyscall6(unix.SYS_PROCESS_VM_READV, uintptr(c.pid), uintptr(unsafe.Pointer(&local)), 1,
		uintptr(unsafe.Pointer(&remote)), uintptr(len(remote)), 0)
	if e != 0 {
		return nil
	}
	return b[:n]
}

// operand is a piece of memory that an instruction uses.
type operand struct {
	addr, size uint64
	written    bool
}

func (o operand) covers(a uint64) bool { return a-o.addr < o.size }

// writes reports whether an instruction with the operands ops that faulted at
// addr writes there. A single operand's address need not be compared (bts and
// vector code may reach beyond what the operand says).
func writes(ops []operand, addr uint64) bool {
	if len(ops) == 1 {
		return ops[0].written
	}
	for _, op := range ops {
		if op.covers(addr) {
			return op.written
		}
	}
	return false
}

// operands returns the memory that inst uses with registers r, before it has
// changed them.
func operands(inst *x86asm.Inst, r *Regs) []operand {
	var ops []operand
	for i, arg := range inst.Args {
		m, ok := arg.(x86asm.Mem)
		if !ok || inst.Op == x86asm.LEA {
			continue
		}
		written := i == 0 && !onlyReads(inst.Op) || inst.Op == x86asm.XCHG
		ops = append(ops, operand{effective(inst, m, r), operandSize(inst), written})
	}
	switch inst.Op {
	case x86asm.PUSH, x86asm.CALL, x86asm.LCALL, x86asm.PUSHF, x86asm.PUSHFQ, x86asm.ENTER:
		const deepest = 16 // a far call's two words
		ops = append(ops, operand{r.Rsp - deepest, deepest, true})
	case x86asm.POP, x86asm.RET, x86asm.LRET, x86asm.POPF, x86asm.POPFQ:
		ops = append(ops, operand{r.Rsp, 16, false})
	case x86asm.LEAVE:
		ops = append(ops, operand{r.Rbp, 8, false})
	case x86asm.MASKMOVQ, x86asm.MASKMOVDQU:
		ops = append(ops, operand{r.Rdi, 16, true})
	}
	return ops
}

// operandSize returns how many bytes inst uses at each of its operands. The decoder
// leaves it open for strings, whose elements have at most 8, and for whole
// register files, which are alone in their instruction.
func operandSize(inst *x86asm.Inst) uint64 {
	if inst.MemBytes == 0 {
		return 8
	}
	return uint64(inst.MemBytes)
}

// effective returns the address of operand m.
func effective(inst *x86asm.Inst, m x86asm.Mem, r *Regs) uint64 {
	a := uint64(m.Disp)
	if m.Base == x86asm.RIP {
		a += r.Rip + uint64(inst.Len)
	} else if m.Base != 0 {
		a += register(m.Base, r)
	}
	if m.Index != 0 {
		a += register(m.Index, r) * uint64(m.Scale)
	}
	if inst.AddrSize == 32 {
		a = uint64(uint32(a))
	}
	switch m.Segment {
	case x86asm.FS:
		a += r.Fs_base
	case x86asm.GS:
		a += r.Gs_base
	}
	return a
}

// register returns the value of a 64- or 32-bit general register.
func register(reg x86asm.Reg, r *Regs) uint64 {
	all := [...]uint64{
		r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi,
		r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15,
	}
	switch {
	case reg >= x86asm.RAX && reg <= x86asm.R15:
		return all[reg-x86asm.RAX]
	case reg >= x86asm.EAX && reg <= x86asm.R15L:
		return uint64(uint32(all[reg-x86asm.EAX]))
	}
	return 0
}

// onlyReads reports whether an instruction with op only reads its first operand
// if that is memory.
func onlyReads(op x86asm.Op) bool {
	switch op {
	case x86asm.CMP, x86asm.TEST, x86asm.BT, x86asm.BOUND,
		x86asm.MUL, x86asm.IMUL, x86asm.DIV, x86asm.IDIV,
		x86asm.PUSH, x86asm.CALL, x86asm.LCALL, x86asm.JMP, x86asm.LJMP,
		x86asm.CMPSB, x86asm.CMPSW, x86asm.CMPSD, x86asm.CMPSQ,
		x86asm.SCASB, x86asm.SCASW, x86asm.SCASD, x86asm.SCASQ,
		x86asm.LODSB, x86asm.LODSW, x86asm.LODSD, x86asm.LODSQ,
		x86asm.XLATB, x86asm.NOP, x86asm.PREFETCHNTA, x86asm.PREFETCHT0, x86asm.PREFETCHT1, x86asm.PREFETCHT2, x86asm.PREFETCHW,
		x86asm.CLFLUSH, x86asm.INVLPG, x86asm.VERR, x86asm.VERW,
		x86asm.LDMXCSR, x86asm.VLDMXCSR, x86asm.FXRSTOR, x86asm.FXRSTOR64, x86asm.XRSTOR, x86asm.XRSTOR64,
		x86asm.COMISS, x86asm.COMISD, x86asm.UCOMISS, x86asm.UCOMISD, x86asm.PTEST,
		x86asm.FADD, x86asm.FBLD, x86asm.FCOM, x86asm.FCOMP, x86asm.FDIV, x86asm.FDIVR,
		x86asm.FIADD, x86asm.FICOM, x86asm.FICOMP, x86asm.FIDIV, x86asm.FIDIVR, x86asm.FILD,
		x86asm.FIMUL, x86asm.FISUB, x86asm.FISUBR, x86asm.FLD, x86asm.FLDCW, x86asm.FLDENV,
		x86asm.FMUL, x86asm.FRSTOR, x86asm.FSUB, x86asm.FSUBR:
		return true
	}
	return false
}
