package syscalls

import (
	"errors"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// Deadlines are points on the monotonic clock; two have names.
const (
	forever time.Duration = 0  // none, as sentry.Task.Block understands it
	now     time.Duration = -1 // passed: look, but do not wait
)

// after is the deadline d from now.
func after(t *sentry.Task, d time.Duration) time.Duration {
	if d <= 0 {
		return now
	}
	start := t.Kernel().Clock().Monotonic()
	if d > math.MaxInt64-start {
		return forever
	}
	return start + d
}

// remaining is what is left until deadline, 0 if it has passed.
func remaining(t *sentry.Task, deadline time.Duration) time.Duration {
	if deadline <= 0 {
		return 0
	}
	return max(0, deadline-t.Kernel().Clock().Monotonic())
}

// block is Task.Block for our deadlines, or BlockExternal.
func block(t *sentry.Task, ready <-chan struct{}, deadline time.Duration, external bool) error {
	switch {
	case deadline == now:
		return sentry.ErrTimedOut
	case external:
		return t.BlockExternal(ready, deadline)
	}
	return t.Block(ready, deadline)
}

// seconds is n seconds, at most what a Duration holds.
func seconds(n int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Second)
	return time.Duration(min(n, most-1)) * time.Second
}

// duration is ts as a Duration: EINVAL if it is not normal or negative.
func duration(ts unix.Timespec) (time.Duration, error) {
	if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= int64(time.Second) {
		return 0, invalid("time", "%d s %d ns is no time", ts.Sec, ts.Nsec)
	}
	return seconds(ts.Sec) + time.Duration(ts.Nsec), nil
}

// timeoutArg is the deadline of a timeout argument; a null pointer is none.
func timeoutArg(t *sentry.Task, at memmap.Addr) (time.Duration, error) {
	if at == 0 {
		return forever, nil
	}
	ts, err := copyIn[unix.Timespec](t, at)
	if err != nil {
		return 0, err
	}
	d, err := duration(ts)
	if err != nil {
		return 0, err
	}
	return after(t, d), nil
}

// timeLeft tells the guest, if it can be told, how much of a timeout is left.
func timeLeft(t *sentry.Task, at memmap.Addr, deadline time.Duration) error {
	if at != 0 && deadline != forever {
		_ = copyOut(t, at, timespec(remaining(t, deadline))) // read-only timeouts are legal
	}
	return nil
}

func timespec(d time.Duration) unix.Timespec { return unix.NsecToTimespec(int64(d)) }

// wallTime is the time of day as a timespec.
func wallTime(t *sentry.Task) unix.Timespec {
	at := t.Kernel().Clock().Now()
	return unix.Timespec{Sec: at.Unix(), Nsec: int64(at.Nanosecond())}
}

// readClock reads clock id: EINVAL if there is none. Negative ids are the
// processor time of a process or thread (clock_getcpuclockid(3)). The alarm clocks
// need a battery-backed clock, which the sandbox has not.
func readClock(t *sentry.Task, id int32) (unix.Timespec, error) {
	clock := t.Kernel().Clock()
	switch id {
	case unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_TAI:
		return wallTime(t), nil
	case unix.CLOCK_MONOTONIC, unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_MONOTONIC_COARSE, unix.CLOCK_BOOTTIME:
		return timespec(clock.Monotonic()), nil
	case unix.CLOCK_PROCESS_CPUTIME_ID:
		return timespec(clock.ProcessCPU(t.Process())), nil
	case unix.CLOCK_THREAD_CPUTIME_ID:
		return timespec(clock.CPU(t)), nil
	}
	if id >= 0 {
		return unix.Timespec{}, invalid("clock", "there is no clock %d", id)
	}
	return readCPUClock(t, id)
}

// readCPUClock reads the dynamic clock id: ^pid<<3, bit 2 for a thread, and three
// kinds of time that are one here.
func readCPUClock(t *sentry.Task, id int32) (unix.Timespec, error) {
	const threadBit, kind = 4, 3
	pid := ^(id >> 3)
	if id&kind == 3 {
		return unix.Timespec{}, invalid("clock", "clock %d is a descriptor's", id)
	}
	clock := t.Kernel().Clock()
	if id&threadBit != 0 {
		for _, other := range t.Process().Tasks() {
			if other.TID() == pid || pid == 0 && other == t {
				return timespec(clock.CPU(other)), nil
			}
		}
		return unix.Timespec{}, invalid("clock", "there is no thread %d here", pid)
	}
	p := t.Process()
	if pid != 0 {
		p = t.Kernel().Process(pid)
	}
	if p == nil {
		return unix.Timespec{}, invalid("clock", "there is no process %d", pid)
	}
	return timespec(clock.ProcessCPU(p)), nil
}

