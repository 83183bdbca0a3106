package ptrace

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// callSlot is call for what fits a request slot.
func (t *tracee) callSlot(s *slot) (uint64, error) {
	var args [6]uintptr
	for i, a := range s.args {
		args[i] = uintptr(a)
	}
	return t.call(uintptr(s.nr), args[:]...)
}

// call makes the tracee execute one system call and returns its result. An
// errno that the call answered is a unix.Errno, unwrapped; every other error
// says that the stub is broken or dead.
func (t *tracee) call(nr uintptr, args ...uintptr) (uint64, error) {
	var a [6]uintptr
	copy(a[:], args)
	r := Regs{
		Rbx: doCall, Rax: uint64(nr), Rdi: uint64(a[0]), Rsi: uint64(a[1]), Rdx: uint64(a[2]),
		R10: uint64(a[3]), R8: uint64(a[4]), R9: uint64(a[5]),
	}
	if nr == unix.SYS_CLONE {
		// With a clone, the last argument is the parent's own number, for the child.
		r.Rbx, r.R15, r.R9 = doClone, r.R9, 0
	}
	if err := t.inject(&r); err != nil {
		return 0, err
	}
	return result(r.Rax)
}

// result splits what a system call returned.
func result(rax uint64) (uint64, error) {
	if rax >= ^uint64(4094) {
		return 0, unix.Errno(-rax)
	}
	return rax, nil
}

// enter makes the tracee go on in the stub's code when it is resumed.
func (t *tracee) enter(r *Regs) error {
	r.Rip, r.Eflags = uint64(t.at.code), cleanFlags
	r.Rcx, r.R11 = r.Rip, r.Eflags // lets the host return the fast way
	return t.setRegs(r)
}

// setAlarm kills the tracee when its patience is over, unless the alarm is stopped.
func (t *tracee) setAlarm() {
	if t.alarm != nil {
		t.alarm.Reset(t.patience)
		return
	}
	t.alarm = time.AfterFunc(t.patience, func() {
		t.late.Store(true)
		t.kill()
	})
}

// batch makes the tracee execute the first n of its request slots, up to the first
// that fails. done is how many did not; err is as call's.
func (t *tracee) batch(n int) (done int, err error) {
	r := Regs{Rbx: doBatch, R12: uint64(t.at.slots), R13: uint64(n)}
	if err := t.inject(&r); err != nil {
		return 0, err
	}
	_, err = result(r.Rax)
	return n - int(r.R13), err
}

// inject runs the stub's code with r until its int3 and leaves the registers
// there in r. The guest's own are overwritten, but for segments and vectors.
func (t *tracee) inject(r *Regs) error {
	if err := t.enter(r); err != nil {
		return err
	}
	t.setAlarm()
	defer t.alarm.Stop()
	for {
		if err := t.resume(unix.PTRACE_CONT); err != nil {
			return err
		}
		ws, err := t.wait()
		if err != nil {
			return err
		}
		if err := t.getRegs(r); err != nil {
			return err
		}
		switch sig := ws.StopSignal(); {
		case ws>>16 != 0:
			// An event, not a signal; even where the int3 is, its signal is still to come.
		case sig == unix.SIGTRAP && t.at.atTrap(r.Rip):
			return nil
		case isException(sig):
			if err := t.checkInjected(sig, r); err != nil {
				return err
			}
		}
		// Anything else was sent from outside and is none of the stub's business.
	}
}

// isException reports whether hardware raises sig.
func isException(sig unix.Signal) bool {
	switch sig {
	case unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGFPE, unix.SIGSYS:
		return true
	}
	return false
}

// checkInjected returns an error if the host raised sig during an injected call,
// which is a bug of ours, and nil if somebody sent it.
func (t *tracee) checkInjected(sig unix.Signal, r *Regs) error {
	var si signalInfo
	if err := t.getSignal(&si); err != nil {
		return err
	}
	if si.Code <= 0 {
		return nil
	}
	return &injectError{t.pid, sig, si, *r}
}

// injectError is an exception that the host raised while a stub executed what we
// had injected.
type injectError struct {
	pid int
	sig unix.Signal
	si  signalInfo
	r   Regs
}

func (e *injectError) Error() string {
	r := &e.r
	return fmt.Sprintf("injected call of stub %d: %s code %d at %#x: rip %#x eflags %#x rax %#x orig_rax %#x rdi %#x rsi %#x rdx %#x r10 %#x r8 %#x r9 %#x rbx %#x r12 %#x r13 %#x",
		e.pid, unix.SignalName(e.sig), e.si.Code, e.si.Addr,
		r.Rip, r.Eflags, r.Rax, r.Orig_rax, r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9, r.Rbx, r.R12, r.R13)
}
