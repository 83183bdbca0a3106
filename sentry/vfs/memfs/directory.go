package memfs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// directory is a node that is one: a vfs.Editor.
type directory struct{ node }

// Create implements vfs.Editor.
func (d directory) Create(name string, mode uint32, flags int) (vfs.File, error) {
	dir, unlock := d.lock()
	defer unlock()
	e, err := d.make(dir, name, unix.S_IFREG|mode)
	if err != nil {
		return nil, err
	}
	return newFile(e, flags), nil
}

// Temporary implements vfs.Editor.
func (d directory) Temporary(mode uint32, flags int) (vfs.File, error) {
	dir, unlock := d.lock()
	defer unlock()
	if err := dir.access(d.who, unix.W_OK|unix.X_OK); err != nil {
		return nil, err
	}
	if err := dir.fs.charge(1); err != nil {
		return nil, err
	}
	i := dir.child(unix.S_IFREG|mode, d.who)
	i.nlink, i.nameless, i.noLink = 0, true, flags&unix.O_EXCL != 0
	e := &entry{dir: dir, name: fmt.Sprintf("#%d", i.num), inode: i, gone: true}
	return newFile(e, flags), nil
}

// Mkdir implements vfs.Editor.
func (d directory) Mkdir(name string, mode uint32) error {
	dir, unlock := d.lock()
	defer unlock()
	e, err := d.make(dir, name, unix.S_IFDIR|mode)
	if err != nil {
		return err
	}
	e.inode.nlink = 2
	return nil
}

// textUnit is how much of a symbolic link's text counts as a file, in bytes: about what
// a file costs us.
const textUnit = 512

// Symlink implements vfs.Editor.
func (d directory) Symlink(name, text string) error {
	dir, unlock := d.lock()
	defer unlock()
	weight := len(text) / textUnit
	if err := dir.fs.charge(weight); err != nil {
		return err
	}
	e, err := d.make(dir, name, unix.S_IFLNK|0o777)
	if err != nil {
		dir.fs.used -= weight
		return err
	}
	e.inode.text, e.inode.weight = text, weight
	return nil
}

// Mknod implements vfs.Editor.
func (d directory) Mknod(name string, mode uint32, rdev uint64, leave bool) error {
	dir, unlock := d.lock()
	defer unlock()
	if vfs.IsDevice(mode, rdev) && !leave {
		if err := d.mayMake(dir, name); err != nil {
			return err
		}
		return fmt.Errorf("%w: a device takes a capability", unix.EPERM)
	}
	e, err := d.make(dir, name, mode)
	if err != nil {
		return err
	}
	if kind := mode & unix.S_IFMT; kind == unix.S_IFCHR || kind == unix.S_IFBLK {
		e.inode.rdev = rdev
	}
	return nil
}

// make gives dir a new file.
func (d directory) make(dir *inode, name string, mode uint32) (*entry, error) {
	if err := d.mayMake(dir, name); err != nil {
		return nil, err
	}
	if err := dir.ownDir(); err != nil {
		return nil, err
	}
	if err := dir.fs.charge(2); err != nil {
		return nil, err
	}
	return dir.add(name, dir.child(mode, d.who)), nil
}

