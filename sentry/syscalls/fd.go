package syscalls

import (
	"math"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/pipe"
)

// fdLimit is RLIMIT_NOFILE.
func fdLimit(t *sentry.Task) uint64 { return t.Process().Limits()[unix.RLIMIT_NOFILE].Cur }

// close(fd).
func closeFD(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, t.Process().FDs().Close(i32(a[0]))
}

// close_range(first, last, flags).
func closeRange(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const unshare, cloexec = 1 << 1, 1 << 2
	first, last, flags := uint32(a[0]), uint32(a[1]), uint32(a[2])
	if flags&^(unshare|cloexec) != 0 || first > last {
		return 0, unix.EINVAL
	}
	table := t.Process().FDs()
	var found []int32
	table.Each(func(fd int32, _ *vfs.Description, _ bool) {
		if uint32(fd) >= first && uint32(fd) <= last {
			found = append(found, fd)
		}
	})
	for _, fd := range found {
		if flags&cloexec != 0 {
			_ = table.SetCloseOnExec(fd, true) // EBADF: closed by another thread, which is as good
		} else {
			_ = table.Close(fd) // errors of a release are nobody's here
		}
	}
	return 0, nil
}

// dup(fd).
func dup(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return dupFrom(t, i32(a[0]), 0, false)
}

// dupFrom duplicates fd to the lowest free number from min on.
func dupFrom(t *sentry.Task, fd, min int32, cloexec bool) (uintptr, error) {
	d, err := t.Process().FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	return addFD(t, d, cloexec, min)
}

// addFD gives d, and the caller's reference to it, a number.
func addFD(t *sentry.Task, d *vfs.Description, cloexec bool, min int32) (uintptr, error) {
	fd, err := t.Process().FDs().Add(d, cloexec, min, fdLimit(t))
	if err != nil {
		_ = d.DecRef()
		return 0, err
	}
	return uintptr(fd), nil
}

// dup2(old, new).
func dup2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if i32(a[0]) != i32(a[1]) {
		return dupTo(t, i32(a[0]), i32(a[1]), false)
	}
	d, err := t.Process().FDs().Get(i32(a[0]))
	if err != nil {
		return 0, err
	}
	return uintptr(i32(a[0])), d.DecRef()
}

// dup3(old, new, flags).
func dup3(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if i32(a[2])&^unix.O_CLOEXEC != 0 || i32(a[0]) == i32(a[1]) {
		return 0, unix.EINVAL
	}
	return dupTo(t, i32(a[0]), i32(a[1]), i32(a[2])&unix.O_CLOEXEC != 0)
}

// dupTo puts what from leads to at the number to, closing what was there.
func dupTo(t *sentry.Task, from, to int32, cloexec bool) (uintptr, error) {
	if uint64(uint32(to)) >= fdLimit(t) {
		return 0, unix.EBADF
	}
	table := t.Process().FDs()
	d, err := table.Get(from)
	if err != nil {
		return 0, err
	}
	if err := table.Set(to, d, cloexec, fdLimit(t)); err != nil {
		_ = d.DecRef()
		return 0, err
	}
	return uintptr(to), nil
}

