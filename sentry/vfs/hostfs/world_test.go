package hostfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/devfs"
	"mmsh.dev/mmsh/sentry/vfs/hostfs"
)

// world is a tree over a temporary directory. Its end checks that nothing is left.
type world struct {
	*vfs.Context
	dir   string
	root  int // a handle of dir, for the host's opinion
	cache *pagecache.Cache
}

func newWorld(t testing.TB) *world {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cache := pagecache.New(mem)
	fs, err := hostfs.New(dir, cache)
	if err != nil {
		t.Fatal(err)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	startPoller(t)
	before := openFDs(t)
	tree := vfs.NewTree(fs)
	tree.Mount("/dev", devfs.New())
	c, err := tree.NewContext("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if after := openFDs(t); after != before {
			t.Errorf("%d descriptors are left open", after-before)
		}
		_ = unix.Close(root)
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
		if err := mem.Close(); err != nil {
			t.Errorf("memory is left: %v", err)
		}
	})
	return &world{c, dir, root, cache}
}

// startPoller makes Go's runtime open the descriptors that it keeps for itself.
func startPoller(t testing.TB) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = r.Close(), w.Close()
}

func openFDs(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// file makes a file, with the directories above it.
func (w *world) file(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// link makes a symbolic link.
func (w *world) link(t testing.TB, text, name string) {
	t.Helper()
	if err := os.Symlink(text, filepath.Join(w.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// open opens a path that must be there.
func (w *world) open(t testing.TB, path string, flags int) *vfs.Description {
	t.Helper()
	d, err := w.Open(vfs.Where{Path: path}, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.DecRef(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// hostRoot returns a Context in the host's whole tree.
func hostRoot(t testing.TB, w *world) *vfs.Context {
	t.Helper()
	fs, err := hostfs.New("/", w.cache)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fs.Close() })
	c, err := vfs.NewTree(fs).NewContext("/")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
