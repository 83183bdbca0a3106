package vfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openNode is an open file as a Node: what /proc/PID/fd/N and AT_EMPTY_PATH lead
// to. It owns a reference.
type openNode struct{ d *Description }

func (n openNode) Stat() (unix.Stat_t, error) { return n.d.Stat() }
func (n openNode) Close()                     { _ = n.d.DecRef() }

func (n openNode) Readlink() (string, error) {
	if h, ok := n.d.file.(handle); ok {
		return h.node.Readlink()
	}
	return "", fmt.Errorf("%w: not a symbolic link", unix.EINVAL)
}

func (n openNode) Access(mode uint32) error {
	if h, ok := n.d.file.(handle); ok {
		return h.node.Access(mode)
	}
	st, err := n.d.Stat()
	if err != nil {
		return err
	}
	return AccessByMode(st.Mode, mode)
}

func (n openNode) Open(flags int) (File, error) {
	if h, ok := n.d.file.(handle); ok {
		return h.node.Open(flags)
	}
	if r, ok := n.d.file.(Reopener); ok {
		return r.Reopen(flags)
	}
	return nil, fmt.Errorf("%w: %s cannot be opened again", unix.ENXIO, n.d.path)
}

// AccessByMode answers Access for the owner of a file with that mode, who is root
// or no one else: X_OK needs an execute bit or a directory, the rest its bit.
func AccessByMode(fileMode, mode uint32) error {
	bits := fileMode | fileMode>>3 | fileMode>>6
	if mode&^bits&7 != 0 {
		return fmt.Errorf("%w: mode %03o", unix.EACCES, fileMode&0o777)
	}
	return nil
}

// handle is the File of a descriptor made with O_PATH. It owns the node.
type handle struct{ node Node }

func (h handle) Stat() (unix.Stat_t, error)            { return h.node.Stat() }
func (handle) PRead(p []byte, off int64) (int, error)  { return 0, unix.EBADF }
func (handle) PWrite(p []byte, off int64) (int, error) { return 0, unix.EBADF }
func (handle) Seekable() bool                          { return false }
func (h handle) Release() error                        { h.node.Close(); return nil }

// closed is a Node that was given away.
type closed struct{ Node }

func (closed) Close() {}
