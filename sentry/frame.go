package sentry

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
)

// What a handler finds on its stack is Linux's struct rt_sigframe for x86-64:
// programs read and write it (longjmp-like switches, Go's preemption), unwinders
// walk it, sigreturn trusts it.
type rtSigframe struct {
	Return  uint64 // the restorer: where the handler returns to
	Context ucontext
	Info    [128]byte // siginfo_t
}

// bytes is f as it lies in memory, which is as Linux has it: the same processor runs
// guests and us.
func (f *rtSigframe) bytes() *[frameSize]byte {
	return (*[unsafe.Sizeof(*f)]byte)(unsafe.Pointer(f))
}

type ucontext struct {
	Flags uint64
	Link  uint64
	Stack stackT
	Regs  sigcontext
	Mask  uint64
}

type stackT struct {
	SP    uint64
	Flags int32
	_     int32
	Size  uint64
}

type sigcontext struct {
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	Rdi, Rsi, Rbp, Rbx, Rdx, Rax, Rcx, Rsp uint64
	Rip, Eflags                            uint64
	Cs, Gs, Fs, Ss                         uint16
	Err, TrapNo, OldMask, CR2, FPState     uint64
	_                                      [8]uint64
}

const (
	frameSize = 440 // of rtSigframe
	redZone   = 128 // bytes below rsp that belong to the program, System V ABI

	// uc_flags: the frame has XSAVE state, ss is saved, and is to be restored.
	ucFPXState        = 1
	ucSigcontextSS    = 2
	ucStrictRestoreSS = 4

	userCS = 0x33
	userSS = 0x2b

	flagTrap      = 1 << 8
	flagDirection = 1 << 10
	flagResume    = 1 << 16
	// sigreturn restores these bits of eflags: AC, OF, DF, TF, SF, ZF, AF, PF, CF, RF.
	flagsRestored = 1<<18 | 1<<11 | flagDirection | flagTrap | 1<<7 | 1<<6 | 1<<4 | 1<<2 | 1<<0 | flagResume
)

// pushFrame writes the frame of a handler for info and points the registers at
// the handler.
func (t *Task) pushFrame(info *SigInfo, act SigAction) error {
	full, err := t.ctx.FPState()
	if err != nil {
		return err
	}
	vector := frameXState(full)
	sp, vectorAt, err := t.framePlace(act, len(vector))
	if err != nil {
		return err
	}
	frame := t.makeFrame(info, act, vectorAt)
	if err := t.writeFrame(sp, frame, vectorAt, vector); err != nil {
		return err
	}
	if t.alt.Flags&ssAutoDisarm != 0 {
		t.alt = SigStack{Flags: ssDisable}
	}
	if err := t.ctx.SetFPState(initialXState(len(full))); err != nil {
		return err
	}
	enterHandler(&t.regs, sp, info.Signal, act.Handler)
	return nil
}

// framePlace returns where a frame and vector state of n bytes go.
func (t *Task) framePlace(act SigAction, n int) (sp, vector memmap.Addr, err error) {
	at := memmap.Addr(t.regs.Rsp) - redZone
	onAlt := t.alt.Size != 0 && t.alt.contains(memmap.Addr(t.regs.Rsp))
	if act.Flags&saOnStack != 0 && t.alt.Size != 0 && !t.alt.contains(at) {
		at = t.alt.SP + memmap.Addr(t.alt.Size)
		onAlt = true
	}
	vector = (at - memmap.Addr(n)) &^ 63
	sp = (vector-frameSize)&^15 - 8
	if onAlt && (sp <= t.alt.SP || uint64(sp-t.alt.SP) > t.alt.Size) {
		return 0, 0, fmt.Errorf("the signal stack at %v is full", t.alt.SP)
	}
	return sp, vector, nil
}

// makeFrame returns the frame of a handler for info.
func (t *Task) makeFrame(info *SigInfo, act SigAction, vector memmap.Addr) *rtSigframe {
	mask := t.SigMask()
	if t.restoring {
		mask = t.savedMask
	}
	r := &t.regs
	return &rtSigframe{
		Return: act.Restorer,
		Info:   info.encode(),
		Context: ucontext{
			Flags: ucFPXState | ucSigcontextSS | ucStrictRestoreSS,
			Stack: stackT{SP: uint64(t.alt.SP), Flags: t.alt.Flags, Size: t.alt.Size},
			Mask:  uint64(mask),
			Regs: sigcontext{
				R8: r.R8, R9: r.R9, R10: r.R10, R11: r.R11, R12: r.R12, R13: r.R13, R14: r.R14, R15: r.R15,
				Rdi: r.Rdi, Rsi: r.Rsi, Rbp: r.Rbp, Rbx: r.Rbx, Rdx: r.Rdx, Rax: r.Rax, Rcx: r.Rcx, Rsp: r.Rsp,
				Rip: r.Rip, Eflags: r.Eflags,
				Cs: userCS, Ss: userSS,
				Err: t.trapErr, TrapNo: t.trapNo, OldMask: uint64(mask), CR2: t.cr2,
				FPState: uint64(vector),
			},
		},
	}
}