// mayMake checks that dir may get a new name: EEXIST, ENOENT for a directory that
// was removed, EACCES.
func (d directory) mayMake(dir *inode, name string) error {
	if name != "" {
		if e, err := dir.step(name); err == nil {
			e.release()
			return unix.EEXIST
		} else if !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	if dir.nlink == 0 {
		return fmt.Errorf("%w: the directory was removed", unix.ENOENT)
	}
	return dir.access(d.who, unix.W_OK|unix.X_OK)
}

// child makes a file for dir, which has no name yet.
func (dir *inode) child(mode uint32, who vfs.Caller) *inode {
	if dir.mode&unix.S_ISGID != 0 {
		who.GID = dir.gid
		if mode&unix.S_IFMT == unix.S_IFDIR {
			mode |= unix.S_ISGID
		}
	}
	return dir.fs.newInode(mode, who)
}

// Link implements vfs.Editor.
func (d directory) Link(name string, target vfs.Node) error {
	dir, unlock := d.lock()
	defer unlock()
	t, ok := target.(node)
	if dir2, isDir := target.(directory); isDir {
		t, ok = dir2.node, true
	}
	if !ok || t.inode().fs != dir.fs {
		return fmt.Errorf("%w: they lie in different file systems", unix.EXDEV)
	}
	i := t.inode()
	if err := d.mayMake(dir, name); err != nil {
		return err
	}
	switch {
	case i.kind() == unix.S_IFDIR:
		return fmt.Errorf("%w: a directory has one name only", unix.EPERM)
	case i.nlink == 0 && (!i.nameless || i.noLink):
		return fmt.Errorf("%w: the file was removed", unix.ENOENT)
	}
	if err := dir.ownDir(); err != nil {
		return err
	}
	if err := t.at.own(); err != nil {
		return err
	}
	if err := dir.fs.charge(1); err != nil {
		return err
	}
	i.nlink++
	i.nameless = false
	i.ctime = dir.fs.now()
	dir.add(name, i)
	return nil
}

// Remove implements vfs.Editor.
func (d directory) Remove(name string, isDir bool) error {
	dir, unlock := d.lock()
	defer unlock()
	e, err := dir.step(name)
	if err != nil {
		return err
	}
	defer e.release()
	if err := d.mayDelete(dir, e, isDir); err != nil {
		return err
	}
	if err := e.inode.empty(); err != nil {
		return err
	}
	if err := displaceable(e); err != nil {
		return err
	}
	e.remove()
	return nil
}

// mayDelete is Linux's may_delete.
func (d directory) mayDelete(dir *inode, e *entry, isDir bool) error {
	if err := dir.access(d.who, unix.W_OK|unix.X_OK); err != nil {
		return err
	}
	who := d.who.UID
	sticky := dir.mode&unix.S_ISVTX != 0 && who != 0 && who != e.inode.uid && who != dir.uid
	switch there := e.inode.kind() == unix.S_IFDIR; {
	case sticky:
		return fmt.Errorf("%w: the directory is sticky", unix.EPERM)
	case isDir && !there:
		return unix.ENOTDIR
	case !isDir && there:
		return unix.EISDIR
	}
	return nil
}

// Rename implements vfs.Editor. The checks are in Linux's order.
func (d directory) Rename(name string, to vfs.Node, as string, flags uint32) error {
	dir, unlock := d.lock()
	defer unlock()
	target, ok := to.(directory)
	if !ok || target.inode().fs != dir.fs {
		return fmt.Errorf("%w: they lie in different file systems", unix.EXDEV)
	}
	dst := target.inode()
	from, err := dir.step(name)
	if err != nil {
		return err
	}
	defer from.release()
	old, err := dst.step(as)
	if err == nil {
		defer old.release()
	} else if !errors.Is(err, unix.ENOENT) {
		return err
	}
	exchange := flags&unix.RENAME_EXCHANGE != 0
	switch {
	case old != nil && flags&unix.RENAME_NOREPLACE != 0:
		return unix.EEXIST
	case old == nil && exchange:
		return unix.ENOENT
	case from.inode.kind() == unix.S_IFDIR && from.inode.holds(dst):
		return fmt.Errorf("%w: a directory cannot move into itself", unix.EINVAL)
	case old != nil && old.inode.kind() == unix.S_IFDIR && old.inode.holds(dir):
		if exchange {
			return unix.EINVAL
		}
		return unix.ENOTEMPTY
	case old != nil && old.inode == from.inode:
		return nil
	}
	if err := d.mayRename(dir, from, dst, old, exchange); err != nil {
		return err
	}
	if err := dst.ownDir(); err != nil {
		return err
	}
	if err := displaceable(from, old); err != nil {
		return err
	}
	if flags&unix.RENAME_WHITEOUT != 0 {
		return d.moveAndMark(from, old, dst, as)
	}
	move(from, old, dst, as, exchange)
	return nil
}

// moveAndMark is move, and puts a whiteout where from was: a device 0:0 without rights,
// with which overlays mark what is gone.
func (d directory) moveAndMark(from, old *entry, dst *inode, as string) error {
	dir, name := from.dir, from.name
	if err := dir.fs.charge(2); err != nil {
		return err
	}
	move(from, old, dst, as, false)
	dir.add(name, dir.child(unix.S_IFCHR, d.who))
	return nil
}

// displaceable makes sure that names can be removed or moved: ENOSPC. nil is no
// name.
func displaceable(all ...*entry) error {
	hidden := 0
	for _, e := range all {
		if e == nil {
			continue
		}
		if err := e.own(); err != nil {
			return err
		}
		if err := e.dir.ownDir(); err != nil {
			return err
		}
		if e.low {
			hidden++
		}
	}
	if hidden == 0 {
		return nil
	}
	fs := all[0].dir.fs
	if err := fs.charge(hidden); err != nil {
		return err
	}
	fs.used -= hidden // counted as they are hidden
	return nil
}

// mayRename checks permissions and kinds.
func (d directory) mayRename(dir *inode, from *entry, dst *inode, old *entry, exchange bool) error {
	isDir := from.inode.kind() == unix.S_IFDIR
	if err := d.mayDelete(dir, from, isDir); err != nil {
		return err
	}
	if old == nil {
		if err := d.mayMake(dst, ""); err != nil {
			return err
		}
	} else if err := d.mayDelete(dst, old, exchange && old.inode.kind() == unix.S_IFDIR || !exchange && isDir); err != nil {
		return err
	}
	for _, e := range []*entry{from, old} { // ".." of a directory that moves changes
		if e == nil || dir == dst || e.inode.kind() != unix.S_IFDIR || e == old && !exchange {
			continue
		}
		if err := e.inode.access(d.who, unix.W_OK); err != nil {
			return err
		}
	}
	if old != nil && !exchange {
		return old.inode.empty()
	}
	return nil
}

// move makes from as in dst, in old's place if there is one.
func move(from, old *entry, dst *inode, as string, exchange bool) {
	dir, name := from.dir, from.name
	from.displace()
	if old != nil && exchange {
		old.displace()
		dir.place(old, name)
		old.inode.ctime = dir.mtime
	} else if old != nil {
		old.remove()
	}
	dst.place(from, as)
	from.inode.ctime = dst.mtime
}

// openDir is a directory, open for reading.
type openDir struct{ *file }

func (d *openDir) PRead([]byte, int64) (int, error)  { return 0, unix.EISDIR }
func (d *openDir) PWrite([]byte, int64) (int, error) { return 0, unix.EISDIR }

// SeekFrom implements vfs.Seeker: offsets are numbers of entries.
func (d *openDir) SeekFrom(pos, off int64, whence int) (int64, error) {
	switch whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		off += pos
	default:
		return 0, fmt.Errorf("%w: whence %d in a directory", unix.EINVAL, whence)
	}
	if off < 0 {
		return 0, fmt.Errorf("%w: to %d", unix.EINVAL, off)
	}
	return off, nil
}

