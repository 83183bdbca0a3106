package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// What is mounted is decided before guests run: whatever their capabilities, they are
// refused as a user without any is, once what else is wrong has been told.

// fixed is the answer.
func fixed(op string) error {
	return memmap.Refuse(op, unix.EPERM, "what is mounted is decided before guests run")
}

// refuseFixed answers calls that check nothing before the capability.
func refuseFixed(t *sentry.Task, _ sentry.Args) (uintptr, error) { return 0, fixed(t.CallName()) }

// mount(source, target, type, flags, data).
func mount(t *sentry.Task, a sentry.Args) (uintptr, error) {
	for _, at := range []uint64{a[2], a[0]} {
		if at == 0 {
			continue
		}
		if _, err := t.MM().CopyInString(t.Actor("mount"), addr(at), memmap.PageSize, mm.IOOpts{}); err != nil {
			return 0, err
		}
	}
	if a[4] != 0 {
		if err := t.CopyIn(addr(a[4]), make([]byte, 1)); err != nil {
			return 0, err
		}
	}
	return mustBe(t, addr(a[1]), 0, "mount")
}

// umount2(target, flags).
func umount2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const known = unix.MNT_FORCE | unix.MNT_DETACH | unix.MNT_EXPIRE | unix.UMOUNT_NOFOLLOW
	if i32(a[1])&^known != 0 {
		return 0, invalid("umount2", "flags %#x are not known", a[1])
	}
	how := 0
	if a[1]&unix.UMOUNT_NOFOLLOW != 0 {
		how = unix.AT_SYMLINK_NOFOLLOW
	}
	return mustBe(t, addr(a[0]), how, "umount2")
}

// mustBe refuses op, or says that there is nothing at the path.
func mustBe(t *sentry.Task, at memmap.Addr, how int, op string) (uintptr, error) {
	return atPath(t, atFDCWD, at, func(c *vfs.Context, w vfs.Where) error {
		if _, err := c.Stat(w, how); err != nil {
			return err
		}
		return fixed(op)
	})
}

// fsconfig(fd, …): there is no descriptor that it could be for.
func fsconfig(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if i32(a[0]) < 0 {
		return 0, unix.EINVAL
	}
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	_ = d.DecRef() // it is of a descriptor still
	return 0, invalid("fsconfig", "%s configures no file system", d.Path())
}

// openTree is open_tree(dirfd, path, flags): without OPEN_TREE_CLONE an open with O_PATH.
func openTree(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const known = unix.AT_EMPTY_PATH | unix.AT_NO_AUTOMOUNT | unix.AT_RECURSIVE | unix.AT_SYMLINK_NOFOLLOW | unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	flags := uint32(a[2])
	switch {
	case flags&^known != 0, flags&unix.AT_RECURSIVE != 0 && flags&unix.OPEN_TREE_CLONE == 0:
		return 0, invalid("open_tree", "flags %#x", flags)
	case flags&unix.OPEN_TREE_CLONE != 0:
		return 0, fixed("open_tree")
	}
	how := uint64(unix.O_PATH) | uint64(flags&unix.OPEN_TREE_CLOEXEC)
	if flags&unix.AT_SYMLINK_NOFOLLOW != 0 {
		how |= unix.O_NOFOLLOW
	}
	return openat(t, sentry.Args{a[0], a[1], how})
}
