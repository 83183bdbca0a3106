package hostfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry/vfs"
)

// node is a handle of a host file.
type node struct {
	fs   *FS
	fd   int // O_PATH
	path string
	who  vfs.Caller
}

func (n *node) Stat() (unix.Stat_t, error) { return stat(n.fd) }
func (n *node) Close()                     { _ = n.fs.fds.close(n.fd) }

func (n *node) Readlink() (string, error) {
	buf := make([]byte, unix.PathMax)
	k, err := unix.Readlinkat(n.fd, "", buf)
	if err == unix.ENOENT { // what readlinkat says of a handle of something else
		err = unix.EINVAL
	}
	return string(buf[:max(k, 0)]), err
}

// Access implements vfs.Node: the host decides, as for mmsh itself, but nothing
// may be written.
func (n *node) Access(mode uint32) error {
	if mode&unix.W_OK != 0 {
		return fmt.Errorf("%w: the tree is read-only", unix.EROFS)
	}
	return unix.Faccessat(n.fd, "", mode, unix.AT_EMPTY_PATH)
}

// Open implements vfs.Node.
func (n *node) Open(flags int) (vfs.File, error) {
	st, err := n.Stat()
	if err != nil {
		return nil, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return n.openDir()
	case unix.S_IFREG:
		return n.openFile(flags)
	case unix.S_IFLNK:
		return nil, unix.ELOOP
	}
	return nil, fmt.Errorf("%w: a device, pipe or socket of the host is not opened", unix.ENXIO)
}

func (n *node) openDir() (vfs.File, error) {
	fd, err := n.reopen(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &dir{fs: n.fs, fd: fd}, nil
}

func (n *node) openFile(flags int) (vfs.File, error) {
	if flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0 {
		return nil, fmt.Errorf("%w: the tree is read-only", unix.EROFS)
	}
	kind, err := n.fileSystem()
	if err != nil {
		return nil, err
	}
	fd, err := n.reopen(unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return openFile(n.fs, fd, "/"+n.path, hugeAligned(kind))
}

// fileSystem returns the magic number of the file system that the file lies in. The
// host's /proc is refused: its files would show mmsh itself, down to its memory.
func (n *node) fileSystem() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(n.fd, &st); err != nil {
		return 0, err
	}
	if st.Type == unix.PROC_SUPER_MAGIC {
		return 0, fmt.Errorf("%w: the host's /proc is not shown", unix.EACCES)
	}
	return st.Type, nil
}

// reopen opens as flags say what the handle leads to, whatever its path leads to
// by now.
func (n *node) reopen(flags int) (int, error) {
	path := procPath(n.fd)
	fd, err := n.fs.fds.open(func() (int, error) {
		return unix.Open(path, unix.O_CLOEXEC|unix.O_NOCTTY|flags, 0)
	})
	if err == unix.ENOENT {
		return -1, fmt.Errorf("%w: mmsh needs the host's /proc", unix.EIO)
	}
	return fd, err
}

func stat(fd int) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st, err
}

// keyOf returns the page cache's key of a file.
func keyOf(st *unix.Stat_t) pagecache.Key {
	return pagecache.Key{Dev: st.Dev, Ino: st.Ino, MTime: st.Mtim.Nano(), Size: st.Size}
}

// lost is a Node for which the host has no descriptor left.
type lost struct{ err error }

func (n lost) Stat() (unix.Stat_t, error) { return unix.Stat_t{}, n.err }
func (n lost) Readlink() (string, error)  { return "", n.err }
func (n lost) Access(uint32) error        { return n.err }
func (n lost) Open(int) (vfs.File, error) { return nil, n.err }
func (lost) Close()                       {}
