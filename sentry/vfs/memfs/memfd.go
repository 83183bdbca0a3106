package memfs

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// NewMemfd returns a new file of no directory, open for reading and writing, that
// belongs to who: a memfd. It is called "/memfd:NAME (deleted)". seals are F_SEAL_*.
func (fs *FS) NewMemfd(name string, mode, seals uint32, who vfs.Caller) *vfs.Description {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	i := fs.newInode(unix.S_IFREG|mode, who)
	i.nlink, i.noLink = 0, true
	i.pages.SetSeals(seals)
	e := &entry{name: "memfd:" + name, inode: i, gone: true}
	return vfs.NewOpenFile(fs, newFile(e, unix.O_RDWR), unix.O_RDWR, e.path())
}
