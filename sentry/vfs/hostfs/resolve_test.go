package hostfs_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// garden makes a tree in which much can go wrong.
func garden(t testing.TB) *world {
	w := newWorld(t)
	w.file(t, "a/b/c/file", "abc")
	w.file(t, "a/file", "a")
	w.file(t, "file", "root")
	w.file(t, "dev2/x", "x")
	for name, text := range map[string]string{
		"abs": "/a/b", "rel": "a/b", "up": "..", "out": "../../../../etc", "far": "/../../etc/passwd",
		"a/b/back": "../..", "a/b/self": ".", "a/tofile": "file", "a/slash": "b/", "a/fslash": "file/",
		"dangling": "nowhere", "loop1": "loop2", "loop2": "loop1", "me": "me/x", "a/absroot": "/",
		"chain1": "chain2", "chain2": "chain3", "chain3": "a/b/c/file", "dots": "a/./b/../b/.//c",
	} {
		w.link(t, text, name)
	}
	return w
}

// hostSays asks the host what path leads to when dir is the root.
func (w *world) hostSays(path string, follow bool) (unix.Stat_t, error) {
	var st unix.Stat_t
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	if !follow {
		how.Flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Openat2(w.root, path, &how)
	for err == unix.EAGAIN { // somebody on the host renames: ".." may be wrong
		fd, err = unix.Openat2(w.root, path, &how)
	}
	if err != nil {
		return st, err
	}
	defer func() { _ = unix.Close(fd) }()
	return st, unix.Fstat(fd, &st)
}

// errnoOf returns the errno in err, 0 for nil.
func errnoOf(t testing.TB, err error) unix.Errno {
	t.Helper()
	var e unix.Errno
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%v has no errno", err)
	}
	return e
}

func (w *world) checkPath(t *testing.T, path string, follow bool) {
	t.Helper()
	want, wantErr := w.hostSays(path, follow)
	flags := 0
	if !follow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	got, err := w.Stat(vfs.Where{Path: path}, flags)
	if a, b := errnoOf(t, wantErr), errnoOf(t, err); a != b {
		t.Errorf("%q (follow %v): the host says %v, we %v", path, follow, a, err)
	} else if err == nil && (got.Ino != want.Ino || got.Dev != want.Dev || got.Mode != want.Mode) {
		t.Errorf("%q (follow %v): inode %d, the host's is %d", path, follow, got.Ino, want.Ino)
	}
}

// Whatever the path, it leads where the host's own resolution within a root leads.
func TestPathsLeadWhereTheHostSays(t *testing.T) {
	w := garden(t)
	long := strings.Repeat("a/../", 900)
	for _, path := range []string{
		"/", ".", "..", "../../..", "/..", "a", "a/", "a/.", "a/b/..", "a/b/c/file", "a/b/c/file/", "a/b/c/file/.", "a/b/c/file/..",
		"a/b/c/file/x", "abs/c/file", "rel/c/file", "abs/../file", "rel/../file", "up/file", "out/passwd", "out", "far", "a/b/back/file",
		"a/b/self/self/self/c", "a/tofile", "a/tofile/", "a/slash", "a/slash/c", "a/fslash", "dangling", "dangling/", "dangling/x",
		"loop1", "loop1/x", "me", "a/absroot/file", "a/absroot/a/absroot/a/absroot/file", "chain1", "chain1/", "dots", "dots/file",
		"", "nowhere", "nowhere/x", "nowhere/..", "a//b///c", "//a//b", "a/b/c/../../../a/b/c/file", "up/up/up/a", "dev2/x",
		strings.Repeat("n", 255), strings.Repeat("n", 256), "a/" + strings.Repeat("n", 256) + "/x", long + "file", long + long, "a\x00b",
	} {
		if strings.Contains(path, "\x00") {
			continue // no guest can say it
		}
		w.checkPath(t, path, true)
		w.checkPath(t, path, false)
	}
}

// The same for paths drawn at random.
func TestRandomPathsLeadWhereTheHostSays(t *testing.T) {
	w := garden(t)
	names := []string{"a", "b", "c", "file", "abs", "rel", "up", "out", "far", "back", "self", "tofile", "slash", "fslash",
		"dangling", "loop1", "me", "absroot", "chain1", "dots", "..", "..", ".", "", "nowhere"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		parts := make([]string, 1+rnd.IntN(7))
		for i := range parts {
			parts[i] = names[rnd.IntN(len(names))]
		}
		w.checkPath(t, strings.Join(parts, "/"), rnd.IntN(2) == 0)
	}
}

// The sandbox's own /dev lies over whatever the host has there, also when a link
// leads to it.
func TestMountsLieOverTheHost(t *testing.T) {
	w := newWorld(t)
	w.file(t, "dev/null", "the host's")
	w.link(t, "dev", "link")
	w.link(t, "../dev/null", "dev/x")
	for _, path := range []string{"/dev/null", "dev/null", "link/null", "link/../dev/./null", "dev/../dev/null"} {
		st, err := w.Stat(vfs.Where{Path: path}, 0)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
			t.Errorf("%s: mode %o, %v", path, st.Mode, err)
		}
	}
	if _, err := w.Stat(vfs.Where{Path: "/dev/x"}, 0); errnoOf(t, err) != unix.ENOENT {
		t.Errorf("the host's /dev is seen: %v", err)
	}
}

// A directory that turns into a link to the outside and back, as fast as it can,
// never lets a path out.
func TestRenamesUnderWayLetNothingOut(t *testing.T) {
	w := newWorld(t)
	w.file(t, "a/b/secret", "inside")
	w.file(t, "spare/secret", "inside")
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	depth := strings.Repeat("../", 30)
	w.link(t, depth+strings.TrimPrefix(outside, "/"), "evil")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(w.root, "a/b", w.root, "evil", unix.RENAME_EXCHANGE)
				_ = unix.Renameat2(w.root, "a", w.root, "spare", unix.RENAME_EXCHANGE)
			}
		}
	}()
	for range 3000 {
		for _, path := range []string{"a/b/secret", "a/b/../b/secret", "a/b/" + depth + "secret", "spare/b/secret", "evil/secret"} {
			d, err := w.Open(vfs.Where{Path: path}, unix.O_RDONLY, 0)
			if err != nil {
				continue
			}
			buf := make([]byte, 10)
			n, _ := d.Read(buf, nil)
			if string(buf[:n]) != "inside" {
				t.Errorf("%s reads %q", path, buf[:n])
			}
			_ = d.DecRef()
		}
	}
	close(stop)
	<-stopped
}
