package synth

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// Dir is a directory. List returns its entries but for "." and ".."; Next is
// filled in.
type Dir struct {
	Attr
	Parent uint64 // inode
	List   func() ([]vfs.Dirent, error)
}

// Stat implements vfs.Node.
func (d *Dir) Stat() (unix.Stat_t, error) {
	st, err := d.stat(unix.S_IFDIR)
	st.Nlink = 2
	return st, err
}

// Open implements vfs.Node.
func (d *Dir) Open(int) (vfs.File, error) { return &dir{d}, nil }

// dir is an open Dir.
type dir struct{ node *Dir }

func (d *dir) Stat() (unix.Stat_t, error)        { return d.node.Stat() }
func (d *dir) Seekable() bool                    { return true }
func (d *dir) PRead([]byte, int64) (int, error)  { return 0, unix.EISDIR }
func (d *dir) PWrite([]byte, int64) (int, error) { return 0, unix.EISDIR }
func (d *dir) Release() error                    { return nil }

// ReadDir implements vfs.Dir. The list is made anew: an entry's number is its
// place in it.
func (d *dir) ReadDir(from int64) ([]vfs.Dirent, error) {
	list, err := d.node.List()
	if err != nil {
		return nil, err
	}
	all := append([]vfs.Dirent{
		{Name: ".", Inode: d.node.Ino, Type: unix.DT_DIR},
		{Name: "..", Inode: d.node.Parent, Type: unix.DT_DIR},
	}, list...)
	for i := range all {
		all[i].Next = int64(i) + 1
	}
	return all[min(max(from, 0), int64(len(all))):], nil
}
