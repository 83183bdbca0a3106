package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
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
	n, err := send(t, in, out, off, min(a[3], maxRW))
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
	return nil
}

// send moves up to count bytes from off, or from the descriptor's own offset, a
// chunk at a time, and returns how many were written.
func send(t *sentry.Task, in, out *vfs.Description, off int64, count uint64) (uint64, error) {
	own := off < 0
	if own {
		at, err := in.Seek(0, unix.SEEK_CUR)
		if err != nil {
			return 0, err
		}
		off = at
	}
	buf := make([]byte, min(count, maxChunk))
	done := uint64(0)
	var err error
	for done < count && err == nil {
		p := buf[:min(count-done, maxChunk)]
		var n int
		if n, err = in.PRead(p, off+int64(done)); n == 0 {
			break
		}
		if n, err = writeAll(t, out, p[:n], out.Write); n < len(p) {
			count = done + uint64(n) // the file or the room has ended
		}
		done += uint64(n)
	}
	if own {
		_, seekErr := in.Seek(off+int64(done), unix.SEEK_SET)
		err = errors.Join(err, seekErr)
	}
	return done, err
}