// clock_gettime(id, timespec).
func clockGettime(t *sentry.Task, a sentry.Args) (uintptr, error) {
	ts, err := readClock(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	return 0, copyOut(t, addr(a[1]), ts)
}

// clock_getres(id, timespec): one nanosecond, but for the clocks that tick: the
// coarse ones, and processor time of the older two kinds. They tick as the host's.
func clockGetres(t *sentry.Task, a sentry.Args) (uintptr, error) {
	id := i32(a[0])
	if _, err := readClock(t, id); err != nil {
		return 0, err
	}
	res := unix.Timespec{Nsec: 1}
	const schedKind = 2 // CPUCLOCK_SCHED, the kind that does not tick
	if id == unix.CLOCK_REALTIME_COARSE || id == unix.CLOCK_MONOTONIC_COARSE || id < 0 && id&3 < schedKind {
		if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
			return 0, err
		}
	}
	return 0, copyOutUnlessNull(t, addr(a[1]), res)
}

// gettimeofday(timeval, timezone): UTC.
func gettimeofday(t *sentry.Task, a sentry.Args) (uintptr, error) {
	ts := wallTime(t)
	if err := copyOutUnlessNull(t, addr(a[0]), unix.Timeval{Sec: ts.Sec, Usec: ts.Nsec / 1000}); err != nil {
		return 0, err
	}
	return 0, copyOutUnlessNull(t, addr(a[1]), [2]int32{})
}

// time(seconds).
func timeCall(t *sentry.Task, a sentry.Args) (uintptr, error) {
	sec := wallTime(t).Sec
	return uintptr(sec), copyOutUnlessNull(t, addr(a[0]), sec)
}

// nanosleep(duration, remaining).
func nanosleep(t *sentry.Task, a sentry.Args) (uintptr, error) {
	ts, err := copyIn[unix.Timespec](t, addr(a[0]))
	if err != nil {
		return 0, err
	}
	d, err := duration(ts)
	if err != nil {
		return 0, err
	}
	return sleepUntil(t, after(t, d), addr(a[1]))
}

// sleepUntil sleeps; if a signal comes first it tells at left how long it would
// have gone on, and goes on if no handler ran.
func sleepUntil(t *sentry.Task, deadline time.Duration, left memmap.Addr) (uintptr, error) {
	err := block(t, nil, deadline, false)
	switch {
	case errors.Is(err, sentry.ErrTimedOut):
		return 0, nil
	case errors.Is(err, sentry.ErrRestart):
		if err := copyOutUnlessNull(t, left, timespec(remaining(t, deadline))); err != nil {
			return 0, err
		}
		return 0, t.RestartBlock(func(t *sentry.Task) (uintptr, error) { return sleepUntil(t, deadline, left) })
	}
	return 0, err
}

// clock_nanosleep(id, flags, time, remaining).
func clockNanosleep(t *sentry.Task, a sentry.Args) (uintptr, error) {
	id := i32(a[0])
	switch id {
	case unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME, unix.CLOCK_TAI:
	case unix.CLOCK_REALTIME_ALARM, unix.CLOCK_BOOTTIME_ALARM: // the time is looked at first
	case unix.CLOCK_REALTIME_COARSE, unix.CLOCK_MONOTONIC_COARSE, unix.CLOCK_MONOTONIC_RAW,
		unix.CLOCK_PROCESS_CPUTIME_ID, unix.CLOCK_THREAD_CPUTIME_ID:
		return 0, noSleep(id)
	default:
		return 0, invalid("clock_nanosleep", "there is no clock %d to sleep on", id)
	}
	ts, err := copyIn[unix.Timespec](t, addr(a[2]))
	if err != nil {
		return 0, err
	}
	d, err := duration(ts)
	if err != nil {
		return 0, err
	}
	if id == unix.CLOCK_REALTIME_ALARM || id == unix.CLOCK_BOOTTIME_ALARM {
		return 0, noSleep(id)
	}
	if i32(a[1])&unix.TIMER_ABSTIME == 0 {
		return sleepUntil(t, after(t, d), addr(a[3]))
	}
	err = block(t, nil, absolute(t, id, d), false)
	switch {
	case errors.Is(err, sentry.ErrTimedOut):
		return 0, nil
	case errors.Is(err, sentry.ErrRestart):
		return 0, sentry.ErrRestartNoHand
	}
	return 0, err
}

// noSleep refuses to sleep on a clock that can only be read.
func noSleep(id int32) error {
	return memmap.Refuse("clock_nanosleep", unix.EOPNOTSUPP, "one cannot sleep on clock %d", id)
}

// absolute is the deadline at d on clock id.
func absolute(t *sentry.Task, id int32, d time.Duration) time.Duration {
	clock := t.Kernel().Clock()
	passed := clock.Monotonic()
	if id == unix.CLOCK_REALTIME || id == unix.CLOCK_TAI {
		passed = time.Duration(clock.Now().UnixNano())
	}
	return after(t, d-passed)
}
