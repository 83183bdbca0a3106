package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

const (
	fioClex  = 0x5451     // FIOCLEX
	fioNClex = 0x5450     // FIONCLEX
	fioNRead = 0x541b     // FIONREAD
	fioNBio  = 0x5421     // FIONBIO
	fioAsync = 0x5452     // FIOASYNC
	fioQSize = 0x5460     // FIOQSIZE
	fiBMap   = 1          // FIBMAP
	fiClone  = 0x40049409 // FICLONE
	fiMap    = 0xc020660b // FS_IOC_FIEMAP
	figetBsz = 2          // FIGETBSZ
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
	case fioAsync:
		return 0, setAsync(t, d, arg)
	case fioQSize, figetBsz:
		return 0, sizes(t, d, request, arg)
	case fiBMap, fiClone, fiMap:
		return 0, noBlocks(t, d, request, arg)
	}
	if r, ok := d.File().(vfs.RandomSource); ok {
		return 0, randomIoctl(t, r, request, arg)
	}
	if tty, ok := d.File().(vfs.Terminal); ok {
		return ttyIoctl(t, d, tty, request, arg)
	}
	if request == fioNRead {
		return 0, queued(t, d, arg)
	}
	if u, ok := d.File().(*uffdFile); ok {
		return 0, u.ioctl(t, request, arg)
	}
	if p, ok := d.File().(pageTable); ok {
		if m, ok := p.PageTable(); ok {
			return pagemapIoctl(t, m, request, arg)
		}
	}
	return 0, unix.ENOTTY
}

// sizes is FIGETBSZ and FIOQSIZE, which only files that have a size know.
func sizes(t *sentry.Task, d *vfs.Description, request uint32, arg memmap.Addr) error {
	st, err := d.Stat()
	if err != nil {
		return err
	}
	if request == figetBsz {
		return copyOut(t, arg, int32(st.Blksize))
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK:
		return copyOut(t, arg, st.Size)
	}
	return unix.ENOTTY
}

// noBlocks answers what asks for the blocks of a disk that files lie in, or for sharing
// them: there are none.
func noBlocks(t *sentry.Task, d *vfs.Description, request uint32, arg memmap.Addr) error {
	switch request {
	case fiBMap:
		switch st, err := d.Stat(); {
		case err != nil:
			return err
		case st.Mode&unix.S_IFMT != unix.S_IFREG:
			return unix.ENOTTY
		case !t.Process().Credentials().Effective.Has(sentry.CapSysRawIO):
			return memmap.Refuse("ioctl", unix.EPERM, "it takes a capability")
		}
		return invalid("ioctl", "%s lies on no disk", d.Path())
	case fiClone:
		from, err := getFile(t, i32(uint64(arg)))
		if err != nil {
			return err
		}
		_ = from.DecRef() // it is of a descriptor still
	}
	return memmap.Refuse("ioctl", unix.EOPNOTSUPP, "%s lies on no disk", d.Path())
}

// setAsync is FIOASYNC. Nobody sends SIGIO, but terminals know of it.
func setAsync(t *sentry.Task, d *vfs.Description, arg memmap.Addr) error {
	on, err := copyIn[int32](t, arg)
	if err != nil {
		return err
	}
	flags := d.Flags() &^ unix.O_ASYNC
	if on != 0 {
		flags |= unix.O_ASYNC
	}
	if _, ok := d.File().(vfs.Terminal); !ok && on != 0 && flags != d.Flags() {
		return unix.ENOTTY
	}
	d.SetFlags(flags)
	return nil
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
