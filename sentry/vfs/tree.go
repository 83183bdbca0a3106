package vfs

import "golang.org/x/sys/unix"

// FS is a file system that can be mounted in a Tree. Its paths are relative to
// its root and clean: no empty, "." or ".." components; "" is the root itself.
type FS interface {
	// Walk goes down path until its end or the first symbolic link, and returns the
	// node there and what of path is left behind a link. Errors are unix.Errno,
	// wrapped with reasons: ENOENT, ENOTDIR, EACCES.
	Walk(path string, who Caller) (n Node, rest string, err error)
	// Statfs returns what statfs(2) tells.
	Statfs() (unix.Statfs_t, error)
}

// Node is a file that was found by its path: a handle, closed by who found it.
type Node interface {
	Stat() (unix.Stat_t, error)
	// Readlink returns a symbolic link's text; EINVAL for all else.
	Readlink() (string, error)
	// Access says whether the file may be used so: R_OK|W_OK|X_OK.
	Access(mode uint32) error
	// Open opens the file: flags are O_*. EROFS for writing where that is not
	// possible, ENXIO for sockets and devices that are not ours.
	Open(flags int) (File, error)
	Close()
}

// Jumper is a Node that is a link to an open file rather than to a path, as
// /proc/PID/fd/N is. Jump returns it with a reference for the caller; nil: follow
// the link's text.
type Jumper interface{ Jump() *Description }

// Tree is the whole of what paths can lead to: file systems mounted over one
// another. Nothing outside of them can be reached, whatever the path, the links
// in it and whoever renames things meanwhile: a path is followed by Tree itself,
// one symbolic link at a time, and a file system never sees "..".
//
// A world is made so:
//
//	host, err := hostfs.New("/", cache)       // read-only
//	tree := vfs.NewTree(host)
//	tree.Mount("/dev", devfs.New())
//	kernel, err := sentry.New(sentry.Config{Tree: tree, …})
//	tree.Mount("/proc", procfs.New(kernel))
type Tree struct {
	mounts []mount // deepest first
}

type mount struct {
	at string // "" is the root, else "/dev"
	fs FS
}

// NewTree returns a Tree of root alone.
func NewTree(root FS) *Tree { return &Tree{mounts: []mount{{"", root}}} }

// Mount puts fs at the absolute path at, over what is there: at need not exist
// below. All mounts are made before guests run.
func (t *Tree) Mount(at string, fs FS) { panic("vfs: unwritten") }
