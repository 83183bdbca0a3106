package memfs

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// listed is a file as EachFile reports it.
type listed struct {
	path  string
	pages memmap.Mappable
	st    unix.Stat_t
}

// EachFile implements vfs.Lister. A file of several names comes once.
func (fs *FS) EachFile(f func(path string, m memmap.Mappable, st unix.Stat_t)) {
	for _, l := range fs.list() {
		f(l.path, l.pages, l.st)
	}
}

func (fs *FS) list() []listed {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var all []listed
	seen := map[*inode]bool{}
	var below func(dir *inode)
	below = func(dir *inode) {
		for _, e := range dir.entries {
			switch i := e.inode; {
			case i.kind() == unix.S_IFDIR:
				below(i)
			case i.pages != nil && !seen[i]:
				seen[i] = true
				all = append(all, listed{e.path(), i.pages, i.stat()})
			}
		}
	}
	below(fs.root)
	return all
}
