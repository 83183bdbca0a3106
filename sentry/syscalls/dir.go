package syscalls

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// getcwd(buf, size): the length, NUL included.
func getcwd(t *sentry.Task, a sentry.Args) (uintptr, error) {
	path, err := t.Process().Context().Getcwd()
	if err != nil {
		return 0, err
	}
	cwd := append([]byte(path), 0)
	if uint64(len(cwd)) > a[1] {
		return 0, memmap.Refuse("getcwd", unix.ERANGE, "%d bytes do not fit into %d", len(cwd), a[1])
	}
	return uintptr(len(cwd)), t.CopyOut(addr(a[0]), cwd)
}

// chdir(path).
func chdir(t *sentry.Task, a sentry.Args) (uintptr, error) {
	p, err := pathAt(t, atFDCWD, addr(a[0]), false)
	if err != nil {
		return 0, err
	}
	defer p.done()
	return 0, t.Process().Context().Chdir(p.Where)
}

// fchdir(fd).
func fchdir(t *sentry.Task, a sentry.Args) (uintptr, error) {
	d, err := t.Process().FDs().Get(i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, t.Process().Context().Chdir(vfs.Where{At: d, Caller: caller(t)})
}

// chroot(path): EPERM without CAP_SYS_CHROOT, but what is wrong with the path first.
func chroot(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return atPath(t, atFDCWD, addr(a[0]), func(c *vfs.Context, w vfs.Where) error {
		return c.Chroot(w, t.Process().Credentials().Effective.Has(sentry.CapSysChroot))
	})
}

// umask(mask): the old one.
func umask(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return uintptr(t.Process().Context().Umask(uint32(a[0]) & 0o777)), nil
}

// getdents64(fd, buf, size): as many entries as fit, EINVAL if not even one does.
func getdents64(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return readDir(t, a, "getdents64", direntBytes)
}

// getdents(fd, buf, size): the older form.
func getdents(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return readDir(t, a, "getdents", oldDirentBytes)
}

// readDir gives the guest as many entries as fit.
func readDir(t *sentry.Task, a sentry.Args, op string, layout func(vfs.Dirent) []byte) (uintptr, error) {
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	room := int(min(i32(a[2]), maxChunk)) // Linux compares it as an int
	var out []byte
	var ends []dirPlace
	full := false
	start, err := d.ClaimEntries(func(e vfs.Dirent) bool {
		entry := layout(e)
		if full = len(out)+len(entry) > room; full {
			return false
		}
		out = append(out, entry...)
		ends = append(ends, dirPlace{len(out), e.Next})
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case len(out) == 0 && full:
		return 0, invalid(op, "no entry fits into %d bytes", room)
	case len(out) == 0:
		return 0, nil
	}
	n, err := guestWrite(t, op, addr(a[1]), out)
	if err == nil {
		return uintptr(n), nil
	}
	took := dirPlace{0, start} // memory ends early: the rest is still to be read
	for _, e := range ends {
		if e.bytes <= n {
			took = e
		}
	}
	d.Unclaim(took.next, ends[len(ends)-1].next)
	return orError(uint64(took.bytes), err)
}

// dirPlace is where an entry ends: in the buffer, and in the directory.
type dirPlace struct {
	bytes int
	next  int64
}

// oldDirentBytes is e as a struct linux_dirent, whose last byte is the type.
func oldDirentBytes(e vfs.Dirent) []byte {
	const header = 18 // d_ino, d_off, d_reclen
	b := make([]byte, (header+len(e.Name)+2+7)&^7)
	binary.LittleEndian.PutUint64(b, e.Inode)
	binary.LittleEndian.PutUint64(b[8:], uint64(e.Next))
	binary.LittleEndian.PutUint16(b[16:], uint16(len(b)))
	copy(b[header:], e.Name)
	b[len(b)-1] = e.Type
	return b
}

// direntBytes is e as a struct linux_dirent64.
func direntBytes(e vfs.Dirent) []byte {
	const header = 19 // d_ino, d_off, d_reclen, d_type
	b := make([]byte, (header+len(e.Name)+1+7)&^7)
	binary.LittleEndian.PutUint64(b, e.Inode)
	binary.LittleEndian.PutUint64(b[8:], uint64(e.Next))
	binary.LittleEndian.PutUint16(b[16:], uint16(len(b)))
	b[18] = e.Type
	copy(b[header:], e.Name)
	return b
}
