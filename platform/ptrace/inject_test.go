package ptrace

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

func TestAnExceptionInAnInjectedCallIsAnErrorWithRegisters(t *testing.T) {
	g := newGuest(t, testPlatform(t))
	tracee := g.Context.(*Context).tracee
	err := tracee.inject(&Regs{Rbx: doBatch, R12: 0xdead000, R13: 1})
	if err == nil || !strings.Contains(err.Error(), "SIGSEGV") || !strings.Contains(err.Error(), "r12 0xdead000") {
		t.Errorf("error %v", err)
	}
	if _, err := tracee.call(unix.SYS_OPEN, 0); err == nil || !strings.Contains(err.Error(), "SIGSYS") {
		t.Errorf("a call that the filter refuses: %v", err)
	}
	if _, err := tracee.call(unix.SYS_CLONE, unix.CLONE_VM|uintptr(unix.SIGCHLD)); err == nil || !strings.Contains(err.Error(), "SIGSYS") {
		t.Errorf("a clone with other flags: %v", err)
	}
	g.mapAt(dataAt, dataOff, memmap.Read) // and the stub is as good as before
}

func TestAnInjectedCallHasItsTime(t *testing.T) {
	g := newGuest(t, testPlatform(t))
	tracee := g.Context.(*Context).tracee
	tracee.patience = time.Millisecond
	_, err := tracee.call(unix.SYS_PAUSE)
	if !errors.Is(err, platform.ErrDied) || !strings.Contains(err.Error(), "1ms") {
		t.Errorf("error %v", err)
	}
}

func TestACallFromTheWrongThreadIsAnError(t *testing.T) {
	g := newGuest(t, testPlatform(t), getppid...)
	errs := make(chan error)
	go func() {
		_, err := g.FPState()
		errs <- err
	}()
	if err := <-errs; !errors.Is(err, unix.ESRCH) || errors.Is(err, platform.ErrDied) {
		t.Errorf("error %v, want ESRCH and the guest alive", err)
	}
	g.expectCall(unix.SYS_GETPPID)
}

// TestHostileRegistersDoNotReachInjectedCode leaves the guest with a trap flag,
// alignment checks and a downward direction, and injects.
func TestHostileRegistersDoNotReachInjectedCode(t *testing.T) {
	g := newGuest(t, testPlatform(t),
		0x9c, 0x81, 0x0c, 0x24, 0x00, 0x05, 0x04, 0x00, 0x9d, // pushf; or [rsp], AC|DF|TF; popf
		0x31, 0xe4, // xor esp, esp
		0x0f, 0x05) // syscall
	g.expect(exception(unix.SIGTRAP, trapTrace, codeAt+11))
	g.regs.Eflags &^= flagTF
	for range 3 {
		g.apply(
			platform.MapOp{AR: page(dataAt), File: g.file, Offset: dataOff, At: memmap.Read},
			platform.MapOp{AR: page(dataAt), File: g.file, Offset: dataOff, At: memmap.Read})
		g.mapAt(dataAt, dataOff, memmap.Read)
	}
	g.expect(platform.Stop{Kind: platform.Syscall})
	if g.regs.Eflags&0x40400 != 0x40400 || g.regs.Rsp != 0 {
		t.Errorf("flags %#x, rsp %#x: the guest's are lost", g.regs.Eflags, g.regs.Rsp)
	}
}
