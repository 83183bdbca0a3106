package syscalls

import (
	"math"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// fsync(fd).
func fsync(t *sentry.Task, a sentry.Args) (uintptr, error) { return syncFD(t, a, "fsync", false) }

// fdatasync(fd).
func fdatasync(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return syncFD(t, a, "fdatasync", true)
}

// syncFD writes out what fd leads to. Files that lie in memory have nothing to be
// written to.
func syncFD(t *sentry.Task, a sentry.Args, op string, dataOnly bool) (uintptr, error) {
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if s, ok := d.File().(vfs.Syncer); ok {
		return 0, s.Sync(dataOnly)
	}
	st, err := d.Stat()
	if err != nil {
		return 0, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFBLK:
		return 0, nil
	}
	return 0, invalid(op, "%s cannot be synchronised", d.Path())
}

// syncFileRange is sync_file_range(fd, offset, length, flags): length 0 is up to the
// end.
func syncFileRange(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const known = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	off, n, flags := int64(a[1]), int64(a[2]), uint32(a[3])
	if flags&^known != 0 || off < 0 || n < 0 || off > math.MaxInt64-n {
		return 0, invalid("sync_file_range", "offset %d, length %d, flags %#x", off, n, flags)
	}
	st, err := d.Stat()
	if err != nil {
		return 0, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFBLK, unix.S_IFLNK:
	default:
		return 0, unix.ESPIPE
	}
	end := off + n
	if n == 0 {
		end = math.MaxInt64
	}
	if s, ok := d.File().(vfs.Syncer); ok && flags != 0 {
		return 0, s.SyncRange(off, end)
	}
	return 0, nil
}

// syncAll is sync(): it has no error to return; who syncs a file is told.
func syncAll(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	if cache := t.Kernel().Config().Cache; cache != nil {
		_ = cache.Sync() // recorded, and the pages stay dirty
	}
	return 0, nil
}

// syncfs(fd): all files are written, of whatever file system; what failed is told if
// fd's own file did.
func syncfs(t *sentry.Task, a sentry.Args) (uintptr, error) {
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if _, err := syncAll(t, a); err != nil {
		return 0, err
	}
	if s, ok := d.File().(vfs.Syncer); ok {
		return 0, s.Sync(false)
	}
	return 0, nil
}
