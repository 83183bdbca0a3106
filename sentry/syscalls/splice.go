package syscalls

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/pipe"
)

// Flags of splice, tee and vmsplice: the others are hints, which nothing needs.
const (
	spliceNonblock = 0x2
	spliceKnown    = 0xf
)

// end is a side of a splice: a pipe's if pipe is not nil.
type end struct {
	*vfs.Description
	pipe *pipe.End
}

// getEnds returns the two descriptors of a splice, and what gives them back.
func getEnds(t *sentry.Task, in, out int32) (from, to end, done func(), err error) {
	if from.Description, err = getFile(t, in); err != nil {
		return from, to, nil, err
	}
	if to.Description, err = getFile(t, out); err != nil {
		_ = from.DecRef() // it is of a descriptor still
		return from, to, nil, err
	}
	from.pipe, to.pipe = pipe.Of(from.File()), pipe.Of(to.File())
	return from, to, func() {
		_ = from.DecRef()
		_ = to.DecRef()
	}, nil
}

// impatient reports whether a splice must not wait at e.
func (e end) impatient(flags uint32) bool {
	return flags&spliceNonblock != 0 || e.Flags()&unix.O_NONBLOCK != 0
}

// splice(in, offIn, out, offOut, count, flags): one of them is a pipe at least.
func splice(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := uint32(a[5])
	switch {
	case a[4] == 0:
		return 0, nil
	case flags&^spliceKnown != 0:
		return 0, invalid("splice", "flags %#x are not known", flags)
	}
	in, out, done, err := getEnds(t, i32(a[0]), i32(a[2]))
	if err != nil {
		return 0, err
	}
	defer done()
	inAt, outAt := addr(a[1]), addr(a[3])
	if in.pipe != nil && inAt != 0 || out.pipe != nil && outAt != 0 {
		return 0, memmap.Refuse("splice", unix.ESPIPE, "a pipe has no offsets")
	}
	for _, e := range []end{in, out} {
		if e.pipe != nil {
			e.pipe.Spliced()
		}
	}
	offOut, err := givenOffset(t, outAt)
	if err != nil {
		return 0, err
	}
	offIn, err := givenOffset(t, inAt)
	if err != nil {
		return 0, err
	}
	count := min(a[4], maxRW)
	switch {
	case !readable(in.Description) || !writable(out.Description):
		return 0, unix.EBADF
	case in.pipe != nil && out.pipe != nil:
		n, err := betweenPipes(t, in, out, in.impatient(flags) || out.impatient(flags), func() (int, *pipe.End, error) { return in.pipe.Move(out.pipe, int(count)) })
		return uintptr(n), err
	case in.pipe != nil:
		return moved(t, outAt, offOut)(pipeToFile(t, in, out, offOut, count, in.impatient(flags)))
	case out.pipe != nil:
		return moved(t, inAt, offIn)(fileToPipe(t, in, out, offIn, count, out.impatient(flags)))
	}
	return 0, invalid("splice", "neither %s nor %s is a pipe", in.Path(), out.Path())
}

// givenOffset reads the offset at at, nil if there is none.
func givenOffset(t *sentry.Task, at memmap.Addr) (*int64, error) {
	if at == 0 {
		return nil, nil
	}
	off, err := copyIn[int64](t, at)
	return &off, err
}

// moved returns what writes a given offset back behind a transfer.
func moved(t *sentry.Task, at memmap.Addr, off *int64) func(n int, err error) (uintptr, error) {
	return func(n int, err error) (uintptr, error) {
		if err == nil && off != nil {
			err = copyOut(t, at, *off)
		}
		if err != nil {
			return 0, err
		}
		return uintptr(n), nil
	}
}

// checkArea is Linux's rw_verify_area of an offset that was given.
func checkArea(op string, off *int64, count uint64) error {
	if off != nil && (*off < 0 || uint64(*off)+count > math.MaxInt64) {
		return invalid(op, "%d bytes at %d", count, *off)
	}
	return nil
}

