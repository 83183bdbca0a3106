package vfs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// XAttrs is a Node that keeps extended attributes. Who may ask for which is
// decided before it is called.
type XAttrs interface {
	// Xattr returns an attribute's value, which nobody changes: ENODATA.
	Xattr(name string) ([]byte, error)
	// SetXattr gives the attribute a value; flags are XATTR_CREATE and XATTR_REPLACE:
	// EEXIST, ENODATA, ENOSPC; EROFS.
	SetXattr(name string, value []byte, flags int) error
	// RemoveXattr takes the attribute away: ENODATA, EROFS.
	RemoveXattr(name string) error
	// Xattrs returns all names, in the order in which listxattr(2) tells them.
	Xattrs() ([]string, error)
}

// Namespaces of attributes, as tmpfs knows them.
const (
	userSpace     = "user."
	trustedSpace  = "trusted."
	securitySpace = "security."
)

// withXattrs calls do with the file at w; with an empty path it is w.At's.
func (c *Context) withXattrs(w Where, follow bool, do func(n Node) error) error {
	f, err := c.find(w, follow, w.At != nil)
	if err != nil {
		return err
	}
	n := itself(f.node, w.Caller)
	defer n.Close()
	if err := do(n); err != nil {
		return fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	return nil
}

// Xattr is getxattr(2), not cut.
func (c *Context) Xattr(w Where, name string, follow bool) (value []byte, err error) {
	err = c.withXattrs(w, follow, func(n Node) error {
		x, err := mayXattr(n, name, w.Caller, unix.R_OK)
		if err != nil {
			return err
		}
		value, err = x.Xattr(name)
		return err
	})
	return value, err
}

// SetXattr is setxattr(2).
func (c *Context) SetXattr(w Where, name string, value []byte, flags int, follow bool) error {
	return c.withXattrs(w, follow, func(n Node) error {
		x, err := mayXattr(n, name, w.Caller, unix.W_OK)
		switch {
		case err != nil:
			return err
		case name == "security.capability" && len(value) != 20 && len(value) != 24: // VFS_CAP_REVISION_2, _3
			return fmt.Errorf("%w: %d bytes are no file capabilities", unix.EINVAL, len(value))
		}
		return x.SetXattr(name, value, flags)
	})
}

// RemoveXattr is removexattr(2).
func (c *Context) RemoveXattr(w Where, name string, follow bool) error {
	return c.withXattrs(w, follow, func(n Node) error {
		x, err := mayXattr(n, name, w.Caller, unix.W_OK)
		if err != nil {
			return err
		}
		return x.RemoveXattr(name)
	})
}

// Xattrs is listxattr(2): the names that the caller may know.
func (c *Context) Xattrs(w Where, follow bool) (names []string, err error) {
	err = c.withXattrs(w, follow, func(n Node) error {
		x, ok := n.(XAttrs)
		if !ok {
			return nil
		}
		all, err := x.Xattrs()
		for _, name := range all {
			if w.Caller.UID == 0 || !strings.HasPrefix(name, trustedSpace) {
				names = append(names, name)
			}
		}
		return err
	})
	return names, err
}

// mayXattr makes the checks of Linux's xattr_permission and of the file system's
// handlers, in their order, and returns where n's attributes are.
func mayXattr(n Node, name string, who Caller, want uint32) (XAttrs, error) {
	st, err := n.Stat()
	if err != nil {
		return nil, err
	}
	refused := unix.ENODATA
	if want == unix.W_OK {
		refused = unix.EPERM
	}
	x, kept := n.(XAttrs)
	kind := st.Mode & unix.S_IFMT
	space := name[:strings.IndexByte(name, '.')+1] // "" without a dot
	switch {
	case space == securitySpace || space == "system.":
		if want == unix.W_OK && space == securitySpace && who.UID != 0 {
			return nil, fmt.Errorf("%w: only root changes %s", unix.EPERM, name)
		}
	case space == trustedSpace:
		if who.UID != 0 {
			return nil, fmt.Errorf("%w: only root sees %s", refused, name)
		}
	case space == userSpace && kind != unix.S_IFREG && kind != unix.S_IFDIR:
		return nil, fmt.Errorf("%w: only files and directories have %s", refused, name)
	case space == userSpace && kind == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0 && want == unix.W_OK && who.UID != 0 && who.UID != st.Uid:
		return nil, fmt.Errorf("%w: the directory is sticky", unix.EPERM)
	case kept:
		if err := n.Access(want); err != nil {
			return nil, err
		}
	}
	known := space == userSpace || space == trustedSpace || space == securitySpace
	switch {
	case !kept || !known:
		return nil, fmt.Errorf("%w: there is no attribute %s", unix.EOPNOTSUPP, quote(name))
	case name == space:
		return nil, fmt.Errorf("%w: %s is no whole name", unix.EINVAL, name)
	}
	return x, nil
}
