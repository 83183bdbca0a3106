package memfs

import (
	"fmt"
	"os"
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
	Files int              // most names and files that guests may make or change; 0: DefaultFiles
}

// DefaultFiles bounds an FS: some 150 MB of our own memory at most.
const DefaultFiles = 1 << 18

// FS is a file system that can be written and lies in memory, as Linux's tmpfs.
// It is bounded by its MemoryFile's limit.
//
// Lock order: a file's mapsMu, memory managers' activeMu, FS.mu, a file's pages.mu,
// the MemoryFile's.
type FS struct {
	mem *pgalloc.MemoryFile
	at  string
	dev uint64
	uid uint32 // mmsh's own
	now func() time.Time

	mu     sync.Mutex // names, attributes, references
	last   uint64     // inode number
	xattrs int        // bytes of all attributes
	root   *inode
	used   int  // names, files and hidden names
	most   int  // of them
	done   bool // closed

	lower   vfs.FS // nil: none
	known   map[lowKey]*inode
	devices map[uint64]uint64 // of the lower FS but for the root's, in order of appearance
}

// New returns an empty FS whose files' pages lie in mem.
func New(mem *pgalloc.MemoryFile, o Options) *FS {
	fs := newFS(mem, o)
	fs.dev = unix.Mkdev(0, o.Minor)
	fs.root = fs.newInode(unix.S_IFDIR|o.Mode, vfs.Caller{UID: o.UID, GID: o.GID})
	fs.root.nlink = 2
	return fs
}

// firstNumber is where inode numbers of new files begin over a lower FS, whose
// own are below.
const firstNumber = 1 << 48

// NewOver returns an FS that shows lower's files, and keeps in mem what guests make
// of them. lower stays the caller's, and must live as long as files of the FS are
// open.
func NewOver(lower vfs.FS, mem *pgalloc.MemoryFile, o Options) (*FS, error) {
	fs := newFS(mem, o)
	fs.lower, fs.known, fs.devices = lower, make(map[lowKey]*inode), make(map[uint64]uint64)
	fs.last = firstNumber
	node, st, err := fs.walkBelow("")
	if err != nil {
		return nil, fmt.Errorf("the root directory: %w", err)
	}
	fs.dev = st.Dev
	if fs.root, err = fs.adopt(node, "", &st); err != nil {
		node.Close()
		return nil, fmt.Errorf("the root directory: %w", err)
	}
	fs.root.refs++ // for ever
	return fs, nil
}

func newFS(mem *pgalloc.MemoryFile, o Options) *FS {
	fs := &FS{mem: mem, at: strings.TrimSuffix(o.At, "/"), now: o.Now, most: o.Files, uid: uint32(os.Geteuid())}
	if fs.now == nil {
		fs.now = time.Now
	}
	if fs.most == 0 {
		fs.most = DefaultFiles
	}
	return fs
}

// SetClock changes whose time the files have, before guests run.
func (fs *FS) SetClock(now func() time.Time) { fs.now = now }

// Close drops all files: their pages go, but for those of files that are still
// open or mapped.
func (fs *FS) Close() error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.done = true
	fs.root.clear()
	for _, i := range fs.known {
		i.dropIfUnused()
	}
	fs.root.rest()
	return nil
}

// Walk implements vfs.FS.
func (fs *FS) Walk(path string, who vfs.Caller) (vfs.Node, string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.walk(fs.root.name(), path, who)
}

// WalkFrom implements vfs.Stepper.
func (fs *FS) WalkFrom(dir vfs.Node, path string, who vfs.Caller) (vfs.Node, string, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.walk(entryOf(dir), path, who)
}

// Up implements vfs.Stepper.
func (fs *FS) Up(n vfs.Node, who vfs.Caller) vfs.Node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	e := entryOf(n)
	if e.dir == nil {
		return nil
	}
	return newNode(e.dir.name(), who)
}

// entryOf returns what a Node of ours is a handle of.
func entryOf(n vfs.Node) *entry {
	if d, ok := n.(directory); ok {
		return d.at
	}
	return n.(node).at
}

// walk follows path from e. fs.mu is held.
func (fs *FS) walk(e *entry, path string, who vfs.Caller) (vfs.Node, string, error) {
	e.hold()
	defer func() { e.release() }()
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
		name, rest := split(path)
		next, err := dir.step(name)
		if err != nil {
			return nil, "", err
		}
		e.release()
		e, path = next, rest
	}
	return newNode(e, who), "", nil
}

// Statfs implements vfs.FS.
func (fs *FS) Statfs() (unix.Statfs_t, error) {
	st := unix.Statfs_t{Type: unix.TMPFS_MAGIC, Files: uint64(fs.most), Bsize: 4096, Frsize: 4096, Namelen: 255}
	if fs.lower != nil { // what it looks like is the host's; what fits is ours
		low, err := fs.lower.Statfs()
		if err != nil {
			return st, err
		}
		st.Type, st.Fsid = low.Type, low.Fsid
	}
	fs.mu.Lock()
	st.Ffree = uint64(fs.most - fs.used)
	fs.mu.Unlock()
	if s := fs.mem.Stats(); s.Limit != 0 {
		st.Blocks = s.Limit / 4096
		st.Bfree = (s.Limit - min(s.Total, s.Limit)) / 4096
		st.Bavail = st.Bfree
	}
	return st, nil
}
