package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/filelock"
)

// flockArg is struct flock.
type flockArg struct {
	Type, Whence int16
	_            int32
	Start, Len   int64
	PID          int32
	_            int32
}

// recordLock is F_GETLK, F_SETLK, F_SETLKW and their twins for open files.
func recordLock(t *sentry.Task, fd int32, d *vfs.Description, command int32, at memmap.Addr) error {
	arg, err := copyIn[flockArg](t, at)
	if err != nil {
		return err
	}
	l := filelock.Lock{Kind: filelock.Process, Type: arg.Type, PID: t.Process().PID()}
	switch command {
	case unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
		l.Kind, l.PID = filelock.OpenFile, -1
	}
	if command == unix.F_GETLK || command == unix.F_OFD_GETLK {
		return testLock(t, d, l, arg, at)
	}
	if l.Start, l.End, err = d.LockRange(arg.Whence, arg.Start, arg.Len); err != nil {
		return err
	}
	switch {
	case l.Type != unix.F_RDLCK && l.Type != unix.F_WRLCK && l.Type != unix.F_UNLCK:
		return invalid("fcntl", "lock type %d is not known", l.Type)
	case l.Type == unix.F_RDLCK && !readable(d), l.Type == unix.F_WRLCK && !writable(d):
		return memmap.Refuse("fcntl", unix.EBADF, "descriptor %d is not open for what the lock is for", fd)
	case l.Kind == filelock.OpenFile && arg.PID != 0:
		return invalid("fcntl", "an open file's lock has no process, but l_pid is %d", arg.PID)
	}
	wait := command == unix.F_SETLKW || command == unix.F_OFD_SETLKW
	if err := acquire(t, d, l, wait); err != nil || l.Type == unix.F_UNLCK {
		return err
	}
	return stillOpen(t, fd, d, l)
}

// stillOpen lets go of l if another thread closed fd while it was taken: a lock of
// a closed descriptor would never go.
func stillOpen(t *sentry.Task, fd int32, d *vfs.Description, l filelock.Lock) error {
	now, err := t.Process().FDs().Get(fd)
	if err == nil {
		defer now.DecRef()
		if now == d {
			return nil
		}
	}
	l.Type = unix.F_UNLCK
	_ = acquire(t, d, l, false) // letting go meets nothing
	return memmap.Refuse("fcntl", unix.EBADF, "descriptor %d was closed meanwhile", fd)
}

// acquire takes l, waiting for it if it may: EAGAIN, EDEADLK, or the interruption.
func acquire(t *sentry.Task, d *vfs.Description, l filelock.Lock, wait bool) error {
	locks := t.Process().Context().Tree().Locks()
	for {
		w, err := t.Process().FDs().Lock(locks, d, l, wait)
		if w == nil || err != nil {
			return err
		}
		err = t.Block(w.Ready, forever)
		w.End()
		if err != nil {
			return err
		}
	}
}

// testLock is F_GETLK: arg's lock if it could be had, as F_UNLCK, else the first
// one in its way.
func testLock(t *sentry.Task, d *vfs.Description, l filelock.Lock, arg flockArg, at memmap.Addr) (err error) {
	ofd := l.Kind == filelock.OpenFile
	if l.Type != unix.F_RDLCK && l.Type != unix.F_WRLCK && (!ofd || l.Type != unix.F_UNLCK) {
		return invalid("fcntl", "lock type %d cannot be tested", l.Type)
	}
	if l.Start, l.End, err = d.LockRange(arg.Whence, arg.Start, arg.Len); err != nil {
		return err
	}
	if ofd && arg.PID != 0 {
		return invalid("fcntl", "an open file's lock has no process, but l_pid is %d", arg.PID)
	}
	other, found, err := t.Process().FDs().TestLock(t.Process().Context().Tree().Locks(), d, l)
	if err != nil {
		return err
	}
	if !found {
		arg.Type = unix.F_UNLCK
		return copyOut(t, at, arg)
	}
	arg.Type, arg.Whence, arg.PID = other.Type, unix.SEEK_SET, other.PID
	arg.Start, arg.Len = other.Start, other.End-other.Start+1
	if other.End == filelock.EOF {
		arg.Len = 0
	}
	return copyOut(t, at, arg)
}

// flock(fd, operation).
func flock(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const mandatory = 32 // LOCK_MAND: Linux knows it no more, and says nothing
	operation := i32(a[1])
	if operation&mandatory != 0 {
		return 0, nil
	}
	l := filelock.Lock{Kind: filelock.Flock, PID: t.Process().PID(), End: filelock.EOF}
	switch operation &^ unix.LOCK_NB {
	case unix.LOCK_SH:
		l.Type = unix.F_RDLCK
	case unix.LOCK_EX:
		l.Type = unix.F_WRLCK
	case unix.LOCK_UN:
		l.Type = unix.F_UNLCK
	default:
		return 0, invalid("flock", "operation %#x is not known", operation)
	}
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, acquire(t, d, l, operation&unix.LOCK_NB == 0)
}
