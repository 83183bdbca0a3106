package hostfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// dir is a directory of the host, open for reading. The host's offsets are the
// numbers of its entries.
type dir struct {
	fs *FS
	fd int

	mu sync.Mutex // the host's offset
}

func (d *dir) Stat() (unix.Stat_t, error)        { return stat(d.fd) }
func (d *dir) Seekable() bool                    { return true }
func (d *dir) PRead([]byte, int64) (int, error)  { return 0, unix.EISDIR }
func (d *dir) PWrite([]byte, int64) (int, error) { return 0, unix.EISDIR }
func (d *dir) Release() error                    { return d.fs.fds.close(d.fd) }

// ReadDir implements vfs.Dir: one buffer of entries a call.
func (d *dir) ReadDir(from int64) ([]vfs.Dirent, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := unix.Seek(d.fd, from, unix.SEEK_SET); errors.Is(err, unix.EINVAL) {
		return nil, nil // no such entry
	} else if err != nil {
		return nil, err
	}
	buf := make([]byte, 32<<10)
	n, err := unix.Getdents(d.fd, buf)
	if err != nil {
		return nil, err
	}
	return parseDirents(buf[:n])
}

// The layout of a struct linux_dirent64.
const (
	direntOff  = 8
	direntLen  = 16
	direntType = 18
	direntName = 19
)

// parseDirents reads what getdents64 has written.
func parseDirents(buf []byte) ([]vfs.Dirent, error) {
	var entries []vfs.Dirent
	for len(buf) > 0 {
		if len(buf) < direntName {
			return nil, fmt.Errorf("%w: directory entry cut short", unix.EIO)
		}
		n := int(binary.NativeEndian.Uint16(buf[direntLen:]))
		if n < direntName || n > len(buf) {
			return nil, fmt.Errorf("%w: directory entry of %d bytes", unix.EIO, n)
		}
		name, _, _ := bytes.Cut(buf[direntName:n], []byte{0})
		entries = append(entries, vfs.Dirent{
			Name:  string(name),
			Inode: binary.NativeEndian.Uint64(buf),
			Type:  buf[direntType],
			Next:  int64(binary.NativeEndian.Uint64(buf[direntOff:])),
		})
		buf = buf[n:]
	}
	return entries, nil
}

// editableDir is a directory of a file system that is written, open for reading.
type editableDir struct {
	dir
	at string // where it was found
}

// Path implements vfs.Pather.
func (d *editableDir) Path() string { return d.fs.pathOf(d.fd, d.at) }

// Node implements vfs.Linked.
func (d *editableDir) Node(who vfs.Caller) vfs.Node { return d.fs.again(d.fd, d.at, who) }

// Sync implements vfs.Syncer.
func (d *editableDir) Sync(bool) error { return again(func() error { return unix.Fsync(d.fd) }) }

// SyncRange implements vfs.Syncer.
func (d *editableDir) SyncRange(int64, int64) error { return nil }
