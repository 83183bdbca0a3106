package vfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Stepper is an FS whose directories can be walked from, wherever they have been
// moved meanwhile, or removed. Its Nodes are Linked and Pathers.
type Stepper interface {
	FS
	// WalkFrom is Walk from the directory dir.
	WalkFrom(dir Node, path string, who Caller) (n Node, rest string, err error)
	// Up returns the directory that n lies in, or lay in when it was removed; nil if
	// n is the root.
	Up(n Node, who Caller) Node
}

// place is a directory that paths start from. nil is the root.
type place struct {
	path string // real, when it was found
	fs   FS     // a Stepper if node is not nil
	node Node   // owned; nil: only the path is known
}

// newPlace makes a place of f, whose node it takes over; nil if only f's path
// leads there.
func newPlace(f found) *place {
	if _, ok := f.fs.(Stepper); ok {
		if _, ok := f.node.(Linked); ok {
			return &place{f.path, f.fs, f.node}
		}
	}
	f.node.Close()
	return nil
}

// place returns the place of an open directory of a Stepper, else nil.
func (d *Description) place(who Caller) *place {
	s, ok := d.fs.(Stepper)
	if !ok {
		return nil
	}
	l, ok := d.file.(Linked)
	if h, isHandle := d.file.(handle); isHandle {
		l, ok = h.node.(Linked)
	}
	if !ok {
		return nil
	}
	n := l.Node(who)
	if st, err := n.Stat(); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		n.Close()
		return nil
	}
	return &place{d.path, s, n}
}

// dup returns a copy of p that can be walked from, nil if there is none.
func (p *place) dup(who Caller) *place {
	if p == nil || p.node == nil {
		return nil
	}
	return &place{p.path, p.fs, p.node.(Linked).Node(who)}
}

// copy returns another p.
func (p *place) copy() *place {
	if p == nil || p.node == nil {
		return p
	}
	return p.dup(Caller{})
}

// up returns the directory that p lies in, nil if it is to be found by its path.
func (p *place) up() *place {
	if p == nil || p.node == nil {
		return nil
	}
	n := p.fs.(Stepper).Up(p.node, Caller{})
	if n == nil {
		return nil
	}
	return &place{parent(p.path), p.fs, n}
}

func (p *place) close() {
	if p != nil && p.node != nil {
		p.node.Close()
	}
}

// real returns where p is now; "" is the root.
func (p *place) real() string {
	switch {
	case p == nil:
		return ""
	case p.node == nil:
		return p.path
	}
	now := p.path
	if n, ok := p.node.(Pather); ok {
		now = n.Path()
	}
	if now == "/" {
		return ""
	}
	return now
}

// gone reports whether the directory was removed.
func (p *place) gone() bool {
	if p == nil || p.node == nil {
		return false
	}
	st, err := p.node.Stat()
	return err == nil && st.Nlink == 0
}

// scope is what openat2(2) forbids a path to do: RESOLVE_*.
type scope struct {
	noLinks, noMagic, noMounts, beneath, within bool

	base string // the directory that the path starts from
	fs   FS     // its file system
}

func newScope(w *walk, from *place, resolve uint64) scope {
	s := scope{
		noLinks:  resolve&unix.RESOLVE_NO_SYMLINKS != 0,
		noMagic:  resolve&(unix.RESOLVE_NO_MAGICLINKS|unix.RESOLVE_NO_SYMLINKS) != 0,
		noMounts: resolve&unix.RESOLVE_NO_XDEV != 0,
		beneath:  resolve&unix.RESOLVE_BENEATH != 0,
		within:   resolve&unix.RESOLVE_IN_ROOT != 0,
		base:     w.cur,
	}
	if s.within {
		w.root, w.top = s.base, from
	}
	if s.noMounts {
		s.fs, _ = w.tree.mounted(s.base)
	}
	return s
}

// stops reports whether ".." would leave the directory that the path starts from.
func (s *scope) stops(w *walk) bool { return s.beneath && w.cur == s.base }

// jump refuses a link that leads to a file rather than to a path.
func (s *scope) jump() error {
	switch {
	case s.noMagic:
		return fmt.Errorf("%w: no link to an open file may be followed", unix.ELOOP)
	case s.beneath, s.within:
		return fmt.Errorf("%w: a link to an open file leads out of the directory that the path starts from", unix.EXDEV)
	}
	return nil
}

// ends refuses a file of another file system than the start's.
func (s *scope) ends(f found) error {
	if s.noMounts && f.fs != s.fs {
		return fmt.Errorf("%w: the path leads into another file system", unix.EXDEV)
	}
	return nil
}
