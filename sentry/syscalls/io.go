package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

const (
	maxRW    = 0x7ffff000 // MAX_RW_COUNT: no call moves more bytes
	maxChunk = 1 << 20    // bytes that we hold at once
	maxIOV   = 1024       // UIO_MAXIOV
)

// getFile returns what fd leads to for use, with a reference: EBADF also for
// O_PATH descriptors, which lead nowhere.
func getFile(t *sentry.Task, fd int32) (*vfs.Description, error) {
	d, err := t.Process().FDs().Get(fd)
	if err != nil {
		return nil, err
	}
	if d.Flags()&unix.O_PATH != 0 {
		d.DecRef()
		return nil, unix.EBADF
	}
	return d, nil
}

// readable and writable are the modes of an open file.
func readable(d *vfs.Description) bool { return d.Flags()&unix.O_ACCMODE != unix.O_WRONLY }
func writable(d *vfs.Description) bool { return d.Flags()&unix.O_ACCMODE != unix.O_RDONLY }

// reader reads into p and lets commit say how much of it the guest took.
type reader func(p []byte, commit func(n int) (int, error)) (int, error)

// fill reads into v, a chunk at a time, until it is full or next gives less than
// it was asked for. What was read before an error counts.
func fill(t *sentry.Task, op string, d *vfs.Description, v vector, m rwMode, next reader) (uintptr, error) {
	left := v.total()
	buf := borrow(min(left, maxChunk))
	defer giveBack(buf)
	done := uint64(0)
	asks := t.WaitingActor
	if d.File().Seekable() { // whose offset is locked meanwhile: what may have to be waited for comes first
		asks = t.Actor
	}
	for {
		p := (*buf)[:min(left, maxChunk)]
		if d.File().Seekable() {
			t.MM().Prefault(t.WaitingActor(op), v.first(uint64(len(p))), memmap.Write)
		}
		n, err := untilReady(t, d, unix.POLLIN, done == 0 && !m.noWait, func() (int, error) {
			return next(p, func(n int) (int, error) { return v.scatter(t, asks(op), p[:n]) })
		})
		done, left = done+uint64(n), left-uint64(n)
		if done > 0 && (err != nil || n < len(p)) || left == 0 {
			return uintptr(done), nil
		}
		if err != nil || n < len(p) {
			return uintptr(done), err
		}
		v = v.dropFirst(uint64(n))
	}
}

// drain gives the bytes of v to next, a chunk at a time, until it takes less than
// it was given. What was written before an error counts.
func drain(t *sentry.Task, op string, d *vfs.Description, v vector, m rwMode, next func(p []byte) (int, error)) (uintptr, error) {
	left := v.total()
	buf := borrow(min(left, maxChunk))
	defer giveBack(buf)
	done := uint64(0)
	for {
		p := (*buf)[:min(left, maxChunk)]
		got, memErr := v.gather(t, op, p)
		if got == 0 && memErr != nil {
			return orError(done, memErr)
		}
		n, err := writeAll(t, d, p[:got], m, next)
		done, left = done+uint64(n), left-uint64(n)
		if err != nil {
			return orError(done, err)
		}
		if left == 0 || n < got || memErr != nil {
			return uintptr(done), nil
		}
		v = v.dropFirst(uint64(n))
	}
}

// orError is done, or err if that is nothing.
func orError(done uint64, err error) (uintptr, error) {
	if done > 0 {
		return uintptr(done), nil
	}
	return 0, err
}

// writeAll writes p, waiting for room unless d is O_NONBLOCK or m forbids it. A write
// to a pipe without readers also raises SIGPIPE.
func writeAll(t *sentry.Task, d *vfs.Description, p []byte, m rwMode, next func(p []byte) (int, error)) (int, error) {
	done := 0
	for {
		n, err := untilReady(t, d, unix.POLLOUT, !m.noWait, func() (int, error) { return next(p[done:]) })
		done += n
		if !m.noSignal {
			signalBroken(t, err)
		}
		mayGoOn := errors.Is(err, vfs.ErrWouldBlock) && n > 0 && !m.noWait && d.Flags()&unix.O_NONBLOCK == 0
		if !mayGoOn {
			if done > 0 {
				err = nil
			}
			return done, err
		}
	}
}

// signalBroken raises SIGPIPE if err says that nobody reads a pipe.
func signalBroken(t *sentry.Task, err error) {
	if errors.Is(err, unix.EPIPE) {
		t.SignalThread(sentry.SigInfo{Signal: int32(unix.SIGPIPE), PID: t.Process().PID(), UID: t.Process().Credentials().UID})
	}
}

// untilReady asks try until it does something, waiting for events in between if
// wait and d's mode allow it. Otherwise the answer is ErrWouldBlock, EAGAIN.
func untilReady(t *sentry.Task, d *vfs.Description, events int16, wait bool, try func() (int, error)) (int, error) {
	for {
		n, err := try()
		if n > 0 || !errors.Is(err, vfs.ErrWouldBlock) || !wait || d.Flags()&unix.O_NONBLOCK != 0 {
			return n, err
		}
		if ok, blocked := waitFor(t, d, events); !ok {
			return n, err
		} else if blocked != nil {
			return 0, blocked
		}
	}
}

// waitFor blocks until events may hold at d: false if d cannot be waited for.
func waitFor(t *sentry.Task, d *vfs.Description, events int16) (ok bool, err error) {
	w, ok := d.File().(vfs.Waiter)
	if !ok {
		return false, nil
	}
	ready, giveUp := w.Wait(events | unix.POLLERR | unix.POLLHUP)
	defer giveUp()
	return true, block(t, ready, forever, isExternal(d))
}

