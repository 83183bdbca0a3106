// Package devfs is /dev: null, zero, full, random, urandom, links to the
// descriptors, tty, and ptmx of a devpts.
package devfs

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

// device is devtmpfs's in st_dev: an anonymous one.
var device = unix.Mkdev(0, 6)

const (
	ptmx      = "ptmx"
	blockSize = 4096
)

// FS is /dev.
type FS struct {
	// Random is what random and urandom give.
	Random io.Reader
	// Terminals is where ptmx makes new ones; nil: there is no ptmx.
	Terminals Ptmx
	// Jobs knows whose terminal tty is; nil: nobody has one.
	Jobs vfs.Jobs
	// Places are empty directories, for others to be mounted at: "shm".
	Places []string
}

// Ptmx is a devpts.
type Ptmx interface {
	// Ptmx returns a node with attr whose opening makes a new terminal for who.
	Ptmx(attr synth.Attr, blksize int64, who vfs.Caller) vfs.Node
}

// New returns /dev with the host's random numbers.
func New() *FS { return &FS{Random: rand.Reader} }

// links are the symbolic links by name.
var links = []struct{ name, text string }{
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
}

// Walk implements vfs.FS.
func (fs *FS) Walk(path string, who vfs.Caller) (vfs.Node, string, error) {
	name, rest, deeper := strings.Cut(path, "/")
	if name == "" {
		return fs.root(), "", nil
	}
	for i, l := range links {
		if l.name == name {
			text := func() (string, error) { return l.text, nil }
			return &synth.Link{Attr: attr(linkInode(i), 0o777), Text: text}, rest, nil
		}
	}
	for i := range kinds {
		if kinds[i].name != name {
			continue
		}
		if deeper {
			return nil, "", fmt.Errorf("%w: /dev/%s is no directory", unix.ENOTDIR, name)
		}
		return &node{attr(kindInode(i), kinds[i].mode()), fs, &kinds[i], who.PID}, "", nil
	}
	if i := slices.Index(fs.Places, name); i >= 0 && !deeper {
		return &synth.Dir{Attr: attr(fs.placeInode(i), 0o755), Parent: 1, List: nothing}, "", nil
	}
	if name == ptmx && fs.Terminals != nil {
		if deeper {
			return nil, "", fmt.Errorf("%w: /dev/%s is no directory", unix.ENOTDIR, name)
		}
		return fs.Terminals.Ptmx(attr(kindInode(len(kinds)), 0o666), blockSize, who), "", nil
	}
	return nil, "", unix.ENOENT
}

// Kind implements vfs.Kinded.
func (fs *FS) Kind() string { return "devtmpfs" }

// Statfs implements vfs.FS.
func (fs *FS) Statfs() (unix.Statfs_t, error) {
	return unix.Statfs_t{Type: unix.TMPFS_MAGIC, Bsize: 4096, Frsize: 4096, Namelen: 255, Flags: unix.ST_RDONLY}, nil
}

func (fs *FS) root() *synth.Dir {
	list := func() ([]vfs.Dirent, error) {
		var all []vfs.Dirent
		for i, l := range links {
			all = append(all, vfs.Dirent{Name: l.name, Inode: linkInode(i), Type: unix.DT_LNK})
		}
		for i, k := range kinds {
			all = append(all, vfs.Dirent{Name: k.name, Inode: kindInode(i), Type: unix.DT_CHR})
		}
		if fs.Terminals != nil {
			all = append(all, vfs.Dirent{Name: ptmx, Inode: kindInode(len(kinds)), Type: unix.DT_CHR})
		}
		for i, name := range fs.Places {
			all = append(all, vfs.Dirent{Name: name, Inode: fs.placeInode(i), Type: unix.DT_DIR})
		}
		return all, nil
	}
	return &synth.Dir{Attr: attr(1, 0o755), Parent: 1, List: list}
}

func linkInode(i int) uint64 { return uint64(2 + i) }
func kindInode(i int) uint64 { return uint64(2 + len(links) + i) }

// placeInode is behind that of ptmx.
func (fs *FS) placeInode(i int) uint64 { return kindInode(len(kinds)) + 1 + uint64(i) }

func nothing() ([]vfs.Dirent, error) { return nil, nil }

func attr(ino uint64, mode uint32) synth.Attr {
	return synth.Attr{Dev: device, Ino: ino, Mode: mode}
}
