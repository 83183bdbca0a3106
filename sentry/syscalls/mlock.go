package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

const mlockOnFault = 1 // MLOCK_ONFAULT

// mlock(addr, length).
func mlock(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, t.MM().MLock(t.Actor("mlock"), addr(a[0]), a[1], memmap.MLockEager)
}

// mlock2(addr, length, flags).
func mlock2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	mode := memmap.MLockEager
	switch flags := i32(a[2]); flags {
	case 0:
	case mlockOnFault:
		mode = memmap.MLockLazy
	default:
		return 0, invalid("mlock2", "unknown flags %#x", flags)
	}
	return 0, t.MM().MLock(t.Actor("mlock2"), addr(a[0]), a[1], mode)
}

// munlock(addr, length).
func munlock(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, t.MM().MLock(t.Actor("munlock"), addr(a[0]), a[1], memmap.MLockNone)
}

// mlockall(flags).
func mlockall(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const known = unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT
	flags := i32(a[0])
	if flags&^known != 0 || flags&(unix.MCL_CURRENT|unix.MCL_FUTURE) == 0 {
		return 0, invalid("mlockall", "flags %#x", flags)
	}
	return 0, t.MM().MLockAll(t.Actor("mlockall"), mm.MLockAllOpts{
		Current: flags&unix.MCL_CURRENT != 0,
		Future:  flags&unix.MCL_FUTURE != 0,
		OnFault: flags&unix.MCL_ONFAULT != 0,
	})
}

// munlockall().
func munlockall(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	return 0, t.MM().MLockAll(t.Actor("munlockall"), mm.MLockAllOpts{})
}

// mseal(addr, length, flags): there are no flags yet.
func mseal(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if a[2] != 0 {
		return 0, invalid("mseal", "unknown flags %#x", a[2])
	}
	return 0, t.MM().MSeal(t.Actor("mseal"), addr(a[0]), a[1])
}
