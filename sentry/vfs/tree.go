package vfs

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry/vfs/filelock"
)

// FS is a file system that can be mounted in a Tree. Its paths are relative to
// its root and clean: no empty, "." or ".." components; "" is the root itself.
type FS interface {
	// Walk goes down path until its end or the first symbolic link, and returns the
	// node there and what of path is left behind a link. Errors are unix.Errno,
	// wrapped with reasons: ENOENT, ENOTDIR, EACCES.
	Walk(path string, who Caller) (n Node, rest string, err error)
	// Statfs returns what statfs(2) tells.
	Statfs() (unix.Statfs_t, error)
}

// Node is a file that was found by its path: a handle, closed by who found it.
type Node interface {
	Stat() (unix.Stat_t, error)
	// Readlink returns a symbolic link's text; EINVAL for all else.
	Readlink() (string, error)
	// Access says whether the file may be used so: R_OK|W_OK|X_OK.
	Access(mode uint32) error
	// Open opens the file: flags are O_*. EROFS for writing where that is not
	// possible, ENXIO for sockets and devices that are not ours. The node stays
	// the caller's.
	Open(flags int) (File, error)
	Close()
}

// Jumper is a Node that is a link to an open file rather than to a path, as
// /proc/PID/fd/N is. Jump returns it with a reference for the caller; nil: follow
// the link's text.
type Jumper interface{ Jump() *Description }

// Magic is a Node that is a link which Linux follows to a file, whatever its text
// leads to: RESOLVE_NO_MAGICLINKS refuses it.
type Magic interface{ Magic() bool }

// Tree is the whole of what paths can lead to: file systems mounted over one
// another. Nothing outside of them can be reached, whatever the path, the links
// in it and whoever renames things meanwhile: a path is followed by Tree itself,
// one symbolic link at a time, and a file system never sees "..".
//
// A world is made so:
//
//	host, err := hostfs.New("/", cache)       // read-only
//	root, err := memfs.NewOver(host, mem, memfs.Options{})
//	tree := vfs.NewTree(root)
//	tree.Mount("/dev", devfs.New())
//	kernel, err := sentry.New(sentry.Config{Tree: tree, …})
//	tree.Mount("/proc", procfs.New(kernel))
type Tree struct {
	mounts []mount // deepest first
	inodes atomic.Uint64
	locks  filelock.Registry
	pipes  NamedPipes // nil: none can be opened
}

type mount struct {
	at string // "" is the root, else "/dev"
	fs FS
	id int // from 1 on, in the order of mounting
}

// NewTree returns a Tree of root alone.
func NewTree(root FS) *Tree { return &Tree{mounts: []mount{{"", root, 1}}} }

// Mount puts fs at the absolute path at, over what is there: at need not exist
// below. All mounts are made before guests run.
func (t *Tree) Mount(at string, fs FS) {
	at = strings.TrimSuffix(path.Clean("/"+at), "/")
	t.mounts = append([]mount{{at, fs, len(t.mounts) + 1}}, t.mounts...)
	slices.SortStableFunc(t.mounts, func(a, b mount) int { return len(b.at) - len(a.at) })
}

// Lister is an FS that holds the pages of its files itself, and knows which files
// those are.
type Lister interface {
	// EachFile calls f for every regular file by a name that it has, without a lock held.
	EachFile(f func(path string, m memmap.Mappable, st unix.Stat_t))
}

// EachFile calls f for every file of the file systems that list them.
func (t *Tree) EachFile(f func(path string, m memmap.Mappable, st unix.Stat_t)) {
	for _, m := range t.mounts {
		if l, ok := m.fs.(Lister); ok {
			l.EachFile(f)
		}
	}
}

// NewInode returns a number for a file that lies in no file system: a pipe's.
func (t *Tree) NewInode() uint64 { return t.inodes.Add(1) }

// mounted returns the file system that the real path full ("" is the root) lies
// in, and its path there.
func (t *Tree) mounted(full string) (FS, string) {
	for _, m := range t.mounts {
		if full == m.at {
			return m.fs, ""
		}
		if strings.HasPrefix(full, m.at+"/") {
			return m.fs, full[len(m.at)+1:]
		}
	}
	panic("vfs: the path " + full + " is not absolute")
}

