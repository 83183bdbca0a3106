// Package hostfs shows a directory of the host, read-only, as a vfs.FS.
//
// Every lookup is one openat2(2) of a handle (O_PATH) relative to the root's,
// without following a symbolic link or leaving the root; what is opened for
// reading is the file of that handle and no other.
package hostfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry/vfs"
)

// FS is a directory of the host.
type FS struct {
	root  int // O_PATH
	cache *pagecache.Cache
	fds   *budget
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
	fs := &FS{root, cache, fds}
	fd, err := fs.handle("")
	if err != nil {
		_ = unix.Close(root)
		return nil, fmt.Errorf("root directory %s: openat2: %w", dir, err)
	}
	return fs, fds.close(fd)
}

// Close gives the root's handle back. Open files stay.
func (fs *FS) Close() error { return unix.Close(fs.root) }

// Walk implements vfs.FS.
func (fs *FS) Walk(path string, _ vfs.Caller) (vfs.Node, string, error) {
	fd, err := fs.handle(path)
	if err == nil {
		return &node{fs, fd, path}, "", nil
	}
	if !errors.Is(err, unix.ELOOP) {
		return nil, "", err
	}
	return fs.firstLink(path)
}

// handle opens path, which may name a symbolic link but not lead through one:
// that is ELOOP.
func (fs *FS) handle(path string) (int, error) {
	if path == "" {
		path = "."
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	return fs.fds.open(func() (int, error) { return unix.Openat2(fs.root, path, &how) })
}

// firstLink returns the first symbolic link on path, and what of path is behind it.
func (fs *FS) firstLink(path string) (vfs.Node, string, error) {
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
		n := &node{fs, fd, path[:end]}
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
	st.Flags |= unix.ST_RDONLY
	return st, err
}
