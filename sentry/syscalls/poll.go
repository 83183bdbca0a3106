package syscalls

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// Events that package unix does not name.
const (
	pollRdNorm = 0x40
	pollRdBand = 0x80
	pollWrNorm = 0x100
	pollWrBand = 0x200
)

// alwaysReady is what files that cannot be waited for answer (Linux: DEFAULT_POLLMASK).
const alwaysReady = unix.POLLIN | unix.POLLOUT | pollRdNorm | pollWrNorm

// pollFD is struct pollfd.
type pollFD struct {
	FD              int32
	Events, Revents int16
}

// poll(fds, count, milliseconds). After a signal without handler it goes on with
// what is left of its time.
func poll(t *sentry.Task, a sentry.Args) (uintptr, error) {
	deadline := forever
	if ms := i32(a[2]); ms >= 0 {
		deadline = after(t, time.Duration(ms)*time.Millisecond)
	}
	return pollUntil(t, addr(a[0]), uint64(uint32(a[1])), deadline, (*sentry.Task).RestartBlock)
}

// ppoll(fds, count, timeout, sigmask, size).
func ppoll(t *sentry.Task, a sentry.Args) (uintptr, error) {
	deadline, err := timeoutArg(t, addr(a[2]))
	if err != nil {
		return 0, err
	}
	if err := maskForCall(t, addr(a[3]), a[4]); err != nil {
		return 0, err
	}
	n, err := pollUntil(t, addr(a[0]), uint64(uint32(a[1])), deadline, noHandler)
	return n, errors.Join(err, timeLeft(t, addr(a[2]), deadline))
}

// restarter says how a call that a signal interrupted goes on.
type restarter func(t *sentry.Task, again func(*sentry.Task) (uintptr, error)) error

// noHandler restarts the call as it was made, if no handler ran.
func noHandler(*sentry.Task, func(*sentry.Task) (uintptr, error)) error {
	return sentry.ErrRestartNoHand
}

// pollUntil is poll with a deadline.
func pollUntil(t *sentry.Task, at memmap.Addr, count uint64, deadline time.Duration, again restarter) (uintptr, error) {
	if count > fdLimit(t) {
		return 0, invalid("poll", "%d descriptors are more than RLIMIT_NOFILE", count)
	}
	fds := make([]pollFD, count)
	for i := range fds {
		var err error
		if fds[i], err = copyIn[pollFD](t, at+memmap.Addr(i)*8); err != nil {
			return 0, err
		}
	}
	n, err := waitForAny(t, fds, deadline)
	if errors.Is(err, sentry.ErrRestart) {
		return 0, again(t, func(t *sentry.Task) (uintptr, error) { return pollUntil(t, at, count, deadline, again) })
	}
	if err != nil {
		return 0, err
	}
	for i := range fds {
		if err := copyOut(t, at+memmap.Addr(i)*8+6, fds[i].Revents); err != nil {
			return 0, err
		}
	}
	return uintptr(n), nil
}

