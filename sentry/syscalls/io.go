package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
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

// vector is the guest memory of a transfer, in order.
type vector []memmap.AddrRange

// total is the number of bytes.
func (v vector) total() (n uint64) {
	for _, ar := range v {
		n += uint64(ar.Length())
	}
	return n
}

// dropFirst returns v without its first n bytes.
func (v vector) dropFirst(n uint64) vector {
	for len(v) > 0 && n >= uint64(v[0].Length()) {
		n -= uint64(v[0].Length())
		v = v[1:]
	}
	if n == 0 || len(v) == 0 {
		return v
	}
	rest := append(vector(nil), v...)
	rest[0].Start += memmap.Addr(n)
	return rest
}

// first returns the first n bytes of v.
func (v vector) first(n uint64) vector {
	for i, ar := range v {
		if n <= ar.Length() {
			head := append(vector(nil), v[:i+1]...)
			head[i].End = ar.Start + memmap.Addr(n)
			return head
		}
		n -= ar.Length()
	}
	return v
}

// scatter writes p over v, as by asks, and returns how many bytes memory took.
func (v vector) scatter(t *sentry.Task, by *mm.Actor, p []byte) (done int, err error) {
	for _, ar := range v {
		n := min(len(p)-done, int(ar.Length()))
		if n == 0 {
			continue
		}
		k, err := t.MM().CopyOut(by, ar.Start, p[done:done+n], mm.IOOpts{})
		done += k
		if err != nil || done == len(p) {
			return done, err
		}
	}
	return done, nil
}

// gather reads v into p and returns how many bytes memory gave.
func (v vector) gather(t *sentry.Task, op string, p []byte) (done int, err error) {
	for _, ar := range v {
		n := min(len(p)-done, int(ar.Length()))
		if n == 0 {
			continue
		}
		k, err := guestRead(t, op, ar.Start, p[done:done+n])
		done += k
		if err != nil || done == len(p) {
			return done, err
		}
	}
	return done, nil
}

// oneRange is the vector of read and write: EFAULT for what is no user memory.
func oneRange(op string, at memmap.Addr, n uint64) (vector, error) {
	if !accessOK(at, n) {
		return nil, fault(op, at, n)
	}
	return vector{{Start: at, End: at + memmap.Addr(min(n, maxRW))}}, nil
}

// importVector reads count struct iovecs: EINVAL for more than 1024 of them and
// for negative lengths, EFAULT. The sum is cut at what a call may move.
func importVector(t *sentry.Task, op string, at memmap.Addr, count uint64) (vector, error) {
	if count > maxIOV {
		return nil, invalid(op, "%d ranges are more than %d", count, maxIOV)
	}
	v := make(vector, 0, count)
	left := uint64(maxRW)
	for i := uint64(0); i < count; i++ {
		iov, err := copyIn[[2]uint64](t, at+memmap.Addr(i*16))
		if err != nil {
			return nil, err
		}
		base, n := addr(iov[0]), iov[1]
		if int64(n) < 0 {
			return nil, invalid(op, "range %d has a negative length", i)
		}
		if !accessOK(base, n) {
			return nil, fault(op, base, n)
		}
		n = min(n, left)
		left -= n
		v = append(v, memmap.AddrRange{Start: base, End: base + memmap.Addr(n)})
	}
	return v, nil
}

// reader reads into p and lets commit say how much of it the guest took.
type reader func(p []byte, commit func(n int) (int, error)) (int, error)

// fill reads into v, a chunk at a time, until it is full or next gives less than
// it was asked for. What was read before an error counts.
func fill(t *sentry.Task, op string, d *vfs.Description, v vector, next reader) (uintptr, error) {
	left := v.total()
	buf := make([]byte, min(left, maxChunk))
	done := uint64(0)
	asks := t.WaitingActor
	if d.File().Seekable() { // whose offset is locked meanwhile: what may have to be waited for comes first
		asks = t.Actor
	}
	for {
		p := buf[:min(left, maxChunk)]
		if d.File().Seekable() {
			t.MM().Prefault(t.WaitingActor(op), v.first(uint64(len(p))), memmap.Write)
		}
		n, err := untilReady(t, d, unix.POLLIN, done == 0, func() (int, error) {
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
func drain(t *sentry.Task, op string, d *vfs.Description, v vector, next func(p []byte) (int, error)) (uintptr, error) {
	left := v.total()
	buf := make([]byte, min(left, maxChunk))
	done := uint64(0)
	for {
		p := buf[:min(left, maxChunk)]
		got, memErr := v.gather(t, op, p)
		if got == 0 && memErr != nil {
			return orError(done, memErr)
		}
		n, err := writeAll(t, d, p[:got], next)
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

// writeAll writes p, waiting for room unless d is O_NONBLOCK. A write to a pipe
// without readers also raises SIGPIPE.
func writeAll(t *sentry.Task, d *vfs.Description, p []byte, next func(p []byte) (int, error)) (int, error) {
	done := 0
	for {
		n, err := untilReady(t, d, unix.POLLOUT, true, func() (int, error) { return next(p[done:]) })
		done += n
		if errors.Is(err, unix.EPIPE) {
			t.SignalThread(sentry.SigInfo{Signal: int32(unix.SIGPIPE), PID: t.Process().PID(), UID: t.Process().Credentials().UID})
		}
		mayGoOn := errors.Is(err, vfs.ErrWouldBlock) && n > 0 && d.Flags()&unix.O_NONBLOCK == 0
		if !mayGoOn {
			if done > 0 {
				err = nil
			}
			return done, err
		}
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
		w, ok := d.File().(vfs.Waiter)
		if !ok {
			return n, err
		}
		ready, giveUp := w.Wait(events | unix.POLLERR | unix.POLLHUP)
		err = block(t, ready, forever, isExternal(d))
		giveUp()
		if err != nil {
			return 0, err
		}
	}
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
	case !allowed(d):
		err = unix.EBADF
	case off >= 0 && !d.File().Seekable():
		err = unix.ESPIPE
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
	d, v, err := transfer(t, fd, off, readable, ranges)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
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
	return fill(t, op, d, v, next)
}

func writeAt(t *sentry.Task, op string, fd int32, off int64, ranges func() (vector, error)) (uintptr, error) {
	d, v, err := transfer(t, fd, off, writable, ranges)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if s, ok := d.File().(vfs.Sink); ok {
		n, err := s.Swallow(int(v.total()))
		return uintptr(n), err
	}
	next := d.Write
	if off >= 0 {
		next = func(p []byte) (int, error) {
			n, err := d.PWrite(p, off)
			off += int64(n)
			return n, err
		}
	}
	return drain(t, op, d, v, next)
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
