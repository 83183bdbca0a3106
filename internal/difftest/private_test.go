package difftest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
)

// comparePrivately runs prog natively in a directory that fill has filled, and then
// as a guest in the same directory, filled anew: the guest finds there what the
// native one did, and leaves the host's directory as it was.
func comparePrivately(t *testing.T, prog string, o Options, dir string, fill func(dir string), masks ...Mask) {
	t.Helper()
	o.Scratch, o.Private = dir, true
	fill(dir)
	want := Native(t, prog, o)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	fill(dir)
	before := picture(t, dir)
	same(t, want, Run(t, prog, o), masks...)
	if after := picture(t, dir); after != before {
		t.Errorf("the guest changed the host's directory from\n%s\nto\n%s", before, after)
	}
}

// picture is all that can be seen of a directory but for access times.
func picture(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		text := ""
		if d.Type() == 0 {
			all, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(all)
		}
		fmt.Fprintf(&b, "%s %o %d %d %v %v %q\n", path, st.Mode, st.Nlink, st.Size, st.Mtim, st.Ctim, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDifferentialTreePrivate: under the private layer a guest finds the same as
// natively on the tmpfs below.
func TestDifferentialTreePrivate(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH) //nolint:errcheck // the directory's removal would fail
	prog := Build(t, "tree", "-static")
	for _, o := range []Options{{}, {Auto: true, Sched: sentry.SchedFree}} {
		comparePrivately(t, prog, o, dir, func(string) {}, Inodes, ownMount)
	}
}

// TestDifferentialShared: a file of the host that is mapped, open, changed and cut
// short under the private layer behaves as one file.
func TestDifferentialShared(t *testing.T) {
	prog := Build(t, "copyup", "-static")
	for _, o := range []Options{{}, {Auto: true, Sched: sentry.SchedFree}} {
		comparePrivately(t, prog, o, t.TempDir(), fillTree(t), Inodes)
	}
}

// TestDifferentialPaths: openat2, chroot, and directories that move or go.
func TestDifferentialPaths(t *testing.T) {
	comparePrivately(t, Build(t, "openat2", "-static"), Options{}, t.TempDir(), fillTree(t))
}

// ownMount hides what tells a file system of one's own from a directory of one: its
// kind, how the directory itself counts its size, and that it is not the one of "/".
func ownMount(s string) string {
	return regexp.MustCompile(`(?m)^(statfs \S+|  \.: .*|rename\(r/full, /, 0\) = )`).ReplaceAllString(
		strings.Replace(s, "(r/full, /, 0) = EXDEV", "(r/full, /, 0) = EBUSY", 1), "-")
}

// fillTree makes some files.
func fillTree(t *testing.T) func(dir string) {
	return func(dir string) {
		var err error
		do := func(e error) {
			if err == nil {
				err = e
			}
		}
		in := func(name string) string { return filepath.Join(dir, name) }
		do(os.MkdirAll(in("src/deep/er"), 0o755))
		do(os.WriteFile(in("src/a"), []byte(strings.Repeat("line of a\n", 2000)), 0o644))
		do(os.WriteFile(in("src/b.txt"), []byte("b\nbb\nbbb\n"), 0o600))
		do(os.WriteFile(in("src/deep/c"), nil, 0o755))
		do(os.WriteFile(in("src/deep/er/d"), []byte("deep\n"), 0o444))
		do(os.Symlink("a", in("src/link")))
		do(os.Symlink("../nowhere", in("src/deep/broken")))
		do(os.Link(in("src/a"), in("hard")))
		do(os.WriteFile(in("hole"), []byte("start"), 0o644))
		do(os.Truncate(in("hole"), 1<<20))
		do(os.Mkdir(in("empty"), 0o755))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDifferentialWriters runs Debian's busybox-static as far as it writes.
func TestDifferentialWriters(t *testing.T) {
	const busybox = "/bin/busybox"
	for _, line := range []string{
		"mkdir -pv new/a/b", "mkdir src", "cp -rv src copy", "cp -a src/link src/a empty", "cp hole copy", "mv -v src moved", "mv src/a src/deep", "mv src empty", "mv src src/deep",
		"rm -v hard", "rm src", "rm -rfv src", "rmdir empty src", "ln -sv src/a s", "ln -v src/a h2", "ln src d", "touch x src/a", "touch -d @1000000000 src/a",
		"tar -cvf x.tar src", "tar -cf - src/deep/er", "gzip -v src/a", "gzip -k src/b.txt", "bunzip2 src/a", "sed -i s/b/B/ src/b.txt", "find . -type f -name [a-c]* -delete -print",
		"install -v -m 700 src/b.txt inst", "install -d i/n/s", "dd if=src/a of=out bs=100 count=3", "dd if=src/b.txt of=src/a conv=notrunc", "truncate -s 10 src/a", "truncate -s 1M nosuch",
		"chmod -v 700 src/a", "chmod -Rv u+x src", "split -l 500 src/a part", "tee out new", "shred -u src/b.txt", "fallocate -l 100 x", "sort -o src/b.txt -r src/b.txt",
	} {
		t.Run(line, func(t *testing.T) {
			comparePrivately(t, busybox, Options{Args: strings.Fields(line), Stdin: "typed\n"}, t.TempDir(), fillTree(t))
		})
	}
	for _, script := range []string{
		"mkdir -p a/b; echo x > a/b/c; mv a z; ls -R z; rm -r z; ls", "echo more >> src/a; stat -c '%n %s %h %a' src/a hard", "mv src s; ls -R s; ls -d src; mkdir src; ls -a src; rmdir src",
		"rm src/a; stat -c %h hard; echo > src/a; stat -c %h hard src/a; ls src", "rm -rf src; mkdir src; ls src; ls -a", "ln hard h2; rm hard; stat -c '%n %h' h2 src/a; mv h2 hard; ls",
		"cp -r src s2; rm -r src; mv s2 src; ls -R src", "cd src/deep; rm -r ../deep; ls; mkdir x; cd ..; ls", "chmod 0 src/b.txt; stat -c %a src/b.txt; mv src/b.txt .; stat -c %a b.txt",
		"touch -d @5 src; stat -c %Y src; touch src/n; find src -mmin +1000", "set -C; echo a > src/a; echo $?; echo b >| src/b.txt; read x < src/b.txt; echo $x",
		"truncate -s 5 src/a; stat -c %s hard; truncate -s 9 hard; stat -c %s src/a", "mv -n hard src/b.txt; mv hard src/b.txt; stat -c '%h %n' src/a src/b.txt; ls", "ln -s loop loop; echo x > loop; ls loop/x; rm loop; ls",
	} {
		t.Run("sh "+script, func(t *testing.T) {
			comparePrivately(t, busybox, Options{Args: []string{"sh", "-c", script}}, t.TempDir(), fillTree(t))
		})
	}
}
