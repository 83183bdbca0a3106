package syscalls

import (
	"errors"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// Operations and flags of futex (linux/futex.h).
const (
	futexWait       = 0
	futexWake       = 1
	futexUnlockPI   = 7
	futexWaitBitset = 9
	futexWakeBitset = 10

	futexPrivate       = 128
	futexClockRealtime = 256

	futexAnyBit = math.MaxUint32
)

// futex(word, op, value, timeout, word2, value3).
func futex(t *sentry.Task, a sentry.Args) (uintptr, error) {
	word, op, value := addr(a[0]), i32(a[1]), uint32(a[2])
	private := op&futexPrivate != 0
	realtime := op&futexClockRealtime != 0
	command := op &^ (futexPrivate | futexClockRealtime)
	bits := uint32(futexAnyBit)
	if command == futexWaitBitset || command == futexWakeBitset {
		bits = uint32(a[5])
	}
	switch command {
	case futexWait, futexWaitBitset:
		deadline, err := futexTimeout(t, addr(a[3]), command == futexWaitBitset, realtime)
		if err != nil {
			return 0, err
		}
		if err := checkFutex(word, bits); err != nil {
			return 0, err
		}
		return futexWaitUntil(t, word, private, value, bits, deadline)
	case futexWake, futexWakeBitset:
		if realtime {
			break
		}
		if err := checkFutex(word, bits); err != nil {
			return 0, err
		}
		n, err := t.FutexWake(word, private, int(int32(value)), bits)
		return uintptr(n), err
	case futexUnlockPI:
		if realtime {
			break
		}
		return 0, unlockPI(t, word)
	}
	return 0, memmap.Refuse("futex", unix.ENOSYS, "operation %#x is not supported", op)
}

// checkFutex is EINVAL for a word that is not aligned or a set without bits, and
// EFAULT for what is no user memory.
func checkFutex(word memmap.Addr, bits uint32) error {
	switch {
	case bits == 0:
		return invalid("futex", "the bit set is empty")
	case word%4 != 0:
		return invalid("futex", "%v is not a multiple of 4", word)
	case !accessOK(word, 4):
		return fault("futex", word, 4)
	}
	return nil
}

// futexTimeout is the deadline of a wait: a time from now for FUTEX_WAIT, a point
// on the monotonic or real-time clock for FUTEX_WAIT_BITSET.
func futexTimeout(t *sentry.Task, at memmap.Addr, isPoint, realtime bool) (time.Duration, error) {
	if at == 0 {
		return forever, nil
	}
	ts, err := copyIn[unix.Timespec](t, at)
	if err != nil {
		return 0, err
	}
	d, err := duration(ts)
	switch {
	case err != nil:
		return 0, err
	case !isPoint:
		return after(t, d), nil
	case realtime:
		return absolute(t, unix.CLOCK_REALTIME, d), nil
	}
	return absolute(t, unix.CLOCK_MONOTONIC, d), nil
}

// futexWaitUntil waits as long as the word holds value. With a deadline it goes on
// after signals without handler, else it starts anew.
func futexWaitUntil(t *sentry.Task, word memmap.Addr, private bool, value, bits uint32, deadline time.Duration) (uintptr, error) {
	err := t.FutexWait(word, private, value, bits, deadline)
	switch {
	case errors.Is(err, sentry.ErrTimedOut):
		return 0, unix.ETIMEDOUT
	case errors.Is(err, sentry.ErrRestart) && deadline != forever:
		return 0, t.RestartBlock(func(t *sentry.Task) (uintptr, error) {
			return futexWaitUntil(t, word, private, value, bits, deadline)
		})
	}
	return 0, err
}

// unlockPI is FUTEX_UNLOCK_PI. No lock with priority inheritance can be taken here,
// so the caller never holds one: EPERM, which is what the C library's probe expects.
func unlockPI(t *sentry.Task, word memmap.Addr) error {
	if err := checkFutex(word, futexAnyBit); err != nil {
		return err
	}
	v, err := t.MM().LoadUint32(t.Actor("futex"), word, mm.IOOpts{})
	if err != nil {
		return err
	}
	return memmap.Refuse("futex", unix.EPERM, "the lock word %#x is not owned by thread %d", v, t.TID())
}