// isExternal reports whether the world outside decides when d is ready.
func isExternal(d *vfs.Description) bool {
	e, ok := d.File().(vfs.External)
	return ok && e.External()
}

// transfer makes the checks that come before bytes move, in Linux's order, and
// returns the description, with a reference for the caller, and the guest's buffers.
func transfer(t *sentry.Task, fd int32, off int64, allowed func(*vfs.Description) bool, ranges func() (vector, error)) (*vfs.Description, vector, error) {
	d, err := getFile(t, fd)
	if err != nil {
		return nil, nil, err
	}
	var v vector
	switch {
	case off >= 0 && !d.File().Seekable():
		err = unix.ESPIPE
	case !allowed(d):
		err = unix.EBADF
	default:
		v, err = ranges()
	}
	if err != nil {
		d.DecRef()
		return nil, nil, err
	}
	return d, v, nil
}

// readAt and writeAt are the transfers of the calls that follow; a negative off is
// the shared offset.
func readAt(t *sentry.Task, op string, fd int32, off int64, ranges func() (vector, error)) (uintptr, error) {
	return readAs(t, op, fd, off, 0, ranges)
}

func writeAt(t *sentry.Task, op string, fd int32, off int64, ranges func() (vector, error)) (uintptr, error) {
	return writeAs(t, op, fd, off, 0, ranges)
}

// readAs is readAt with the flags of preadv2.
func readAs(t *sentry.Task, op string, fd int32, off int64, flags uint32, ranges func() (vector, error)) (uintptr, error) {
	d, v, err := transfer(t, fd, off, readable, ranges)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	m, err := modeOf(op, d, v, flags, false)
	if err != nil {
		return 0, err
	}
	if tty, ok := d.File().(vfs.Terminal); ok {
		return ttyRead(t, op, d, tty, v)
	}
	next := d.Read
	if off >= 0 {
		next = func(p []byte, commit func(int) (int, error)) (int, error) {
			n, err := d.PRead(p, off)
			if n > 0 {
				n, err = commit(n)
			}
			off += int64(n)
			return n, err
		}
	}
	return fill(t, op, d, v, m, next)
}

// writeAs is writeAt with the flags of pwritev2.
func writeAs(t *sentry.Task, op string, fd int32, off int64, flags uint32, ranges func() (vector, error)) (uintptr, error) {
	d, v, err := transfer(t, fd, off, writable, ranges)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	m, err := modeOf(op, d, v, flags, true)
	if err != nil {
		return 0, err
	}
	if s, ok := d.File().(vfs.Sink); ok {
		n, err := s.Swallow(int(v.total()))
		return uintptr(n), err
	}
	if err := mayWriteTTY(t, d); err != nil {
		return 0, err
	}
	next := func(p []byte) (int, error) { return d.WriteAs(p, m.appends) }
	if off >= 0 {
		next = func(p []byte) (int, error) {
			n, err := d.PWriteAs(p, off, m.appends)
			off += int64(n)
			return n, err
		}
	}
	n, err := drain(t, op, d, v, m, next)
	if err == nil && n > 0 {
		err = m.settle(d)
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// atOffset is EINVAL for a negative file offset.
func atOffset(op string, v uint64) (int64, error) {
	if int64(v) < 0 {
		return 0, invalid(op, "offset %d is negative", int64(v))
	}
	return int64(v), nil
}

// shared is the offset that readAt and writeAt take for "the descriptor's own".
const shared = -1

// read(fd, buf, count).
func read(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return readAt(t, "read", i32(a[0]), shared, func() (vector, error) { return oneRange("read", addr(a[1]), a[2]) })
}

// write(fd, buf, count).
func write(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return writeAt(t, "write", i32(a[0]), shared, func() (vector, error) { return oneRange("write", addr(a[1]), a[2]) })
}

// pread64(fd, buf, count, offset).
func pread64(t *sentry.Task, a sentry.Args) (uintptr, error) {
	off, err := atOffset("pread64", a[3])
	if err != nil {
		return 0, err
	}
	return readAt(t, "pread64", i32(a[0]), off, func() (vector, error) { return oneRange("pread64", addr(a[1]), a[2]) })
}

// pwrite64(fd, buf, count, offset).
func pwrite64(t *sentry.Task, a sentry.Args) (uintptr, error) {
	off, err := atOffset("pwrite64", a[3])
	if err != nil {
		return 0, err
	}
	return writeAt(t, "pwrite64", i32(a[0]), off, func() (vector, error) { return oneRange("pwrite64", addr(a[1]), a[2]) })
}

// readv(fd, iov, count).
func readv(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return readAt(t, "readv", i32(a[0]), shared, func() (vector, error) { return importVector(t, "readv", addr(a[1]), a[2]) })
}

// writev(fd, iov, count).
func writev(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return writeAt(t, "writev", i32(a[0]), shared, func() (vector, error) { return importVector(t, "writev", addr(a[1]), a[2]) })
}

// preadv(fd, iov, count, offset): on 64 bits the lower half of the offset is all of it.
func preadv(t *sentry.Task, a sentry.Args) (uintptr, error) {
	off, err := atOffset("preadv", a[3])
	if err != nil {
		return 0, err
	}
	return readAt(t, "preadv", i32(a[0]), off, func() (vector, error) { return importVector(t, "preadv", addr(a[1]), a[2]) })
}

// pwritev(fd, iov, count, offset).
func pwritev(t *sentry.Task, a sentry.Args) (uintptr, error) {
	off, err := atOffset("pwritev", a[3])
	if err != nil {
		return 0, err
	}
	return writeAt(t, "pwritev", i32(a[0]), off, func() (vector, error) { return importVector(t, "pwritev", addr(a[1]), a[2]) })
}
