package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// The calls of this file change the tree: names, attributes, lengths. What lies on
// a read-only file system says what is wrong with the path first, then EROFS.

// atPath does something with the file at a path.
func atPath(t *sentry.Task, dirfd uint64, at memmap.Addr, do func(*vfs.Context, vfs.Where) error) (uintptr, error) {
	p, err := pathAt(t, dirfd, at, false)
	if err != nil {
		return 0, err
	}
	defer p.done()
	return 0, do(t.Process().Context(), p.Where)
}

// atFD does something with the file that fd is open of.
func atFD(t *sentry.Task, fd int32, do func(*vfs.Context, vfs.Where) error) (uintptr, error) {
	d, err := getFile(t, fd)
	if err != nil {
		return 0, err
	}
	p := place{vfs.Where{At: d, Caller: caller(t)}}
	defer p.done()
	return 0, do(t.Process().Context(), p.Where)
}

// twoPaths does something with two paths.
func twoPaths(t *sentry.Task, dir1 uint64, at1 memmap.Addr, emptyOK bool, dir2 uint64, at2 memmap.Addr, do func(*vfs.Context, vfs.Where, vfs.Where) error) (uintptr, error) {
	from, err := pathAt(t, dir1, at1, emptyOK)
	if err != nil {
		return 0, err
	}
	defer from.done()
	to, err := pathAt(t, dir2, at2, false)
	if err != nil {
		return 0, err
	}
	defer to.done()
	return 0, do(t.Process().Context(), from.Where, to.Where)
}

func mkdir(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return mkdirat(t, sentry.Args{atFDCWD, a[0], a[1]})
}

// mkdirat(dirfd, path, mode).
func mkdirat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return atPath(t, a[0], addr(a[1]), func(c *vfs.Context, w vfs.Where) error { return c.Mkdir(w, uint32(a[2])) })
}

func rmdir(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return atPath(t, atFDCWD, addr(a[0]), (*vfs.Context).Rmdir)
}

func unlink(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return atPath(t, atFDCWD, addr(a[0]), (*vfs.Context).Unlink)
}

// unlinkat(dirfd, path, flags).
func unlinkat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	switch i32(a[2]) {
	case 0:
		return atPath(t, a[0], addr(a[1]), (*vfs.Context).Unlink)
	case unix.AT_REMOVEDIR:
		return atPath(t, a[0], addr(a[1]), (*vfs.Context).Rmdir)
	}
	return 0, invalid("unlinkat", "unknown flags %#x", i32(a[2]))
}

func rename(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return renameat2(t, sentry.Args{atFDCWD, a[0], atFDCWD, a[1]})
}

func renameat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return renameat2(t, sentry.Args{a[0], a[1], a[2], a[3]})
}

// renameat2(dirfd, path, to dirfd, to path, flags).
func renameat2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := uint32(a[4])
	return twoPaths(t, a[0], addr(a[1]), false, a[2], addr(a[3]), func(c *vfs.Context, from, to vfs.Where) error {
		return c.Rename(from, to, flags)
	})
}

func link(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return linkat(t, sentry.Args{atFDCWD, a[0], atFDCWD, a[1]})
}

// linkat(dirfd, path, to dirfd, to path, flags).
func linkat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := i32(a[4])
	if flags&^(unix.AT_SYMLINK_FOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, invalid("linkat", "unknown flags %#x", flags)
	}
	return twoPaths(t, a[0], addr(a[1]), flags&unix.AT_EMPTY_PATH != 0, a[2], addr(a[3]), func(c *vfs.Context, old, w vfs.Where) error {
		return c.Link(old, w, int(flags))
	})
}

func symlink(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return symlinkat(t, sentry.Args{a[0], atFDCWD, a[1]})
}

// symlinkat(text, dirfd, path).
func symlinkat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	text, err := t.CopyInPath(addr(a[0]), false)
	if err != nil {
		return 0, err
	}
	return atPath(t, a[1], addr(a[2]), func(c *vfs.Context, w vfs.Where) error { return c.Symlink(text, w) })
}

func chmod(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return fchmodat(t, sentry.Args{atFDCWD, a[0], a[1]})
}

// fchmodat(dirfd, path, mode): the call has no flags.
func fchmodat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return atPath(t, a[0], addr(a[1]), func(c *vfs.Context, w vfs.Where) error { return c.Chmod(w, uint32(a[2])) })
}

// fchmod(fd, mode).
func fchmod(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return atFD(t, i32(a[0]), func(c *vfs.Context, w vfs.Where) error { return c.Chmod(w, uint32(a[1])) })
}

func chown(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return fchownat(t, sentry.Args{atFDCWD, a[0], a[1], a[2]})
}

