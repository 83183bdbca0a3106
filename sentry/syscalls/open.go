package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

const atFDCWD = uint64(0xffffffffffffff9c) // AT_FDCWD, sign-extended

// place is a path argument made ready for vfs. The caller calls done.
type place struct {
	vfs.Where
}

// done gives the directory back.
func (p place) done() {
	if p.At != nil {
		p.At.DecRef()
	}
}

// pathAt reads the path at at, relative to directory dirfd: EFAULT, ENAMETOOLONG,
// ENOENT if it is empty and not emptyOK, EBADF. An absolute path needs no
// directory.
func pathAt(t *sentry.Task, dirfd uint64, at memmap.Addr, emptyOK bool) (place, error) {
	path, err := t.CopyInPath(at, emptyOK)
	if err != nil {
		return place{}, err
	}
	return placeOf(t, dirfd, path)
}

// caller is who t is when it follows a path.
func caller(t *sentry.Task) vfs.Caller {
	who := t.Process().Credentials()
	return vfs.Caller{PID: t.Process().PID(), TID: t.TID(), UID: who.FSUID, GID: who.FSGID, Groups: who.Groups}
}

// placeOf is pathAt of a path that is here already.
func placeOf(t *sentry.Task, dirfd uint64, path string) (place, error) {
	w := vfs.Where{Path: path, Caller: caller(t)}
	if i32(dirfd) == unix.AT_FDCWD || path != "" && path[0] == '/' {
		return place{w}, nil
	}
	d, err := t.Process().FDs().Get(i32(dirfd))
	if err != nil {
		return place{}, err
	}
	w.At = d
	return place{w}, nil
}

// pathOrFD is pathAt for calls that take AT_EMPTY_PATH: with it, a null pointer is
// an empty path as well.
func pathOrFD(t *sentry.Task, dirfd uint64, at memmap.Addr, flags int32) (place, error) {
	if flags&unix.AT_EMPTY_PATH == 0 {
		return pathAt(t, dirfd, at, false)
	}
	if at == 0 {
		return placeOf(t, dirfd, "")
	}
	return pathAt(t, dirfd, at, true)
}

// open(path, flags, mode).
func open(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return openat(t, sentry.Args{atFDCWD, a[0], a[1], a[2]})
}

// creat(path, mode).
func creat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return openat(t, sentry.Args{atFDCWD, a[0], unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC, a[1]})
}

// openat(dirfd, path, flags, mode).
func openat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := int(i32(a[2]))
	p, err := pathAt(t, a[0], addr(a[1]), false)
	if err != nil {
		return 0, err
	}
	defer p.done()
	d, err := t.Process().Context().Open(p.Where, flags, uint32(a[3])&0o7777)
	if err != nil {
		return 0, err
	}
	if err := openedTTY(t, d, flags); err != nil {
		_ = d.DecRef()
		return 0, err
	}
	if err := meet(t, d); err != nil {
		return 0, err
	}
	return addFD(t, d, flags&unix.O_CLOEXEC != 0, 0)
}

// meet waits for the other side of a named pipe, if opening d has to. If that fails, d
// is given back.
func meet(t *sentry.Task, d *vfs.Description) error {
	p, ok := d.File().(vfs.PipeEnd)
	for ok {
		ready, giveUp, met := p.Met()
		if met {
			break
		}
		err := t.Block(ready, forever)
		giveUp()
		if err != nil {
			_ = d.DecRef() // a pipe has nothing to write out
			return err
		}
	}
	return nil
}

// resolveCached is RESOLVE_CACHED: all that is here is cached.
const resolveCached = 0x20

// openHow is struct open_how.
type openHow struct{ Flags, Mode, Resolve uint64 }

// openat2(dirfd, path, how, size): what openat ignores is EINVAL here.
func openat2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	how, err := copyInSized[openHow](t, "openat2", addr(a[2]), a[3])
	if err != nil {
		return 0, err
	}
	if err := how.check(); err != nil {
		return 0, err
	}
	p, err := pathAt(t, a[0], addr(a[1]), false)
	if err != nil {
		return 0, err
	}
	if how.Resolve&unix.RESOLVE_IN_ROOT != 0 && p.At == nil && i32(a[0]) != unix.AT_FDCWD { // an absolute path starts there too
		if p.At, err = t.Process().FDs().Get(i32(a[0])); err != nil {
			return 0, err
		}
	}
	defer p.done()
	p.Resolve = how.Resolve
	d, err := t.Process().Context().Open(p.Where, int(how.Flags), uint32(how.Mode))
	if err != nil {
		return 0, err
	}
	if err := openedTTY(t, d, int(how.Flags)); err != nil {
		_ = d.DecRef()
		return 0, err
	}
	if err := meet(t, d); err != nil {
		return 0, err
	}
	return addFD(t, d, how.Flags&unix.O_CLOEXEC != 0, 0)
}

