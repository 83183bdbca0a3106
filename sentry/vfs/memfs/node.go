package memfs

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// node is a handle of a file, for who: a vfs.Node and vfs.Changer, for a directory
// also a vfs.Editor.
type node struct {
	at  *entry
	who vfs.Caller
}

// newNode returns a handle of e's file. fs.mu is held.
func newNode(e *entry, who vfs.Caller) vfs.Node {
	e.hold()
	if n := (node{e, who}); e.inode.kind() != unix.S_IFDIR {
		return n
	} else {
		return directory{n}
	}
}

func (n node) inode() *inode { return n.at.inode }

// Close implements vfs.Node.
func (n node) Close() {
	_, unlock := n.lock()
	defer unlock()
	n.at.release()
}

// lock takes the file system's lock and returns the file and what gives the lock
// back.
func (n node) lock() (*inode, func()) {
	i := n.inode()
	i.fs.mu.Lock()
	return i, i.fs.mu.Unlock
}

// Node implements vfs.Linked, for handles that are open with O_PATH.
func (n node) Node(who vfs.Caller) vfs.Node {
	_, unlock := n.lock()
	defer unlock()
	return newNode(n.at, who)
}

// Path implements vfs.Pather.
func (n node) Path() string {
	_, unlock := n.lock()
	defer unlock()
	return n.at.path()
}

func (n node) Stat() (unix.Stat_t, error) {
	i, unlock := n.lock()
	defer unlock()
	return i.stat(), nil
}

func (n node) Readlink() (string, error) {
	i, unlock := n.lock()
	defer unlock()
	if i.kind() != unix.S_IFLNK {
		return "", fmt.Errorf("%w: not a symbolic link", unix.EINVAL)
	}
	return i.text, nil
}

func (n node) Access(mode uint32) error {
	i, unlock := n.lock()
	defer unlock()
	if err := i.access(n.who, mode); err != nil {
		return err
	}
	if mode &^= unix.W_OK; i.below != nil && mode != 0 {
		low, err := i.reach()
		if err != nil {
			return err
		}
		if i.own { // only what is still the lower file's is
			mode &= unix.R_OK
		}
		return low.Access(mode)
	}
	return nil
}

// Open implements vfs.Node, O_TRUNC included.
func (n node) Open(flags int) (vfs.File, error) {
	i, unlock := n.lock()
	err := n.mayOpen(i, flags)
	unlock()
	if err != nil {
		return nil, err
	}
	if k := i.kind(); k != unix.S_IFREG && k != unix.S_IFDIR {
		return n.openOther(i, flags)
	}
	writes := flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0
	if writes && i.kind() == unix.S_IFREG {
		if err := n.at.copyUp(flags&unix.O_TRUNC != 0); err != nil {
			return nil, err
		}
	}
	i.fs.mu.Lock()
	if err = i.openBelow(); err != nil {
		i.fs.mu.Unlock()
		return nil, err
	}
	f := newFile(n.at, flags)
	i.fs.mu.Unlock()
	if i.kind() == unix.S_IFDIR {
		return &openDir{f}, nil
	}
	if flags&unix.O_TRUNC != 0 {
		if err := f.Truncate(0); err != nil {
			_ = f.Release() // the error that matters is the first
			return nil, err
		}
	}
	return f, nil
}

// openOther opens what is no file and no directory: a symbolic link is ELOOP, and
// devices, pipes and sockets are the lower file system's affair.
func (n node) openOther(i *inode, flags int) (vfs.File, error) {
	if i.kind() == unix.S_IFLNK {
		return nil, unix.ELOOP
	}
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	if i.below == nil {
		return nil, unix.ENXIO
	}
	low, err := i.reach()
	if err != nil {
		return nil, err
	}
	return low.Open(flags)
}

// mayOpen checks what flags ask for.
func (n node) mayOpen(i *inode, flags int) error {
	want := [...]uint32{unix.R_OK, unix.W_OK, unix.R_OK | unix.W_OK, unix.R_OK | unix.W_OK}[flags&unix.O_ACCMODE]
	if flags&unix.O_TRUNC != 0 {
		want |= unix.W_OK
	}
	if err := i.access(n.who, want); err != nil {
		return err
	}
	if flags&unix.O_NOATIME != 0 {
		return i.owns(n.who)
	}
	return nil
}

// Chmod implements vfs.Changer.
func (n node) Chmod(mode uint32) error {
	i, unlock := n.lock()
	defer unlock()
	if i.kind() == unix.S_IFLNK {
		return fmt.Errorf("%w: a symbolic link's mode", unix.EOPNOTSUPP)
	}
	if err := i.owns(n.who); err != nil {
		return err
	}
	if n.who.UID != 0 && !inGroup(n.who, i.gid) {
		mode &^= unix.S_ISGID
	}
	if i.pages != nil && i.pages.Seals()&unix.F_SEAL_EXEC != 0 && (i.mode^mode)&0o111 != 0 {
		return fmt.Errorf("%w: whether the file is a program is sealed", unix.EPERM)
	}
	if err := n.at.own(); err != nil {
		return err
	}
	i.mode = i.mode&unix.S_IFMT | mode
	i.ctime = i.fs.now()
	return nil
}

// Chown implements vfs.Changer.
func (n node) Chown(uid, gid int32) error {
	i, unlock := n.lock()
	defer unlock()
	if n.who.UID != 0 {
		mine := n.who.UID == i.uid
		if uid != -1 && (!mine || uint32(uid) != i.uid) || gid != -1 && (!mine || uint32(gid) != i.gid && !inGroup(n.who, uint32(gid))) {
			return fmt.Errorf("%w: only root gives files away", unix.EPERM)
		}
	}
	if err := n.at.own(); err != nil {
		return err
	}
	if uid != -1 {
		i.uid = uint32(uid)
	}
	if gid != -1 {
		i.gid = uint32(gid)
	}
	if i.kind() != unix.S_IFDIR {
		i.dropPrivileges()
	}
	i.ctime = i.fs.now()
	return nil
}

// dropPrivileges clears the bits that let others run a file as its owner.
func (i *inode) dropPrivileges() {
	i.mode &^= unix.S_ISUID
	if i.mode&unix.S_IXGRP != 0 {
		i.mode &^= unix.S_ISGID
	}
}

// Utimes implements vfs.Changer. Setting both to now needs only leave to write.
func (n node) Utimes(times [2]unix.Timespec) error {
	i, unlock := n.lock()
	defer unlock()
	if times[0].Nsec == unix.UTIME_OMIT && times[1].Nsec == unix.UTIME_OMIT {
		return nil
	}
	if i.owns(n.who) != nil {
		if times[0].Nsec != unix.UTIME_NOW || times[1].Nsec != unix.UTIME_NOW {
			return fmt.Errorf("%w: not the owner", unix.EPERM)
		}
		if err := i.access(n.who, unix.W_OK); err != nil {
			return err
		}
	}
	if err := n.at.own(); err != nil {
		return err
	}
	now := i.fs.now()
	for k, at := range []*time.Time{&i.atime, &i.mtime} {
		switch times[k].Nsec {
		case unix.UTIME_OMIT:
		case unix.UTIME_NOW:
			*at = now
		default:
			*at = time.Unix(times[k].Unix())
		}
	}
	i.ctime = now
	return nil
}
