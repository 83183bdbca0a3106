package difftest

import (
	"os"
	"testing"

	"mmsh.dev/mmsh/sentry"
)

// TestDifferentialTree: a guest that changes files in memory of ours finds what it
// finds natively on a tmpfs.
func TestDifferentialTree(t *testing.T) {
	inScratch(t, "tree")
}

// inScratch compares what a guest says that has an empty directory of its own.
func inScratch(t *testing.T, name string) {
	t.Helper()
	prog := Build(t, name, "-static")
	for _, o := range []Options{{}, {Auto: true, Sched: sentry.SchedFree}} {
		o.Scratch = scratch(t)
		Compare(t, prog, o, Inodes)
	}
}

// TestDifferentialFiles: the calls on files that need some to be made.
func TestDifferentialFiles(t *testing.T) {
	for _, name := range []string{"locks", "xattr", "splice", "dirs", "nodes", "mounts", "xattrat"} {
		t.Run(name, func(t *testing.T) { inScratch(t, name) })
	}
}

// scratch makes an empty directory on a tmpfs of the host.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "difftest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSendfileShares: two sendfiles of one open file send no byte twice.
func TestSendfileShares(t *testing.T) {
	r := Run(t, Build(t, "sendshare", "-static"), Options{Sched: sentry.SchedFree})
	if r.Stdout != "each page once\n" {
		t.Errorf("the guest says:\n%v", r)
	}
}
