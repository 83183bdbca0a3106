package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// madvise(addr, length, advice).
func madvise(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, t.AwaitUserfaults(func() error {
		return t.MM().MAdvise(t.Actor("madvise"), addr(a[0]), a[1], int(i32(a[2])))
	})
}

// Descriptors of process_madvise that name the caller itself.
const (
	pidfdSelfThread  = -10000
	pidfdSelfProcess = -10001
)

// process_madvise(pidfd, iov, n, advice, flags), for the caller itself: there are no
// descriptors of other processes. It returns the bytes that were advised.
func processMadvise(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "process_madvise"
	if i32(a[4]) != 0 {
		return 0, invalid(op, "unknown flags %#x", i32(a[4]))
	}
	ranges, err := importVector(t, op, addr(a[1]), a[2])
	if err != nil {
		return 0, err
	}
	if fd := i32(a[0]); fd != pidfdSelfThread && fd != pidfdSelfProcess {
		return 0, memmap.Refuse(op, unix.EBADF, "%d is no descriptor of a process", fd)
	}
	done := uintptr(0)
	for _, ar := range ranges {
		if err := t.MM().MAdvise(t.Actor(op), ar.Start, ar.Length(), int(i32(a[3]))); err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		done += uintptr(ar.Length())
	}
	return done, nil
}
