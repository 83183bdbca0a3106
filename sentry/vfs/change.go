package vfs

import (
	"fmt"
	"math"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Editor is a Node that is a directory whose entries can be changed. Names are
// single components, never "", "." or "..". Each method checks the permissions of
// who found the Node.
type Editor interface {
	Node
	// Create makes a regular file and opens it: flags are O_*, mode is not checked
	// against them. EEXIST.
	Create(name string, mode uint32, flags int) (File, error)
	// Temporary makes and opens a regular file without a name: O_TMPFILE.
	Temporary(mode uint32, flags int) (File, error)
	Mkdir(name string, mode uint32) error
	Symlink(name, text string) error
	// Mknod makes a file of any kind but a directory or a link: mode has S_IF*. EPERM
	// for devices without leave.
	Mknod(name string, mode uint32, rdev uint64, leave bool) error
	// Link gives target, a Node of any file system, another name: EXDEV, EPERM for
	// directories, ENOENT for what has no name any more.
	Link(name string, target Node) error
	// Remove removes a name: a directory's (ENOTDIR, ENOTEMPTY) or another's (EISDIR).
	Remove(name string, dir bool) error
	// Rename moves name into the directory to: renameat2(2) with its flags. EXDEV.
	Rename(name string, to Node, as string, flags uint32) error
}

// Changer is a Node whose attributes can be changed, if who found it may: EPERM,
// EACCES.
type Changer interface {
	Chmod(mode uint32) error
	// Chown sets owner and group; -1 leaves one as it is.
	Chown(uid, gid int32) error
	// Utimes sets access and modification time; nanoseconds may be UTIME_NOW and
	// UTIME_OMIT.
	Utimes(times [2]unix.Timespec) error
}

// Linked is a File that lies in a file system. Node returns a handle of it, for
// who.
type Linked interface{ Node(who Caller) Node }

// Pather is a File or Node that knows where it is now: renamed, or gone.
type Pather interface{ Path() string }

// Resizer is a File whose length can be changed.
type Resizer interface {
	Truncate(size int64) error
	// Allocate is fallocate(2): mode is FALLOC_FL_*, off and n are sound.
	Allocate(mode uint32, off, n int64) error
}

// last is a path's last component.
type last struct {
	dir   found
	name  string // "", "." and ".." too
	slash bool   // a slash follows
}

// normal reports whether the name can be made or removed.
func (l *last) normal() bool { return l.name != "" && l.name != "." && l.name != ".." }

// editor returns the directory as one that can be changed: EROFS.
func (l *last) editor() (Editor, error) {
	if e, ok := l.dir.node.(Editor); ok {
		return e, nil
	}
	return nil, fmt.Errorf("%w: the tree is read-only", unix.EROFS)
}

// parentOf finds the directory that w's last component lies in. The caller closes
// its node.
func (c *Context) parentOf(w Where) (last, error) {
	trimmed := strings.TrimRight(w.Path, "/")
	l := last{slash: trimmed != w.Path}
	if w.Path == "" {
		return l, fmt.Errorf("%s: %w", quote(w.Path), unix.ENOENT)
	}
	i := strings.LastIndexByte(trimmed, '/') + 1
	l.name = trimmed[i:]
	if len(l.name) > maxName {
		return l, fmt.Errorf("%s: %w", quote(w.Path), unix.ENAMETOOLONG)
	}
	if dir := w.Path[:i]; dir != "" {
		w.Path = dir
	} else if trimmed == "" {
		w.Path = "/"
	} else {
		w.Path = "."
	}
	var err error
	l.dir, err = c.find(w, true, false)
	if err != nil {
		return l, err
	}
	st, err := l.dir.node.Stat()
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err != nil {
		l.dir.node.Close()
		return l, fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	return l, nil
}

// Mkdir is mkdirat(2).
func (c *Context) Mkdir(w Where, mode uint32) error {
	return c.make(w, true, func(e Editor, name string) error { return e.Mkdir(name, mode&0o1777&^c.Mask()) })
}

// Symlink is symlinkat(2): w becomes a link with that text.
func (c *Context) Symlink(text string, w Where) error {
	return c.make(w, false, func(e Editor, name string) error { return e.Symlink(name, text) })
}

// Mknod is mknodat(2); leave says whether who asks may make devices.
func (c *Context) Mknod(w Where, mode uint32, rdev uint64, leave bool) error {
	switch mode & unix.S_IFMT {
	case 0:
		mode |= unix.S_IFREG
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
	case unix.S_IFDIR:
		return fmt.Errorf("mknod: %w: mkdir makes directories", unix.EPERM)
	default:
		return fmt.Errorf("mknod: %w: mode %#o", unix.EINVAL, mode)
	}
	mode = mode&unix.S_IFMT | mode&0o7777&^c.Mask()
	return c.make(w, false, func(e Editor, name string) error { return e.Mknod(name, mode, rdev, leave) })
}

// IsDevice reports whether mknod(2) needs leave to make the file: a device that is no
// whiteout, with which overlays mark what is gone.
func IsDevice(mode uint32, rdev uint64) bool {
	kind := mode & unix.S_IFMT
	return kind == unix.S_IFBLK || kind == unix.S_IFCHR && rdev != 0
}

// Link is linkat(2): flags are AT_SYMLINK_FOLLOW and AT_EMPTY_PATH.
func (c *Context) Link(old, w Where, flags int) error {
	if flags&^(unix.AT_SYMLINK_FOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return fmt.Errorf("link: %w: flags %#x", unix.EINVAL, flags)
	}
	f, err := c.find(old, flags&unix.AT_SYMLINK_FOLLOW != 0, flags&unix.AT_EMPTY_PATH != 0)
	if err != nil {
		return fmt.Errorf("link %w", err)
	}
	target := itself(f.node, old.Caller)
	defer target.Close()
	return c.make(w, false, func(e Editor, name string) error { return e.Link(name, target) })
}

// make makes the name w by do: EEXIST if it is there already, before anything
// that forbids to make it.
func (c *Context) make(w Where, dir bool, do func(Editor, string) error) error {
	l, err := c.parentOf(w)
	if err != nil {
		return err
	}
	defer l.dir.node.Close()
	if !l.normal() {
		return fmt.Errorf("%s: %w", quote(w.Path), unix.EEXIST)
	}
	there := w
	there.Path = strings.TrimRight(w.Path, "/")
	if f, err := c.find(there, false, false); err == nil {
		f.node.Close()
		return fmt.Errorf("%s: %w", quote(w.Path), unix.EEXIST)
	}
	if l.slash && !dir {
		return fmt.Errorf("%s: %w: only a directory's name ends in a slash", quote(w.Path), unix.ENOENT)
	}
	e, err := l.editor()
	if err == nil {
		err = do(e, l.name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	return nil
}

// Unlink is unlinkat(2) without AT_REMOVEDIR.
func (c *Context) Unlink(w Where) error { return c.remove(w, false) }

// Rmdir is rmdir(2).
func (c *Context) Rmdir(w Where) error { return c.remove(w, true) }

func (c *Context) remove(w Where, dir bool) error {
	l, err := c.parentOf(w)
	if err != nil {
		return err
	}
	defer l.dir.node.Close()
	if err := l.removable(dir); err != nil {
		return fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	e, err := l.editor()
	if err != nil {
		return c.Refuse(w, false) // if it is there at all
	}
	if l.slash && !dir {
		return l.slashed(c, w)
	}
	if err := c.tree.busy(l.dir.path, l.name); err != nil {
		return fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	if err := e.Remove(l.name, dir); err != nil {
		return fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	return nil
}

// removable says why no name like l's is ever removed.
func (l *last) removable(dir bool) error {
	switch {
	case l.normal():
		return nil
	case !dir:
		return unix.EISDIR
	case l.name == ".":
		return unix.EINVAL
	case l.name == "..":
		return unix.ENOTEMPTY
	}
	return unix.EBUSY
}

// slashed is what unlink makes of a name with a slash behind it.
func (l *last) slashed(c *Context, w Where) error {
	w.Path = strings.TrimRight(w.Path, "/")
	st, err := c.Stat(w, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fmt.Errorf("%s: %w", quote(w.Path), unix.EISDIR)
	}
	return fmt.Errorf("%s: %w", quote(w.Path), unix.ENOTDIR)
}

// busy is EBUSY if something is mounted at name in the real directory dir.
func (t *Tree) busy(dir, name string) error {
	full := path.Join("/", dir, name)
	for _, m := range t.mounts {
		if m.at == full {
			return fmt.Errorf("%w: a file system is mounted there", unix.EBUSY)
		}
	}
	return nil
}

// Rename is renameat2(2).
func (c *Context) Rename(from, to Where, flags uint32) error {
	const known = unix.RENAME_NOREPLACE | unix.RENAME_EXCHANGE | unix.RENAME_WHITEOUT
	if flags&^known != 0 || flags&unix.RENAME_EXCHANGE != 0 && flags != unix.RENAME_EXCHANGE {
		return fmt.Errorf("rename: %w: flags %#x", unix.EINVAL, flags)
	}
	a, err := c.parentOf(from)
	if err != nil {
		return err
	}
	defer a.dir.node.Close()
	b, err := c.parentOf(to)
	if err != nil {
		return err
	}
	defer b.dir.node.Close()
	if err := c.rename(&a, &b, from, to, flags); err != nil {
		return fmt.Errorf("rename %s to %s: %w", quote(from.Path), quote(to.Path), err)
	}
	return nil
}

func (c *Context) rename(a, b *last, from, to Where, flags uint32) error {
	switch {
	case a.dir.fs != b.dir.fs:
		return fmt.Errorf("%w: they lie in different file systems", unix.EXDEV)
	case !a.normal():
		return unix.EBUSY
	case !b.normal() && flags&unix.RENAME_NOREPLACE != 0:
		return unix.EEXIST
	case !b.normal():
		return unix.EBUSY
	}
	e, err := a.editor()
	if err != nil {
		return c.Refuse(from, false)
	}
	if a.slash || b.slash {
		from.Path = strings.TrimRight(from.Path, "/")
		st, err := c.Stat(from, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return unix.ENOTDIR
		}
	}
	for _, l := range []*last{a, b} {
		if err := c.tree.busy(l.dir.path, l.name); err != nil {
			return err
		}
	}
	return e.Rename(a.name, b.dir.node, b.name, flags)
}

// Chmod is fchmodat(2); with an empty path it is fchmod(2) of w.At.
func (c *Context) Chmod(w Where, mode uint32) error {
	return c.change(w, true, func(n Changer) error { return n.Chmod(mode & 0o7777) })
}

// Chown is fchownat(2); with an empty path it is fchown(2) of w.At. -1 leaves owner
// or group as it is.
func (c *Context) Chown(w Where, uid, gid int32, follow bool) error {
	return c.change(w, follow, func(n Changer) error { return n.Chown(uid, gid) })
}

// Utimes is utimensat(2); with an empty path it is futimens(3) of w.At.
func (c *Context) Utimes(w Where, times [2]unix.Timespec, follow bool) error {
	return c.change(w, follow, func(n Changer) error { return n.Utimes(times) })
}

func (c *Context) change(w Where, follow bool, do func(Changer) error) error {
	f, err := c.find(w, follow, w.At != nil)
	if err != nil {
		return err
	}
	n := itself(f.node, w.Caller)
	defer n.Close()
	ch, ok := n.(Changer)
	if !ok {
		return fmt.Errorf("%s: %w: the tree is read-only", quote(w.Path), unix.EROFS)
	}
	if err := do(ch); err != nil {
		return fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	return nil
}

// itself returns the Node of a file system that n, which is taken over, stands
// for.
func itself(n Node, who Caller) Node {
	open, ok := n.(openNode)
	if !ok {
		return n
	}
	file := open.d.file
	if h, ok := file.(handle); ok {
		if l, ok := h.node.(Linked); ok {
			defer n.Close()
			return l.Node(who)
		}
		return n
	}
	if l, ok := file.(Linked); ok {
		defer n.Close()
		return l.Node(who)
	}
	return n
}

// Truncate is truncate(2): EISDIR, EINVAL for what has no length.
func (c *Context) Truncate(w Where, size int64) error {
	f, err := c.find(w, true, false)
	if err != nil {
		return err
	}
	defer f.node.Close()
	st, err := f.node.Stat()
	if err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return fmt.Errorf("%s: %w", quote(w.Path), unix.EISDIR)
	default:
		return fmt.Errorf("%s: %w: it is no regular file", quote(w.Path), unix.EINVAL)
	}
	file, err := f.node.Open(unix.O_WRONLY)
	if err != nil {
		return fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	d := NewDescription(file, unix.O_WRONLY, f.path)
	defer d.DecRef() //nolint:errcheck // a file of memory has nothing to write out
	return d.Truncate(size)
}

// Truncate is ftruncate(2): EINVAL for what was not opened for writing or has no
// length.
func (d *Description) Truncate(size int64) error {
	r, ok := d.file.(Resizer)
	if !ok || d.Flags()&unix.O_ACCMODE == unix.O_RDONLY {
		return fmt.Errorf("ftruncate %s: %w: it has no length that could be set", d.Path(), unix.EINVAL)
	}
	return r.Truncate(size)
}

// Allocate is fallocate(2) for sound off and n: EBADF for what was not opened for
// writing, ENODEV for what has no length.
func (d *Description) Allocate(mode uint32, off, n int64) error {
	if err := d.may("fallocate", unix.O_RDONLY); err != nil {
		return err
	}
	r, ok := d.file.(Resizer)
	if !ok {
		errno := unix.ENODEV
		if st, err := d.Stat(); err == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			errno = unix.ESPIPE
		}
		return fmt.Errorf("fallocate %s: %w", d.Path(), errno)
	}
	if off > math.MaxInt64-n {
		return fmt.Errorf("fallocate %s: %w: offset %d and length %d", d.Path(), unix.EFBIG, off, n)
	}
	return r.Allocate(mode, off, n)
}