// awaitRoom returns how many slots of the pipe out are free, and waits for one unless noWait.
func awaitRoom(t *sentry.Task, out end, noWait bool) (room int, err error) {
	_, err = untilReady(t, out.Description, unix.POLLOUT, !noWait, func() (int, error) {
		room, err = out.pipe.Room()
		return room, err
	})
	signalBroken(t, err)
	return room, err
}

// piped is how many of count bytes a call moves into so many free slots, the first of
// which it fills from byte lead on: no more than we hold at once, which is what a pipe has
// room for that nobody with a capability made larger.
func piped(count uint64, room, lead int) uint64 {
	return min(count, uint64(room*memmap.PageSize-lead), maxChunk)
}

// fileToPipe moves up to count bytes of a file from *off on, or from its own offset if
// off is nil, into a pipe, as much as there is room for. It waits for any room unless
// noWait.
func fileToPipe(t *sentry.Task, in, out end, off *int64, count uint64, noWait bool) (int, error) {
	if err := mayFeed(in, off, count); err != nil {
		return 0, err
	}
	room, err := awaitRoom(t, out, noWait)
	if err != nil {
		return 0, err
	}
	at, paged := int64(0), cached(in)
	if off != nil {
		at = *off
	} else if paged {
		if at, err = in.Seek(0, unix.SEEK_CUR); err != nil {
			return 0, err
		}
	}
	lead := 0
	if paged { // a slot a page
		lead = int(at % memmap.PageSize)
	}
	buf := make([]byte, piped(count, room, lead))
	n, err := untilReady(t, in.Description, unix.POLLIN, !noWait, func() (n int, err error) {
		if off != nil {
			return in.PRead(buf, *off)
		}
		_, n, err = in.Claim(buf)
		return n, err
	})
	if n == 0 {
		return 0, err
	}
	out.pipe.Put(buf[:n], lead)
	if off != nil {
		*off += int64(n)
	}
	return n, nil
}

// mayFeed is what is wrong with a splice from in.
func mayFeed(in end, off *int64, count uint64) error {
	if off != nil && !in.File().Seekable() {
		return invalid("splice", "%s has no offsets", in.Path())
	}
	if err := checkArea("splice", off, count); err != nil {
		return err
	}
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if u, ok := in.File().(vfs.Unspliced); st.Mode&unix.S_IFMT == unix.S_IFDIR || st.Mode&unix.S_IFMT == 0 || ok && u.Unspliced() {
		return invalid("splice", "%s cannot be spliced from", in.Path())
	}
	return nil
}