// writeFrame copies frame and vector state to the guest's stack.
func (t *Task) writeFrame(sp memmap.Addr, frame *rtSigframe, vectorAt memmap.Addr, vector []byte) error {
	by := t.actorBy(memmap.ByKernel, "signal frame")
	if _, err := t.mm.CopyOut(by, vectorAt, vector, mm.IOOpts{}); err != nil {
		return err
	}
	_, err := t.mm.CopyOut(by, sp, frame.bytes()[:], mm.IOOpts{})
	return err
}

// enterHandler makes r what a handler starts with.
func enterHandler(r *platform.Regs, sp memmap.Addr, sig int32, handler uint64) {
	r.Rdi = uint64(sig)
	r.Rsi = uint64(sp) + frameSize - 128 // the siginfo
	r.Rdx = uint64(sp) + 8               // the ucontext
	r.Rax = 0
	r.Rip = handler
	r.Rsp = uint64(sp)
	r.Cs, r.Ss = userCS, userSS
	r.Eflags &^= flagDirection | flagResume | flagTrap
}

// encode returns i as a siginfo_t: the fields behind the first three words are a
// union, which the signal and the code choose from.
func (i *SigInfo) encode() (b [128]byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(i.Signal))
	le.PutUint32(b[4:], uint32(i.Errno))
	le.PutUint32(b[8:], uint32(i.Code))
	switch {
	case i.Code > 0 && synchronous.Has(i.Signal):
		le.PutUint64(b[16:], uint64(i.Addr))
	default:
		le.PutUint32(b[16:], uint32(i.PID))
		le.PutUint32(b[20:], i.UID)
		if i.Code > 0 && i.Signal == int32(unix.SIGCHLD) {
			le.PutUint32(b[24:], uint32(i.Status))
		} else {
			le.PutUint64(b[24:], i.Value)
		}
	}
	return b
}

// Encode returns i as the siginfo_t that guests read (sigtimedwait, waitid).
func (i *SigInfo) Encode() []byte {
	b := i.encode()
	return b[:]
}

// SigReturn undoes a delivery: registers, vector state and mask come from the
// frame at the stack pointer. The value is the restored rax. A frame that cannot
// be used is a SIGSEGV.
func (t *Task) SigReturn() (uintptr, error) {
	sp := memmap.Addr(t.regs.Rsp) - 8 // the handler's return took the restorer off
	frame, err := t.readFrame(sp)
	if err == nil {
		t.SetSigMask(SigSet(frame.Context.Mask))
		err = t.restoreVector(memmap.Addr(frame.Context.Regs.FPState))
	}
	if err != nil {
		t.regs.Orig_rax = math.MaxUint64
		t.badStack(0)
		return uintptr(t.regs.Rax), nil
	}
	frame.Context.Regs.restore(&t.regs)
	s := frame.Context.Stack
	_ = t.SetAltStack(SigStack{SP: memmap.Addr(s.SP), Flags: s.Flags, Size: s.Size}) // as Linux, which ignores what is wrong
	if !frame.Context.returnable() {
		t.badStack(0)
	}
	return uintptr(t.regs.Rax), nil
}

// returnable reports whether the processor returns to c: cs and ss must be those of
// 64-bit programs, whatever privilege level they ask for. An ss that need not be
// restored is made right by Linux.
func (c *ucontext) returnable() bool {
	if c.Regs.Cs|3 != userCS {
		return false
	}
	return c.Regs.Ss|3 == userSS || c.Flags&ucStrictRestoreSS == 0
}

func (t *Task) readFrame(sp memmap.Addr) (*rtSigframe, error) {
	f := &rtSigframe{}
	_, err := t.mm.CopyIn(t.Actor("rt_sigreturn"), sp, f.bytes()[:], mm.IOOpts{})
	return f, err
}

// restoreVector makes the vector state what a frame has at addr; 0 is the
// initial state.
func (t *Task) restoreVector(addr memmap.Addr) error {
	full, err := t.ctx.FPState()
	if err != nil {
		return err
	}
	if addr == 0 {
		return t.ctx.SetFPState(initialXState(len(full)))
	}
	if addr%64 != 0 {
		return fmt.Errorf("vector state at %v is not 64-byte aligned", addr)
	}
	features, size := frameFeatures(full)
	frame := make([]byte, size+fpMagic2Size)
	n, err := t.mm.CopyIn(t.Actor("rt_sigreturn"), addr, frame, mm.IOOpts{})
	if n < fxsaveSize {
		return err
	}
	return t.ctx.SetFPState(wholeXState(frame[:n], len(full), features))
}

// restore sets r to what c holds, as far as programs may choose it.
func (c *sigcontext) restore(r *platform.Regs) {
	r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15 = c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15
	r.Rdi, r.Rsi, r.Rbp, r.Rbx, r.Rdx, r.Rax, r.Rcx = c.Rdi, c.Rsi, c.Rbp, c.Rbx, c.Rdx, c.Rax, c.Rcx
	r.Rsp, r.Rip = c.Rsp, c.Rip
	r.Cs, r.Ss = userCS, userSS
	r.Eflags = r.Eflags&^flagsRestored | c.Eflags&flagsRestored
	r.Orig_rax = math.MaxUint64 // no call to be restarted
}
