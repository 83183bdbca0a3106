package vfs

import (
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Caller is who follows a path: what /proc/self and /proc/thread-self mean, and
// whose permissions count.
type Caller struct {
	PID, TID int32
	UID, GID uint32
	Groups   []uint32 // supplementary
}

// Where is a path as a system call names it.
type Where struct {
	Path   string
	At     *Description // what a relative Path starts from; nil is AT_FDCWD
	Caller Caller

	Resolve uint64 // RESOLVE_* of openat2(2)
}

// Context is where paths of a process start: root and working directory, umask. It
// is safe for concurrent use; CLONE_FS shares it. In the zero Context no path leads
// anywhere. Who makes one releases it.
type Context struct {
	tree *Tree

	mu    sync.Mutex
	cwd   *place
	root  *place
	umask uint32
}

// NewContext returns a Context whose working directory is cwd, an absolute path:
// ENOENT, ENOTDIR, EACCES as chdir(2).
func (t *Tree) NewContext(cwd string) (*Context, error) {
	c := &Context{tree: t, umask: 0o022}
	if err := c.Chdir(Where{Path: cwd}); err != nil {
		return nil, err
	}
	return c, nil
}

// Tree returns the tree that the paths lie in.
func (c *Context) Tree() *Tree { return c.tree }

// Fork returns a copy.
func (c *Context) Fork() *Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Context{tree: c.tree, cwd: c.cwd.copy(), root: c.root.copy(), umask: c.umask}
}

// Release gives the directories back: paths start at the root of all from then on.
func (c *Context) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cwd.close()
	c.root.close()
	c.cwd, c.root = nil, nil
}

// Cwd returns the working directory as /proc/PID/cwd shows it.
func (c *Context) Cwd() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return display(c.cwd.real())
}

// Root returns the root directory as /proc/PID/root shows it.
func (c *Context) Root() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return display(c.root.real())
}

// Getcwd returns the working directory as getcwd(2) does: ENOENT if it was removed.
func (c *Context) Getcwd() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cwd.gone() {
		return "", fmt.Errorf("getcwd: %w: the directory was removed", unix.ENOENT)
	}
	cwd, root := c.cwd.real(), c.root.real()
	switch {
	case cwd == root:
		return "/", nil
	case !strings.HasPrefix(cwd, root+"/"):
		return "(unreachable)" + display(cwd), nil
	}
	return cwd[len(root):], nil
}

// Umask sets the mask and returns the old one.
func (c *Context) Umask(mask uint32) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.umask
	c.umask = mask & 0o777
	return old
}

// Mask returns the mask.
func (c *Context) Mask() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.umask
}

// find follows w.Path. An empty one is ENOENT, or with emptyOK w.At itself.
func (c *Context) find(w Where, follow, emptyOK bool) (found, error) {
	if w.Path == "" && emptyOK && w.At != nil {
		w.At.IncRef()
		return found{node: openNode{w.At}, fs: w.At.fs, path: w.At.Path()}, nil
	}
	if c.tree == nil {
		return found{}, fmt.Errorf("%s: %w: there are no files", quote(w.Path), unix.ENOENT)
	}
	if w.Path == "" && emptyOK {
		w.Path = "."
	}
	root, from, err := c.start(w)
	if err != nil {
		return found{}, err
	}
	defer from.close()
	defer root.close()
	return c.tree.find(root, from, w.Path, w.Caller, w.Resolve, follow)
}

// start returns the root and the directory that w.Path starts from. The caller
// closes both.
func (c *Context) start(w Where) (root, from *place, err error) {
	absolute := strings.HasPrefix(w.Path, "/") && w.Resolve&unix.RESOLVE_IN_ROOT == 0
	root, from = c.starts(absolute)
	if w.At == nil || absolute {
		return root, from, nil
	}
	from.close()
	st, err := w.At.Stat()
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFDIR || w.At.fs == nil) {
		err = unix.ENOTDIR
	}
	if err != nil {
		root.close()
		return nil, nil, fmt.Errorf("%s from %s: %w", quote(w.Path), w.At.Path(), err)
	}
	if p := w.At.place(w.Caller); p != nil {
		return root, p, nil
	}
	at := w.At.Path()
	if at == "/" {
		at = ""
	}
	return root, &place{path: at}, nil
}

// starts returns copies of the root and of the root or the working directory.
func (c *Context) starts(absolute bool) (root, from *place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if absolute {
		return c.root.copy(), c.root.copy()
	}
	return c.root.copy(), c.cwd.copy()
}

