package memfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/hostfs"
	"mmsh.dev/mmsh/sentry/vfs/memfs"
)

// world is a private layer over a directory of the host. At the end the host's
// directory is as it was, and no page is left.
type world struct {
	*testing.T
	*vfs.Context
	host string
	mem  *pgalloc.MemoryFile
}

// newOver makes a world over a directory with files as they are described: "dir/",
// "name=text", "name->text" for a symbolic link, "name:other" for a hard link.
func newOver(t *testing.T, limit uint64, most int, files ...string) *world {
	t.Helper()
	host := t.TempDir()
	for _, f := range files {
		must(t, make1(host, f))
	}
	before := picture(t, host)
	mem, err := pgalloc.New(pgalloc.Options{Limit: limit})
	must(t, err)
	cache := pagecache.New(mem)
	lower, err := hostfs.New(host, cache)
	must(t, err)
	over, err := memfs.NewOver(lower, mem, memfs.Options{Files: most})
	must(t, err)
	c, err := vfs.NewTree(over).NewContext("/")
	must(t, err)
	w := &world{t, c, host, mem}
	t.Cleanup(func() {
		err := over.Close()
		cache.Evict(1 << 62)
		must(t, errors.Join(err, lower.Close(), mem.Close()))
		if after := picture(t, host); after != before {
			t.Errorf("the host's files were\n%s\nand are\n%s", before, after)
		}
	})
	return w
}

func make1(host, f string) error {
	if name, to, ok := strings.Cut(f, "->"); ok {
		return os.Symlink(to, filepath.Join(host, name))
	}
	if name, text, ok := strings.Cut(f, "="); ok {
		return os.WriteFile(filepath.Join(host, name), []byte(text), 0o644)
	}
	if name, to, ok := strings.Cut(f, ":"); ok {
		return os.Link(filepath.Join(host, to), filepath.Join(host, name))
	}
	return os.MkdirAll(filepath.Join(host, f), 0o755)
}

// picture is all that can be seen of a directory but for access times.
func picture(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if d.Type() == 0 {
			bytes, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(bytes)
		}
		fmt.Fprintf(&b, "%s %v %d %v %q\n", path, info.Mode(), info.Size(), info.ModTime(), text)
		return nil
	}))
	return b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func at(path string) vfs.Where { return vfs.Where{Path: path} }

func (w *world) open(path string, flags int) *vfs.Description {
	w.Helper()
	d, err := w.Open(at(path), flags, 0o644)
	must(w.T, err)
	w.T.Cleanup(func() {}) // descriptors are closed by their users
	return d
}

func (w *world) write(path, text string, flags int) {
	w.Helper()
	d := w.open(path, unix.O_WRONLY|flags)
	_, err := d.Write([]byte(text))
	must(w.T, errors.Join(err, d.DecRef()))
}

// text is what is in the file, or the error's name.
func (w *world) text(path string) string {
	d, err := w.Open(at(path), unix.O_RDONLY, 0)
	if err != nil {
		return name(err)
	}
	defer d.DecRef() //nolint:errcheck // open for reading
	return read(w.T, d)
}

func read(t *testing.T, d *vfs.Description) string {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := d.PRead(b, 0)
	must(t, err)
	return string(b[:n])
}

func name(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return fmt.Sprint(err)
}

// list is the directory's names in order, one call at a time.
func (w *world) list(path string) string {
	w.Helper()
	d := w.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	defer d.DecRef() //nolint:errcheck // open for reading
	names := names(w.T, d)
	slices.Sort(names)
	return strings.Join(names, " ")
}

