package memfs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// maxXattrs bounds the bytes of all attributes of a file system.
const maxXattrs = 16 << 20

// xattrCost is what an attribute counts beside its name and value.
const xattrCost = 64

// lowXattrs returns the lower file's attributes while they are those of i.
func (i *inode) lowXattrs() vfs.XAttrs {
	if i.below == nil || i.own {
		return nil
	}
	low, err := i.reach()
	if err != nil {
		return nil
	}
	x, _ := low.(vfs.XAttrs)
	return x
}

// ownXattrs makes the attributes of a lower file ours. What cannot be had is left
// out, as a copy on Linux's overlayfs does.
func (i *inode) ownXattrs() error {
	x := i.lowXattrs()
	if x == nil {
		return nil
	}
	names, err := x.Xattrs()
	if err != nil {
		return nil // a file system without attributes
	}
	for _, name := range names {
		value, err := x.Xattr(name)
		if err != nil {
			continue
		}
		if err := i.setXattr(name, value); err != nil {
			i.dropXattrs()
			return err
		}
	}
	return nil
}

// setXattr stores an attribute; a nil value takes it away.
func (i *inode) setXattr(name string, value []byte) error {
	old, there := i.xattrs[name]
	change := 0
	if there {
		change -= xattrCost + len(name) + len(old)
	}
	if value != nil {
		change += xattrCost + len(name) + len(value)
	}
	if change > 0 && i.fs.xattrs+change > maxXattrs {
		return fmt.Errorf("%w: all attributes together have at most %d bytes", unix.ENOSPC, maxXattrs)
	}
	i.fs.xattrs += change
	if value == nil {
		delete(i.xattrs, name)
		return nil
	}
	if i.xattrs == nil {
		i.xattrs = make(map[string][]byte)
	}
	i.xattrs[name] = value
	return nil
}

// dropXattrs forgets all, with the file.
func (i *inode) dropXattrs() {
	for name := range i.xattrs {
		_ = i.setXattr(name, nil) // less never fails
	}
}

// Xattr implements vfs.XAttrs.
func (n node) Xattr(name string) ([]byte, error) {
	i, unlock := n.lock()
	defer unlock()
	if x := i.lowXattrs(); x != nil {
		return x.Xattr(name)
	}
	value, ok := i.xattrs[name]
	if !ok {
		return nil, fmt.Errorf("%w: there is no %s", unix.ENODATA, name)
	}
	return value, nil
}

// SetXattr implements vfs.XAttrs.
func (n node) SetXattr(name string, value []byte, flags int) error {
	i, unlock := n.lock()
	defer unlock()
	if err := n.at.own(); err != nil {
		return err
	}
	_, there := i.xattrs[name]
	switch {
	case there && flags&unix.XATTR_CREATE != 0:
		return fmt.Errorf("%w: there is a %s", unix.EEXIST, name)
	case !there && flags&unix.XATTR_REPLACE != 0:
		return fmt.Errorf("%w: there is no %s", unix.ENODATA, name)
	}
	if value == nil {
		value = []byte{}
	}
	if err := i.setXattr(name, value); err != nil {
		return err
	}
	i.ctime = i.fs.now()
	return nil
}

// RemoveXattr implements vfs.XAttrs.
func (n node) RemoveXattr(name string) error {
	i, unlock := n.lock()
	defer unlock()
	if err := n.at.own(); err != nil {
		return err
	}
	if _, there := i.xattrs[name]; !there {
		return fmt.Errorf("%w: there is no %s", unix.ENODATA, name)
	}
	i.ctime = i.fs.now()
	return i.setXattr(name, nil)
}

// Xattrs implements vfs.XAttrs: in tmpfs's order, the last of the alphabet first.
func (n node) Xattrs() ([]string, error) {
	i, unlock := n.lock()
	defer unlock()
	if x := i.lowXattrs(); x != nil {
		return x.Xattrs()
	}
	return slices.SortedFunc(maps.Keys(i.xattrs), func(a, b string) int { return cmp.Compare(b, a) }), nil
}
