package difftest

import (
	"os"
	"path/filepath"
	"testing"

	"mmsh.dev/mmsh/sentry"
)

// TestShortOfMemory: what files' pages and MADV_FREE can give back is given back for
// copies by system calls and for populating, not for faults alone.
func TestShortOfMemory(t *testing.T) {
	prog := Build(t, "shortage", "-static")
	from := filepath.Join(t.TempDir(), "from")
	b := make([]byte, 64<<20)
	for i := 0; i < len(b); i += 512 {
		b[i] = byte(i>>9 ^ i>>17)
	}
	if err := os.WriteFile(from, b, 0o600); err != nil {
		t.Fatal(err)
	}
	want := Native(t, prog, Options{Args: []string{from, filepath.Join(t.TempDir(), "to")}})
	for _, o := range []Options{{}, {Auto: true, Sched: sentry.SchedFree}} {
		dir := filepath.Dir(from)
		o.Written, o.Cwd, o.Memory, o.Args = dir, dir, 16<<20, []string{from, filepath.Join(dir, "to")}
		got := Run(t, prog, o)
		diff(t, "stdout", want.Stdout, got.Stdout)
		diff(t, "status", want.Status, got.Status)
		copied, err := os.ReadFile(filepath.Join(dir, "to"))
		if err != nil || string(copied) != string(b) {
			t.Errorf("what was copied into a mapped file differs (%v)", err)
		}
	}
}

// TestPopulatingMoreThanThereIs: mmap says nothing of it, madvise and mlock do.
func TestPopulatingMoreThanThereIs(t *testing.T) {
	const want = `begin EINVAL
1
munmap(p, n, 0, 0, 0, 0) = 0
madvise(p, n, 23, 0, 0, 0) = ENOMEM
munmap(p, n, 0, 0, 0, 0) = 0
mlock(p, n, 0, 0, 0, 0) = EAGAIN
munmap(p, n, 0, 0, 0, 0) = 0
`
	got := Run(t, Build(t, "beyond", "-static"), Options{Memory: 16 << 20})
	diff(t, "stdout", want, got.Stdout)
}
