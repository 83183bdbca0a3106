package ptrace

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// The siginfo codes that matter here.
const (
	siKernel   = 0x80 // SI_KERNEL: no address is known
	segvMapErr = 1    // SEGV_MAPERR
	segvAccErr = 2    // SEGV_ACCERR
	busAdrErr  = 2    // BUS_ADRERR
	trapTrace  = 2    // TRAP_TRACE
	sysSeccomp = 1    // SYS_SECCOMP
)

// flagTF is the single-step flag.
const flagTF = 0x100

// syscallStop is the wait status of a system call under PTRACE_O_TRACESYSGOOD.
const syscallStop = unix.SIGTRAP | 0x80

// explain says what a wait status of a guest means and fetches its registers;
// told is false if it is nobody's business and the guest goes on.
func (c *Context) explain(ws unix.WaitStatus, request int) (stop platform.Stop, told bool, err error) {
	before := c.hw.Eflags
	if err := c.getRegs(&c.hw); err != nil {
		return stop, false, err
	}
	sig := unix.Signal(ws >> 8 & 0xff)
	if c.hw.Cs != userCS {
		return platform.Stop{Kind: platform.Compat, Detail: compatDetail(&c.hw)}, true, nil
	}
	switch {
	case sig == syscallStop:
		stop, err := c.syscall()
		return stop, true, err
	case ws>>16 != 0 || !isGuestSignal(sig):
		// A group stop or a signal from outside, perhaps the kick.
		asked := c.asked.Swap(false)
		return platform.Stop{Kind: platform.Interrupted}, asked, nil
	}
	var si signalInfo
	if err := c.getSignal(&si); err != nil {
		return stop, false, err
	}
	if si.Code <= 0 {
		asked := c.asked.Swap(false)
		return platform.Stop{Kind: platform.Interrupted}, asked, nil
	}
	stepping := request == unix.PTRACE_SYSEMU_SINGLESTEP && before&flagTF == 0
	return c.exception(sig, &si, stepping), true, nil
}

// isGuestSignal reports whether a guest's own instruction can raise sig.
func isGuestSignal(sig unix.Signal) bool { return sig == unix.SIGTRAP || isException(sig) }

// syscall tells a system call from an int 0x80. The call instruction leaves rip
// in rcx; a guest may do so by itself before an int 0x80, and then has its call
// taken for a 64-bit one, which harms nobody.
func (c *Context) syscall() (platform.Stop, error) {
	if c.inStub(c.hw.Rip - 1) {
		return c.stubFault(c.hw.Rip), nil
	}
	if c.hw.Rcx == c.hw.Rip {
		return platform.Stop{Kind: platform.Syscall}, nil
	}
	arch, err := c.syscallArch()
	if err != nil {
		return platform.Stop{}, err
	}
	if arch == unix.AUDIT_ARCH_X86_64 {
		return platform.Stop{Kind: platform.Syscall}, nil
	}
	return platform.Stop{Kind: platform.Syscall32}, nil
}

// exception explains a signal that the host raised for an instruction.
func (c *Context) exception(sig unix.Signal, si *signalInfo, stepping bool) platform.Stop {
	stop := platform.Stop{Kind: platform.Exception, Signal: sig, Code: si.Code, Addr: memmap.Addr(si.Addr)}
	switch {
	case sig == unix.SIGSYS && si.Code == sysSeccomp:
		return c.vsyscall(si)
	case sig == unix.SIGTRAP && si.Code == trapTrace && stepping:
		return platform.Stop{Kind: platform.Stepped}
	case c.inStub(c.hw.Rip) || sig == unix.SIGTRAP && c.inStub(c.hw.Rip-1):
		return c.stubFault(c.hw.Rip)
	case sig == unix.SIGSEGV && (si.Code == segvMapErr || si.Code == segvAccErr):
		stop.Kind, stop.Access = platform.Fault, c.access(si)
		if c.inStub(si.Addr) {
			stop.Code = segvMapErr
		}
	case sig == unix.SIGBUS && si.Code == busAdrErr:
		stop.Access = c.attempt(si)
	case si.Code == siKernel:
		stop.Addr = 0
	}
	return stop
}

// inStub reports whether a lies in the stub's pages, which are no memory of the
// guest's.
func (c *Context) inStub(a uint64) bool { return c.at.stubRange().Contains(memmap.Addr(a)) }

// stubFault is what a guest gets that jumped into the stub's pages.
func (c *Context) stubFault(rip uint64) platform.Stop {
	return platform.Stop{
		Kind: platform.Fault, Addr: memmap.Addr(rip), Access: memmap.Execute,
		Signal: unix.SIGSEGV, Code: segvMapErr,
	}
}

// vsyscall explains the filter's answer to a call into the vsyscall page. The
// host has done the return already; the number is in siginfo, behind the address.
func (c *Context) vsyscall(si *signalInfo) platform.Stop {
	c.hw.Orig_rax = uint64(uint32(si.callNr()))
	return platform.Stop{Kind: platform.Vsyscall}
}

// compatDetail says how a guest that has left 64-bit mode is known.
func compatDetail(r *Regs) string {
	return fmt.Sprintf("cs is %#x at %#x: 32-bit code (sysenter or a far return)", r.Cs, r.Rip)
}