// Bounds of path resolution, Linux's.
const (
	maxLinks = 40           // MAXSYMLINKS
	maxPath  = unix.PathMax // with the NUL that guests end it with
	maxName  = 255          // NAME_MAX
	maxWalk  = 64 * maxPath // all text that one resolution may run through
)

// found is where a path led.
type found struct {
	node Node
	fs   FS     // nil: an open file
	path string // real: absolute, clean, free of symbolic links
}

// walk is a resolution under way.
type walk struct {
	top   *place // the root directory itself, not owned
	tree  *Tree
	who   Caller
	root  string   // what ".." does not leave, and where absolute paths start
	cur   string   // real path of the directory that rest starts from; "" is the root
	at    *place   // that directory itself; nil: it is found by cur
	rest  []string // components that are left; never "" or "."
	dir   bool     // the end must be a directory: the path ended in a slash or a dot
	links int
	text  int
	scope scope
}

// find follows name from the directory from, below root. follow says whether a
// symbolic link at the end is followed.
func (t *Tree) find(root, from *place, name string, who Caller, resolve uint64, follow bool) (found, error) {
	w := &walk{tree: t, who: who, root: root.real(), top: root, cur: from.real()}
	w.at = from.dup(who)
	defer func() { w.at.close() }()
	w.scope = newScope(w, from, resolve)
	f, err := w.run(name, follow)
	if err == nil {
		if err = w.scope.ends(f); err != nil {
			f.node.Close()
		}
	}
	if err != nil {
		return found{}, fmt.Errorf("%s: %w", quote(name), err)
	}
	return f, nil
}

func (w *walk) run(name string, follow bool) (found, error) {
	if err := w.prepend(name, nil, true); err != nil {
		return found{}, err
	}
	for {
		if len(w.rest) > 0 && w.rest[0] == ".." {
			if err := w.up(); err != nil {
				return found{}, err
			}
			w.rest = w.rest[1:]
			continue
		}
		f, err := w.down()
		if err != nil {
			return found{}, err
		}
		end, err := w.arrive(f, follow)
		switch {
		case err != nil:
			f.node.Close()
			return found{}, err
		case end:
			return w.jumped(f, follow)
		}
	}
}

// up goes to the directory that the current one lies in.
func (w *walk) up() error {
	if w.scope.stops(w) {
		return fmt.Errorf("%w: the path leads out of the directory that it starts from", unix.EXDEV)
	}
	if w.at != nil {
		if err := w.at.node.Access(unix.X_OK); err != nil {
			return err
		}
	}
	if w.cur == w.root {
		return nil
	}
	w.cur = parent(w.cur)
	w.move(w.at.up())
	if w.at != nil {
		w.cur = w.at.real()
	}
	return nil
}

// move makes p, which is taken over, the current directory.
func (w *walk) move(p *place) {
	w.at.close()
	w.at = p
}

// prepend makes text what is to be walked next, before behind. last says that
// behind is empty, so that text's end is the path's.
func (w *walk) prepend(text string, behind []string, last bool) error {
	switch w.text += len(text); {
	case text == "":
		return unix.ENOENT
	case len(text) >= maxPath || w.text > maxWalk:
		return unix.ENAMETOOLONG
	case text[0] == '/':
		if w.scope.beneath {
			return fmt.Errorf("%w: an absolute path leads out of the directory that it starts from", unix.EXDEV)
		}
		w.cur = w.root
		w.move(w.top.dup(w.who))
	}
	names := make([]string, 0, strings.Count(text, "/")+1+len(behind))
	for part := range strings.SplitSeq(text, "/") {
		if len(part) > maxName {
			return unix.ENAMETOOLONG
		}
		if part != "" && part != "." {
			names = append(names, part)
		}
	}
	if last && (strings.HasSuffix(text, "/") || text == "." || strings.HasSuffix(text, "/.")) {
		w.dir = true
	}
	w.rest = append(names, behind...)
	return nil
}