// cached reports whether the file's bytes lie in pages.
func cached(e end) bool {
	st, err := e.Stat()
	_, maps := e.File().(vfs.Mapper)
	return err == nil && maps && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// pipeToFile moves up to count bytes of a pipe to a file at *off, or at its own offset
// if off is nil. It waits for the first of them unless noWait.
func pipeToFile(t *sentry.Task, in, out end, off *int64, count uint64, noWait bool) (int, error) {
	switch {
	case off != nil && !out.File().Seekable():
		return 0, invalid("splice", "%s has no offsets", out.Path())
	case out.Flags()&unix.O_APPEND != 0:
		return 0, invalid("splice", "%s is open for appending", out.Path())
	}
	if err := checkArea("splice", off, count); err != nil {
		return 0, err
	}
	for {
		full := false
		n, err := in.pipe.Take(int(count), func(p []byte) (n int, err error) {
			if off == nil {
				n, err = out.Write(p)
			} else if n, err = out.PWrite(p, *off); n > 0 {
				*off += int64(n)
			}
			full = errors.Is(err, vfs.ErrWouldBlock)
			return n, err
		})
		switch {
		case n > 0 || !errors.Is(err, vfs.ErrWouldBlock) || noWait:
			return n, err
		case full:
			_, err = waitFor(t, out.Description, unix.POLLOUT)
		default:
			_, err = waitFor(t, in.Description, unix.POLLIN)
		}
		if err != nil {
			return 0, err
		}
	}
}

// betweenPipes asks try, which names the end that has to be waited for, until it does
// something.
func betweenPipes(t *sentry.Task, in, out end, noWait bool, try func() (int, *pipe.End, error)) (int, error) {
	if in.pipe.Same(out.pipe) {
		return 0, invalid("splice", "both ends are of %s", in.Path())
	}
	for {
		n, wait, err := try()
		signalBroken(t, err)
		switch {
		case wait == nil || noWait:
			return n, err
		case wait == in.pipe:
			_, err = waitFor(t, in.Description, unix.POLLIN)
		default:
			_, err = waitFor(t, out.Description, unix.POLLOUT)
		}
		if err != nil {
			return 0, err
		}
	}
}

// tee(in, out, count, flags): what it copies stays where it is.
func tee(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := uint32(a[3])
	switch {
	case flags&^spliceKnown != 0:
		return 0, invalid("tee", "flags %#x are not known", flags)
	case a[2] == 0:
		return 0, nil
	}
	in, out, done, err := getEnds(t, i32(a[0]), i32(a[1]))
	if err != nil {
		return 0, err
	}
	defer done()
	switch {
	case !readable(in.Description) || !writable(out.Description):
		return 0, unix.EBADF
	case in.pipe == nil || out.pipe == nil:
		return 0, invalid("tee", "%s and %s are not both pipes", in.Path(), out.Path())
	}
	n, err := betweenPipes(t, in, out, in.impatient(flags) || out.impatient(flags), func() (int, *pipe.End, error) {
		return in.pipe.Tee(out.pipe, int(min(a[2], maxRW)))
	})
	return uintptr(n), err
}

// vmsplice(fd, iov, count, flags): memory into a pipe, or what is in a pipe into memory.
// The bytes are copied in either case.
func vmsplice(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := uint32(a[3])
	if flags&^spliceKnown != 0 {
		return 0, invalid("vmsplice", "flags %#x are not known", flags)
	}
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	v, err := importVector(t, "vmsplice", addr(a[1]), a[2])
	e := end{d, pipe.Of(d.File())}
	switch {
	case err != nil:
		return 0, err
	case v.total() == 0:
		return 0, nil
	case e.pipe == nil:
		return 0, memmap.Refuse("vmsplice", unix.EBADF, "%s is no pipe", d.Path())
	}
	e.pipe.Spliced()
	if writable(d) {
		return memoryToPipe(t, e, v, e.impatient(flags))
	}
	return pipeToMemory(t, e, v, e.impatient(flags))
}

// memoryToPipe puts in as much of v as there is room for, as fileToPipe does: a slot a
// page, of each range anew.
func memoryToPipe(t *sentry.Task, out end, v vector, noWait bool) (uintptr, error) {
	room, err := awaitRoom(t, out, noWait)
	if err != nil {
		return 0, err
	}
	done := uint64(0)
	left := uint64(maxChunk)
	for _, ar := range v {
		if room == 0 || left == 0 {
			break
		}
		lead := int(ar.Start % memmap.PageSize)
		buf := make([]byte, min(left, piped(ar.Length(), room, lead)))
		n, err := guestRead(t, "vmsplice", ar.Start, buf)
		out.pipe.Put(buf[:n], lead)
		done += uint64(n)
		left -= uint64(n)
		room -= (lead + n + memmap.PageSize - 1) / memmap.PageSize
		if n < len(buf) {
			return orError(done, err)
		}
	}
	return uintptr(done), nil
}

// pipeToMemory moves what is in a pipe to v, a slot at a time: one that does not fit
// into mapped memory stays whole.
func pipeToMemory(t *sentry.Task, in end, v vector, noWait bool) (uintptr, error) {
	const op = "vmsplice"
	n, err := untilReady(t, in.Description, unix.POLLIN, !noWait, func() (int, error) {
		t.MM().Prefault(t.WaitingActor(op), v, memmap.Write) // nothing waits while the pipe is locked
		left := v
		return in.pipe.Take(int(v.total()), func(p []byte) (int, error) {
			if n, err := left.scatter(t, t.Actor(op), p); n < len(p) {
				return 0, err
			}
			left = left.dropFirst(uint64(len(p)))
			return len(p), nil
		})
	})
	return uintptr(n), err
}
