package difftest

import (
	"os"
	"regexp"
	"testing"

	"mmsh.dev/mmsh/sentry"
)

// TestDifferentialWritten: a guest that changes a directory of the host's through the
// sandbox finds what it finds natively, on a disk and on a tmpfs.
func TestDifferentialWritten(t *testing.T) {
	for _, c := range []struct{ name, in string }{{"tree", "/dev/shm"}, {"written", "/dev/shm"}, {"written", ""}} {
		prog := Build(t, c.name, "-static")
		for _, o := range []Options{{}, {Sched: sentry.SchedFree}} {
			t.Run(c.name+c.in, func(t *testing.T) { compareWritten(t, prog, c.in, o) })
		}
	}
}

// compareWritten runs prog natively and as a guest in a directory below in that is
// empty at first, and compares also what they leave there.
func compareWritten(t *testing.T, prog, in string, o Options) {
	t.Helper()
	dir, err := os.MkdirTemp(in, "difftest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o.Written = dir
	var left [2]string
	var results [2]Result
	for i, run := range []func(testing.TB, string, Options) Result{Native, Run} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		results[i] = run(t, prog, o)
		left[i] = contents(t, dir)
	}
	for i := range results { // of dirty pages it is the host's choice when blocks are allocated
		results[i].Stdout = blocks.ReplaceAllString(Inodes(results[i].Stdout), "blocks -")
		results[i].Stdout = nameless.ReplaceAllString(results[i].Stdout, "#-")
	}
	diff(t, "stdout", results[0].Stdout, results[1].Stdout)
	diff(t, "stderr", results[0].Stderr, results[1].Stderr)
	diff(t, "status", results[0].Status, results[1].Status)
	diff(t, "files left", left[0], left[1])
}

var (
	blocks   = regexp.MustCompile(`blocks \d+`)
	nameless = regexp.MustCompile(`#\d+`) // an O_TMPFILE's inode number
)

// contents lists the files of dir with their bytes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all += e.Type().String() + " " + e.Name() + "\n"
		if e.Type().IsRegular() {
			b, err := os.ReadFile(dir + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			all += string(b) + "\n"
		}
	}
	return all
}