// down goes as far as one file system leads without a link or "..". What is left
// is w.rest.
func (w *walk) down() (found, error) {
	n := slices.Index(w.rest, "..")
	if n < 0 {
		n = len(w.rest)
	}
	full := w.cur
	if n > 0 {
		full += "/" + strings.Join(w.rest[:n], "/")
	}
	fs, rel := w.tree.mounted(full)
	var node Node
	var left string
	var err error
	if w.at != nil && w.at.fs == fs {
		node, left, err = w.at.fs.(Stepper).WalkFrom(w.at.node, strings.Join(w.rest[:n], "/"), w.who)
	} else {
		node, left, err = fs.Walk(rel, w.who)
	}
	if err != nil {
		return found{}, err
	}
	behind := w.rest[n:]
	if left != "" {
		full = strings.TrimSuffix(full, "/"+left)
		behind = append(strings.Split(left, "/"), behind...)
	}
	w.rest = behind
	return found{node, fs, full}, nil
}

// arrive looks at where down came to: true if that is the end, else the walk goes
// on from there.
func (w *walk) arrive(f found, follow bool) (bool, error) {
	st, err := f.node.Stat()
	if err != nil {
		return false, err
	}
	last := len(w.rest) == 0
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		if last && !follow && !w.dir {
			return true, nil
		}
		return w.link(f)
	case unix.S_IFDIR:
		if !last {
			w.cur = f.path
			w.move(newPlace(f))
		}
		return last, nil
	}
	if !last || w.dir {
		return false, fmt.Errorf("%w: %s is no directory", unix.ENOTDIR, display(f.path))
	}
	return true, nil
}

// link follows the link f: true if it leads to an open file, which is the end.
func (w *walk) link(f found) (bool, error) {
	if w.links++; w.links > maxLinks {
		return false, fmt.Errorf("%w: more than %d symbolic links", unix.ELOOP, maxLinks)
	}
	if w.scope.noLinks {
		return false, fmt.Errorf("%w: no symbolic link may be followed", unix.ELOOP)
	}
	if m, ok := f.node.(Magic); ok && m.Magic() {
		if err := w.scope.jump(); err != nil {
			return false, err
		}
	}
	last := len(w.rest) == 0
	if j, ok := f.node.(Jumper); ok {
		if d := j.Jump(); d != nil {
			defer func() { _ = d.DecRef() }()
			if last && !w.dir {
				return true, nil
			}
			if p := d.place(w.who); p != nil { // an open directory: on from there, wherever it is
				w.cur = p.real()
				w.move(p)
				f.node.Close()
				return false, nil
			}
			return false, fmt.Errorf("%w: %s is no directory", unix.ENOTDIR, display(f.path))
		}
	}
	text, err := f.node.Readlink()
	if err != nil {
		return false, err
	}
	w.cur = parent(f.path)
	w.move(upOf(f))
	if err := w.prepend(text, w.rest, last); err != nil {
		return false, err
	}
	f.node.Close()
	return false, nil
}

// upOf returns the directory that f lies in, nil if it is to be found by its path.
func upOf(f found) *place {
	if _, ok := f.fs.(Stepper); !ok {
		return nil
	}
	return (&place{f.path, f.fs, f.node}).up()
}

// jumped replaces f by the open file that it leads to, if it is a Jumper that was
// followed.
func (w *walk) jumped(f found, follow bool) (found, error) {
	j, ok := f.node.(Jumper)
	if !ok || !follow {
		return f, nil
	}
	d := j.Jump()
	if d == nil {
		return f, nil
	}
	if err := w.scope.jump(); err != nil {
		_ = d.DecRef() // the descriptor that it is of holds the file
		f.node.Close()
		return found{}, err
	}
	f.node.Close()
	if l, ok := d.file.(Linked); ok { // opened again by the rights of who asks
		defer d.DecRef() //nolint:errcheck // the descriptor that it is of holds the file
		return found{node: l.Node(w.who), fs: d.fs, path: d.Path()}, nil
	}
	return found{node: openNode{d}, path: d.Path()}, nil
}

// parent returns the directory that the real path p lies in; the root's is itself.
func parent(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 0)] }

// display returns the real path p as people know it.
func display(p string) string {
	if p == "" {
		return "/"
	}
	return p
}

// quote keeps a guest's path harmless in a message.
func quote(p string) string {
	if len(p) > 200 {
		p = p[:200] + "…"
	}
	return fmt.Sprintf("%q", p)
}
