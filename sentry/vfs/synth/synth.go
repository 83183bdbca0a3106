// Package synth makes nodes of files that exist only in the sandbox: texts that
// are made up as they are opened, directories, links. /proc and /dev consist of
// them.
package synth

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// Attr is what a made-up file has in common with others.
type Attr struct {
	Dev, Ino uint64
	Mode     uint32 // permissions; the kind is the node's affair
	UID, GID uint32
}

func (a Attr) stat(kind uint32) (unix.Stat_t, error) {
	return unix.Stat_t{
		Dev: a.Dev, Ino: a.Ino, Mode: kind | a.Mode, Nlink: 1, Uid: a.UID, Gid: a.GID, Blksize: 1024,
	}, nil
}

// Access implements vfs.Node.
func (a Attr) Access(mode uint32) error { return vfs.AccessByMode(a.Mode, mode) }

// Close implements vfs.Node.
func (a Attr) Close() {}

// Readlink implements vfs.Node for what is no link.
func (a Attr) Readlink() (string, error) {
	return "", fmt.Errorf("%w: not a symbolic link", unix.EINVAL)
}

// Text is a regular file whose bytes Make makes each time it is opened.
type Text struct {
	Attr
	Make func() ([]byte, error)
}

// Stat implements vfs.Node. The size is 0, as in Linux's /proc.
func (t *Text) Stat() (unix.Stat_t, error) { return t.stat(unix.S_IFREG) }

// Open implements vfs.Node.
func (t *Text) Open(flags int) (vfs.File, error) {
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		return nil, fmt.Errorf("%w: it can only be read", unix.EACCES)
	}
	content, err := t.Make()
	if err != nil {
		return nil, err
	}
	return &text{t, content}, nil
}

// text is an open Text.
type text struct {
	node    *Text
	content []byte
}

func (t *text) Stat() (unix.Stat_t, error)         { return t.node.Stat() }
func (t *text) Seekable() bool                     { return true }
func (t *text) PWrite([]byte, int64) (int, error)  { return 0, unix.EBADF }
func (t *text) Release() error                     { return nil }
func (t *text) Reopen(flags int) (vfs.File, error) { return t.node.Open(flags) }

func (t *text) PRead(p []byte, off int64) (int, error) {
	return copy(p, t.content[min(off, int64(len(t.content))):]), nil
}

// SeekFrom implements vfs.Seeker: such files have no end to seek from.
func (t *text) SeekFrom(pos, off int64, whence int) (int64, error) {
	if whence != unix.SEEK_SET && whence != unix.SEEK_CUR {
		return 0, fmt.Errorf("%w: whence %d", unix.EINVAL, whence)
	}
	return vfs.SeekIn(off, whence, pos, 0)
}

// Link is a symbolic link.
type Link struct {
	Attr
	Text func() (string, error)
	// To, if not nil, returns the open file that the link leads to, with a
	// reference for the caller, or nil: then the text is followed.
	To func() *vfs.Description
	// Follow says that it is a link to a file rather than to its text: vfs.Magic.
	Follow bool
}

// Magic implements vfs.Magic.
func (l *Link) Magic() bool { return l.Follow || l.To != nil }

// Stat implements vfs.Node.
func (l *Link) Stat() (unix.Stat_t, error) { return l.stat(unix.S_IFLNK) }

// Readlink implements vfs.Node.
func (l *Link) Readlink() (string, error) { return l.Text() }

// Open implements vfs.Node.
func (l *Link) Open(int) (vfs.File, error) { return nil, unix.ELOOP }

// Jump implements vfs.Jumper.
func (l *Link) Jump() *vfs.Description {
	if l.To == nil {
		return nil
	}
	return l.To()
}
