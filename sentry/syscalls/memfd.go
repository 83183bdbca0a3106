package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// memfdNameLen is the most bytes that a memfd's name may have: MFD_NAME_MAX_LEN.
const memfdNameLen = 255 - len("memfd:")

// memfd_create(name, flags): the flags, then the name, as Linux.
func memfdCreate(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const (
		known     = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING | unix.MFD_HUGETLB | unix.MFD_NOEXEC_SEAL | unix.MFD_EXEC
		hugeSizes = 0x3f << 26 // MFD_HUGE_MASK << MFD_HUGE_SHIFT
	)
	flags := uint32(a[1])
	unknown := flags &^ known
	if flags&unix.MFD_HUGETLB != 0 {
		unknown &^= hugeSizes
	}
	switch {
	case unknown != 0:
		return 0, invalid("memfd_create", "unknown flags %#x", unknown)
	case flags&unix.MFD_EXEC != 0 && flags&unix.MFD_NOEXEC_SEAL != 0:
		return 0, invalid("memfd_create", "MFD_EXEC and MFD_NOEXEC_SEAL together")
	}
	name, err := t.MM().CopyInString(t.Actor("memfd_create"), addr(a[0]), memfdNameLen, mm.IOOpts{})
	switch {
	case errors.Is(err, unix.ENAMETOOLONG):
		return 0, invalid("memfd_create", "a name of more than %d bytes", memfdNameLen)
	case err != nil:
		return 0, err
	case flags&unix.MFD_HUGETLB != 0:
		return 0, memmap.Refuse("memfd_create", unix.ENOSYS, "the sandbox has no huge pages")
	}
	mode, seals := uint32(0o777), uint32(unix.F_SEAL_SEAL)
	switch {
	case flags&unix.MFD_NOEXEC_SEAL != 0:
		mode, seals = 0o666, unix.F_SEAL_EXEC
	case flags&unix.MFD_ALLOW_SEALING != 0:
		seals = 0
	}
	d := t.Kernel().Shmem().NewMemfd(name, mode, seals, caller(t))
	return addFD(t, d, flags&unix.MFD_CLOEXEC != 0, 0)
}

// fcntlSeals is F_ADD_SEALS and F_GET_SEALS.
func fcntlSeals(d *vfs.Description, command int32, seals uint32) (uintptr, error) {
	s, ok := d.File().(vfs.Sealer)
	switch {
	case command == unix.F_ADD_SEALS && !writable(d):
		return 0, memmap.Refuse("fcntl", unix.EPERM, "%s is not open for writing", d.Path())
	case !ok:
		return 0, invalid("fcntl", "%s cannot be sealed", d.Path())
	case command == unix.F_ADD_SEALS:
		return 0, s.AddSeals(seals)
	}
	has, err := s.Seals()
	return uintptr(has), err
}
