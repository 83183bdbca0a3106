package ptrace

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// movabs returns mov reg, imm64 for one of the first eight registers.
func movabs(reg byte, v uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x48, 0xb8 + reg}, v)
}

// The numbers of registers in instructions.
const (
	rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi = 0, 1, 2, 3, 4, 5, 6, 7
)

// exception is an Exception stop.
func exception(sig unix.Signal, code int32, addr memmap.Addr) platform.Stop {
	return platform.Stop{Kind: platform.Exception, Signal: sig, Code: code, Addr: addr}
}

// fault is a Fault stop.
func fault(at memmap.AccessType, code int32, addr memmap.Addr) platform.Stop {
	return platform.Stop{Kind: platform.Fault, Signal: unix.SIGSEGV, Access: at, Code: code, Addr: addr}
}

func TestExceptionsGoToTheGuestAsTheHostRaisedThem(t *testing.T) {
	p := testPlatform(t)
	const ill, fpeDiv, fpeOver = 2, 1, 0x80 // ILL_ILLOPN, FPE_INTDIV, SI_KERNEL
	for _, c := range []struct {
		name string
		code []byte
		want platform.Stop
	}{
		{"ud2", []byte{0x0f, 0x0b}, exception(unix.SIGILL, ill, codeAt)},
		{"divide by zero", []byte{0x31, 0xc9, 0xf7, 0xf1}, exception(unix.SIGFPE, fpeDiv, codeAt+2)},
		{"int3", []byte{0xcc}, exception(unix.SIGTRAP, siKernel, 0)},
		{"hlt", []byte{0xf4}, exception(unix.SIGSEGV, siKernel, 0)},
		{"cli", []byte{0xfa}, exception(unix.SIGSEGV, siKernel, 0)},
		{"non-canonical load", assemble(movabs(rax, 0x8000_0000_0000_0000), []byte{0x8b, 0x00}), exception(unix.SIGSEGV, siKernel, 0)},
		{"non-canonical push", assemble(movabs(rsp, 0x8000_0000_0000_0000), []byte{0x50}), exception(unix.SIGBUS, siKernel, 0)},
		{"non-canonical jump", assemble(movabs(rax, 0x8000_0000_0000_0000), []byte{0xff, 0xe0}), exception(unix.SIGSEGV, siKernel, 0)},
		{"unaligned movaps", assemble(movabs(rax, uint64(dataAt)+1), []byte{0x0f, 0x28, 0x00}), exception(unix.SIGSEGV, siKernel, 0)},
		{"own single step", []byte{0x9c, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9d, 0x90, 0x90}, // pushf; or [rsp], 0x100; popf; nop; nop
			exception(unix.SIGTRAP, trapTrace, codeAt+10)},
	} {
		t.Run(c.name, func(t *testing.T) { newGuest(t, p, c.code...).expect(c.want) })
	}
}

func TestBusErrorBeyondTheFilesEnd(t *testing.T) {
	p, short := testPlatform(t), newMemFile(t, 0)
	for at, code := range map[memmap.AccessType][]byte{memmap.Read: {0x8b, 0x00}, memmap.Write: {0x89, 0x00}, memmap.Execute: {0xff, 0xe0}} {
		g := newGuest(t, p, assemble(movabs(rax, 0x700000), code)...)
		g.apply(platform.MapOp{AR: page(0x700000), File: short, At: memmap.AnyAccess})
		want := exception(unix.SIGBUS, busAdrErr, 0x700000)
		want.Access = at
		g.expect(want)
	}
}