// ReadDir implements vfs.Dir. Entries made meanwhile come at the end; none comes
// twice.
func (d *openDir) ReadDir(from int64) ([]vfs.Dirent, error) {
	dir := d.at.inode
	dir.fs.mu.Lock()
	defer dir.fs.mu.Unlock()
	if dir.nlink == 0 {
		return nil, fmt.Errorf("%w: the directory was removed", unix.ENOENT)
	}
	up := dir
	if dir.self != nil {
		up = dir.self.dir
	}
	all := []vfs.Dirent{
		{Name: ".", Inode: dir.num, Type: unix.DT_DIR, Next: 1},
		{Name: "..", Inode: up.num, Type: unix.DT_DIR, Next: firstSeq},
	}
	lower, err := dir.listBelow()
	if err != nil {
		return nil, err
	}
	all = append(all, lower...)
	for name, e := range dir.entries {
		if !e.low {
			all = append(all, vfs.Dirent{Name: name, Inode: e.inode.num, Type: uint8(e.inode.kind() >> 12), Next: dir.fs.place(e)})
		}
	}
	all = slices.DeleteFunc(all, func(e vfs.Dirent) bool { return e.Next <= from })
	slices.SortFunc(all, func(a, b vfs.Dirent) int { return cmp.Compare(a.Next, b.Next) })
	if dir.below == nil {
		dir.atime = dir.fs.now()
	}
	return all, nil
}
