package hostfs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry/vfs"
)

// What open answers to paths and flags, as on a file system that is mounted
// read-only.
func TestOpenFlags(t *testing.T) {
	w := garden(t)
	if err := unix.Mkfifo(filepath.Join(w.dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	const rdonly, rdwr, wronly = unix.O_RDONLY, unix.O_RDWR, unix.O_WRONLY
	for _, c := range []struct {
		path  string
		flags int
		want  unix.Errno
	}{
		{"file", rdonly, 0}, {"file", rdwr, unix.EROFS}, {"file", wronly, unix.EROFS}, {"file", rdonly | unix.O_TRUNC, unix.EROFS},
		{"file", rdonly | unix.O_CREAT, 0}, {"file", rdonly | unix.O_CREAT | unix.O_EXCL, unix.EEXIST},
		{"a", rdonly, 0}, {"a", wronly, unix.EISDIR}, {"a", rdonly | unix.O_CREAT, unix.EISDIR}, {"a", rdwr | unix.O_TMPFILE, unix.EROFS},
		{"a", unix.O_DIRECTORY, 0}, {"file", unix.O_DIRECTORY, unix.ENOTDIR}, {"abs", unix.O_DIRECTORY, 0},
		{"new", rdwr | unix.O_CREAT, unix.EROFS}, {"new", rdonly, unix.ENOENT}, {"no/new", rdwr | unix.O_CREAT, unix.ENOENT},
		{"file/new", rdwr | unix.O_CREAT, unix.ENOTDIR}, {"dangling", rdwr | unix.O_CREAT, unix.EROFS},
		{"dangling", rdwr | unix.O_CREAT | unix.O_EXCL, unix.EEXIST}, {"", rdonly, unix.ENOENT}, {"", rdwr | unix.O_CREAT, unix.ENOENT},
		{"chain1", unix.O_NOFOLLOW, unix.ELOOP}, {"chain1", unix.O_NOFOLLOW | unix.O_PATH, 0}, {"a/tofile", rdonly, 0},
		{"chain1", unix.O_NOFOLLOW | unix.O_PATH | unix.O_DIRECTORY, unix.ENOTDIR}, {"loop1", rdonly, unix.ELOOP},
		{"fifo", rdonly, unix.ENXIO}, {"fifo", unix.O_PATH, 0}, {"file", unix.O_PATH | rdwr | unix.O_CREAT, 0},
		{"/dev/null", rdwr, 0}, {"/dev/tty", rdwr, unix.ENXIO}, {"/dev/null/x", rdonly, unix.ENOTDIR}, {"/dev/sda", rdonly, unix.ENOENT},
	} {
		d, err := w.Open(vfs.Where{Path: c.path}, c.flags, 0o644)
		if got := errnoOf(t, err); got != c.want {
			t.Errorf("open(%q, %#o): %v, want %v", c.path, c.flags, err, c.want)
		}
		if err == nil {
			_ = d.DecRef()
		}
	}
}

// F_GETFL shows the mode and what stays, and F_SETFL changes what it may.
func TestFlags(t *testing.T) {
	w := garden(t)
	d := w.open(t, "file", unix.O_RDONLY|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK)
	if got, want := d.Flags(), unix.O_NONBLOCK|0o100000; got != want {
		t.Errorf("flags %#o, want %#o", got, want)
	}
	h := w.open(t, "a", unix.O_PATH|unix.O_DIRECTORY|unix.O_RDWR)
	if got, want := h.Flags(), unix.O_PATH|unix.O_DIRECTORY; got != want {
		t.Errorf("flags of a handle %#o, want %#o", got, want)
	}
	d.SetFlags(unix.O_APPEND | unix.O_RDWR | unix.O_CREAT)
	if got, want := d.Flags(), unix.O_APPEND|0o100000; got != want {
		t.Errorf("flags %#o, want %#o", got, want)
	}
}

// Reads move the offset that all users of a Description share, by what was used;
// pread does not.
func TestOffsets(t *testing.T) {
	w := newWorld(t)
	w.file(t, "f", "0123456789")
	d := w.open(t, "f", unix.O_RDONLY)
	read := func(n, used int) string {
		buf := make([]byte, n)
		n, err := d.Read(buf, func(n int) (int, error) { return min(n, used), nil })
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	for _, want := range []string{"012", "345"} {
		if got := read(4, 3); got != want {
			t.Errorf("read %q, want %q", got, want)
		}
	}
	buf := make([]byte, 5)
	if n, err := d.PRead(buf, 8); n != 2 || err != nil || string(buf[:n]) != "89" {
		t.Errorf("pread: %q, %v", buf[:n], err)
	}
	if got := read(100, 100); got != "6789" {
		t.Errorf("read %q", got)
	}
	if got := read(1, 1); got != "" {
		t.Errorf("read %q at the end", got)
	}
	for _, c := range []struct {
		off    int64
		whence int
		want   int64
		errno  unix.Errno
	}{
		{3, unix.SEEK_SET, 3, 0}, {-1, unix.SEEK_CUR, 2, 0}, {-3, unix.SEEK_CUR, 0, unix.EINVAL}, {0, unix.SEEK_CUR, 2, 0},
		{-4, unix.SEEK_END, 6, 0}, {90, unix.SEEK_END, 100, 0}, {1<<63 - 1, unix.SEEK_CUR, 0, unix.EINVAL},
		{4, unix.SEEK_DATA, 4, 0}, {4, unix.SEEK_HOLE, 10, 0}, {10, unix.SEEK_DATA, 0, unix.ENXIO}, {0, 17, 0, unix.EINVAL},
	} {
		got, err := d.Seek(c.off, c.whence)
		if errnoOf(t, err) != c.errno || err == nil && got != c.want {
			t.Errorf("lseek(%d, %d) = %d, %v; want %d, %v", c.off, c.whence, got, err, c.want, c.errno)
		}
	}
	if _, err := d.PRead(buf, -1); errnoOf(t, err) != unix.EINVAL {
		t.Errorf("pread at -1: %v", err)
	}
	if _, err := d.Write(buf); errnoOf(t, err) != unix.EBADF {
		t.Errorf("write: %v", err)
	}
}

// A directory lists what the host lists, goes on where a reader stopped, and can
// be read again.
func TestDirectories(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 500 {
		name := strings.Repeat("n", i%200+1) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		w.file(t, "d/"+name, "")
		want = append(want, name)
	}
	want = append(want, ".", "..")
	slices.Sort(want)
	d := w.open(t, "d", unix.O_RDONLY|unix.O_DIRECTORY)
	for round := range 2 {
		var got []string
		for {
			before, left := len(got), 7+round
			err := d.ReadDir(func(e vfs.Dirent) bool {
				if left--; left < 0 {
					return false
				}
				got = append(got, e.Name)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == before {
				break
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("round %d: %d names, want %d", round, len(got), len(want))
		}
		if _, err := d.Seek(0, unix.SEEK_SET); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Read(make([]byte, 1), nil); errnoOf(t, err) != unix.EISDIR {
		t.Errorf("read of a directory: %v", err)
	}
}

// Paths start from descriptors and from the working directory.
func TestStarts(t *testing.T) {
	w := garden(t)
	dir := w.open(t, "a", unix.O_PATH)
	file := w.open(t, "a/file", unix.O_RDONLY)
	if _, err := w.Stat(vfs.Where{Path: "b/c/file", At: dir}, 0); err != nil {
		t.Error(err)
	}
	if _, err := w.Stat(vfs.Where{Path: "../file", At: dir}, 0); err != nil {
		t.Error(err)
	}
	if _, err := w.Stat(vfs.Where{Path: "b", At: file}, 0); errnoOf(t, err) != unix.ENOTDIR {
		t.Errorf("from a file: %v", err)
	}
	if _, err := w.Stat(vfs.Where{Path: "/a/b", At: file}, 0); err != nil {
		t.Error(err)
	}
	if st, err := w.Stat(vfs.Where{At: file}, unix.AT_EMPTY_PATH); err != nil || st.Size != 1 {
		t.Errorf("the descriptor itself: %+v, %v", st.Size, err)
	}
	if err := w.Chdir(vfs.Where{Path: "abs/c"}); err != nil || w.Cwd() != "/a/b/c" {
		t.Errorf("cwd %s, %v", w.Cwd(), err)
	}
	if _, err := w.Stat(vfs.Where{Path: "file"}, 0); err != nil {
		t.Error(err)
	}
	child := w.Fork()
	if err := child.Chdir(vfs.Where{At: dir}); err != nil || child.Cwd() != "/a" || w.Cwd() != "/a/b/c" {
		t.Errorf("fchdir: %s, %v; the parent is in %s", child.Cwd(), err, w.Cwd())
	}
	if err := w.Chdir(vfs.Where{Path: "file"}); errnoOf(t, err) != unix.ENOTDIR {
		t.Errorf("chdir to a file: %v", err)
	}
	if err := w.Chdir(vfs.Where{Path: "/.."}); err != nil || w.Cwd() != "/" {
		t.Errorf("cwd %s, %v", w.Cwd(), err)
	}
}

func TestReadlinkAndAccess(t *testing.T) {
	w := garden(t)
	if text, err := w.Readlink(vfs.Where{Path: "out"}); text != "../../../../etc" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := w.Readlink(vfs.Where{Path: "file"}); errnoOf(t, err) != unix.EINVAL {
		t.Errorf("readlink of a file: %v", err)
	}
	h := w.open(t, "out", unix.O_PATH|unix.O_NOFOLLOW)
	if text, err := w.Readlink(vfs.Where{At: h}); text != "../../../../etc" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	for _, c := range []struct {
		path string
		mode uint32
		want unix.Errno
	}{
		{"file", unix.R_OK, 0}, {"file", unix.W_OK, unix.EROFS}, {"file", unix.X_OK, unix.EACCES}, {"file", 0, 0},
		{"a", unix.X_OK, 0}, {"none", 0, unix.ENOENT}, {"file", 8, unix.EINVAL}, {"/dev/null", unix.R_OK | unix.W_OK, 0},
	} {
		if err := w.Access(vfs.Where{Path: c.path}, c.mode, 0); errnoOf(t, err) != c.want {
			t.Errorf("access(%q, %d): %v, want %v", c.path, c.mode, err, c.want)
		}
	}
}

// Two opens of a file share its pages; what is mapped through one open has one
// identity; what read finds is what is mapped.
func TestFilesAreMapped(t *testing.T) {
	w := newWorld(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	w.file(t, "f", string(content))
	one, two := w.open(t, "f", unix.O_RDONLY), w.open(t, "f", unix.O_RDONLY)
	configure := func(d *vfs.Description, o memmap.MMapOpts) memmap.MMapOpts {
		t.Helper()
		if err := d.File().(vfs.Mapper).ConfigureMMap(&o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	a, again := configure(one, memmap.MMapOpts{Private: true}), configure(one, memmap.MMapOpts{})
	b := configure(two, memmap.MMapOpts{Private: true})
	if a.Mappable != b.Mappable || a.Identity != again.Identity || a.Identity == b.Identity {
		t.Error("pages are not shared, or identities wrong")
	}
	if a.MaxPerms != memmap.AnyAccess || again.MaxPerms != memmap.ReadExecute || a.Identity.MappedName() != "/f" {
		t.Errorf("%v, %v, %q", a.MaxPerms, again.MaxPerms, a.Identity.MappedName())
	}
	err := one.File().(vfs.Mapper).ConfigureMMap(&memmap.MMapOpts{Perms: memmap.ReadWrite})
	if errnoOf(t, err) != unix.EACCES {
		t.Errorf("shared writable mapping: %v", err)
	}
	if _, err := a.Mappable.Translate(memmap.MappableRange{Start: 4096, End: 8192}, memmap.MappableRange{Start: 4096, End: 8192}, memmap.Read); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 20000)
	if n, err := two.PRead(got, 10); err != nil || !bytes.Equal(got[:n], content[10:]) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestPrograms(t *testing.T) {
	w := garden(t)
	if err := os.WriteFile(filepath.Join(w.dir, "prog"), []byte("ELF?"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.link(t, "prog", "plink")
	for path, want := range map[string]unix.Errno{"prog": 0, "plink": 0, "file": unix.EACCES, "a": unix.EACCES, "none": unix.ENOENT} {
		p, err := w.OpenProgram(vfs.Where{Path: path})
		if got := errnoOf(t, err); got != want {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if err != nil {
			continue
		}
		b := make([]byte, 9)
		n, err := p.ReadAt(b, 1)
		if size, _ := p.Size(); p.Path() != "/prog" || size != 4 || n != 3 || err == nil {
			t.Errorf("%s of %d bytes, %d read, %v", p.Path(), size, n, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The host's own /proc shows mmsh, so nothing in it can be opened.
func TestTheHostsProcIsNotShown(t *testing.T) {
	w := newWorld(t)
	w.dir = "/"
	fs := hostRoot(t, w)
	for _, path := range []string{"/proc/self/mem", "/proc/self/maps", "/proc/version"} {
		if _, err := fs.Open(vfs.Where{Path: path}, unix.O_RDONLY, 0); errnoOf(t, err) != unix.EACCES && errnoOf(t, err) != unix.ENOENT {
			t.Errorf("%s: %v", path, err)
		}
	}
	// A link of it is followed by its text, within the tree.
	if text, err := fs.Readlink(vfs.Where{Path: "/proc/self/root"}); err == nil && text != "/" {
		t.Errorf("root is %q", text)
	}
}

// Guests can have many files open, but not all that the host allows mmsh.
func TestDescriptorsOfTheHostAreKept(t *testing.T) {
	w := newWorld(t)
	w.file(t, "f", "")
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: 400, Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	c := hostRoot(t, w)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	var open []*vfs.Description
	var err error
	for err == nil && len(open) < 1000 {
		var d *vfs.Description
		if d, err = c.Open(vfs.Where{Path: "/"}, unix.O_DIRECTORY, 0); err == nil {
			open = append(open, d)
		}
	}
	if errnoOf(t, err) != unix.ENFILE || len(open) < 290 || len(open) > 300 {
		t.Errorf("%d directories are open, %v", len(open), err)
	}
	for _, d := range open {
		_ = d.DecRef()
	}
	if d, err := c.Open(vfs.Where{Path: "/"}, unix.O_DIRECTORY, 0); err != nil {
		t.Errorf("after all were closed: %v", err)
	} else {
		_ = d.DecRef()
	}
}

// Changes are refused for the reason that the path gives, else because the tree is
// read-only; the mask is kept all the same.
func TestReadOnly(t *testing.T) {
	w := garden(t)
	for path, want := range map[string]unix.Errno{
		"file": unix.EROFS, "a": unix.EROFS, "none/x": unix.ENOENT, "file/x": unix.ENOTDIR, "loop1": unix.ELOOP, "": unix.ENOENT,
	} {
		if err := w.Refuse(vfs.Where{Path: path}, true); errnoOf(t, err) != want {
			t.Errorf("%q: %v, want %v", path, err, want)
		}
	}
	st, err := w.Statfs(vfs.Where{Path: "a/file"})
	if err != nil || st.Flags&unix.ST_RDONLY == 0 || st.Bsize == 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if again, err := w.open(t, "file", unix.O_RDONLY).Statfs(); err != nil || again.Type != st.Type {
		t.Errorf("%+v, %v", again, err)
	}
	if old := w.Umask(0o77); old != 0o22 || w.Mask() != 0o77 || w.Fork().Mask() != 0o77 {
		t.Errorf("mask %o, then %o", old, w.Mask())
	}
}
