package memfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// An FS may lie over a lower one, which it never changes: a directory of the host.
// What guests change is kept here, file by file, and is gone with the FS; what they
// did not change is as the lower FS has it now.
//
// An inode that stands for a lower file lives as long as somebody uses it, unless
// it was changed. It is found again by the lower file's key, so that a file has one
// inode whatever its names; an entry of it in a directory is "clean" as long as no
// change has to be remembered by it. A name of the lower directory that was removed
// is "hidden" there for ever.

// below is the lower file that an inode stands for.
type below struct {
	path  string       // in FS.lower
	node  vfs.Node     // a handle; nil: nobody uses the inode
	file  *lowFile     // a regular file's bytes; nil: not open
	key   lowKey       // who it is
	links bool         // it has names beside the one it was found by
	list  []vfs.Dirent // a directory's names while it is in use; nil: not read yet
}

// lowKey tells the lower FS's files apart.
type lowKey struct{ dev, ino uint64 }

func lowKeyOf(st *unix.Stat_t) lowKey { return lowKey{st.Dev, st.Ino} }

// everybody walks the lower FS: permissions are checked here, by the caller's
// rights, and there by our own.
var everybody = vfs.Caller{}

// joined is the lower path of name in the lower directory dir.
func joined(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// step returns the entry name of the directory dir, with a hold: ENOENT. fs.mu is
// held, as in all of this file.
func (dir *inode) step(name string) (*entry, error) {
	e := dir.entries[name]
	if e == nil || e.clean {
		var err error
		if e, err = dir.stepBelow(name, e); err != nil {
			return nil, err
		}
	}
	e.hold()
	return e, nil
}

// stepBelow looks for name in the lower directory; e is what it was when last seen.
func (dir *inode) stepBelow(name string, e *entry) (*entry, error) {
	if dir.below == nil || dir.nlink == 0 || dir.hidden[name] {
		return nil, unix.ENOENT
	}
	path := joined(dir.below.path, name)
	node, st, err := dir.fs.walkBelow(path)
	if e != nil {
		if err == nil && e.inode.below != nil && e.inode.below.key == lowKeyOf(&st) {
			node.Close()
			e.inode.refresh(&st)
			return e, nil
		}
		e.vanish()
	}
	if err != nil {
		return nil, err
	}
	i, err := dir.fs.adopt(node, path, &st)
	if err != nil {
		node.Close()
		return nil, err
	}
	e = &entry{dir: dir, name: name, inode: i, clean: true, low: true}
	dir.entries[name] = e
	if dir.self != nil {
		dir.self.hold()
	}
	if i.kind() == unix.S_IFDIR {
		i.self = e
	}
	return e, nil
}

// walkBelow finds a lower file. A symbolic link on the way was put there by the
// host after we saw a directory: nothing is there.
func (fs *FS) walkBelow(path string) (vfs.Node, unix.Stat_t, error) {
	node, rest, err := fs.lower.Walk(path, everybody)
	if err != nil {
		return nil, unix.Stat_t{}, err
	}
	st, err := node.Stat()
	if err == nil && rest != "" {
		err = fmt.Errorf("%w: the host's tree changes meanwhile", unix.ENOENT)
	}
	if err != nil {
		node.Close()
		return nil, unix.Stat_t{}, err
	}
	return node, st, nil
}

// adopt returns the inode of a lower file, and takes node over.
func (fs *FS) adopt(node vfs.Node, path string, st *unix.Stat_t) (*inode, error) {
	key := lowKeyOf(st)
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if i := fs.known[key]; i != nil && !isDir && i.kind() == st.Mode&unix.S_IFMT && (st.Nlink > 1 || i.refs > 0) {
		if i.below != nil && i.below.node == nil && !i.own {
			i.below.node, i.below.path = node, path
		} else {
			node.Close()
		}
		i.refresh(st)
		return i, nil
	}
	i := &inode{fs: fs, num: fs.number(key), key: key, below: &below{path: path, node: node, key: key, links: st.Nlink > 1}}
	i.mode = st.Mode
	i.refresh(st)
	switch i.kind() {
	case unix.S_IFREG:
		i.view = &view{}
	case unix.S_IFDIR:
		i.entries, i.next = make(map[string]*entry), firstSeq
	case unix.S_IFLNK:
		text, err := node.Readlink()
		if err != nil {
			return nil, err
		}
		i.text = text
	}
	if !isDir {
		fs.known[key] = i
	}
	return i, nil
}

// number returns the inode number that guests see of a lower file: its own, but
// for files of other devices than the root's, which get the device's turn on top.
func (fs *FS) number(key lowKey) uint64 {
	if key.dev == fs.dev {
		return key.ino
	}
	turn, ok := fs.devices[key.dev]
	if !ok {
		turn = uint64(len(fs.devices) + 1)
		fs.devices[key.dev] = turn
	}
	return key.ino ^ turn<<52
}

// refresh takes over the lower file's attributes, if they are still its own.
func (i *inode) refresh(st *unix.Stat_t) {
	if i.own {
		return
	}
	i.mode = st.Mode
	i.uid, i.gid, i.nlink = st.Uid, st.Gid, uint32(st.Nlink)
	i.atime, i.mtime, i.ctime = goTime(st.Atim), goTime(st.Mtim), goTime(st.Ctim)
}

// reach returns a handle of the lower file: ESTALE if the host has another there.
func (i *inode) reach() (vfs.Node, error) {
	if i.below.node != nil {
		return i.below.node, nil
	}
	node, st, err := i.fs.walkBelow(i.below.path)
	if err == nil && lowKeyOf(&st) != i.below.key {
		node.Close()
		err = unix.ENOENT
	}
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			err = fmt.Errorf("%w: the host has removed /%s", unix.ESTALE, i.below.path)
		}
		return nil, err
	}
	i.below.node = node
	return node, nil
}

