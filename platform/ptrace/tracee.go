package ptrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// Regs are a tracee's general registers.
type Regs = platform.Regs

// callTimeout bounds an injected call. A host that needs longer for a mapping
// is broken, or the tracee is not where we think it is.
const callTimeout = 5 * time.Second

// selectorRPL are the bits of a segment selector that the host wants all set.
const selectorRPL = 3

// The flat segments of 64-bit user code.
const (
	userCS = 0x33
	userSS = 0x2b
)

// cleanFlags are the flags that injected code starts with: interrupts on, and
// neither single step, direction nor alignment checks.
const cleanFlags = 0x202

// tracee is a stub process as its tracing thread sees it. All methods but kill
// and signal are for that thread only, with the tracee stopped.
type tracee struct {
	pid   int // the host's
	owner int // the tracing thread
	at    *layout
	gone  atomic.Bool // reaped: pid may be another's now
	died  error       // why, once gone; wraps platform.ErrDied

	// An injected call that takes longer than patience gets it killed.
	patience time.Duration
	late     atomic.Bool // it did
	alarm    *time.Timer // nil if there was no call yet
}

// newTracee returns a tracee of the calling thread.
func newTracee(pid int, at *layout) *tracee {
	return &tracee{pid: pid, owner: unix.Gettid(), at: at, patience: callTimeout}
}

// seize makes the calling thread the tracer of a running stub and stops it.
func (t *tracee) seize() error {
	if err := ptrace(unix.PTRACE_SEIZE, t.pid, 0, tracerOptions); err != nil {
		if hasEnded(t.pid) { // EPERM, or ESRCH once it is reaped
			t.bury("was killed before it could be traced")
			return t.died
		}
		return t.failed("seize", err)
	}
	if err := ptrace(unix.PTRACE_INTERRUPT, t.pid, 0, 0); err != nil {
		return t.failed("interrupt", err)
	}
	if _, err := t.wait(); err != nil {
		return err
	}
	var r Regs
	if err := t.getRegs(&r); err != nil {
		return err
	}
	if !t.at.stubRange().Contains(memmap.Addr(r.Rip)) {
		// The stub died and its number went to a stranger.
		_ = ptrace(unix.PTRACE_DETACH, t.pid, 0, 0)
		t.bury("was gone before it could be traced")
		return t.died
	}
	return nil
}

// hasEnded reports whether there is no process pid any more, or only its zombie.
func hasEnded(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err == unix.ESRCH
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n == 1
}

// tracerOptions: no tracee outlives its tracer, and a system call's stop can be
// told from a SIGTRAP.
const tracerOptions = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACESYSGOOD

// wait waits until the tracee stops. If it ends instead, the error wraps ErrDied.
func (t *tracee) wait() (unix.WaitStatus, error) {
	if t.died != nil {
		return 0, t.died
	}
	for {
		var status uint32
		_, _, e := unix.Syscall6(unix.SYS_WAIT4, uintptr(t.pid), uintptr(unsafe.Pointer(&status)), unix.WALL, 0, 0, 0)
		ws := unix.WaitStatus(status)
		switch {
		case e == unix.EINTR:
		case e != 0:
			t.bury("wait4: " + e.Error())
			return 0, t.died
		case ws.Exited():
			t.bury(fmt.Sprintf("exited with %d", ws.ExitStatus()))
			return 0, t.died
		case ws.Signaled():
			t.bury("was killed by " + unix.SignalName(ws.Signal()))
			return 0, t.died
		default:
			return ws, nil
		}
	}
}

// bury records that the tracee is no more.
func (t *tracee) bury(how string) {
	t.gone.Store(true)
	if t.late.Load() {
		how = fmt.Sprintf("did not end an injected call within %v and was killed", t.patience)
	}
	t.died = fmt.Errorf("%w: stub %d %s", platform.ErrDied, t.pid, how)
}

// failed explains a ptrace request's error. ESRCH on the tracing thread is a
// tracee that was killed while it stood: its end is waited for.
func (t *tracee) failed(request string, err error) error {
	if t.died != nil {
		return t.died
	}
	if tid := unix.Gettid(); tid != t.owner {
		return fmt.Errorf("ptrace %s of stub %d: %w: called on thread %d, traced by %d", request, t.pid, err, tid, t.owner)
	}
	if errors.Is(err, unix.ESRCH) {
		t.end()
		return t.died
	}
	return fmt.Errorf("ptrace %s of stub %d: %w", request, t.pid, err)
}

// kill ends the tracee; any goroutine may. Its tracer sees the end by wait.
func (t *tracee) kill() { t.signal(unix.SIGKILL) }

