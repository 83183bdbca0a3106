package memfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/hostfs"
	"mmsh.dev/mmsh/sentry/vfs/memfs"
)

// canary is what no guest may read or change.
const canary = "outside"

// jail is a directory "in" beside a canary, and a world that was given "in" only.
//
// It is there to be changed, too: at /rw, written through to the host.
func jail(t *testing.T) (c *vfs.Context, outside, in string) {
	t.Helper()
	outside = t.TempDir()
	in = filepath.Join(outside, "in")
	must(t, os.MkdirAll(filepath.Join(in, "d/e/f"), 0o755))
	must(t, os.MkdirAll(filepath.Join(outside, "other"), 0o755))
	for _, f := range []string{"canary", "other/canary"} {
		must(t, os.WriteFile(filepath.Join(outside, f), []byte(canary), 0o666))
	}
	must(t, os.WriteFile(filepath.Join(in, "file"), []byte("inside"), 0o644))
	links := map[string]string{
		"abs": outside + "/canary", "rel": "../canary", "far": strings.Repeat("../", 40) + outside[1:] + "/canary", "up": "..", "d/up": "../..", "d/e/top": "../../..",
		"root": "/", "self": "/proc/self/root", "cwd": "/proc/self/cwd", "fd": "/proc/self/fd", "dev": "/dev/fd", "dot": "./../canary", "loop": "loop", "a": "b", "b": "a",
		"slash": "/../canary", "two": "up/canary", "three": "d/up/up/canary", "newline\n": "../canary", `back\slash`: `..\..\canary`, "pid1": "/proc/1/root",
	}
	for name, to := range links {
		must(t, os.Symlink(to, filepath.Join(in, name)))
	}
	mem, err := pgalloc.New(pgalloc.Options{})
	must(t, err)
	cache := pagecache.New(mem)
	lower, err := hostfs.New(in, cache)
	must(t, err)
	over, err := memfs.NewOver(lower, mem, memfs.Options{})
	must(t, err)
	through, err := hostfs.NewWritable(in, cache, hostfs.Options{At: "/rw"})
	must(t, err)
	tree := vfs.NewTree(over)
	tree.Mount("/rw", through)
	c, err = tree.NewContext("/")
	must(t, err)
	t.Cleanup(func() {
		c.Release()
		err := over.Close()
		must(t, through.Close())
		cache.Evict(1 << 62)
		must(t, err)
		must(t, lower.Close())
		must(t, mem.Close())
		for _, f := range []string{"canary", "other/canary"} {
			b, err := os.ReadFile(filepath.Join(outside, f))
			must(t, err)
			same(t, f, string(b), canary)
		}
	})
	return c, outside, in
}

// tricks are paths that try to leave.
func tricks(outside string) (all []string) {
	all = []string{
		outside + "/canary", "../canary", "/../canary", "d/../../canary", "d/e/f/../../../../canary", "./../canary", "//../canary", "..//canary", "../../../../../../canary",
		"abs", "rel", "far", "dot", "slash", "two", "three", "newline\n", `back\slash`, "up/canary", "d/up/canary", "d/up/up/canary", "d/e/top/canary", "d/e/top/../canary",
		"root" + outside + "/canary", "root/../canary", "self/canary", "self" + outside + "/canary", "self/../canary", "cwd/../canary", "cwd/canary", "fd/0/../canary", "fd/3/../canary",
		"dev/3/../canary", "pid1" + outside + "/canary", "pid1/../canary", "/proc/self/root" + outside + "/canary", "/proc/self/cwd/../canary", "/proc/1/cwd/../canary", "loop/../canary",
		"a/../canary", "file/../canary", "file/../../canary", "d/./.././../canary", "up/up/up/canary", "d/up/d/up/d/up/canary", "\x00../canary", "..\n/canary", `..\canary`, "...", ".. /canary",
		strings.Repeat("../", 1000) + "canary", strings.Repeat("d/../", 700) + "../canary", strings.Repeat("./", 1500) + "../canary", strings.Repeat("x", 256) + "/../canary",
		strings.Repeat("../", 300) + outside[1:] + "/canary",
	}
	for _, prefix := range []string{"d/", "d/e/", "up/", "root/", "d/up/", "d/e/top/", "./", "../", "d/e/f/../", "self/", "cwd/"} {
		for _, tail := range []string{"../canary", "../../canary", "../other/canary", "../../../../canary", "up/../canary"} {
			all = append(all, prefix+tail)
		}
	}
	return all
}

// No path leads to the canary: to read, to write, to make, to link or to move it.
func TestNoPathLeavesTheTree(t *testing.T) {
	c, outside, _ := jail(t)
	all := tricks(outside)
	if len(all) < 100 {
		t.Fatalf("only %d tricks", len(all))
	}
	base, err := c.Open(at("d/e"), unix.O_PATH, 0)
	must(t, err)
	defer base.DecRef() //nolint:errcheck // a handle
	through, err := c.Open(at("/rw/d/e"), unix.O_PATH, 0)
	must(t, err)
	defer through.DecRef() //nolint:errcheck // a handle
	for _, path := range all {
		for _, start := range []*vfs.Description{nil, base, through} {
			for _, resolve := range []uint64{0, unix.RESOLVE_IN_ROOT, unix.RESOLVE_BENEATH} {
				tryAll(t, c, vfs.Where{Path: path, At: start, Resolve: resolve})
			}
		}
	}
}