// copyInSized reads a struct of which the guest says how large it is: one that is larger
// than ours is E2BIG unless the rest is zero.
func copyInSized[T any](t *sentry.Task, op string, at memmap.Addr, size uint64) (v T, err error) {
	known := uint64(len(bytesOf(&v)))
	switch {
	case size < known:
		return v, invalid(op, "a struct of %d bytes", size)
	case size > memmap.PageSize:
		return v, memmap.Refuse(op, unix.E2BIG, "a struct of %d bytes", size)
	}
	if v, err = copyIn[T](t, at); err != nil {
		return v, err
	}
	rest := make([]byte, size-known)
	if err := t.CopyIn(at+memmap.Addr(known), rest); err != nil {
		return v, err
	}
	for _, b := range rest {
		if b != 0 {
			return v, memmap.Refuse(op, unix.E2BIG, "the struct says more than is known")
		}
	}
	return v, nil
}

// check is Linux's build_open_flags.
func (h *openHow) check() error {
	const (
		largeFile = 0o100000
		flags     = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_NOCTTY | unix.O_TRUNC | unix.O_APPEND | unix.O_NONBLOCK | unix.O_SYNC | unix.O_DSYNC |
			unix.O_ASYNC | unix.O_DIRECT | largeFile | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NOATIME | unix.O_CLOEXEC | unix.O_PATH | unix.O_TMPFILE
		resolve = unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH | unix.RESOLVE_IN_ROOT | resolveCached
		path    = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		tmpfile = unix.O_TMPFILE &^ unix.O_DIRECTORY
	)
	makes := h.Flags&(unix.O_CREAT|tmpfile) != 0
	both := h.Resolve&unix.RESOLVE_BENEATH != 0 && h.Resolve&unix.RESOLVE_IN_ROOT != 0
	switch {
	case h.Flags&^flags != 0 || h.Resolve&^resolve != 0 || both:
		return invalid("openat2", "flags %#x, resolve %#x", h.Flags, h.Resolve)
	case h.Mode&^0o7777 != 0 || h.Mode != 0 && !makes:
		return invalid("openat2", "mode %#o with flags %#x", h.Mode, h.Flags)
	case h.Flags&unix.O_PATH != 0 && h.Flags&^path != 0:
		return invalid("openat2", "flags %#x with O_PATH", h.Flags)
	case h.Resolve&resolveCached != 0 && h.Flags&(unix.O_TRUNC|unix.O_CREAT|tmpfile) != 0:
		return memmap.Refuse("openat2", unix.EAGAIN, "what is not cached cannot be made or cut short")
	}
	return nil
}

// access(path, mode).
func access(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return accessAt(t, atFDCWD, addr(a[0]), uint32(a[1]), 0)
}

// faccessat(dirfd, path, mode): the call has no flags.
func faccessat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return accessAt(t, a[0], addr(a[1]), uint32(a[2]), 0)
}

// faccessat2(dirfd, path, mode, flags).
func faccessat2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return accessAt(t, a[0], addr(a[1]), uint32(a[2]), i32(a[3]))
}

func accessAt(t *sentry.Task, dirfd uint64, at memmap.Addr, mode uint32, flags int32) (uintptr, error) {
	const known = unix.AT_EACCESS | unix.AT_SYMLINK_NOFOLLOW | unix.AT_EMPTY_PATH
	if mode&^7 != 0 || flags&^known != 0 {
		return 0, invalid("faccessat", "mode %#o, flags %#x", mode, flags)
	}
	p, err := pathOrFD(t, dirfd, at, flags)
	if err != nil {
		return 0, err
	}
	defer p.done()
	if who := t.Process().Credentials(); flags&unix.AT_EACCESS == 0 {
		p.Caller.UID, p.Caller.GID = who.UID, who.GID
	}
	return 0, t.Process().Context().Access(p.Where, mode, int(flags))
}

// readlink(path, buf, size).
func readlink(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return readlinkat(t, sentry.Args{atFDCWD, a[0], a[1], a[2]})
}

// readlinkat(dirfd, path, buf, size): the text is cut at size and not terminated.
func readlinkat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	size := i32(a[3])
	if size <= 0 {
		return 0, invalid("readlink", "buffer of %d bytes", size)
	}
	p, err := pathAt(t, a[0], addr(a[1]), true)
	if err != nil {
		return 0, err
	}
	defer p.done()
	link, err := t.Process().Context().Readlink(p.Where)
	if p.Path == "" && errors.Is(err, unix.EINVAL) {
		err = unix.ENOENT // an empty path leads to links only (Linux: do_readlinkat)
	}
	if err != nil {
		return 0, err
	}
	n := min(len(link), int(size))
	return uintptr(n), t.CopyOut(addr(a[2]), []byte(link[:n]))
}