// Chroot changes the root directory: chroot(2). Without leave it is EPERM, if nothing
// else is wrong.
func (c *Context) Chroot(w Where, leave bool) error { return c.enter(w, "chroot", leave, &c.root) }

// Chdir changes the working directory. With an empty path it goes to w.At (fchdir).
func (c *Context) Chdir(w Where) error { return c.enter(w, "chdir", true, &c.cwd) }

// enter makes the directory w what at is.
func (c *Context) enter(w Where, op string, leave bool, at **place) error {
	f, err := c.find(w, true, w.At != nil)
	if err != nil {
		return fmt.Errorf("%s %w", op, err)
	}
	f.node = itself(f.node, w.Caller)
	st, err := f.node.Stat()
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err == nil {
		err = f.node.Access(unix.X_OK)
	}
	if err == nil && !leave {
		err = fmt.Errorf("%w: it takes a capability", unix.EPERM)
	}
	if err != nil {
		f.node.Close()
		return fmt.Errorf("%s %s: %w", op, quote(w.Path), err)
	}
	p := newPlace(f)
	if p == nil {
		p = &place{path: f.path}
	}
	if p.path == "/" {
		p.path = ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	(*at).close()
	*at = p
	return nil
}

// Stat is newfstatat(2): flags are AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH,
// AT_NO_AUTOMOUNT, else EINVAL.
func (c *Context) Stat(w Where, flags int) (unix.Stat_t, error) {
	const known = unix.AT_SYMLINK_NOFOLLOW | unix.AT_EMPTY_PATH | unix.AT_NO_AUTOMOUNT
	if flags&^known != 0 {
		return unix.Stat_t{}, fmt.Errorf("stat: %w: flags %#x", unix.EINVAL, flags)
	}
	f, err := c.find(w, flags&unix.AT_SYMLINK_NOFOLLOW == 0, flags&unix.AT_EMPTY_PATH != 0)
	if err != nil {
		return unix.Stat_t{}, fmt.Errorf("stat %w", err)
	}
	defer f.node.Close()
	return f.node.Stat()
}

// Statfs is statfs(2); with an empty path it is fstatfs(2) of w.At.
func (c *Context) Statfs(w Where) (unix.Statfs_t, error) {
	if w.Path == "" && w.At != nil {
		return w.At.Statfs()
	}
	f, err := c.find(w, true, false)
	if err != nil {
		return unix.Statfs_t{}, fmt.Errorf("statfs %w", err)
	}
	defer f.node.Close()
	if f.fs == nil {
		return unix.Statfs_t{}, fmt.Errorf("statfs %s: %w: it lies in no file system", quote(w.Path), unix.ENOSYS)
	}
	return f.fs.Statfs()
}

// Readlink is readlinkat(2), not cut: EINVAL if w is no symbolic link. An empty
// path is the link w.At, opened with O_PATH|O_NOFOLLOW.
func (c *Context) Readlink(w Where) (string, error) {
	f, err := c.find(w, false, w.At != nil)
	if err != nil {
		return "", fmt.Errorf("readlink %w", err)
	}
	defer f.node.Close()
	text, err := f.node.Readlink()
	if err != nil {
		return "", fmt.Errorf("readlink %s: %w", quote(w.Path), err)
	}
	return text, nil
}

// Access is faccessat2(2): mode is R_OK|W_OK|X_OK or F_OK, flags are AT_EACCESS,
// AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, else EINVAL.
func (c *Context) Access(w Where, mode uint32, flags int) error {
	const known = unix.AT_EACCESS | unix.AT_SYMLINK_NOFOLLOW | unix.AT_EMPTY_PATH
	if mode&^7 != 0 || flags&^known != 0 {
		return fmt.Errorf("access: %w: mode %#x, flags %#x", unix.EINVAL, mode, flags)
	}
	f, err := c.find(w, flags&unix.AT_SYMLINK_NOFOLLOW == 0, flags&unix.AT_EMPTY_PATH != 0)
	if err != nil {
		return fmt.Errorf("access %w", err)
	}
	defer f.node.Close()
	if err := f.node.Access(mode); err != nil {
		return fmt.Errorf("access %s: %w", quote(w.Path), err)
	}
	return nil
}

// Refuse says why nothing at w can be changed: the error that finding it meets,
// else EROFS. It is the answer of calls that would change a read-only tree.
func (c *Context) Refuse(w Where, follow bool) error {
	f, err := c.find(w, follow, false)
	if err != nil {
		return err
	}
	f.node.Close()
	return fmt.Errorf("%s: %w: the tree is read-only", quote(w.Path), unix.EROFS)
}
