package pty

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

const ptmxMajor, ptmxMinor = 5, 2

// node is a device that leads to an end of a pair.
type node struct {
	synth.Attr
	device  uint64
	blksize int64
	gone    func() bool // it has no name any more
	open    func(n *node, flags int) (vfs.File, error)
}

// Stat implements vfs.Node.
func (n *node) Stat() (unix.Stat_t, error) {
	st := unix.Stat_t{
		Dev: n.Dev, Ino: n.Ino, Mode: unix.S_IFCHR | n.Mode, Nlink: 1,
		Uid: n.UID, Gid: n.GID, Rdev: n.device, Blksize: n.blksize,
	}
	if n.gone != nil && n.gone() {
		st.Nlink = 0
	}
	return st, nil
}

// Open implements vfs.Node.
func (n *node) Open(flags int) (vfs.File, error) { return n.open(n, flags) }

// Ptmx returns a node with attr whose opening makes a new pair for who.
func (fs *FS) Ptmx(attr synth.Attr, blksize int64, who vfs.Caller) vfs.Node {
	return &node{Attr: attr, device: unix.Mkdev(ptmxMajor, ptmxMinor), blksize: blksize, open: func(n *node, _ int) (vfs.File, error) {
		p, err := fs.newPair(who)
		if err != nil {
			return nil, err
		}
		return &master{end: end{p, n.Stat}, node: n}, nil
	}}
}

// slaveNode returns the terminal of p.
func (fs *FS) slaveNode(p *pair) *node {
	return &node{
		Attr:    synth.Attr{Dev: vfs.DevptsDevice, Ino: inodeOf(p.number), Mode: 0o600, UID: p.uid, GID: p.gid},
		device:  p.tty.Device,
		blksize: blockSize,
		gone:    p.isHung,
		open:    func(n *node, flags int) (vfs.File, error) { return p.reopen(flags, n.Stat) },
	}
}

func (p *pair) isHung() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hung
}

// reopen opens the terminal, of which fstat will say what stat does: EIO while the
// master has it locked, and once it is gone.
func (p *pair) reopen(_ int, stat func() (unix.Stat_t, error)) (vfs.File, error) {
	err := p.alive(func() error {
		if p.locked {
			return fmt.Errorf("%w: the terminal is locked", unix.EIO)
		}
		p.open++
		p.left = false
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &terminal{end: end{p, stat}}, nil
}

// hostNode is a terminal that is not ours.
type hostNode struct{ f vfs.File }

func (h hostNode) Stat() (unix.Stat_t, error) { return h.f.Stat() }
func (h hostNode) Close()                     {}

func (h hostNode) Readlink() (string, error) {
	return "", fmt.Errorf("%w: not a symbolic link", unix.EINVAL)
}

func (h hostNode) Access(mode uint32) error {
	st, err := h.f.Stat()
	if err != nil {
		return err
	}
	return vfs.AccessByMode(st.Mode, mode)
}

func (h hostNode) Open(flags int) (vfs.File, error) {
	r, ok := h.f.(vfs.Reopener)
	if !ok {
		return nil, unix.ENXIO
	}
	return r.Reopen(flags)
}

// numbers are those of all terminals, the highest first. fs.mu is held.
func (fs *FS) numbers() []int {
	all := slices.AppendSeq(slices.Collect(maps.Keys(fs.pairs)), maps.Keys(fs.hosts))
	slices.Sort(all)
	slices.Reverse(all)
	return all
}