// fcntl(fd, command, argument).
func fcntl(t *sentry.Task, a sentry.Args) (uintptr, error) {
	fd, command, arg := i32(a[0]), i32(a[1]), a[2]
	table := t.Process().FDs()
	d, err := table.Get(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	switch command {
	case unix.F_DUPFD, unix.F_DUPFD_CLOEXEC:
		if arg >= fdLimit(t) || arg > math.MaxInt32 {
			return 0, unix.EINVAL
		}
		return dupFrom(t, fd, int32(arg), command == unix.F_DUPFD_CLOEXEC)
	case unix.F_GETFD:
		on, err := table.CloseOnExec(fd)
		if on {
			return unix.FD_CLOEXEC, err
		}
		return 0, err
	case unix.F_SETFD:
		return 0, table.SetCloseOnExec(fd, arg&unix.FD_CLOEXEC != 0)
	case unix.F_GETFL:
		return uintptr(d.Flags()), nil
	}
	if d.Flags()&unix.O_PATH != 0 {
		return 0, unix.EBADF
	}
	switch command {
	case unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
		return 0, recordLock(t, fd, d, command, addr(arg))
	}
	return fcntlFile(t, d, command, arg)
}

// fcntlFile are the commands that an O_PATH descriptor has not.
func fcntlFile(t *sentry.Task, d *vfs.Description, command int32, arg uint64) (uintptr, error) {
	switch command {
	case unix.F_SETFL:
		d.SetFlags(int(arg))
		return 0, nil
	case unix.F_GETOWN, unix.F_GETSIG:
		return 0, nil // nobody is told of readiness
	case unix.F_ADD_SEALS, unix.F_GET_SEALS:
		return fcntlSeals(d, command, uint32(arg))
	case unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ:
		return pipeSize(t, d, command, uint32(arg))
	}
	return noLease(d, command, arg)
}

// pipeSize is F_SETPIPE_SZ and F_GETPIPE_SZ. A pipe of the host's is not ours to change.
func pipeSize(t *sentry.Task, d *vfs.Description, command int32, size uint32) (uintptr, error) {
	e := pipe.Of(d.File())
	switch {
	case e == nil && isPipe(d):
		return pipe.Capacity, nil
	case e == nil:
		return 0, memmap.Refuse("fcntl", unix.EBADF, "%s is no pipe", d.Path())
	case command == unix.F_GETPIPE_SZ:
		return uintptr(e.Size()), nil
	}
	n, err := e.Resize(size, t.Process().Credentials().Effective.Has(sentry.CapSysResource))
	return uintptr(n), err
}

// isPipe reports whether d says that it is a pipe.
func isPipe(d *vfs.Description) bool {
	st, err := d.Stat()
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// noLease answers for leases and directory notes, which the sandbox grants to
// nobody, as Linux does where others have the file open.
func noLease(d *vfs.Description, command int32, arg uint64) (uintptr, error) {
	st, err := d.Stat()
	if err != nil {
		return 0, err
	}
	kind := st.Mode & unix.S_IFMT
	switch {
	case command == unix.F_GETLEASE:
		return unix.F_UNLCK, nil
	case command == unix.F_SETLEASE && (arg == unix.F_UNLCK || kind == unix.S_IFREG && (arg == unix.F_RDLCK || arg == unix.F_WRLCK)):
		return 0, memmap.Refuse("fcntl", unix.EAGAIN, "there are no leases")
	case command == unix.F_NOTIFY && kind != unix.S_IFDIR:
		return 0, unix.ENOTDIR
	}
	return 0, invalid("fcntl", "command %d with %#x is not known", command, arg)
}

// lseek(fd, offset, whence).
func lseek(t *sentry.Task, a sentry.Args) (uintptr, error) {
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	whence := uint32(a[2])
	if whence > unix.SEEK_HOLE {
		return 0, invalid("lseek", "whence %d is not known", whence)
	}
	off, err := d.Seek(int64(a[1]), int(whence))
	return uintptr(off), err
}

// pipe(fds).
func pipe1(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return pipe2(t, sentry.Args{a[0]})
}

// pipe2(fds, flags).
func pipe2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := int(i32(a[1]))
	if flags&^(unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_DIRECT) != 0 {
		return 0, invalid("pipe2", "flags %#x are not known", flags)
	}
	r, w, path, err := t.Kernel().Pipes().New(t.Process().Context().Tree().NewInode())
	if err != nil {
		return 0, err
	}
	cloexec, mode := flags&unix.O_CLOEXEC != 0, flags&unix.O_NONBLOCK
	read, err := addFD(t, vfs.NewDescription(r, unix.O_RDONLY|mode, path), cloexec, 0)
	if err != nil {
		_ = vfs.NewDescription(w, unix.O_WRONLY, path).DecRef()
		return 0, err
	}
	table := t.Process().FDs()
	write, err := addFD(t, vfs.NewDescription(w, unix.O_WRONLY|mode|flags&unix.O_DIRECT, path), cloexec, 0)
	if err != nil {
		_ = table.Close(int32(read))
		return 0, err
	}
	if err := copyOut(t, addr(a[0]), [2]int32{int32(read), int32(write)}); err != nil {
		_ = table.Close(int32(read))
		_ = table.Close(int32(write))
		return 0, err
	}
	return 0, nil
}

// fadvise64(fd, offset, length, advice): advice is taken and has no effect.
func fadvise64(t *sentry.Task, a sentry.Args) (uintptr, error) {
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	st, err := d.Stat()
	if err != nil {
		return 0, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFIFO {
		return 0, unix.ESPIPE
	}
	if advice := i32(a[3]); int64(a[2]) < 0 || advice < 0 || advice > unix.FADV_NOREUSE {
		return 0, invalid("fadvise64", "length %d, advice %d", int64(a[2]), advice)
	}
	return 0, nil
}

// readahead(fd, offset, length): as POSIX_FADV_WILLNEED, EINVAL for what has no pages.
func readahead(t *sentry.Task, a sentry.Args) (uintptr, error) {
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	st, err := d.Stat()
	switch {
	case err != nil:
		return 0, err
	case !readable(d):
		return 0, unix.EBADF
	case st.Mode&unix.S_IFMT != unix.S_IFREG || int64(a[2]) < 0:
		return 0, invalid("readahead", "%d bytes of %s", int64(a[2]), d.Path())
	}
	return 0, nil
}
