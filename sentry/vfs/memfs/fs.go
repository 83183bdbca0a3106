package memfs

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/sentry/vfs"
)

// Options of an FS.
type Options struct {
	At    string           // where it is mounted: "/dev/shm"; files say so in maps
	Mode  uint32           // of the root directory: 0o1777
	UID   uint32           // of the root directory
	GID   uint32           // of the root directory
	Minor uint32           // of the device number, whose major is 0
	Now   func() time.Time // the guest's clock; nil: the host's
}

// FS is a file system that can be written and lies in memory, as Linux's tmpfs.
// It is bounded by its MemoryFile's limit.
//
// Lock order: a file's mapsMu, memory managers' activeMu, FS.mu, a file's pages.mu,
// the MemoryFile's.
type FS struct {
	mem *pgalloc.MemoryFile
	at  string
	dev uint64
	now func() time.Time

	mu   sync.Mutex // names, attributes, references
	last uint64     // inode number
	root *inode
}

// New returns an empty FS whose files' pages lie in mem.
func New(mem *pgalloc.MemoryFile, o Options) *FS {
	fs := &FS{mem: mem, at: strings.TrimSuffix(o.At, "/"), dev: unix.Mkdev(0, o.Minor), now: o.Now}
	if fs.now == nil {
		fs.now = time.Now
	}
	fs.root = fs.newInode(unix.S_IFDIR|o.Mode, vfs.Caller{UID: o.UID, GID: o.GID})
	fs.root.nlink = 2
	return fs
}

// SetClock changes whose time the files have, before guests run.
func (fs *FS) SetClock(now func() time.Time) { fs.now = now }

// Close drops all files: their pages go, but for those of files that are still
// open or mapped.
func (fs *FS) Close() error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.root.clear()
	return nil
}

// Walk implements vfs.FS.
func (fs *FS) Walk(path string, who vfs.Caller) (vfs.Node, string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	e := &entry{inode: fs.root}
	for path != "" {
		dir := e.inode
		switch {
		case dir.kind() == unix.S_IFLNK:
			return newNode(e, who), path, nil
		case dir.kind() != unix.S_IFDIR:
			return nil, "", unix.ENOTDIR
		}
		if err := dir.access(who, unix.X_OK); err != nil {
			return nil, "", err
		}
		name, rest, _ := strings.Cut(path, "/")
		next, ok := dir.entries[name]
		if !ok {
			return nil, "", unix.ENOENT
		}
		e, path = next, rest
	}
	return newNode(e, who), "", nil
}

// Statfs implements vfs.FS.
func (fs *FS) Statfs() (unix.Statfs_t, error) {
	st := unix.Statfs_t{Type: unix.TMPFS_MAGIC, Bsize: 4096, Frsize: 4096, Namelen: 255}
	if s := fs.mem.Stats(); s.Limit != 0 {
		st.Blocks = s.Limit / 4096
		st.Bfree = (s.Limit - min(s.Total, s.Limit)) / 4096
		st.Bavail = st.Bfree
	}
	return st, nil
}
