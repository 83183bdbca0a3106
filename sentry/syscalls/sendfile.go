package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/pipe"
)

// sendfile(out, in, offset, count): from a file with offsets to any other. With an
// offset the descriptor's own stays where it is, and the guest's moves on.
func sendfile(t *sentry.Task, a sentry.Args) (uintptr, error) {
	off := int64(shared)
	if a[2] != 0 {
		v, err := copyIn[int64](t, addr(a[2]))
		if err != nil {
			return 0, err
		}
		off = v
	}
	in, err := getFile(t, i32(a[1]))
	if err != nil {
		return 0, err
	}
	defer in.DecRef()
	out, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer out.DecRef()
	if err := checkSend(in, out, a[2] != 0, off, int64(a[3])); err != nil {
		return 0, err
	}
	n, err := send(t, end{in, nil}, end{out, pipe.Of(out.File())}, off, min(a[3], maxRW))
	if a[2] != 0 && n > 0 {
		if err := copyOut(t, addr(a[2]), off+int64(n)); err != nil {
			return 0, err
		}
	}
	return orError(n, err)
}

// checkSend is what is wrong with a sendfile before anything is read.
func checkSend(in, out *vfs.Description, given bool, off, count int64) error {
	switch {
	case !readable(in) || !writable(out):
		return unix.EBADF
	case given && !in.File().Seekable():
		return unix.ESPIPE
	case given && off < 0 || count < 0:
		return invalid("sendfile", "offset %d, count %d", off, count)
	case !in.File().Seekable():
		return invalid("sendfile", "%s has no offsets", in.Path())
	case out.Flags()&unix.O_APPEND != 0:
		return invalid("sendfile", "%s is open for appending", out.Path())
	}
	return mayFeed(end{in, nil}, nil, 0)
}

// send moves up to count bytes from off, or from the descriptor's own offset, a
// chunk at a time, and returns how many were written. A pipe takes what it has room
// for.
func send(t *sentry.Task, in, out end, off int64, count uint64) (uint64, error) {
	var given *int64
	if off >= 0 {
		at := off
		given = &at
	}
	if out.pipe != nil {
		n, err := fileToPipe(t, in, out, given, count, out.impatient(0))
		return uint64(n), err
	}
	buf := borrow(min(count, maxChunk))
	defer giveBack(buf)
	done := uint64(0)
	for done < count {
		n, asked, err := sendChunk(t, in, out, given, (*buf)[:min(count-done, maxChunk)])
		done += uint64(n)
		if err != nil || n < asked {
			return done, err
		}
	}
	return done, nil
}

// sendChunk moves up to len(p) bytes. The part of the file that it moves is its own:
// nobody else who reads at the shared offset sends it too.
func sendChunk(t *sentry.Task, in, out end, off *int64, p []byte) (done, asked int, err error) {
	var at int64
	var n int
	if off != nil {
		at = *off
		n, err = in.PRead(p, at)
	} else {
		at, n, err = in.Claim(p)
	}
	if n == 0 {
		return 0, len(p), err
	}
	write := out.Write
	if in.Description == out.Description && off == nil { // the offset has moved already
		write = func(b []byte) (int, error) { return out.PWrite(b, at) }
	}
	done, err = writeAll(t, out.Description, p[:n], rwMode{}, write)
	if off != nil {
		*off += int64(done)
	} else if done < n {
		in.Unclaim(at+int64(done), at+int64(n))
	}
	return done, len(p), err
}
