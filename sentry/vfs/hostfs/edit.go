package hostfs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry/vfs"
)

// editable is a node of a file system that is written: a vfs.Changer, and for a
// directory a vfs.Editor.
type editable struct{ *node }

// component checks that name is one: the caller's promise, on which all rests.
func component(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%w: %q is not a name in a directory", unix.EINVAL, name)
	}
	return nil
}

// mayEdit checks name, and that the caller may change the directory.
func (n *editable) mayEdit(name string) error {
	if err := component(name); err != nil {
		return err
	}
	return n.may(unix.W_OK | unix.X_OK)
}

// mayRemove is mayEdit for a name that goes: in a sticky directory only its owner's.
func (n *editable) mayRemove(name string) error {
	if err := n.mayEdit(name); err != nil {
		return err
	}
	dir, err := n.node.Stat()
	if err != nil || dir.Mode&unix.S_ISVTX == 0 || n.asOurselves() {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(n.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if n.who.UID != st.Uid && n.who.UID != dir.Uid {
		return fmt.Errorf("%w: the directory is sticky", unix.EPERM)
	}
	return nil
}

// Create implements vfs.Editor.
func (n *editable) Create(name string, mode uint32, flags int) (vfs.File, error) {
	if err := n.mayEdit(name); err != nil {
		return nil, err
	}
	// O_EXCL: nothing that somebody put there meanwhile is opened or followed.
	return n.create(name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, mode, flags)
}

// Temporary implements vfs.Editor.
func (n *editable) Temporary(mode uint32, flags int) (vfs.File, error) {
	if err := n.may(unix.W_OK | unix.X_OK); err != nil {
		return nil, err
	}
	return n.create(".", unix.O_TMPFILE|flags&unix.O_EXCL, mode, flags)
}

// create makes a file by openat(2) with how, and opens it as flags say.
func (n *editable) create(name string, how int, mode uint32, flags int) (vfs.File, error) {
	kind, err := n.fileSystem()
	if err != nil {
		return nil, err
	}
	fd, err := n.fs.fds.open(func() (int, error) {
		return unix.Openat(n.fd, name, how|unix.O_RDWR|unix.O_CLOEXEC, mode&0o7777)
	})
	if err != nil {
		return nil, err
	}
	if err := n.own(fd, mode); err != nil {
		_ = n.fs.fds.close(fd)
		return nil, err
	}
	at, err := n.fs.place(fd, joined(n.path, name))
	if err != nil {
		_ = n.fs.fds.close(fd)
		return nil, err
	}
	return n.fs.opened(fd, at, flags, flags&unix.O_ACCMODE != unix.O_RDONLY, hugeAligned(kind))
}

func joined(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// own gives the new file fd the mode that was asked for, whatever mmsh's umask, and
// to the caller.
func (n *editable) own(fd int, mode uint32) error {
	if !n.asOurselves() {
		if err := unix.Fchownat(fd, "", int(n.who.UID), int(n.who.GID), unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	}
	return chmod(fd, mode)
}

// made is own for what has just been made as name.
func (n *editable) made(name string, kind, mode uint32) error {
	fd, err := n.fs.fds.open(func() (int, error) {
		return unix.Openat(n.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	defer n.fs.fds.close(fd) //nolint:errcheck // a handle has nothing to write out
	st, err := stat(fd)
	if err != nil || st.Mode&unix.S_IFMT != kind { // somebody has replaced it
		return err
	}
	switch kind {
	case unix.S_IFDIR:
		return n.own(fd, mode|st.Mode&unix.S_ISGID)
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR:
		return n.own(fd, mode)
	}
	if n.asOurselves() {
		return nil
	}
	return unix.Fchownat(fd, "", int(n.who.UID), int(n.who.GID), unix.AT_EMPTY_PATH)
}

// Mkdir implements vfs.Editor.
func (n *editable) Mkdir(name string, mode uint32) error {
	if err := n.mayEdit(name); err != nil {
		return err
	}
	if err := unix.Mkdirat(n.fd, name, mode&0o1777); err != nil {
		return err
	}
	return n.made(name, unix.S_IFDIR, mode&0o1777)
}

// Symlink implements vfs.Editor. The text is the guest's: only its Tree follows it.
func (n *editable) Symlink(name, text string) error {
	if err := n.mayEdit(name); err != nil {
		return err
	}
	if err := unix.Symlinkat(text, n.fd, name); err != nil {
		return err
	}
	return n.made(name, unix.S_IFLNK, 0)
}

// Mknod implements vfs.Editor. A device of the host's is nobody's to make here.
func (n *editable) Mknod(name string, mode uint32, rdev uint64, _ bool) error {
	if err := n.mayEdit(name); err != nil {
		return err
	}
	if vfs.IsDevice(mode, rdev) {
		return fmt.Errorf("%w: no device is made on the host", unix.EPERM)
	}
	if err := unix.Mknodat(n.fd, name, mode, int(rdev)); err != nil {
		return err
	}
	return n.made(name, mode&unix.S_IFMT, mode&0o7777)
}

// Link implements vfs.Editor.
func (n *editable) Link(name string, target vfs.Node) error {
	t, ok := target.(*editable)
	if !ok || t.fs != n.fs {
		return fmt.Errorf("%w: they lie in different file systems", unix.EXDEV)
	}
	if err := n.mayEdit(name); err != nil {
		return err
	}
	err := unix.Linkat(unix.AT_FDCWD, procPath(t.fd), n.fd, name, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return err
	}
	return t.recount((*pagecache.File).IncLinks)
}

// procPath leads to fd's file, whatever its name is by now.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// recount tells the page cache that the file has a name more or less.
func (n *editable) recount(how func(*pagecache.File)) error {
	st, err := stat(n.fd)
	if err != nil {
		return err
	}
	_, err = n.fs.cache.Change(st.Dev, st.Ino, func(f *pagecache.File) error { how(f); return nil })
	return err
}

// Remove implements vfs.Editor.
func (n *editable) Remove(name string, dir bool) error {
	if err := n.mayRemove(name); err != nil {
		return err
	}
	flags := 0
	if dir {
		flags = unix.AT_REMOVEDIR
	}
	var st unix.Stat_t
	_ = unix.Fstatat(n.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err := unix.Unlinkat(n.fd, name, flags); err != nil {
		return err
	}
	_, err := n.fs.cache.Change(st.Dev, st.Ino, func(f *pagecache.File) error { f.DecLinks(); return nil })
	return err
}

// Rename implements vfs.Editor.
func (n *editable) Rename(name string, to vfs.Node, as string, flags uint32) error {
	t, ok := to.(*editable)
	if !ok || t.fs != n.fs {
		return fmt.Errorf("%w: they lie in different file systems", unix.EXDEV)
	}
	if err := errors.Join(n.mayRemove(name), t.mayReplace(as)); err != nil {
		return err
	}
	return unix.Renameat2(n.fd, name, t.fd, as, uint(flags))
}

// mayReplace is mayRemove for a name that need not be there.
func (n *editable) mayReplace(name string) error {
	if err := n.mayRemove(name); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
