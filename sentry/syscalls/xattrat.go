package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// byAt is the file that a directory, a path and flags name, a[0:3].
func byAt(a sentry.Args) xattrFile {
	return func(t *sentry.Task, _ uint64, do func(*vfs.Context, vfs.Where, bool) error) error {
		flags := i32(a[2])
		if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
			return invalid(t.CallName(), "flags %#x are not known", flags)
		}
		p, err := pathOrFD(t, a[0], addr(a[1]), flags)
		if err != nil {
			return err
		}
		defer p.done()
		if p.Path == "" && p.At != nil {
			return byFD(t, a[0], do)
		}
		return do(t.Process().Context(), p.Where, flags&unix.AT_SYMLINK_NOFOLLOW == 0)
	}
}

// xattrArgs is struct xattr_args.
type xattrArgs struct {
	Value       uint64
	Size, Flags uint32
}

// setxattrat(dirfd, path, at_flags, name, args, size).
func setxattrat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	args, err := copyInSized[xattrArgs](t, "setxattrat", addr(a[4]), a[5])
	if err != nil {
		return 0, err
	}
	return setxattr(byAt(a))(t, sentry.Args{0, a[3], args.Value, uint64(args.Size), uint64(args.Flags)})
}

// getxattrat(dirfd, path, at_flags, name, args, size).
func getxattrat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	args, err := copyInSized[xattrArgs](t, "getxattrat", addr(a[4]), a[5])
	if err != nil {
		return 0, err
	}
	if args.Flags != 0 {
		return 0, invalid("getxattrat", "flags %#x are not known", args.Flags)
	}
	return getxattr(byAt(a))(t, sentry.Args{0, a[3], args.Value, uint64(args.Size)})
}

// listxattrat(dirfd, path, at_flags, buf, size).
func listxattrat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return listxattr(byAt(a))(t, sentry.Args{0, a[3], a[4]})
}

// removexattrat(dirfd, path, at_flags, name).
func removexattrat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return removexattr(byAt(a))(t, sentry.Args{0, a[3]})
}
