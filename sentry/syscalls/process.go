package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

func getpid(t *sentry.Task, _ sentry.Args) (uintptr, error) { return uintptr(t.Process().PID()), nil }

func gettid(t *sentry.Task, _ sentry.Args) (uintptr, error) { return uintptr(t.TID()), nil }

func getppid(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	return uintptr(t.Process().PPID()), nil
}

func getpgrp(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	return uintptr(t.Process().PGID()), nil
}

// processArg is the live process that a pid argument means; 0 is the caller's: ESRCH.
func processArg(t *sentry.Task, pid int32) (*sentry.Process, error) {
	if pid == 0 {
		return t.Process(), nil
	}
	p := t.Kernel().Process(pid)
	if p == nil {
		return nil, unix.ESRCH
	}
	if state, _ := p.State(); state == sentry.Dead {
		return nil, unix.ESRCH
	}
	return p, nil
}

func getpgid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	p, err := processArg(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	return uintptr(p.PGID()), nil
}

func getsid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	p, err := processArg(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	return uintptr(p.SID()), nil
}

func setpgid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, t.SetPGID(i32(a[0]), i32(a[1]))
}

func setsid(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	id, err := t.SetSID()
	return uintptr(id), err
}

func fork(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	pid, err := t.Clone(sentry.CloneOptions{ExitSignal: int32(unix.SIGCHLD)})
	return uintptr(pid), err
}

// clone(flags, stack, parent_tid, child_tid, tls): the lowest byte of flags is the
// signal that tells of the child's end.
func clone(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const signalMask = 0xff
	flags := a[0] & 0xffffffff
	pid, err := t.Clone(sentry.CloneOptions{
		Flags:      flags &^ signalMask,
		ExitSignal: int32(flags & signalMask),
		Stack:      addr(a[1]),
		ParentTID:  addr(a[2]),
		ChildTID:   addr(a[3]),
		TLS:        addr(a[4]),
	})
	return uintptr(pid), err
}

func exit(t *sentry.Task, a sentry.Args) (uintptr, error) {
	t.Exit(int(a[0] & 0xff))
	return 0, nil
}

func exitGroup(t *sentry.Task, a sentry.Args) (uintptr, error) {
	t.ExitGroup(int(a[0] & 0xff))
	return 0, nil
}

// set_tid_address(address): the thread's id, which the C library keeps.
func setTIDAddress(t *sentry.Task, a sentry.Args) (uintptr, error) {
	t.SetClearTID(addr(a[0]))
	return uintptr(t.TID()), nil
}

// robustHeadLen is the size of struct robust_list_head.
const robustHeadLen = 24

// set_robust_list(head, length).
func setRobustList(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if a[1] != robustHeadLen {
		return 0, invalid("set_robust_list", "length %d is not %d", a[1], robustHeadLen)
	}
	t.SetRobustList(addr(a[0]))
	return 0, nil
}

// get_robust_list(tid, head, length).
func getRobustList(t *sentry.Task, a sentry.Args) (uintptr, error) {
	of := t
	if tid := i32(a[0]); tid != 0 {
		if of = t.Kernel().Task(tid); of == nil {
			return 0, unix.ESRCH
		}
	}
	if err := copyOut(t, addr(a[2]), uint64(robustHeadLen)); err != nil {
		return 0, err
	}
	return 0, copyOut(t, addr(a[1]), of.RobustList())
}

// rseq(area, length, flags, signature): programs do without (guests.md chapter 5),
// and thread switches of a tracer cannot keep its promise.
func rseq(*sentry.Task, sentry.Args) (uintptr, error) {
	return 0, memmap.Refuse("rseq", unix.ENOSYS, "restartable sequences are not offered")
}