func lchown(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return fchownat(t, sentry.Args{atFDCWD, a[0], a[1], a[2], unix.AT_SYMLINK_NOFOLLOW})
}

// fchown(fd, uid, gid).
func fchown(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return atFD(t, i32(a[0]), func(c *vfs.Context, w vfs.Where) error { return c.Chown(w, i32(a[1]), i32(a[2]), true) })
}

// fchownat(dirfd, path, uid, gid, flags).
func fchownat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := i32(a[4])
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, invalid("fchownat", "unknown flags %#x", flags)
	}
	p, err := pathOrFD(t, a[0], addr(a[1]), flags)
	if err != nil {
		return 0, err
	}
	defer p.done()
	return 0, t.Process().Context().Chown(p.Where, i32(a[2]), i32(a[3]), flags&unix.AT_SYMLINK_NOFOLLOW == 0)
}

// utimensat(dirfd, path, times, flags): a null path is dirfd itself, null times are
// now.
func utimensat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := i32(a[3])
	times := [2]unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if a[2] != 0 {
		var err error
		if times, err = copyIn[[2]unix.Timespec](t, addr(a[2])); err != nil {
			return 0, err
		}
		if times[0].Nsec == unix.UTIME_OMIT && times[1].Nsec == unix.UTIME_OMIT {
			return 0, nil // whatever the path
		}
		for _, at := range times {
			if uint64(at.Nsec) > 999_999_999 && at.Nsec != unix.UTIME_NOW && at.Nsec != unix.UTIME_OMIT {
				return 0, invalid("utimensat", "%d nanoseconds", at.Nsec)
			}
		}
	}
	set := func(follow bool) func(*vfs.Context, vfs.Where) error {
		return func(c *vfs.Context, w vfs.Where) error { return c.Utimes(w, times, follow) }
	}
	if a[1] == 0 && i32(a[0]) != unix.AT_FDCWD {
		if flags&^unix.AT_EMPTY_PATH != 0 {
			return 0, invalid("utimensat", "flags %#x without a path", flags)
		}
		return atFD(t, i32(a[0]), set(true))
	}
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, invalid("utimensat", "unknown flags %#x", flags)
	}
	p, err := pathAt(t, a[0], addr(a[1]), flags&unix.AT_EMPTY_PATH != 0)
	if err != nil {
		return 0, err
	}
	defer p.done()
	return 0, set(flags&unix.AT_SYMLINK_NOFOLLOW == 0)(t.Process().Context(), p.Where)
}

// truncate(path, length).
func truncate(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if int64(a[1]) < 0 {
		return 0, invalid("truncate", "length %d is negative", int64(a[1]))
	}
	return atPath(t, atFDCWD, addr(a[0]), func(c *vfs.Context, w vfs.Where) error { return c.Truncate(w, int64(a[1])) })
}

// ftruncate(fd, length).
func ftruncate(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if int64(a[1]) < 0 {
		return 0, invalid("ftruncate", "length %d is negative", int64(a[1]))
	}
	return atFD(t, i32(a[0]), func(_ *vfs.Context, w vfs.Where) error { return w.At.Truncate(int64(a[1])) })
}

// fallocate(fd, mode, offset, length).
func fallocate(t *sentry.Task, a sentry.Args) (uintptr, error) {
	mode, off, n := uint32(a[1]), int64(a[2]), int64(a[3])
	return atFD(t, i32(a[0]), func(_ *vfs.Context, w vfs.Where) error {
		const known = unix.FALLOC_FL_KEEP_SIZE | unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_COLLAPSE_RANGE |
			unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_INSERT_RANGE | unix.FALLOC_FL_UNSHARE_RANGE
		switch {
		case off < 0 || n <= 0:
			return invalid("fallocate", "offset %d, length %d", off, n)
		case mode&^known != 0 || mode&unix.FALLOC_FL_PUNCH_HOLE != 0 && mode&unix.FALLOC_FL_KEEP_SIZE == 0:
			return memmap.Refuse("fallocate", unix.EOPNOTSUPP, "mode %#x", mode)
		}
		return w.At.Allocate(mode, off, n)
	})
}

// mknod(path, mode, device).
func mknod(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return mknodat(t, sentry.Args{atFDCWD, a[0], a[1], a[2]})
}

// mknodat(dirfd, path, mode, device).
func mknodat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	leave := t.Process().Credentials().Effective.Has(sentry.CapMknod)
	return atPath(t, a[0], addr(a[1]), func(c *vfs.Context, w vfs.Where) error {
		return c.Mknod(w, uint32(a[2])&0xffff, uint64(uint32(a[3])), leave)
	})
}
