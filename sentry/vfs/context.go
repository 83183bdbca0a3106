package vfs

import (
	"sync"

	"golang.org/x/sys/unix"
)

// Caller is who follows a path: what /proc/self and /proc/thread-self mean.
type Caller struct{ PID, TID int32 }

// Where is a path as a system call names it.
type Where struct {
	Path   string
	At     *Description // what a relative Path starts from; nil is AT_FDCWD
	Caller Caller
}

// Context is where paths of a process start: root, working directory, umask. It
// is safe for concurrent use; CLONE_FS shares it.
type Context struct {
	tree *Tree

	mu    sync.Mutex
	cwd   string // real: absolute, clean, free of symbolic links
	umask uint32
}

// NewContext returns a Context whose working directory is cwd, an absolute path:
// ENOENT, ENOTDIR, EACCES as chdir(2).
func (t *Tree) NewContext(cwd string) (*Context, error) { panic("vfs: unwritten") }

// Tree returns the tree that the paths lie in.
func (c *Context) Tree() *Tree { return c.tree }

// Fork returns a copy.
func (c *Context) Fork() *Context { panic("vfs: unwritten") }

// Cwd returns the working directory as getcwd(2) shows it.
func (c *Context) Cwd() string { panic("vfs: unwritten") }

// Chdir changes the working directory. With an empty path it goes to w.At (fchdir).
func (c *Context) Chdir(w Where) error { panic("vfs: unwritten") }

// Umask sets the mask and returns the old one.
func (c *Context) Umask(mask uint32) uint32 { panic("vfs: unwritten") }

// Open is openat(2): flags are O_*, mode counts where a file is made. The caller
// owns the Description's one reference. O_CLOEXEC is the descriptor's affair.
func (c *Context) Open(w Where, flags int, mode uint32) (*Description, error) {
	panic("vfs: unwritten")
}

// Stat is newfstatat(2): flags are AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH,
// AT_NO_AUTOMOUNT, else EINVAL.
func (c *Context) Stat(w Where, flags int) (unix.Stat_t, error) { panic("vfs: unwritten") }

// Statfs is statfs(2).
func (c *Context) Statfs(w Where) (unix.Statfs_t, error) { panic("vfs: unwritten") }

// Readlink is readlinkat(2), not cut: EINVAL if w is no symbolic link.
func (c *Context) Readlink(w Where) (string, error) { panic("vfs: unwritten") }

// Access is faccessat2(2): mode is R_OK|W_OK|X_OK or F_OK, flags
// AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, else EINVAL.
func (c *Context) Access(w Where, mode uint32, flags int) error { panic("vfs: unwritten") }

// OpenProgram opens what execve(2) would run: a regular file that may be
// executed, else EACCES.
func (c *Context) OpenProgram(w Where) (*Program, error) { panic("vfs: unwritten") }
