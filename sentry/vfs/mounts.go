package vfs

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Mounted is a file system and where it is, as /proc/PID/mountinfo tells.
type Mounted struct {
	ID, Parent int    // numbers; the root's parent is 0
	At         string // absolute
	Dev        uint64 // st_dev of its files
	Kind       string // what it is called: "tmpfs"
	ReadOnly   bool
}

// kindNames are what file systems of the host's kernel are called, by statfs's f_type.
var kindNames = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.PROC_SUPER_MAGIC: "proc", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
	unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.DEVPTS_SUPER_MAGIC: "devpts", unix.RAMFS_MAGIC: "ramfs",
}

// Kinded is an FS that has a name of its own for /proc/PID/mountinfo.
type Kinded interface{ Kind() string }

// Mounts returns what a process sees that has that root directory, as it sees it, in
// the order of mounting.
func (c *Context) Mounts() []Mounted {
	if c.tree == nil {
		return nil
	}
	root := strings.TrimSuffix(c.Root(), "/")
	var all []Mounted
	for _, m := range c.tree.mounts {
		if m.at != root && !strings.HasPrefix(m.at, root+"/") {
			continue
		}
		seen := m.describe()
		seen.At = display(strings.TrimPrefix(m.at, root))
		if m.at != "" {
			seen.Parent = c.tree.mountOf(parent(m.at)).id
		}
		all = append(all, seen)
	}
	slices.SortFunc(all, func(a, b Mounted) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (m mount) describe() Mounted {
	seen := Mounted{ID: m.id}
	if node, _, err := m.fs.Walk("", Caller{}); err == nil {
		if st, err := node.Stat(); err == nil {
			seen.Dev = st.Dev
		}
		node.Close()
	}
	st, err := m.fs.Statfs()
	if err == nil {
		seen.Kind, seen.ReadOnly = kindNames[st.Type], st.Flags&unix.ST_RDONLY != 0
	}
	if k, ok := m.fs.(Kinded); ok {
		seen.Kind = k.Kind()
	}
	if seen.Kind == "" {
		seen.Kind = "unknown"
	}
	return seen
}

// mountOf returns the mount that the real path full lies in.
func (t *Tree) mountOf(full string) mount {
	for _, m := range t.mounts {
		if full == m.at || strings.HasPrefix(full, m.at+"/") {
			return m
		}
	}
	panic("vfs: the path " + full + " is not absolute")
}

// Extra is what statx(2) tells beyond stat(2).
type Extra struct {
	Mount     int            // its number; 0: the file lies in no mount
	MountRoot bool           // a file system is mounted there
	Birth     *unix.Timespec // nil: not known
}

// Born is a Node or File that knows when it was made.
type Born interface {
	// Born returns false if it does not know.
	Born() (unix.Timespec, bool)
}

// Statx is Stat with what statx(2) tells besides.
func (c *Context) Statx(w Where, flags int) (unix.Stat_t, Extra, error) {
	var more Extra
	f, err := c.find(w, flags&unix.AT_SYMLINK_NOFOLLOW == 0, flags&unix.AT_EMPTY_PATH != 0)
	if err != nil {
		return unix.Stat_t{}, more, err
	}
	defer f.node.Close()
	for _, m := range c.mountsOf(f.fs) {
		more.Mount = m.id
		more.MountRoot = strings.TrimSuffix(f.path, "/") == m.at
	}
	var it any = f.node
	if open, ok := f.node.(openNode); ok {
		it = open.d.file
		if h, ok := it.(handle); ok {
			it = h.node
		}
	}
	if b, ok := it.(Born); ok {
		if at, ok := b.Born(); ok {
			more.Birth = &at
		}
	}
	st, err := f.node.Stat()
	return st, more, err
}

// mountsOf returns where fs is mounted: nowhere, or at one place.
func (c *Context) mountsOf(fs FS) []mount {
	if fs == nil || c.tree == nil {
		return nil
	}
	for _, m := range c.tree.mounts {
		if m.fs == fs {
			return []mount{m}
		}
	}
	return nil
}