func TestOldCallsStopWithoutBeingExecuted(t *testing.T) {
	p := testPlatform(t)
	t.Run("int 0x80", func(t *testing.T) {
		g := newGuest(t, p, 0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0x0f, 0x0b) // mov eax, 20 (getpid); int 0x80
		g.expect(platform.Stop{Kind: platform.Syscall32})
		if g.regs.Orig_rax != 20 || g.regs.Rax != ^uint64(37) || g.regs.Rip != uint64(codeAt)+7 {
			t.Errorf("orig_rax %d, rax %#x, rip %#x", g.regs.Orig_rax, g.regs.Rax, g.regs.Rip)
		}
	})
	t.Run("int 0x80 with a faked rcx", func(t *testing.T) {
		g := newGuest(t, p, 0x48, 0x8d, 0x0d, 0x07, 0, 0, 0, // lea rcx, [behind the call]
			0xb8, 1, 0, 0, 0, 0xcd, 0x80, 0x0f, 0x0b) // mov eax, 1 (exit); int 0x80
		g.expect(platform.Stop{Kind: platform.Syscall})
		g.expect(exception(unix.SIGILL, 2, codeAt+14))
	})
	t.Run("sysenter", func(t *testing.T) {
		g := newGuest(t, p, 0xb8, 1, 0, 0, 0, 0x0f, 0x34)
		stop := g.run()
		// Not every processor has it in 64-bit mode.
		if stop.Kind != platform.Compat && stop.Signal != unix.SIGILL {
			t.Errorf("stop %v", stop)
		}
	})
	t.Run("far return", func(t *testing.T) {
		code := assemble(movabs(rax, 0x23), []byte{0x50}, movabs(rax, uint64(codeAt)+0x20), []byte{0x50, 0x48, 0xcb})
		g := newGuest(t, p, append(code, bytes.Repeat([]byte{0xcd, 0x80}, 0x10)...)...) // there: int 0x80
		if stop := g.run(); stop.Kind != platform.Compat {
			t.Errorf("stop %v", stop)
		}
	})
	t.Run("vsyscall", func(t *testing.T) {
		const time = 0xffffffffff600400
		code := assemble(movabs(rax, time), movabs(rdi, 0), []byte{0xff, 0xd0, 0x0f, 0x0b})
		g := newGuest(t, p, code...)
		g.expect(platform.Stop{Kind: platform.Vsyscall})
		if back := uint64(codeAt) + 22; g.regs.Orig_rax != unix.SYS_TIME || g.regs.Rip != back || g.regs.Rsp != stackPointer {
			t.Errorf("orig_rax %d rip %#x rsp %#x, want %d %#x %#x", g.regs.Orig_rax, g.regs.Rip, g.regs.Rsp, unix.SYS_TIME, back, stackPointer)
		}
		g.regs.Rax = 12345
		g.expect(exception(unix.SIGILL, 2, codeAt+22))
		if g.regs.Rax != 12345 {
			t.Errorf("rax %d, want the answer", g.regs.Rax)
		}
	})
}

