package difftest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mmsh.dev/mmsh/sentry"
)

// behind does to a file of the host's what a guest asks for on its standard error.
type behind struct {
	t    *testing.T
	path string
}

func (b behind) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		var size, off int64
		var c int
		if _, err := fmt.Sscanf(line, "cut %d", &size); err == nil {
			if err := os.Truncate(b.path, size); err != nil {
				b.t.Error(err)
			}
			continue
		}
		if _, err := fmt.Sscanf(line, "put %d %d", &off, &c); err != nil {
			b.t.Errorf("the guest says %q", line)
			continue
		}
		if err := putByte(b.path, off, byte(c)); err != nil {
			b.t.Error(err)
		}
	}
	return len(p), nil
}

func putByte(path string, off int64, c byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte{c}, off)
	return err
}

// TestBehindTheGuestsBack: where the host's files are mapped directly, what somebody
// else does to one is seen at once, and what he cuts off is SIGBUS and EFAULT.
func TestBehindTheGuestsBack(t *testing.T) {
	prog := Build(t, "cut", "-static")
	for _, o := range []Options{{}, {Auto: true, Sched: sentry.SchedFree}} {
		for _, in := range []string{"", "/dev/shm"} {
			dir := tempIn(t, in)
			path := filepath.Join(dir, "file")
			fresh := func() {
				if err := os.WriteFile(path, []byte(strings.Repeat("abcdefgh", 4*4096/8)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			fresh()
			want := Native(t, prog, Options{Cwd: dir, Args: []string{path, "self"}})
			fresh()
			o.HostCache, o.Written, o.Args, o.Stderr = true, dir, []string{path}, behind{t, path}
			got := Run(t, prog, o)
			diff(t, "stdout", want.Stdout, got.Stdout)
			diff(t, "status", want.Status, got.Status)
			fresh()
			o.HostCache, o.Stderr, o.Args = false, nil, []string{path, "self"}
			diff(t, "stdout of the other mode", want.Stdout, Run(t, prog, o).Stdout)
		}
	}
}

// TestHolesStayHoles: who touches pages of a sparse file of the host's makes those pages,
// and is told of room for them at once.
func TestHolesStayHoles(t *testing.T) {
	dir := tempIn(t, "/dev/shm") // whose blocks are its pages
	o := Options{Args: []string{filepath.Join(dir, "file")}}
	prog := Build(t, "holes", "-static")
	want := Native(t, prog, o)
	o.Written = dir
	for _, direct := range []bool{false, true} {
		o.HostCache, o.Auto = direct, direct
		got := Run(t, prog, o)
		diff(t, "stdout", want.Stdout, got.Stdout)
		diff(t, "status", want.Status, got.Status)
	}
}

// tempIn is t.TempDir below in, or where that is if in is empty.
func tempIn(t *testing.T, in string) string {
	t.Helper()
	if in == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(in, "difftest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestDifferentialHostCache: where the host's files are mapped directly, guests see
// what they see otherwise.
func TestDifferentialHostCache(t *testing.T) {
	for _, name := range []string{"maps", "faults", "files", "tail", "mmap", "advise", "fork"} {
		Compare(t, Build(t, name, "-static"), Options{HostCache: true}, Inodes, KernelPages)
	}
	for _, name := range []string{"files", "tail"} {
		Compare(t, Build(t, name, "-static"), Options{HostCache: true, Auto: true}, Inodes, KernelPages)
	}
	settle(t, "../../loader/testdata/mutations.txt")
	Compare(t, Build(t, "smaps", "-static"), Options{HostCache: true}, Inodes, Unmeasured)
	for _, c := range [][2]string{{"tree", "/dev/shm"}, {"written", "/dev/shm"}, {"written", ""}} {
		compareWritten(t, Build(t, c[0], "-static"), c[1], Options{HostCache: true})
	}
}

// counter counts descriptors each time that a guest says something on its standard error.
type counter struct {
	t           *testing.T
	ours, stubs []int
}

func (c *counter) Write(p []byte) (int, error) {
	stub, _, _ := strings.Cut(children(c.t), " ")
	c.ours, c.stubs = append(c.ours, c.descriptors("self")), append(c.stubs, c.descriptors(stub))
	return len(p), nil
}

func (c *counter) descriptors(pid string) int {
	all, err := os.ReadDir("/proc/" + pid + "/fd")
	if err != nil {
		c.t.Error(err)
	}
	return len(all)
}

// TestManyHostFiles: however many files guests map, the stubs have few descriptors for
// them, and when they are unmapped nobody has any.
func TestManyHostFiles(t *testing.T) {
	const n = 1500
	dir := t.TempDir()
	o := Options{HostCache: true, Written: dir, Args: []string{dir, fmt.Sprint(n)}}
	count := &counter{t: t}
	o.Stderr = count
	got := Run(t, Build(t, "many", "-static"), o)
	o.Cwd = dir
	diff(t, "stdout", Native(t, Build(t, "many", "-static"), o).Stdout, got.Stdout)
	if len(count.ours) != 3 {
		t.Fatalf("the guest said so much: %d", len(count.ours))
	}
	if count.ours[0] != count.ours[2] || count.stubs[0] < count.stubs[2] {
		t.Errorf("descriptors at first, in between, at last: ours %v, the stubs' %v", count.ours, count.stubs)
	}
	if count.stubs[1] > 1100 {
		t.Errorf("the stubs have %d descriptors", count.stubs[1])
	}
}