// hold keeps e and its inode.
func (e *entry) hold() {
	e.refs++
	e.inode.refs++
}

// release drops a hold.
func (e *entry) release() {
	e.refs--
	i := e.inode
	i.refs--
	if e.refs == 0 && e.clean {
		e.drop()
	}
	i.dropIfUnused()
}

// drop takes a clean entry out of its directory: the next to look finds it anew.
func (e *entry) drop() {
	e.clean = false
	delete(e.dir.entries, e.name)
	if e.dir.self != nil {
		e.dir.self.release()
	}
}

// vanish is drop of an entry that is in use while its lower file is gone.
func (e *entry) vanish() {
	e.gone = true
	e.drop()
}

// pin makes e a name that is kept, with all the directories above it: ENOSPC.
func (e *entry) pin() error {
	if !e.clean {
		return nil
	}
	if up := e.dir.self; up != nil {
		if err := up.pin(); err != nil {
			return err
		}
	}
	if err := e.dir.fs.charge(1); err != nil {
		return err
	}
	e.clean = false
	e.inode.kept++
	if up := e.dir.self; up != nil {
		up.release()
	}
	return nil
}

// own makes the attributes of the file ours, before they are changed: ENOSPC. e is
// the name by which it is changed.
func (e *entry) own() error {
	i := e.inode
	if i.below == nil && i.key == (lowKey{}) {
		return nil
	}
	if err := e.pin(); err != nil || i.own || i.below == nil {
		return err
	}
	node, err := i.reach()
	if err != nil {
		return err
	}
	st, err := node.Stat()
	if err != nil {
		return err
	}
	if err := i.fs.charge(1); err != nil {
		return err
	}
	if err := i.ownXattrs(); err != nil {
		return err
	}
	i.refresh(&st)
	i.own = true
	return nil
}

// ownDir is own for a directory, the root too.
func (dir *inode) ownDir() error { return dir.name().own() }

// forgettable reports whether nothing about the lower file i has to be remembered.
func (i *inode) forgettable() bool {
	return i.refs == 0 && i.kept == 0 && (!i.own || i.nlink == 0 || !i.below.hasLinks())
}

func (b *below) hasLinks() bool { return b != nil && b.links }

// rest gives back what only users of i need.
func (i *inode) rest() {
	b := i.below
	if b == nil {
		return
	}
	if b.node != nil {
		b.node.Close()
		b.node = nil
	}
	if b.file != nil {
		b.file.close()
		b.file = nil
	}
	b.list = nil
}

// charge counts n names or inodes: ENOSPC.
func (fs *FS) charge(n int) error {
	if fs.most > 0 && fs.used+n > fs.most {
		return fmt.Errorf("%w: guests have made or changed %d files, the most there may be", unix.ENOSPC, fs.most)
	}
	fs.used += n
	return nil
}

// split cuts the first name off a path.
func split(path string) (name, rest string) {
	name, rest, _ = strings.Cut(path, "/")
	return name, rest
}