// waitForAny waits until one of fds is ready, sets what is, and counts it. At the
// deadline the count is 0.
func waitForAny(t *sentry.Task, fds []pollFD, deadline time.Duration) (int, error) {
	for {
		if n := look(t, fds); n > 0 || deadline == now {
			return n, nil
		}
		ready, external, giveUp := readyAny(t, fds)
		err := t.BlockAny(ready, deadline, external)
		giveUp()
		if errors.Is(err, sentry.ErrTimedOut) {
			return look(t, fds), nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// look sets Revents and counts the descriptors that have some.
func look(t *sentry.Task, fds []pollFD) (n int) {
	for i := range fds {
		fds[i].Revents = revents(t, fds[i])
		if fds[i].Revents != 0 {
			n++
		}
	}
	return n
}

func revents(t *sentry.Task, p pollFD) int16 {
	if p.FD < 0 {
		return 0
	}
	d, err := getFile(t, p.FD)
	if err != nil {
		return unix.POLLNVAL
	}
	defer d.DecRef()
	ready := int16(alwaysReady)
	if w, ok := d.File().(vfs.Waiter); ok {
		ready = w.Ready()
	}
	return ready & (p.Events | unix.POLLERR | unix.POLLHUP)
}

// readyAny returns channels one of which receives when something may have become ready,
// whether the world outside has a say in it, and what ends the wait.
func readyAny(t *sentry.Task, fds []pollFD) (ready []<-chan struct{}, external bool, giveUp func()) {
	var undo []func()
	for _, p := range fds {
		if p.FD < 0 {
			continue
		}
		d, err := getFile(t, p.FD)
		if err != nil {
			continue
		}
		if w, ok := d.File().(vfs.Waiter); ok {
			one, stop := w.Wait(p.Events | unix.POLLERR | unix.POLLHUP)
			ready = append(ready, one)
			undo = append(undo, stop, func() { d.DecRef() })
			external = external || isExternal(d)
		} else {
			d.DecRef()
		}
	}
	return ready, external, func() {
		for _, f := range undo {
			f()
		}
	}
}

// select(n, in, out, except, timeval).
func selectFDs(t *sentry.Task, a sentry.Args) (uintptr, error) {
	deadline := forever
	if a[4] != 0 {
		tv, err := copyIn[unix.Timeval](t, addr(a[4]))
		if err != nil {
			return 0, err
		}
		if tv.Sec < 0 || tv.Usec < 0 {
			return 0, invalid("select", "timeout %d s %d us is negative", tv.Sec, tv.Usec)
		}
		deadline = after(t, seconds(tv.Sec)+time.Duration(tv.Usec%1e6)*time.Microsecond+seconds(tv.Usec/1e6))
	}
	n, err := selectUntil(t, a, deadline)
	if a[4] != 0 {
		left := remaining(t, deadline)
		_ = copyOut(t, addr(a[4]), unix.NsecToTimeval(int64(left))) // as Linux: what is left is told if it can be
	}
	return n, err
}

// pselect6(n, in, out, except, timespec, {sigmask, size}).
func pselect6(t *sentry.Task, a sentry.Args) (uintptr, error) {
	deadline, err := timeoutArg(t, addr(a[4]))
	if err != nil {
		return 0, err
	}
	if a[5] != 0 {
		mask, err := copyIn[[2]uint64](t, addr(a[5]))
		if err != nil {
			return 0, err
		}
		if err := maskForCall(t, addr(mask[0]), mask[1]); err != nil {
			return 0, err
		}
	}
	n, err := selectUntil(t, a, deadline)
	return n, errors.Join(err, timeLeft(t, addr(a[4]), deadline))
}

// What select's three sets mean in poll's events (Linux: fs/select.c).
var selectEvents = [3]int16{
	unix.POLLIN | pollRdNorm | pollRdBand | unix.POLLHUP | unix.POLLERR,
	unix.POLLOUT | pollWrNorm | pollWrBand | unix.POLLERR,
	unix.POLLPRI,
}

// selectUntil is select with a deadline: a[0] descriptors, sets at a[1:4].
func selectUntil(t *sentry.Task, a sentry.Args, deadline time.Duration) (uintptr, error) {
	count := i32(a[0])
	if count < 0 {
		return 0, invalid("select", "%d descriptors", count)
	}
	count = min(count, highestFD(t)+1)
	size := (int(count) + 63) / 64 * 8
	var sets [3][]byte
	for i := range sets {
		sets[i] = make([]byte, size)
		if a[1+i] == 0 {
			continue
		}
		if err := t.CopyIn(addr(a[1+i]), sets[i]); err != nil {
			return 0, err
		}
	}
	fds, err := selected(t, sets, count)
	if err != nil {
		return 0, err
	}
	if _, err := waitForAny(t, fds, deadline); err != nil {
		if errors.Is(err, sentry.ErrRestart) {
			err = sentry.ErrRestartNoHand
		}
		return 0, err
	}
	n := uintptr(0)
	for i := range sets {
		out := make([]byte, size)
		for _, p := range fds {
			bit := byte(1) << (p.FD % 8)
			if p.Revents&selectEvents[i] != 0 && sets[i][p.FD/8]&bit != 0 {
				out[p.FD/8] |= bit
				n++
			}
		}
		if a[1+i] != 0 {
			if err := t.CopyOut(addr(a[1+i]), out); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// selected are the descriptors in sets, with poll's events for them: EBADF if one
// is not open.
func selected(t *sentry.Task, sets [3][]byte, count int32) ([]pollFD, error) {
	var fds []pollFD
	for fd := range count {
		p := pollFD{FD: fd}
		in := false
		for i, set := range sets {
			if set[fd/8]&(1<<(fd%8)) != 0 {
				p.Events |= selectEvents[i]
				in = true
			}
		}
		if !in {
			continue
		}
		d, err := getFile(t, fd)
		if err != nil {
			return nil, err
		}
		d.DecRef()
		fds = append(fds, p)
	}
	return fds, nil
}

// highestFD is the highest open descriptor, 63 at least: a table has room for 64
// from the start, and select looks no further than the table.
func highestFD(t *sentry.Task) int32 {
	highest := int32(63)
	t.Process().FDs().Each(func(fd int32, _ *vfs.Description, _ bool) { highest = max(highest, fd|63) })
	return highest
}