func TestFaultsTellWhatWasTried(t *testing.T) {
	p := testPlatform(t)
	const hole = dataAt + memmap.PageSize // the page behind the data
	at := func(reg byte, a memmap.Addr) []byte { return movabs(reg, uint64(a)) }
	for _, c := range []struct {
		name string
		code []byte
		want memmap.AccessType
		addr memmap.Addr
	}{
		{"mov load", assemble(at(rax, hole), []byte{0x8b, 0x00}), memmap.Read, hole},
		{"mov store", assemble(at(rax, hole), []byte{0x89, 0x00}), memmap.Write, hole},
		{"add to memory", assemble(at(rax, hole), []byte{0x01, 0x00}), memmap.Write, hole},
		{"add from memory", assemble(at(rax, hole), []byte{0x03, 0x00}), memmap.Read, hole},
		{"cmp", assemble(at(rax, hole), []byte{0x39, 0x00}), memmap.Read, hole},
		{"test", assemble(at(rax, hole), []byte{0x85, 0x00}), memmap.Read, hole},
		{"xchg", assemble(at(rax, hole), []byte{0x87, 0x08}), memmap.Write, hole},
		{"lock cmpxchg", assemble(at(rdx, hole), []byte{0xf0, 0x0f, 0xb1, 0x0a}), memmap.Write, hole},
		{"sete", assemble(at(rax, hole), []byte{0x0f, 0x94, 0x00}), memmap.Write, hole},
		{"div", assemble(at(rax, hole), []byte{0xf7, 0x30}), memmap.Read, hole},
		{"neg", assemble(at(rax, hole), []byte{0xf7, 0x18}), memmap.Write, hole},
		{"store across pages", assemble(at(rax, hole-2), []byte{0x89, 0x00}), memmap.Write, hole},
		{"store through gs", assemble(at(rax, hole-0x10), []byte{0x65, 0x89, 0x40, 0x10}), memmap.Write, hole},
		{"push", assemble(at(rsp, hole+8), []byte{0x50}), memmap.Write, hole},
		{"push at a guard", assemble(at(rsp, stackAt-memmap.PageSize), []byte{0x50}), memmap.Write, stackAt - memmap.PageSize - 8},
		{"push from memory", assemble(at(rax, hole), []byte{0xff, 0x30}), memmap.Read, hole},
		{"pop", assemble(at(rsp, hole), []byte{0x58}), memmap.Read, hole},
		{"pop to memory", assemble(at(rax, hole), []byte{0x8f, 0x00}), memmap.Write, hole},
		{"ret", assemble(at(rsp, hole), []byte{0xc3}), memmap.Read, hole},
		{"call", assemble(at(rsp, hole+8), []byte{0xe8, 0, 0, 0, 0}), memmap.Write, hole},
		{"call through memory", assemble(at(rax, hole), []byte{0xff, 0x10}), memmap.Read, hole},
		{"jump", assemble(at(rax, hole), []byte{0xff, 0xe0}), memmap.Execute, hole},
		{"movups load", assemble(at(rax, hole), []byte{0x0f, 0x10, 0x00}), memmap.Read, hole},
		{"movups store", assemble(at(rax, hole), []byte{0x0f, 0x11, 0x00}), memmap.Write, hole},
		{"movntdq", assemble(at(rax, hole), []byte{0x66, 0x0f, 0xe7, 0x00}), memmap.Write, hole},
		{"vmovups load", assemble(at(rax, hole), []byte{0xc5, 0xfc, 0x10, 0x00}), memmap.Read, hole},
		{"vmovups store", assemble(at(rax, hole), []byte{0xc5, 0xfc, 0x11, 0x00}), memmap.Write, hole},
		{"fld", assemble(at(rax, hole), []byte{0xd9, 0x00}), memmap.Read, hole},
		{"fstp", assemble(at(rax, hole), []byte{0xd9, 0x18}), memmap.Write, hole},
		{"stosb", assemble(at(rdi, hole), []byte{0xaa}), memmap.Write, hole},
		{"lodsb", assemble(at(rsi, hole), []byte{0xac}), memmap.Read, hole},
		{"rep movsb, source missing", assemble(at(rcx, 64), at(rsi, hole-32), at(rdi, dataAt), []byte{0xf3, 0xa4}), memmap.Read, hole},
		{"rep movsb, target missing", assemble(at(rcx, 64), at(rsi, dataAt), at(rdi, hole-32), []byte{0xf3, 0xa4}), memmap.Write, hole},
		{"rep movsq downwards, source missing", assemble([]byte{0xfd}, at(rcx, 8), at(rsi, dataAt), at(rdi, dataAt+0x800), []byte{0xf3, 0x48, 0xa5}), memmap.Read, dataAt - 8},
		{"rep movsq downwards, target missing", assemble([]byte{0xfd}, at(rcx, 8), at(rsi, dataAt+0x800), at(rdi, dataAt), []byte{0xf3, 0x48, 0xa5}), memmap.Write, dataAt - 8},
		{"rep cmpsb", assemble(at(rcx, 64), at(rsi, dataAt), at(rdi, hole-8), []byte{0xf3, 0xa6}), memmap.Read, hole},
		{"a kernel address", assemble(at(rax, 0xffff_8000_0000_0000), []byte{0x8b, 0x00}), memmap.Read, 0xffff_8000_0000_0000},
	} {
		t.Run(c.name, func(t *testing.T) {
			newGuest(t, p, c.code...).expect(fault(c.want, segvMapErr, c.addr))
		})
	}
}

