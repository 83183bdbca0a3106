package hostfs

import (
	"os"
	"strings"

	"mmsh.dev/mmsh/sentry/vfs"
)

// place is where an open file of a file system that is written is now: the host
// knows, by a handle of its own. It is a pagecache.Place.
type place struct {
	fs *FS
	fd int
	at string // where it was found
}

// place returns the place of fd's file, found at path.
func (fs *FS) place(fd int, path string) (*place, error) {
	own, err := fs.dup(fd)
	if err != nil {
		return nil, err
	}
	return &place{fs, own, path}, nil
}

// Path implements pagecache.Place.
func (p *place) Path() string { return p.fs.pathOf(p.fd, p.at) }

// Close implements pagecache.Place.
func (p *place) Close() error { return p.fs.fds.close(p.fd) }

// pathOf returns where fd's file is in the guest's tree, " (deleted)" behind it if it
// has no name any more. What was moved out of the file system is where it was found.
func (fs *FS) pathOf(fd int, at string) string {
	full, err := os.Readlink(procPath(fd))
	root, rootErr := os.Readlink(procPath(fs.root))
	rest, in := strings.CutPrefix(full, strings.TrimSuffix(root, "/"))
	if err != nil || rootErr != nil || !in || rest != "" && rest[0] != '/' {
		if rest = "/" + at; at == "" {
			rest = ""
		}
	}
	if full = fs.rw.At + rest; full == "" {
		return "/"
	}
	return full
}

// again returns another node of fd's file.
func (fs *FS) again(fd int, path string, who vfs.Caller) vfs.Node {
	own, err := fs.dup(fd)
	if err != nil {
		return lost{err}
	}
	return fs.node(own, path, who)
}
