package syscalls

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

const (
	maxSignal    = 64
	timerSlack   = 50000 // nanoseconds, Linux's default
	commLen      = 16    // TASK_COMM_LEN, NUL included
	mceKillSetup = 2     // PR_MCE_KILL_DEFAULT
)

// prctl(option, …). Options that are not known are EINVAL.
func prctl(t *sentry.Task, a sentry.Args) (uintptr, error) {
	switch i32(a[0]) {
	case unix.PR_SET_NAME, unix.PR_GET_NAME:
		return taskName(t, i32(a[0]), addr(a[1]))
	case unix.PR_SET_PDEATHSIG:
		if a[1] > maxSignal {
			return 0, invalid("prctl", "there is no signal %d", a[1])
		}
		t.SetParentDeathSignal(int32(a[1]))
		return 0, nil
	case unix.PR_GET_PDEATHSIG:
		return 0, copyOut(t, addr(a[1]), t.ParentDeathSignal())
	case unix.PR_GET_DUMPABLE:
		return uintptr(t.Process().Dumpable()), nil
	case unix.PR_SET_DUMPABLE:
		if a[1] > 1 {
			return 0, invalid("prctl", "dumpable cannot be set to %d", a[1])
		}
		t.Process().SetDumpable(int(a[1]))
		return 0, nil
	case unix.PR_SET_VMA:
		return 0, setVMA(t, a)
	case unix.PR_SET_MDWE:
		if a[2]|a[3]|a[4] != 0 {
			return 0, invalid("prctl", "unused arguments %#x %#x %#x", a[2], a[3], a[4])
		}
		return 0, t.MM().SetMDWE(a[1])
	case unix.PR_GET_MDWE:
		if a[1]|a[2]|a[3]|a[4] != 0 {
			return 0, invalid("prctl", "unused arguments")
		}
		return uintptr(t.MM().MDWE()), nil
	case unix.PR_GET_TSC:
		return 0, copyOut(t, addr(a[1]), int32(unix.PR_TSC_ENABLE))
	case unix.PR_GET_CHILD_SUBREAPER:
		return 0, copyOut(t, addr(a[1]), int32(0))
	}
	if v, ok, err := prctlCaps(t, a); ok {
		return v, err
	}
	return prctlFixed(a)
}

// setVMA is PR_SET_VMA(PR_SET_VMA_ANON_NAME, address, size, name).
func setVMA(t *sentry.Task, a sentry.Args) error {
	const op = "prctl"
	if a[1] != unix.PR_SET_VMA_ANON_NAME {
		return invalid(op, "PR_SET_VMA option %d is not known", a[1])
	}
	if a[4] == 0 {
		return t.MM().SetAnonName(t.Actor(op), addr(a[2]), a[3], nil)
	}
	name, err := t.MM().CopyInString(t.Actor(op), addr(a[4]), mm.MaxAnonName, mm.IOOpts{})
	if errors.Is(err, unix.ENAMETOOLONG) {
		return invalid(op, "a name of more than %d bytes", mm.MaxAnonName)
	} else if err != nil {
		return err
	}
	return t.MM().SetAnonName(t.Actor(op), addr(a[2]), a[3], &name)
}

// prctlFixed are options whose answer never changes here.
func prctlFixed(a sentry.Args) (uintptr, error) {
	unused := a[1]|a[2]|a[3]|a[4] == 0
	switch i32(a[0]) {
	case unix.PR_GET_TIMING, unix.PR_GET_SECCOMP:
		return 0, nil
	case unix.PR_GET_NO_NEW_PRIVS, unix.PR_GET_THP_DISABLE:
		if unused {
			return 0, nil
		}
	case unix.PR_GET_TIMERSLACK:
		return timerSlack, nil
	case unix.PR_MCE_KILL_GET:
		if unused {
			return mceKillSetup, nil
		}
	}
	return 0, invalid("prctl", "option %d, arguments %#x %#x %#x %#x", i32(a[0]), a[1], a[2], a[3], a[4])
}

// taskName is PR_SET_NAME and PR_GET_NAME: 16 bytes, the last a NUL.
func taskName(t *sentry.Task, option int32, at memmap.Addr) (uintptr, error) {
	if option == unix.PR_GET_NAME {
		var b [commLen]byte
		copy(b[:commLen-1], t.Name())
		return 0, copyOut(t, at, b)
	}
	name, err := copyInName(t, at)
	if err != nil {
		return 0, err
	}
	t.SetName(name)
	return 0, nil
}

// copyInName reads a string of which only the first bytes count: it may be longer.
func copyInName(t *sentry.Task, at memmap.Addr) (string, error) {
	b := make([]byte, commLen-1)
	n, err := guestRead(t, "prctl", at, b)
	if end := bytes.IndexByte(b[:n], 0); end >= 0 {
		return string(b[:end]), nil
	}
	if err != nil {
		return "", err
	}
	return string(b), nil
}

// Codes of arch_prctl (asm/prctl.h).
const (
	archSetGS    = 0x1001
	archSetFS    = 0x1002
	archGetFS    = 0x1003
	archGetGS    = 0x1004
	archGetCPUID = 0x1011
)

// arch_prctl(code, address): the bases of fs and gs.
func archPrctl(t *sentry.Task, a sentry.Args) (uintptr, error) {
	regs := t.Regs()
	switch code := i32(a[0]); code {
	case archSetFS, archSetGS:
		if a[1] >= taskSize {
			return 0, memmap.Refuse("arch_prctl", unix.EPERM, "%#x is beyond user addresses", a[1])
		}
		if code == archSetFS {
			regs.Fs_base = a[1]
		} else {
			regs.Gs_base = a[1]
		}
		return 0, nil
	case archGetFS:
		return 0, copyOut(t, addr(a[1]), regs.Fs_base)
	case archGetGS:
		return 0, copyOut(t, addr(a[1]), regs.Gs_base)
	case archGetCPUID:
		return 1, nil // cpuid never faults
	default:
		return 0, invalid("arch_prctl", "code %#x is not known", code)
	}
}

// personality(persona): the old one; 0xffffffff only asks.
func personality(t *sentry.Task, a sentry.Args) (uintptr, error) {
	old, next := t.Process().Personality(), uint32(a[0])
	if next != 0xffffffff {
		t.Process().SetPersonality(next)
	}
	return uintptr(old), nil
}