func names(t *testing.T, d *vfs.Description) (all []string) {
	t.Helper()
	for {
		more := false
		must(t, d.ReadDir(func(e vfs.Dirent) bool {
			if more {
				return false
			}
			more = true
			if e.Name != "." && e.Name != ".." {
				all = append(all, e.Name)
			}
			return true
		}))
		if !more {
			return all
		}
	}
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

// What guests change they see changed, and the host does not.
func TestChangesArePrivate(t *testing.T) {
	w := newOver(t, 0, 0, "d/sub/", "d/a=lower a", "d/b=lower b", "d/sub/c=lower c", "l->d/a", "h:d/a")
	w.write("d/a", "UPPER", 0)
	same(t, "a", w.text("d/a"), "UPPER a")
	same(t, "by its other name", w.text("h"), "UPPER a")
	same(t, "by a link", w.text("l"), "UPPER a")
	w.write("d/new", "new", unix.O_CREAT)
	same(t, "list", w.list("d"), "a b new sub")
	must(t, w.Rename(at("d"), at("e"), 0))
	same(t, "gone", w.text("d/a"), "ENOENT")
	same(t, "moved", w.text("e/sub/c")+w.text("e/b")+w.text("e/a"), "lower clower bUPPER a")
	must(t, w.Unlink(at("e/b")))
	same(t, "removed", w.text("e/b"), "ENOENT")
	same(t, "list", w.list("e"), "a new sub")
	same(t, "full", name(w.Rmdir(at("e/sub"))), "ENOTEMPTY")
	must(t, w.Unlink(at("e/sub/c")))
	must(t, w.Rmdir(at("e/sub")))
	must(t, w.Mkdir(at("e/sub"), 0o755))
	same(t, "a new directory in the place of an old one", w.list("e/sub"), "")
	must(t, w.Mkdir(at("d"), 0o755))
	same(t, "a new directory in the place of a moved one", w.list("d"), "")
	same(t, "the root", w.list("/"), "d e h l")
	must(t, w.Chmod(at("h"), 0o600))
	st, err := w.Stat(at("e/a"), 0)
	must(t, err)
	if st.Mode != unix.S_IFREG|0o600 || st.Nlink != 2 {
		t.Errorf("mode %o, %d links", st.Mode, st.Nlink)
	}
}

// Who has opened a file sees what others write to it, as on any file system; and
// the file stays the same one.
func TestOpenBeforeTheCopy(t *testing.T) {
	w := newOver(t, 0, 0, "f=before")
	d := w.open("f", unix.O_RDONLY)
	defer d.DecRef() //nolint:errcheck // open for reading
	old, err := d.Stat()
	must(t, err)
	w.write("f", "AFTER!", 0)
	same(t, "the early open", read(t, d), "AFTER!")
	now, err := d.Stat()
	must(t, err)
	if old.Ino != now.Ino || old.Dev != now.Dev {
		t.Errorf("%d:%d became %d:%d", old.Dev, old.Ino, now.Dev, now.Ino)
	}
	must(t, w.Unlink(at("f")))
	same(t, "after its removal", read(t, d), "AFTER!")
}

// A directory is read on from any place, whatever is made and removed meanwhile:
// nothing comes twice and nothing is left out.
func TestReaddirWhileChanging(t *testing.T) {
	var files []string
	for i := range 20 {
		files = append(files, fmt.Sprintf("d/f%02d=x", i))
	}
	w := newOver(t, 0, 0, append([]string{"d/"}, files...)...)
	d := w.open("d", unix.O_RDONLY|unix.O_DIRECTORY)
	defer d.DecRef() //nolint:errcheck // open for reading
	seen := map[string]int{}
	for i := range 200 {
		done := true
		must(t, d.ReadDir(func(e vfs.Dirent) bool {
			if !done {
				return false
			}
			seen[e.Name]++
			done = false
			return true
		}))
		if done {
			break
		}
		if i < 20 {
			must(t, w.Chmod(at(fmt.Sprintf("d/f%02d", i)), 0o600))
			w.write(fmt.Sprintf("d/new%02d", i), "x", unix.O_CREAT)
		}
	}
	if len(seen) != 42 {
		t.Errorf("%d names", len(seen))
	}
	for n, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", n, times)
		}
	}
}

// A hole is not copied, and what does not fit is ENOSPC that changes nothing.
func TestCopyUpIsBounded(t *testing.T) {
	w := newOver(t, 1<<20, 0, "full="+strings.Repeat("x", 2<<20))
	d, err := w.Open(at("full"), unix.O_RDWR, 0)
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("copying more than there is memory: %v, %v", d, err)
	}
	if used := w.mem.Stats().Total; used != 0 {
		t.Errorf("%d bytes are taken", used)
	}
	same(t, "it is as it was", w.text("full")[:3], "xxx")
	w.write("full", "y", unix.O_TRUNC)
	same(t, "truncated, nothing is copied", w.text("full"), "y")
}

// Names and files that guests make are counted.
func TestFilesAreBounded(t *testing.T) {
	w := newOver(t, 0, 20, "a=a", "b=b", "d/")
	made := 0
	for ; made < 100; made++ {
		if err := w.Mkdir(at(fmt.Sprintf("d/%d", made)), 0o755); err != nil {
			same(t, "too many", name(err), "ENOSPC")
			break
		}
	}
	if made < 5 || made > 10 {
		t.Errorf("%d directories were made", made)
	}
	for i := range made {
		must(t, w.Rmdir(at(fmt.Sprintf("d/%d", i))))
	}
	for i := range 100 { // all that was given back can be had again
		must(t, w.Mkdir(at(fmt.Sprintf("d/x%d", i)), 0o755))
		must(t, w.Rmdir(at(fmt.Sprintf("d/x%d", i))))
	}
	same(t, "link", name(w.Symlink(strings.Repeat("x", 4000), at("long"))), "<nil>")
}

// A symbolic link counts by the length of its text, and gives that back.
func TestSymlinkTextsAreBounded(t *testing.T) {
	w := newOver(t, 0, 34, "d/")
	text := strings.Repeat("x", 4000)
	for range 3 {
		must(t, w.Symlink(text, at("d/a")))
		must(t, w.Symlink(text, at("d/b")))
		must(t, w.Symlink(text, at("d/c")))
		same(t, "too long a text", name(w.Symlink(text, at("d/d"))), "ENOSPC")
		must(t, w.Symlink("short", at("d/d")))
		for _, f := range []string{"d/a", "d/b", "d/c", "d/d"} {
			must(t, w.Unlink(at(f)))
		}
	}
}
