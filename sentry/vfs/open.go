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
	for range maxLinks { // a name may be made and removed by another meanwhile
		if !errors.Is(err, unix.ENOENT) || flags&unix.O_CREAT == 0 {
			break
		}
		d, made := c.create(w, flags, mode, err, maxLinks)
		if made == nil {
			return d, nil
		}
		if exclusive || !errors.Is(made, unix.EEXIST) {
			return nil, fmt.Errorf("open %w", made)
		}
		f, err = c.find(w, follow, false)
	}
	if err != nil {
		return nil, fmt.Errorf("open %w", err)
	}
	defer func() { f.node.Close() }() // a handle takes the node over
	var d *Description
	if flags&unix.O_TMPFILE == unix.O_TMPFILE {
		d, err = f.temporary(flags, mode&^c.Mask())
	} else {
		d, err = f.open(c.tree, flags, exclusive)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", quote(w.Path), err)
	}
	return d, nil
}

// create makes the file w, which was not found, and opens it. A symbolic link that
// leads nowhere is followed, links times at most, unless flags forbid it.
func (c *Context) create(w Where, flags int, mode uint32, notFound error, links int) (*Description, error) {
	l, err := c.parentOf(w)
	if err != nil {
		return nil, err
	}
	defer l.dir.node.Close()
	if l.slash {
		return nil, fmt.Errorf("%s: %w: open makes no directories", quote(w.Path), unix.EISDIR)
	}
	if text, err := c.Readlink(w); err == nil && flags&(unix.O_EXCL|unix.O_NOFOLLOW) == 0 {
		if links == 0 {
			return nil, fmt.Errorf("%s: %w", quote(w.Path), unix.ELOOP)
		}
		if !strings.HasPrefix(text, "/") {
			text = w.Path[:strings.LastIndexByte(w.Path, '/')+1] + text
		}
		w.Path = text
		return c.create(w, flags, mode, notFound, links-1)
	}
	e, err := l.editor()
	switch {
	case err != nil && l.dir.generated():
		return nil, notFound
	case err != nil:
		return nil, fmt.Errorf("%s: %w: no file can be made", quote(w.Path), err)
	}
	if !l.normal() {
		return nil, notFound
	}
	file, err := e.Create(l.name, mode&^c.Mask(), flags)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	made := found{fs: l.dir.fs, path: strings.TrimSuffix(l.dir.path, "/") + "/" + l.name}
	return made.description(file, flags), nil
}

// generated reports whether the directory f is the kernel's own, as /proc's are: what
// is not there cannot be made, and that is no matter of a read-only file system.
func (f *found) generated() bool {
	st, err := f.fs.Statfs()
	return err == nil && st.Flags&unix.ST_RDONLY == 0
}

// temporary opens a new file without a name that belongs to the directory f.
func (f *found) temporary(flags int, mode uint32) (*Description, error) {
	st, err := f.node.Stat()
	switch {
	case err != nil:
		return nil, err
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return nil, unix.ENOTDIR
	case flags&unix.O_ACCMODE == unix.O_RDONLY:
		return nil, fmt.Errorf("%w: O_TMPFILE needs a file open for writing", unix.EINVAL)
	}
	e, ok := f.node.(Editor)
	if !ok {
		return nil, fmt.Errorf("%w: the tree is read-only: no file can be made", unix.EROFS)
	}
	file, err := e.Temporary(mode, flags)
	if err != nil {
		return nil, err
	}
	return f.description(file, flags), nil
}

// open opens what was found in t.
func (f *found) open(t *Tree, flags int, exclusive bool) (*Description, error) {
	st, err := f.node.Stat()
	if err != nil {
		return nil, err
	}
	kind := st.Mode & unix.S_IFMT
	writes := flags&unix.O_ACCMODE != unix.O_RDONLY
	switch {
	case exclusive:
		return nil, unix.EEXIST
	case flags&unix.O_DIRECTORY != 0 && kind != unix.S_IFDIR:
		return nil, unix.ENOTDIR
	case flags&unix.O_PATH != 0:
		return f.handle(flags)
	case kind == unix.S_IFLNK:
		return nil, fmt.Errorf("%w: it is a symbolic link, and O_NOFOLLOW is set", unix.ELOOP)
	case kind == unix.S_IFDIR && (writes || flags&unix.O_CREAT != 0):
		return nil, unix.EISDIR
	}
	var file File
	if _, open := f.node.(openNode); kind == unix.S_IFIFO && !open {
		file, err = f.openPipe(t, &st, flags)
	} else {
		file, err = f.node.Open(flags)
	}
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
	return NewOpenFile(f.fs, file, flags, display(f.path))
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
	d, err := f.open(c.tree, unix.O_RDONLY, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", quote(w.Path), err)
	}
	return NewProgram(d)
}