// tryAll does to w what could show or harm the canary.
func tryAll(t *testing.T, c *vfs.Context, w vfs.Where) {
	t.Helper()
	for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR, unix.O_WRONLY | unix.O_CREAT, unix.O_WRONLY | unix.O_TRUNC} {
		d, err := c.Open(w, flags, 0o644)
		if err != nil {
			continue
		}
		if flags == unix.O_RDONLY {
			b := make([]byte, 100)
			if n, _ := d.PRead(b, 0); string(b[:n]) == canary {
				t.Errorf("%q shows the canary", w.Path)
			}
		} else {
			_, _ = d.Write([]byte("changed")) // the jail looks at the canary in the end
		}
		must(t, d.DecRef())
	}
	_ = c.Truncate(w, 0)
	_ = c.Chmod(w, 0)
	_ = c.Link(w, at("linked"), unix.AT_SYMLINK_FOLLOW)
	if b, err := c.Open(at("linked"), unix.O_RDONLY, 0); err == nil {
		buf := make([]byte, 100)
		if n, _ := b.PRead(buf, 0); string(buf[:n]) == canary {
			t.Errorf("%q can be linked", w.Path)
		}
		must(t, b.DecRef())
	}
	_ = c.Unlink(at("linked"))
}

// While the host swaps directories, files and symbolic links, no opening reads what
// lies outside.
func TestNoRaceLeavesTheTree(t *testing.T) {
	c, outside, in := jail(t)
	must(t, os.MkdirAll(filepath.Join(in, "swap/x"), 0o755))
	must(t, os.WriteFile(filepath.Join(in, "swap/x/canary"), []byte("inside"), 0o644))
	must(t, os.WriteFile(filepath.Join(in, "swap/canary"), []byte("inside"), 0o644))
	must(t, os.Symlink(outside, filepath.Join(in, "link")))
	stop := make(chan struct{})
	var host sync.WaitGroup
	host.Go(func() {
		path := func(p string) string { return filepath.Join(in, p) }
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = unix.Renameat2(unix.AT_FDCWD, path("swap"), unix.AT_FDCWD, path("link"), unix.RENAME_EXCHANGE)
			_ = os.Rename(path("swap/x"), filepath.Join(outside, "x")) // out of the tree, and back
			_ = os.Rename(filepath.Join(outside, "x"), path("swap/x"))
		}
	})
	const rounds = 3000
	opened := 0
	for i := range rounds {
		for _, path := range []string{
			"swap/canary", "swap/x/canary", "swap/x/../canary", "swap/x/../../canary", "link/x/../../canary",
			"rw/swap/canary", "rw/swap/x/canary", "rw/swap/x/../../canary", "rw/link/x/../../canary",
		} {
			d, err := c.Open(at(path), unix.O_RDONLY, 0)
			if err != nil {
				continue
			}
			opened++
			b := make([]byte, 100)
			if n, _ := d.PRead(b, 0); string(b[:n]) == canary {
				t.Errorf("round %d: %s shows the canary", i, path)
			}
			must(t, d.DecRef())
		}
	}
	close(stop)
	host.Wait()
	if opened == 0 {
		t.Error("nothing was ever opened: the race was none")
	}
}

// A directory that the host moves out of the tree while a guest holds it does not
// take the guest with it.
func TestMovedOutDirectories(t *testing.T) {
	c, outside, in := jail(t)
	must(t, c.Chdir(at("d/e")))
	d, err := c.Open(at("/d/e"), unix.O_PATH, 0)
	must(t, err)
	defer d.DecRef() //nolint:errcheck // a handle
	must(t, os.Rename(filepath.Join(in, "d/e"), filepath.Join(outside, "other/e")))
	if list, err := c.Open(at(".."), unix.O_RDONLY, 0); err == nil {
		for _, n := range names(t, list) {
			if n == "canary" {
				t.Error("the directory above is the host's")
			}
		}
		must(t, list.DecRef())
	}
	for _, path := range []string{"../canary", "../../canary", "../../../canary", "f/../../canary", ".."} {
		for _, w := range []vfs.Where{at(path), {Path: path, At: d}} {
			tryAll(t, c, w)
		}
	}
}

// Trees of any depth can be made, used and dropped.
func TestDeepTrees(t *testing.T) {
	c, _, _ := jail(t)
	const depth = 3000
	for range depth {
		must(t, c.Mkdir(at("deep"), 0o755))
		must(t, c.Chdir(at("deep")))
	}
	if cwd, err := c.Getcwd(); err != nil || len(cwd) != depth*len("/deep") {
		t.Errorf("%d bytes, %v", len(cwd), err)
	}
	for i := range depth {
		if err := c.Chdir(at("..")); err != nil {
			t.Fatal(fmt.Errorf("level %d: %w", i, err))
		}
	}
	cwd, err := c.Getcwd()
	must(t, err)
	same(t, "up again", cwd, "/")
}
