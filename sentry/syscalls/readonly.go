package syscalls

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// The calls of this file would change the tree, which is read-only: they say what
// is wrong with the path first, as Linux does on a read-only file system, and
// EROFS otherwise.

// refuseChange answers a call that changes an existing file.
func refuseChange(t *sentry.Task, dirfd uint64, at memmap.Addr, follow bool) (uintptr, error) {
	p, err := pathAt(t, dirfd, at, false)
	if err != nil {
		return 0, err
	}
	defer p.done()
	return 0, t.Process().Context().Refuse(p.Where, follow)
}

// refuseNew answers a call that makes a file: EEXIST if there is one already.
func refuseNew(t *sentry.Task, dirfd uint64, at memmap.Addr) (uintptr, error) {
	p, err := pathAt(t, dirfd, at, false)
	if err != nil {
		return 0, err
	}
	defer p.done()
	files := t.Process().Context()
	switch _, err := files.Stat(p.Where, unix.AT_SYMLINK_NOFOLLOW); {
	case err == nil:
		return 0, unix.EEXIST
	case !errors.Is(err, unix.ENOENT):
		return 0, err
	}
	p.Path = path.Dir(path.Clean(p.Path))
	return 0, files.Refuse(p.Where, true)
}

func mkdir(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return refuseNew(t, atFDCWD, addr(a[0]))
}

func mkdirat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return refuseNew(t, a[0], addr(a[1]))
}

func rmdir(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return refuseChange(t, atFDCWD, addr(a[0]), false)
}

func unlink(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return refuseChange(t, atFDCWD, addr(a[0]), false)
}

func unlinkat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if i32(a[2])&^unix.AT_REMOVEDIR != 0 {
		return 0, invalid("unlinkat", "unknown flags %#x", i32(a[2]))
	}
	return refuseChange(t, a[0], addr(a[1]), false)
}

func chmod(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return refuseChange(t, atFDCWD, addr(a[0]), true)
}

func fchmodat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return refuseChange(t, a[0], addr(a[1]), true)
}

func chown(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return refuseChange(t, atFDCWD, addr(a[0]), true)
}

func lchown(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return refuseChange(t, atFDCWD, addr(a[0]), false)
}

func truncate(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if int64(a[1]) < 0 {
		return 0, invalid("truncate", "length %d is negative", int64(a[1]))
	}
	return refuseChange(t, atFDCWD, addr(a[0]), true)
}

// ftruncate(fd, length): a descriptor of the read-only tree is never open for
// writing, and nothing else has a length.
func ftruncate(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if int64(a[1]) < 0 {
		return 0, invalid("ftruncate", "length %d is negative", int64(a[1]))
	}
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	return 0, errors.Join(invalid("ftruncate", "%s has no length to set", d.Path()), d.DecRef())
}
