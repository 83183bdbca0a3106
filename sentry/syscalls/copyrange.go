package syscalls

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// copyFileRange is copy_file_range(in, offIn, out, offOut, count, flags), within one
// file system.
func copyFileRange(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "copy_file_range"
	in, out, done, err := getEnds(t, i32(a[0]), i32(a[2]))
	if err != nil {
		return 0, err
	}
	defer done()
	offIn, err := givenOffset(t, addr(a[1]))
	if err != nil {
		return 0, err
	}
	offOut, err := givenOffset(t, addr(a[3]))
	if err != nil {
		return 0, err
	}
	if flags := uint32(a[5]); flags != 0 {
		return 0, invalid(op, "flags %#x are not known", flags)
	}
	count, err := checkCopy(in, out, offIn, offOut, a[4])
	if err != nil || count == 0 {
		return 0, err
	}
	n, err := copyBytes(in, out, offIn, offOut, count)
	if n == 0 {
		return 0, err
	}
	err = nil // what was copied counts
	if offIn != nil {
		err = copyOut(t, addr(a[1]), *offIn)
	}
	if offOut != nil { // whatever became of the other
		err = errors.Join(err, copyOut(t, addr(a[3]), *offOut))
	}
	if err != nil {
		return 0, err
	}
	return uintptr(n), nil
}

// checkCopy makes the checks of vfs_copy_file_range in their order, and returns how
// many bytes there are to copy.
func checkCopy(in, out end, offIn, offOut *int64, count uint64) (uint64, error) {
	const op = "copy_file_range"
	stIn, err := in.Stat()
	if err != nil {
		return 0, err
	}
	stOut, err := out.Stat()
	if err != nil {
		return 0, err
	}
	kindIn, kindOut := stIn.Mode&unix.S_IFMT, stOut.Mode&unix.S_IFMT
	switch {
	case kindIn == unix.S_IFDIR || kindOut == unix.S_IFDIR:
		return 0, unix.EISDIR
	case kindIn != unix.S_IFREG || kindOut != unix.S_IFREG:
		return 0, invalid(op, "%s and %s are not both regular files", in.Path(), out.Path())
	case !readable(in.Description) || !writable(out.Description) || out.Flags()&unix.O_APPEND != 0:
		return 0, unix.EBADF
	case stIn.Dev != stOut.Dev:
		return 0, memmap.Refuse(op, unix.EXDEV, "%s and %s lie in different file systems", in.Path(), out.Path())
	}
	from, to := startOf(in, offIn), startOf(out, offOut)
	if uint64(from)+count < count || uint64(from)+count > math.MaxInt64 || uint64(to)+count < count || uint64(to)+count > math.MaxInt64 {
		if from < 0 || to < 0 || count > math.MaxInt64 {
			return 0, memmap.Refuse(op, unix.EOVERFLOW, "%d bytes from %d to %d", count, from, to)
		}
	}
	if from >= stIn.Size {
		return 0, nil
	}
	count = min(count, uint64(stIn.Size-from), uint64(math.MaxInt64-to), maxRW)
	if stIn.Ino == stOut.Ino && from < to+int64(count) && to < from+int64(count) {
		return 0, invalid(op, "the ranges at %d and %d of one file overlap", from, to)
	}
	return count, nil
}

// startOf is *off, or the file's own offset if off is nil.
func startOf(e end, off *int64) int64 {
	if off != nil {
		return *off
	}
	at, _ := e.Seek(0, unix.SEEK_CUR) // a regular file's: it cannot fail
	return at
}

// copyBytes copies count bytes, a chunk at a time, and moves the offsets on.
func copyBytes(in, out end, offIn, offOut *int64, count uint64) (done uint64, err error) {
	buf := borrow(min(count, maxChunk))
	defer giveBack(buf)
	for done < count {
		p := (*buf)[:min(count-done, maxChunk)]
		var at int64
		var n, k int
		if offIn != nil {
			n, err = in.PRead(p, *offIn)
		} else {
			at, n, err = in.Claim(p)
		}
		if n == 0 || err != nil {
			return done, err
		}
		if offOut != nil {
			k, err = out.PWriteAs(p[:n], *offOut, vfs.InPlace)
			*offOut += int64(k)
		} else {
			k, err = out.WriteAs(p[:n], vfs.InPlace)
		}
		if offIn != nil {
			*offIn += int64(k)
		} else if k < n {
			in.Unclaim(at+int64(k), at+int64(n))
		}
		done += uint64(k)
		if k < n || err != nil {
			return done, err
		}
	}
	return done, nil
}
