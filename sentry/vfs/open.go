package vfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// atOpen are the flags that only the opening itself heeds: F_GETFL does not show
// them.
const atOpen = unix.O_CREAT | unix.O_EXCL | unix.O_NOCTTY | unix.O_TRUNC | unix.O_CLOEXEC

// pathFlags are those that O_PATH leaves a meaning.
const pathFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW

// Open is openat(2): flags are O_*, mode counts where a file is made. The caller
// owns the Description's one reference. O_CLOEXEC is the descriptor's affair.
func (c *Context) Open(w Where, flags int, mode uint32) (*Description, error) {
	if flags&unix.O_PATH != 0 {
		flags &= pathFlags
	}
	exclusive := flags&(unix.O_CREAT|unix.O_EXCL) == unix.O_CREAT|unix.O_EXCL
	follow := flags&unix.O_NOFOLLOW == 0 && !exclusive
	f, err := c.find(w, follow, false)
	if errors.Is(err, unix.ENOENT) && flags&unix.O_CREAT != 0 {
		err = c.create(w, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %w", err)
	}
	defer func() { f.node.Close() }() // a handle takes the node over
	d, err := f.open(flags, exclusive)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", quote(w.Path), err)
	}
	return d, nil
}

// create returns why w, which was not found, is not made.
func (c *Context) create(w Where, notFound error) error {
	if w.Path == "" || strings.HasSuffix(w.Path, "/") {
		return notFound
	}
	dir := w
	if i := strings.LastIndexByte(w.Path, '/'); i >= 0 {
		dir.Path = w.Path[:i+1]
	} else {
		dir.Path = "."
	}
	if f, err := c.find(dir, true, false); err != nil {
		return err
	} else {
		f.node.Close()
	}
	return fmt.Errorf("%s: %w: the tree is read-only: no file can be made", quote(w.Path), unix.EROFS)
}

// open opens what was found.
func (f *found) open(flags int, exclusive bool) (*Description, error) {
	st, err := f.node.Stat()
	if err != nil {
		return nil, err
	}
	kind := st.Mode & unix.S_IFMT
	writes := flags&unix.O_ACCMODE != unix.O_RDONLY
	switch {
	case exclusive:
		return nil, unix.EEXIST
	case flags&unix.O_TMPFILE == unix.O_TMPFILE:
		return nil, fmt.Errorf("%w: the tree is read-only: no file can be made", unix.EROFS)
	case flags&unix.O_DIRECTORY != 0 && kind != unix.S_IFDIR:
		return nil, unix.ENOTDIR
	case flags&unix.O_PATH != 0:
		return f.handle(flags)
	case kind == unix.S_IFLNK:
		return nil, fmt.Errorf("%w: it is a symbolic link, and O_NOFOLLOW is set", unix.ELOOP)
	case kind == unix.S_IFDIR && (writes || flags&unix.O_CREAT != 0):
		return nil, unix.EISDIR
	}
	file, err := f.node.Open(flags)
	if err != nil {
		return nil, err
	}
	return f.description(file, flags), nil
}

// handle is open with O_PATH.
func (f *found) handle(flags int) (*Description, error) {
	node := f.node
	f.node = closed{} // the handle keeps it
	return f.description(handle{node}, flags), nil
}

func (f *found) description(file File, flags int) *Description {
	if flags&unix.O_PATH == 0 {
		flags |= largeFile
	}
	d := NewDescription(file, flags&^atOpen, display(f.path))
	d.fs = f.fs
	return d
}

// OpenProgram opens what execve(2) would run: a regular file that may be
// executed, else EACCES.
func (c *Context) OpenProgram(w Where) (*Program, error) {
	f, err := c.find(w, true, false)
	if err != nil {
		return nil, err
	}
	defer f.node.Close()
	st, err := f.node.Stat()
	if err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s: %w: not a regular file", quote(w.Path), unix.EACCES)
	}
	if err := f.node.Access(unix.X_OK); err != nil {
		return nil, fmt.Errorf("%s: %w: it may not be executed", quote(w.Path), err)
	}
	d, err := f.open(unix.O_RDONLY, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	return NewProgram(d)
}
