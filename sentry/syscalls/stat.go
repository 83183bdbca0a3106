package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// stat(path, buf).
func stat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return newfstatat(t, sentry.Args{atFDCWD, a[0], a[1], 0})
}

// lstat(path, buf).
func lstat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return newfstatat(t, sentry.Args{atFDCWD, a[0], a[1], unix.AT_SYMLINK_NOFOLLOW})
}

// fstat(fd, buf).
func fstat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	d, err := t.Process().FDs().Get(i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	st, err := d.Stat()
	if err != nil {
		return 0, err
	}
	return 0, copyOut(t, addr(a[1]), st)
}

// newfstatat(dirfd, path, buf, flags).
func newfstatat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	st, err := statAt(t, a[0], addr(a[1]), i32(a[3]))
	if err != nil {
		return 0, err
	}
	return 0, copyOut(t, addr(a[2]), st)
}

// statAt finds what newfstatat tells.
func statAt(t *sentry.Task, dirfd uint64, at memmap.Addr, flags int32) (unix.Stat_t, error) {
	const how = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_EMPTY_PATH
	const sync = unix.AT_STATX_FORCE_SYNC | unix.AT_STATX_DONT_SYNC // there is one truth
	if flags&^(how|sync) != 0 {
		return unix.Stat_t{}, invalid("stat", "unknown flags %#x", flags)
	}
	p, err := pathOrFD(t, dirfd, at, flags)
	if err != nil {
		return unix.Stat_t{}, err
	}
	defer p.done()
	if p.Path == "" && p.At != nil {
		return p.At.Stat()
	}
	return t.Process().Context().Stat(p.Where, int(flags&how))
}

// statx(dirfd, path, flags, mask, buf).
func statx(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const reserved = 0x80000000 // STATX__RESERVED
	const sync = unix.AT_STATX_FORCE_SYNC | unix.AT_STATX_DONT_SYNC
	flags, mask := i32(a[2]), uint32(a[3])
	if mask&reserved != 0 || flags&sync == sync {
		return 0, invalid("statx", "flags %#x, mask %#x", flags, mask)
	}
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_EMPTY_PATH|sync) != 0 {
		return 0, invalid("statx", "unknown flags %#x", flags)
	}
	p, err := pathOrFD(t, a[0], addr(a[1]), flags)
	if err != nil {
		return 0, err
	}
	defer p.done()
	st, more, err := t.Process().Context().Statx(p.Where, int(flags&^sync))
	if err != nil {
		return 0, err
	}
	return 0, copyOut(t, addr(a[4]), toStatx(&st, more, mask))
}

// toStatx is st in the newer structure, with what else is known of what mask asks for.
func toStatx(st *unix.Stat_t, more vfs.Extra, mask uint32) unix.Statx_t {
	stamp := func(ts unix.Timespec) unix.StatxTimestamp {
		return unix.StatxTimestamp{Sec: ts.Sec, Nsec: uint32(ts.Nsec)}
	}
	x := unix.Statx_t{
		Mask:    unix.STATX_BASIC_STATS,
		Blksize: uint32(st.Blksize),
		Nlink:   uint32(st.Nlink),
		Uid:     st.Uid, Gid: st.Gid,
		Mode: uint16(st.Mode),
		Ino:  st.Ino, Size: uint64(st.Size), Blocks: uint64(st.Blocks),
		Atime: stamp(st.Atim), Mtime: stamp(st.Mtim), Ctime: stamp(st.Ctim),
		Rdev_major: unix.Major(st.Rdev), Rdev_minor: unix.Minor(st.Rdev),
		Dev_major: unix.Major(st.Dev), Dev_minor: unix.Minor(st.Dev),
		Attributes_mask: unix.STATX_ATTR_MOUNT_ROOT,
	}
	if more.MountRoot {
		x.Attributes |= unix.STATX_ATTR_MOUNT_ROOT
	}
	if more.Birth != nil && mask&unix.STATX_BTIME != 0 {
		x.Mask |= unix.STATX_BTIME
		x.Btime = stamp(*more.Birth)
	}
	if more.Mount != 0 { // as Linux, also if nobody asks
		x.Mnt_id = uint64(more.Mount)
		x.Mask |= unix.STATX_MNT_ID
		if mask&unix.STATX_MNT_ID_UNIQUE != 0 {
			x.Mask = x.Mask&^unix.STATX_MNT_ID | unix.STATX_MNT_ID_UNIQUE
		}
	}
	return x
}

// statfs(path, buf).
func statfs(t *sentry.Task, a sentry.Args) (uintptr, error) {
	p, err := pathAt(t, atFDCWD, addr(a[0]), false)
	if err != nil {
		return 0, err
	}
	defer p.done()
	st, err := t.Process().Context().Statfs(p.Where)
	if err != nil {
		return 0, err
	}
	return 0, copyOut(t, addr(a[1]), st)
}

// fstatfs(fd, buf).
func fstatfs(t *sentry.Task, a sentry.Args) (uintptr, error) {
	d, err := t.Process().FDs().Get(i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	st, err := d.Statfs()
	if err != nil {
		return 0, err
	}
	return 0, copyOut(t, addr(a[1]), st)
}
