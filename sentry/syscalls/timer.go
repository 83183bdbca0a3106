package syscalls

import (
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// itimerval is struct itimerval.
type itimerval struct{ Interval, Value unix.Timeval }

// alarm(seconds): what was left of the last one, rounded to seconds, never to 0.
func alarm(t *sentry.Task, a sentry.Args) (uintptr, error) {
	left, _ := t.Process().SetRealTimer(time.Duration(uint32(a[0]))*time.Second, 0)
	sec := left / time.Second
	if rest := left % time.Second; sec == 0 && rest > 0 || rest >= time.Second/2 {
		sec++
	}
	return uintptr(sec), nil
}

// itimerKind is EINVAL for what is no timer; those of processor time are not kept.
func itimerKind(op string, which int32) error {
	if which != int32(unix.ITIMER_REAL) {
		return invalid(op, "timer %d is not supported", which)
	}
	return nil
}

// setitimer(which, new, old).
func setitimer(t *sentry.Task, a sentry.Args) (uintptr, error) {
	var next itimerval
	if a[1] != 0 {
		var err error
		if next, err = copyIn[itimerval](t, addr(a[1])); err != nil {
			return 0, err
		}
	}
	value, ok1 := timerPeriod(next.Value)
	interval, ok2 := timerPeriod(next.Interval)
	if !ok1 || !ok2 {
		return 0, invalid("setitimer", "%v, %v are no times", next.Value, next.Interval)
	}
	if err := itimerKind("setitimer", i32(a[0])); err != nil {
		return 0, err
	}
	oldValue, oldInterval := t.Process().SetRealTimer(value, interval)
	return 0, copyOutUnlessNull(t, addr(a[2]), itimerval{timeval(oldInterval), timeval(oldValue)})
}

func timerPeriod(tv unix.Timeval) (time.Duration, bool) {
	ok := tv.Sec >= 0 && tv.Usec >= 0 && tv.Usec < 1e6
	return seconds(tv.Sec) + time.Duration(tv.Usec)*time.Microsecond, ok
}

// getitimer(which, current).
func getitimer(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if err := itimerKind("getitimer", i32(a[0])); err != nil {
		return 0, err
	}
	value, interval := t.Process().RealTimer()
	return 0, copyOut(t, memmap.Addr(a[1]), itimerval{timeval(interval), timeval(value)})
}
