package syscalls

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

const (
	sigSetLen  = 8
	siginfoLen = 128
	siTkill    = -6 // SI_TKILL
)

// never are the signals that cannot be blocked.
const never = sentry.SigSet(1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1))

// checkSetLen is EINVAL for a sigset_t of another size than the kernel's.
func checkSetLen(op string, n uint64) error {
	if n != sigSetLen {
		return invalid(op, "a signal set has %d bytes, not %d", sigSetLen, n)
	}
	return nil
}

// kill(pid, signal).
func kill(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, t.Kill(i32(a[0]), i32(a[1]))
}

// tkill(tid, signal).
func tkill(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, killThread(t, 0, i32(a[0]), sentry.SigInfo{Signal: i32(a[1]), Code: siTkill})
}

// tgkill(pid, tid, signal).
func tgkill(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if i32(a[0]) <= 0 {
		return 0, invalid("tgkill", "pid %d", i32(a[0]))
	}
	return 0, killThread(t, i32(a[0]), i32(a[1]), sentry.SigInfo{Signal: i32(a[2]), Code: siTkill})
}

// killThread sends info to thread tid, of process pid if that is not 0; signal 0
// only looks.
func killThread(t *sentry.Task, pid, tid int32, info sentry.SigInfo) error {
	if tid <= 0 {
		return invalid("tkill", "tid %d", tid)
	}
	to := t.Kernel().Task(tid)
	if to == nil || pid != 0 && to.Process().PID() != pid {
		return unix.ESRCH
	}
	if info.Signal < 0 || info.Signal > maxSignal {
		return invalid("tkill", "there is no signal %d", info.Signal)
	}
	if info.Signal == 0 {
		return nil
	}
	if info.Code == siTkill {
		info.PID, info.UID = t.Process().PID(), t.Process().Credentials().UID
	}
	to.SignalThread(info)
	return nil
}

// rt_sigaction(signal, new, old, size).
func rtSigaction(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if err := checkSetLen("rt_sigaction", a[3]); err != nil {
		return 0, err
	}
	var next *sentry.SigAction
	if a[1] != 0 {
		v, err := copyIn[sentry.SigAction](t, addr(a[1]))
		if err != nil {
			return 0, err
		}
		next = &v
	}
	old, err := t.SetAction(i32(a[0]), next)
	if err != nil {
		return 0, err
	}
	return 0, copyOutUnlessNull(t, addr(a[2]), old)
}

// rt_sigprocmask(how, new, old, size).
func rtSigprocmask(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if err := checkSetLen("rt_sigprocmask", a[3]); err != nil {
		return 0, err
	}
	old := t.SigMask()
	if a[1] != 0 {
		set, err := copyIn[sentry.SigSet](t, addr(a[1]))
		if err != nil {
			return 0, err
		}
		set &^= never
		switch how := i32(a[0]); how {
		case unix.SIG_BLOCK:
			set |= old
		case unix.SIG_UNBLOCK:
			set = old &^ set
		case unix.SIG_SETMASK:
		default:
			return 0, invalid("rt_sigprocmask", "how is %d", how)
		}
		t.SetSigMask(set)
	}
	return 0, copyOutUnlessNull(t, addr(a[2]), old)
}

// rt_sigreturn(): the value is the interrupted code's rax.
func rtSigreturn(t *sentry.Task, _ sentry.Args) (uintptr, error) { return t.SigReturn() }

// rt_sigpending(set, size): as much of the set as there is room for.
func rtSigpending(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if a[1] > sigSetLen {
		return 0, invalid("rt_sigpending", "a signal set has %d bytes, not %d", sigSetLen, a[1])
	}
	set := t.Pending()
	return 0, t.CopyOut(addr(a[0]), bytesOf(&set)[:a[1]])
}

// rt_sigsuspend(mask, size).
func rtSigsuspend(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if err := checkSetLen("rt_sigsuspend", a[1]); err != nil {
		return 0, err
	}
	mask, err := copyIn[sentry.SigSet](t, addr(a[0]))
	if err != nil {
		return 0, err
	}
	return 0, t.SigSuspend(mask &^ never)
}

// pause().
func pause(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	err := t.Block(nil, forever)
	if errors.Is(err, sentry.ErrRestart) {
		err = sentry.ErrRestartNoHand
	}
	return 0, err
}

func restartSyscall(t *sentry.Task, _ sentry.Args) (uintptr, error) { return t.RunRestart() }

