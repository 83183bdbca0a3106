// Package hostfs shows a directory of the host as a vfs.FS: read-only (New), or
// written through (NewWritable), then also a single file.
//
// Every lookup is one openat2(2) of a handle (O_PATH) relative to the root's,
// without following a symbolic link or leaving the root; what is opened for
// reading is the file of that handle and no other. Names are made, moved and removed
// relative to the handle of their directory, a single component at a time.
//
// Read hostfs.go and node.go, file.go and dir.go; for writing edit.go, change.go,
// writable.go and place.go.
package hostfs

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry/vfs"
)

// FS is a directory of the host.
type FS struct {
	root  int // O_PATH
	cache *pagecache.Cache
	fds   *budget

	rw     *Options // nil: read-only
	single bool     // root is no directory
}

// Options of a file system that is written.
type Options struct {
	At  string           // where it is mounted: files say so in maps
	Now func() time.Time // the guest's clock; nil: the host's
}

// New returns the host's directory dir as a file system whose files are mapped
// through cache.
func New(dir string, cache *pagecache.Cache) (*FS, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("root directory %s: %w", dir, err)
	}
	fds, err := newBudget()
	if err != nil {
		_ = unix.Close(root)
		return nil, fmt.Errorf("RLIMIT_NOFILE: %w", err)
	}
	fs := &FS{root: root, cache: cache, fds: fds}
	fd, err := fs.handle("")
	if err != nil {
		_ = unix.Close(root)
		return nil, fmt.Errorf("root directory %s: openat2: %w", dir, err)
	}
	return fs, fds.close(fd)
}

// NewWritable is New for a directory, or a single file, that guests may change: what
// they write reaches the host when it is written back (pagecache).
func NewWritable(path string, cache *pagecache.Cache, o Options) (*FS, error) {
	root, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	fds, err := newBudget()
	if err != nil {
		_ = unix.Close(root)
		return nil, fmt.Errorf("RLIMIT_NOFILE: %w", err)
	}
	o.At = strings.TrimSuffix(o.At, "/")
	if o.Now == nil {
		o.Now = time.Now
	}
	fs := &FS{root: root, cache: cache, fds: fds, rw: &o}
	st, err := stat(root)
	if err == nil {
		fs.single = st.Mode&unix.S_IFMT != unix.S_IFDIR
		err = fs.mayBeGiven(&st)
	}
	if err != nil {
		_ = unix.Close(root)
		return nil, err
	}
	return fs, nil
}

// mayBeGiven refuses what guests cannot be given to write.
func (fs *FS) mayBeGiven(st *unix.Stat_t) error {
	n := node{fs: fs, fd: fs.root}
	if _, err := n.fileSystem(); err != nil {
		return err
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFDIR && kind != unix.S_IFREG {
		return fmt.Errorf("%w: it is neither a directory nor a regular file", unix.EINVAL)
	}
	var mount unix.Statfs_t
	if err := unix.Fstatfs(fs.root, &mount); err != nil {
		return err
	}
	if mount.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("%w: the host has mounted it read-only", unix.EROFS)
	}
	return nil
}

// SetClock changes whose time the files have, before guests run.
func (fs *FS) SetClock(now func() time.Time) { fs.rw.Now = now }

// Close gives the root's handle back. Open files stay.
func (fs *FS) Close() error { return unix.Close(fs.root) }

// Walk implements vfs.FS.
func (fs *FS) Walk(path string, who vfs.Caller) (vfs.Node, string, error) {
	if err := fs.mayReach(path, who); err != nil {
		return nil, "", err
	}
	fd, err := fs.handle(path)
	if err == nil {
		return fs.node(fd, path, who), "", nil
	}
	if !errors.Is(err, unix.ELOOP) {
		return nil, "", err
	}
	return fs.firstLink(path, who)
}

// node makes a node of a handle, which it takes over.
func (fs *FS) node(fd int, path string, who vfs.Caller) vfs.Node {
	n := &node{fs, fd, path, who}
	if fs.rw != nil {
		return &editable{n}
	}
	return n
}

// handle opens path, which may name a symbolic link but not lead through one:
// that is ELOOP.
func (fs *FS) handle(path string) (int, error) {
	switch {
	case path == "" && fs.single:
		return fs.dup(fs.root)
	case path == "":
		path = "."
	case fs.single:
		return -1, unix.ENOTDIR
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	return fs.fds.open(func() (int, error) { return unix.Openat2(fs.root, path, &how) })
}

// dup returns another descriptor of fd's file.
func (fs *FS) dup(fd int) (int, error) {
	return fs.fds.open(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
}

// firstLink returns the first symbolic link on path, and what of path is behind it.
func (fs *FS) firstLink(path string, who vfs.Caller) (vfs.Node, string, error) {
	for end := 0; end < len(path); end++ {
		if n := strings.IndexByte(path[end:], '/'); n >= 0 {
			end += n
		} else {
			end = len(path)
		}
		fd, err := fs.handle(path[:end])
		if err != nil {
			return nil, "", err
		}
		n := fs.node(fd, path[:end], who)
		st, err := n.Stat()
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return n, strings.TrimPrefix(path[end:], "/"), nil
		}
		if err != nil || end == len(path) { // the link is gone meanwhile
			return n, "", err
		}
		n.Close()
	}
	return nil, "", unix.ENOENT
}

// Statfs implements vfs.FS.
func (fs *FS) Statfs() (unix.Statfs_t, error) {
	var st unix.Statfs_t
	err := unix.Fstatfs(fs.root, &st)
	if fs.rw == nil {
		st.Flags |= unix.ST_RDONLY
	}
	return st, err
}