// signal sends s to the tracee; any goroutine may.
func (t *tracee) signal(s unix.Signal) {
	if !t.gone.Load() {
		_ = unix.Tgkill(t.pid, t.pid, s) // ESRCH: its tracer will see
	}
}

// end kills the tracee and waits until it is gone.
func (t *tracee) end() {
	t.kill()
	for t.died == nil {
		_, _ = t.wait() // the last one sets died
	}
}

// getRegs fetches the general registers.
func (t *tracee) getRegs(r *Regs) error {
	if err := ptracePtr(unix.PTRACE_GETREGS, t.pid, 0, unsafe.Pointer(r)); err != nil {
		return t.failed("getregs", err)
	}
	return nil
}

// plainRegs is how much of Regs setRegs writes: all before the segment bases
// and the data selectors. A guest can load those with values that the host
// shows but refuses to set (a kernel address by wrgsbase, a null selector with
// a privilege level), so they are written only when they are to change.
const plainRegs = unsafe.Offsetof(Regs{}.Fs_base)

// setRegs writes the general registers except segment bases and data selectors.
// Orig_rax -1 keeps the host from restarting a call.
func (t *tracee) setRegs(r *Regs) error {
	r.Cs, r.Ss, r.Orig_rax = userCS, userSS, ^uint64(0)
	iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(r)), Len: uint64(plainRegs)}
	if err := ptracePtr(unix.PTRACE_SETREGSET, t.pid, unix.NT_PRSTATUS, unsafe.Pointer(&iov)); err != nil {
		return t.failed("setregset", err)
	}
	return nil
}

// setSegments makes those segment registers of the tracee that differ between
// now and want as want has them.
func (t *tracee) setSegments(now, want *Regs) error {
	const first = uintptr(plainRegs)
	for _, f := range []struct {
		off       uintptr
		now, want uint64
		selector  bool
	}{
		{first, now.Fs_base, want.Fs_base, false},
		{first + 8, now.Gs_base, want.Gs_base, false},
		{first + 16, now.Ds, want.Ds, true},
		{first + 24, now.Es, want.Es, true},
		{first + 32, now.Fs, want.Fs, true},
		{first + 40, now.Gs, want.Gs, true},
	} {
		if f.now == f.want {
			continue
		}
		if f.selector && f.want&selectorRPL != selectorRPL {
			f.want = 0 // the null selectors are all one
		}
		if err := ptrace(unix.PTRACE_POKEUSR, t.pid, f.off, uintptr(f.want)); err != nil {
			return t.failed("pokeuser", err)
		}
	}
	return nil
}

// resume lets the tracee go on, by one of PTRACE_CONT, _SYSEMU, _SYSEMU_SINGLESTEP.
func (t *tracee) resume(request int) error {
	if err := ptrace(request, t.pid, 0, 0); err != nil {
		return t.failed("resume", err)
	}
	return nil
}

// signalInfo is the part of siginfo_t that tells why a signal was raised.
type signalInfo struct {
	Signo, Errno, Code int32
	_                  int32
	Addr               uint64
	more               [104]byte
}

// callNr returns the number of the system call that a seccomp filter trapped.
func (si *signalInfo) callNr() int32 { return int32(binary.LittleEndian.Uint32(si.more[:])) }

// getSignal fetches what is known of the signal that stopped the tracee.
func (t *tracee) getSignal(si *signalInfo) error {
	if err := ptracePtr(unix.PTRACE_GETSIGINFO, t.pid, 0, unsafe.Pointer(si)); err != nil {
		return t.failed("getsiginfo", err)
	}
	return nil
}

// syscallArch fetches by which door the system call that stopped the tracee came:
// an AUDIT_ARCH_* number.
func (t *tracee) syscallArch() (uint32, error) {
	var info struct {
		op, _, _, _ uint8
		arch        uint32
		_           [80]byte
	}
	if err := ptracePtr(unix.PTRACE_GET_SYSCALL_INFO, t.pid, unsafe.Sizeof(info), unsafe.Pointer(&info)); err != nil {
		return 0, t.failed("get_syscall_info", err)
	}
	return info.arch, nil
}

// ptrace makes a request that is answered without waiting for anything, so that
// the scheduler of goroutines need not hear of it.
func ptrace(request, pid int, addr, data uintptr) error {
	if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, data, 0, 0); e != 0 {
		return e
	}
	return nil
}

// ptracePtr is ptrace for a request that wants memory of ours.
func ptracePtr(request, pid int, addr uintptr, data unsafe.Pointer) error {
	if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), addr, uintptr(data), 0, 0); e != 0 {
		return e
	}
	return nil
}
