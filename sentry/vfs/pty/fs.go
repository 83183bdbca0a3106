package pty

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

const (
	firstInode  = 3 // of terminal 0
	ptmxInode   = 2
	rootInode   = 1
	defaultMost = 1024 // pairs
	blockSize   = 1024
)

// Options say what a devpts is.
type Options struct {
	At  string // where it is mounted; "" is /dev/pts
	Max int    // most terminals at a time; 0: 1024
}

// FS is a devpts: the terminals that there are, by their numbers. Masters are opened
// through its own ptmx or through Ptmx.
type FS struct {
	o Options

	mu    sync.Mutex
	pairs map[int]*pair
	hosts map[int]vfs.File // terminals that are not ours
	boss  vfs.Jobs         // nil: signals reach nobody
}

// New returns a devpts with no terminal.
func New(o Options) *FS {
	if o.At == "" {
		o.At = "/dev/pts"
	}
	if o.Max == 0 {
		o.Max = defaultMost
	}
	return &FS{o: o, pairs: make(map[int]*pair), hosts: make(map[int]vfs.File)}
}

// SetJobs says whose processes use the terminals. It is called before any is made.
func (fs *FS) SetJobs(j vfs.Jobs) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.boss = j
}

func (fs *FS) jobs() vfs.Jobs {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.boss
}

// signal sends sig to the foreground of t.
func (fs *FS) signal(t *vfs.TTY, sig unix.Signal) {
	if j := fs.jobs(); j != nil {
		j.SignalForeground(t, sig)
	}
}

// Adopt gives a terminal of the host's the place that its device number names, and
// returns its path: "" if it is no such terminal. What opens the path gets f.
func (fs *FS) Adopt(f vfs.File) string {
	st, err := f.Stat()
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || unix.Major(st.Rdev) != vfs.PtsMajor {
		return ""
	}
	n := int(unix.Minor(st.Rdev))
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.pairs[n] == nil {
		fs.hosts[n] = f
	}
	return fs.path(n)
}

func (fs *FS) path(n int) string { return fs.o.At + "/" + strconv.Itoa(n) }

// Walk implements vfs.FS.
func (fs *FS) Walk(path string, who vfs.Caller) (vfs.Node, string, error) {
	name, _, deeper := strings.Cut(path, "/")
	if name == "" {
		return fs.root(), "", nil
	}
	n := fs.lookup(name, who)
	switch {
	case n == nil:
		return nil, "", unix.ENOENT
	case deeper:
		return nil, "", fmt.Errorf("%w: %s/%s is no directory", unix.ENOTDIR, fs.o.At, name)
	}
	return n, "", nil
}

// lookup returns the node called name, nil if there is none.
func (fs *FS) lookup(name string, who vfs.Caller) vfs.Node {
	if name == "ptmx" {
		attr := synth.Attr{Dev: vfs.DevptsDevice, Ino: ptmxInode, Mode: 0}
		return fs.Ptmx(attr, blockSize, who)
	}
	n, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(n) != name {
		return nil
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if p := fs.pairs[n]; p != nil {
		return fs.slaveNode(p)
	}
	if f := fs.hosts[n]; f != nil {
		return hostNode{f}
	}
	return nil
}

// Statfs implements vfs.FS.
func (fs *FS) Statfs() (unix.Statfs_t, error) {
	return unix.Statfs_t{Type: unix.DEVPTS_SUPER_MAGIC, Bsize: 4096, Frsize: 4096, Namelen: 255, Flags: 0x1020}, nil
}

func (fs *FS) root() *synth.Dir {
	return &synth.Dir{Attr: synth.Attr{Dev: vfs.DevptsDevice, Ino: rootInode, Mode: 0o755}, Parent: rootInode, List: fs.list}
}

// list returns the entries: the newest terminal first, as Linux lists them, and ptmx.
func (fs *FS) list() ([]vfs.Dirent, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var all []vfs.Dirent
	for _, n := range fs.numbers() {
		all = append(all, vfs.Dirent{Name: strconv.Itoa(n), Inode: inodeOf(n), Type: unix.DT_CHR})
	}
	return append(all, vfs.Dirent{Name: "ptmx", Inode: ptmxInode, Type: unix.DT_CHR}), nil
}

func inodeOf(n int) uint64 { return uint64(firstInode + n) }

// newPair returns a new pair with the lowest free number: ENOSPC if there are too many.
func (fs *FS) newPair(who vfs.Caller) (*pair, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.pairs) >= fs.o.Max {
		return nil, fmt.Errorf("%w: there are %d pseudoterminals, the most that may be", unix.ENOSPC, fs.o.Max)
	}
	n := 0
	for fs.pairs[n] != nil || fs.hosts[n] != nil {
		n++
	}
	p := newPair(fs, n, who)
	fs.pairs[n] = p
	return p, nil
}

func (fs *FS) remove(n int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.pairs, n)
}