// maskForCall blocks the signals of the mask at at for as long as the call lasts
// (ppoll, pselect6); a null pointer changes nothing.
func maskForCall(t *sentry.Task, at memmap.Addr, size uint64) error {
	if at == 0 {
		return nil
	}
	if err := checkSetLen("sigmask", size); err != nil {
		return err
	}
	mask, err := copyIn[sentry.SigSet](t, at)
	if err != nil {
		return err
	}
	t.SetTemporaryMask(mask &^ never)
	return nil
}

// stack is stack_t.
type stack struct {
	SP    uint64
	Flags int32
	_     int32
	Size  uint64
}

// sigaltstack(new, old).
func sigaltstack(t *sentry.Task, a sentry.Args) (uintptr, error) {
	old := t.AltStack()
	if a[0] != 0 {
		s, err := copyIn[stack](t, addr(a[0]))
		if err != nil {
			return 0, err
		}
		if err := t.SetAltStack(sentry.SigStack{SP: addr(s.SP), Flags: s.Flags, Size: s.Size}); err != nil {
			return 0, err
		}
	}
	return 0, copyOutUnlessNull(t, addr(a[1]), stack{SP: uint64(old.SP), Flags: old.Flags, Size: old.Size})
}

// rt_sigqueueinfo(pid, signal, info).
func rtSigqueueinfo(t *sentry.Task, a sentry.Args) (uintptr, error) {
	pid := i32(a[0])
	info, err := queueInfo(t, addr(a[2]), i32(a[1]), pid == t.Process().PID())
	if err != nil {
		return 0, err
	}
	p := t.Kernel().Process(pid)
	if p == nil {
		return 0, unix.ESRCH
	}
	if info.Signal < 0 || info.Signal > maxSignal {
		return 0, invalid("rt_sigqueueinfo", "there is no signal %d", info.Signal)
	}
	if state, _ := p.State(); info.Signal != 0 && state == sentry.Alive {
		p.Signal(info)
	}
	return 0, nil
}

// rt_tgsigqueueinfo(pid, tid, signal, info).
func rtTgsigqueueinfo(t *sentry.Task, a sentry.Args) (uintptr, error) {
	pid, tid := i32(a[0]), i32(a[1])
	info, err := queueInfo(t, addr(a[3]), i32(a[2]), tid == t.TID())
	if err != nil {
		return 0, err
	}
	if pid <= 0 {
		return 0, invalid("rt_tgsigqueueinfo", "pid %d", pid)
	}
	return 0, killThread(t, pid, tid, info)
}

// queueInfo reads a siginfo_t to be sent. Nobody may pretend to be the kernel or
// kill to others: EPERM.
func queueInfo(t *sentry.Task, at memmap.Addr, sig int32, toSelf bool) (sentry.SigInfo, error) {
	b, err := copyIn[[siginfoLen]byte](t, at)
	if err != nil {
		return sentry.SigInfo{}, err
	}
	word := func(off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
	info := sentry.SigInfo{
		Signal: sig,
		Errno:  int32(word(4)),
		Code:   int32(word(8)),
		PID:    int32(word(16)),
		UID:    word(20),
		Value:  binary.LittleEndian.Uint64(b[24:]),
	}
	if (info.Code >= 0 || info.Code == siTkill) && !toSelf {
		return info, memmap.Refuse("rt_sigqueueinfo", unix.EPERM, "si_code %d is not for processes to use", info.Code)
	}
	return info, nil
}

// rt_sigtimedwait(set, info, timeout, size): the signal.
func rtSigtimedwait(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if err := checkSetLen("rt_sigtimedwait", a[3]); err != nil {
		return 0, err
	}
	set, err := copyIn[sentry.SigSet](t, addr(a[0]))
	if err != nil {
		return 0, err
	}
	deadline, err := timeoutArg(t, addr(a[2]))
	if err != nil {
		return 0, err
	}
	info, err := t.SigTimedWait(set&^never, deadline)
	switch {
	case errors.Is(err, sentry.ErrTimedOut):
		return 0, unix.EAGAIN
	case errors.Is(err, sentry.ErrRestart):
		return 0, unix.EINTR
	case err != nil:
		return 0, err
	}
	if a[1] != 0 {
		if err := t.CopyOut(addr(a[1]), info.Encode()); err != nil {
			return 0, err
		}
	}
	return uintptr(info.Signal), nil
}
