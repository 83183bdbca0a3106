package memfs

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// A directory over a lower one lists the lower names first, numbered by their turn
// in a list that is read once and kept as long as somebody uses the directory, and
// then ours, by the number that each got as it was made. So a place that telldir
// gave stays good while names come and go. A lower name that was changed keeps its
// place.

// firstMade is the number of the first name that is ours.
const firstMade = 1 << 40

// place is where readdir goes on behind e, which is ours.
func (fs *FS) place(e *entry) int64 {
	if fs.lower == nil {
		return e.seq + 1
	}
	return firstMade + e.seq + 1
}

// names returns the lower directory's own list, numbered from firstSeq on.
func (dir *inode) names() ([]vfs.Dirent, error) {
	if dir.below == nil || dir.below.list != nil {
		return dir.listed(), nil
	}
	node, err := dir.reach()
	if err != nil {
		return nil, err
	}
	file, err := node.Open(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer file.Release() //nolint:errcheck // it was open for reading only
	lower, ok := file.(vfs.Dir)
	if !ok {
		return nil, unix.ENOTDIR
	}
	list := []vfs.Dirent{}
	for from := int64(0); ; {
		some, err := lower.ReadDir(from)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			break
		}
		for _, d := range some {
			from = d.Next
			if d.Name != "." && d.Name != ".." {
				d.Inode = dir.fs.number(lowKey{dir.key.dev, d.Inode})
				d.Next = firstSeq + int64(len(list)) + 1
				list = append(list, d)
			}
		}
	}
	dir.below.list = list
	return list, nil
}

func (dir *inode) listed() []vfs.Dirent {
	if dir.below == nil {
		return nil
	}
	return dir.below.list
}

// listBelow returns the lower names that are seen.
func (dir *inode) listBelow() ([]vfs.Dirent, error) {
	list, err := dir.names()
	if err != nil || list == nil {
		return nil, err
	}
	seen := make([]vfs.Dirent, 0, len(list)+len(dir.entries))
	for _, d := range list {
		e := dir.entries[d.Name]
		switch {
		case e != nil && !e.low || e == nil && dir.hidden[d.Name]:
			continue
		case e != nil:
			d.Inode, d.Type = e.inode.num, uint8(e.inode.kind()>>12)
		}
		seen = append(seen, d)
	}
	return seen, nil
}

// empty is ENOTEMPTY for a directory with names in it. The list is read anew: it is
// what can be removed that counts.
func (i *inode) empty() error {
	if i.kind() != unix.S_IFDIR {
		return nil
	}
	for _, e := range i.entries {
		if !e.low {
			return unix.ENOTEMPTY
		}
	}
	if i.below == nil {
		return nil
	}
	i.below.list = nil
	seen, err := i.listBelow()
	if err == nil && len(seen) > 0 {
		err = unix.ENOTEMPTY
	}
	return err
}
