package syscalls

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

const (
	maxXattrName  = 255
	maxXattrValue = 64 << 10 // XATTR_SIZE_MAX, and of lists XATTR_LIST_MAX
)

// xattrFile is how the three variants of each call name the file: by a path, by one
// whose last link is not followed, by a descriptor.
type xattrFile func(t *sentry.Task, arg uint64, do func(c *vfs.Context, w vfs.Where, follow bool) error) error

func byPath(t *sentry.Task, arg uint64, do func(*vfs.Context, vfs.Where, bool) error) error {
	_, err := atPath(t, atFDCWD, addr(arg), func(c *vfs.Context, w vfs.Where) error { return do(c, w, true) })
	return err
}

func byLink(t *sentry.Task, arg uint64, do func(*vfs.Context, vfs.Where, bool) error) error {
	_, err := atPath(t, atFDCWD, addr(arg), func(c *vfs.Context, w vfs.Where) error { return do(c, w, false) })
	return err
}

func byFD(t *sentry.Task, arg uint64, do func(*vfs.Context, vfs.Where, bool) error) error {
	_, err := atFD(t, i32(arg), func(c *vfs.Context, w vfs.Where) error { return do(c, w, false) })
	return err
}

// xattrName reads an attribute's name: ERANGE if it is empty or too long.
func xattrName(t *sentry.Task, at memmap.Addr) (string, error) {
	name, err := t.MM().CopyInString(t.Actor(t.CallName()), at, maxXattrName, mm.IOOpts{})
	if errors.Is(err, unix.ENAMETOOLONG) || err == nil && name == "" {
		return "", memmap.Refuse("xattr", unix.ERANGE, "a name has 1 to %d bytes", maxXattrName)
	}
	return name, err
}

// setxattr(file, name, value, size, flags).
func setxattr(by xattrFile) sentry.Syscall {
	return func(t *sentry.Task, a sentry.Args) (uintptr, error) {
		flags := i32(a[4])
		if flags&^(unix.XATTR_CREATE|unix.XATTR_REPLACE) != 0 {
			return 0, invalid("setxattr", "unknown flags %#x", flags)
		}
		name, err := xattrName(t, addr(a[1]))
		if err != nil {
			return 0, err
		}
		if a[3] > maxXattrValue {
			return 0, memmap.Refuse("setxattr", unix.E2BIG, "a value has at most %d bytes", maxXattrValue)
		}
		value := make([]byte, a[3])
		if err := t.CopyIn(addr(a[2]), value); err != nil {
			return 0, err
		}
		return 0, by(t, a[0], func(c *vfs.Context, w vfs.Where, follow bool) error {
			return c.SetXattr(w, name, value, int(flags), follow)
		})
	}
}

// getxattr(file, name, buf, size): the length, which alone is asked for if size is 0.
func getxattr(by xattrFile) sentry.Syscall {
	return func(t *sentry.Task, a sentry.Args) (uintptr, error) {
		name, err := xattrName(t, addr(a[1]))
		if err != nil {
			return 0, err
		}
		var value []byte
		err = by(t, a[0], func(c *vfs.Context, w vfs.Where, follow bool) (err error) {
			value, err = c.Xattr(w, name, follow)
			return err
		})
		if err != nil {
			return 0, err
		}
		return giveXattr(t, addr(a[2]), a[3], value)
	}
}

// listxattr(file, buf, size): all names, each with its NUL.
func listxattr(by xattrFile) sentry.Syscall {
	return func(t *sentry.Task, a sentry.Args) (uintptr, error) {
		var all strings.Builder
		err := by(t, a[0], func(c *vfs.Context, w vfs.Where, follow bool) error {
			names, err := c.Xattrs(w, follow)
			for _, name := range names {
				all.WriteString(name + "\x00")
			}
			return err
		})
		if err != nil {
			return 0, err
		}
		return giveXattr(t, addr(a[1]), a[2], []byte(all.String()))
	}
}

// giveXattr writes what a guest asked for: ERANGE if it does not fit, E2BIG if it
// never would.
func giveXattr(t *sentry.Task, at memmap.Addr, size uint64, value []byte) (uintptr, error) {
	switch {
	case size == 0:
		return uintptr(len(value)), nil
	case len(value) > maxXattrValue && size >= maxXattrValue:
		return 0, memmap.Refuse("xattr", unix.E2BIG, "%d bytes are more than any buffer has", len(value))
	case uint64(len(value)) > size:
		return 0, memmap.Refuse("xattr", unix.ERANGE, "%d bytes do not fit into %d", len(value), size)
	}
	return uintptr(len(value)), t.CopyOut(at, value)
}

// removexattr(file, name).
func removexattr(by xattrFile) sentry.Syscall {
	return func(t *sentry.Task, a sentry.Args) (uintptr, error) {
		name, err := xattrName(t, addr(a[1]))
		if err != nil {
			return 0, err
		}
		return 0, by(t, a[0], func(c *vfs.Context, w vfs.Where, follow bool) error { return c.RemoveXattr(w, name, follow) })
	}
}