func TestFaultsOnMappedPagesAreWritesOrFetches(t *testing.T) {
	p := testPlatform(t)
	t.Run("store to a read-only page", func(t *testing.T) {
		g := newGuest(t, p, assemble(movabs(rax, uint64(codeAt)), []byte{0x89, 0x00})...)
		g.expect(fault(memmap.Write, segvAccErr, codeAt))
	})
	t.Run("jump to data", func(t *testing.T) {
		g := newGuest(t, p, assemble(movabs(rax, uint64(dataAt)+8), []byte{0xff, 0xe0})...)
		g.expect(fault(memmap.Execute, segvAccErr, dataAt+8))
	})
	t.Run("an instruction that goes on in a page of data", func(t *testing.T) {
		g := newGuest(t, p)
		g.file.write(t, []byte{0xb8, 1}, codeOff+0xffe) // mov eax, …
		g.mapAt(codeAt+memmap.PageSize, dataOff, memmap.Read)
		g.regs.Rip = uint64(codeAt) + 0xffe
		g.expect(fault(memmap.Execute, segvAccErr, codeAt+memmap.PageSize))
	})
	t.Run("an instruction that goes on where nothing is", func(t *testing.T) {
		g := newGuest(t, p)
		g.file.write(t, []byte{0xb8, 1}, codeOff+0xffe)
		g.regs.Rip = uint64(codeAt) + 0xffe
		g.expect(fault(memmap.Execute, segvMapErr, codeAt+memmap.PageSize))
	})
	t.Run("a load by the last instruction of a page", func(t *testing.T) {
		g := newGuest(t, p)
		g.file.write(t, assemble(movabs(rax, uint64(codeAt)+0x1000), []byte{0x8b, 0x00}), codeOff+0xff4)
		g.regs.Rip = uint64(codeAt) + 0xff4
		g.expect(fault(memmap.Read, segvMapErr, codeAt+memmap.PageSize))
	})
}

func TestTheStubsPagesAreNotTheGuests(t *testing.T) {
	p := testPlatform(t)
	stub := p.at.stubRange()
	jump := func(off memmap.Addr) []byte { return assemble(movabs(rax, uint64(stub.Start+off)), []byte{0xff, 0xe0}) }
	text := codePage()
	callOff := memmap.Addr(bytes.Index(text, syscallInsn))
	trapOff := memmap.Addr(bytes.IndexByte(text, int3))
	t.Run("call from the stub's code", func(t *testing.T) {
		g := newGuest(t, p, jump(callOff)...)
		g.expect(fault(memmap.Execute, segvMapErr, stub.Start+callOff+2))
		g.expect(fault(memmap.Execute, segvMapErr, stub.Start+callOff+2)) // and again
	})
	t.Run("trap in the stub's code", func(t *testing.T) {
		newGuest(t, p, jump(trapOff)...).expect(fault(memmap.Execute, segvMapErr, stub.Start+trapOff+1))
	})
	t.Run("its batch loop with slots elsewhere", func(t *testing.T) {
		g := newGuest(t, p, jump(0)...)
		g.regs.Rbx, g.regs.R12, g.regs.R13 = doBatch, 0, 1
		if stop := g.run(); stop.Kind != platform.Fault || stop.Access != memmap.Execute || !stub.Contains(stop.Addr) {
			t.Errorf("stop %v", stop)
		}
	})
	t.Run("execute the slots", func(t *testing.T) {
		newGuest(t, p, jump(codeSize)...).expect(fault(memmap.Execute, segvMapErr, stub.Start+codeSize))
	})
	for _, a := range []memmap.Addr{stub.Start, stub.Start + codeSize, stub.End - 8} {
		t.Run("store to "+a.String(), func(t *testing.T) {
			newGuest(t, p, assemble(movabs(rax, uint64(a)), []byte{0x89, 0x00})...).expect(fault(memmap.Write, segvMapErr, a))
		})
	}
	t.Run("step into the stub's code", func(t *testing.T) {
		g := newGuest(t, p, jump(callOff)...)
		for range 2 {
			if stop, err := g.Step(&g.regs); err != nil || stop.Kind != platform.Stepped {
				t.Fatalf("stop %v, %v", stop, err)
			}
		}
		if stop, err := g.Step(&g.regs); err != nil || stop != fault(memmap.Execute, segvMapErr, stub.Start+callOff) {
			t.Errorf("stop %v, %v", stop, err)
		}
	})
}
