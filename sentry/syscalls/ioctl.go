package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

const (
	fioClex    = 0x5451 // FIOCLEX
	fioNClex   = 0x5450 // FIONCLEX
	fioNRead   = 0x541b // FIONREAD
	fioNBio    = 0x5421 // FIONBIO
	figetBsz   = 2      // FIGETBSZ
	termiosLen = 36     // the kernel's struct termios is a prefix of the C library's
)

// ioctl(fd, request, argument): ENOTTY for what a file does not know.
func ioctl(t *sentry.Task, a sentry.Args) (uintptr, error) {
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	request, arg := uint32(a[1]), addr(a[2])
	switch request {
	case fioClex, fioNClex:
		return 0, t.Process().FDs().SetCloseOnExec(i32(a[0]), request == fioClex)
	case fioNBio:
		return 0, setNonblock(t, d, arg)
	case fioNRead:
		return 0, queued(t, d, arg)
	case figetBsz:
		st, err := d.Stat()
		if err != nil {
			return 0, err
		}
		if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
			return 0, unix.ENOTTY
		}
		return 0, copyOut(t, arg, int32(st.Blksize))
	}
	if u, ok := d.File().(*uffdFile); ok {
		return 0, u.ioctl(t, request, arg)
	}
	if tty, ok := d.File().(vfs.Terminal); ok {
		return 0, ttyIoctl(t, tty, request, arg)
	}
	return 0, unix.ENOTTY
}

// setNonblock is FIONBIO: O_NONBLOCK as the int at arg says.
func setNonblock(t *sentry.Task, d *vfs.Description, arg memmap.Addr) error {
	on, err := copyIn[int32](t, arg)
	if err != nil {
		return err
	}
	flags := d.Flags() &^ unix.O_NONBLOCK
	if on != 0 {
		flags |= unix.O_NONBLOCK
	}
	d.SetFlags(flags)
	return nil
}

// queued is FIONREAD: how many bytes a read would find.
func queued(t *sentry.Task, d *vfs.Description, arg memmap.Addr) error {
	if q, ok := d.File().(vfs.Queued); ok {
		n, err := q.Queued()
		if err != nil {
			return err
		}
		return copyOut(t, arg, int32(n))
	}
	st, err := d.Stat()
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.ENOTTY
	}
	at, err := d.Seek(0, unix.SEEK_CUR)
	if err != nil {
		return err
	}
	return copyOut(t, arg, int32(st.Size-at))
}

// ttyIoctl are the requests of terminals. Which process group is in the
// foreground is job control's, which needs a controlling terminal: ENOTTY.
func ttyIoctl(t *sentry.Task, tty vfs.Terminal, request uint32, arg memmap.Addr) error {
	switch request {
	case unix.TCGETS:
		term, err := tty.Termios()
		if err != nil {
			return err
		}
		return t.CopyOut(arg, bytesOf(&term)[:termiosLen])
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF:
		term, err := tty.Termios()
		if err != nil {
			return err
		}
		if err := t.CopyIn(arg, bytesOf(&term)[:termiosLen]); err != nil {
			return err
		}
		return tty.SetTermios(&term)
	case unix.TIOCGWINSZ:
		size, err := tty.Winsize()
		if err != nil {
			return err
		}
		return copyOut(t, arg, size)
	}
	return unix.ENOTTY
}
