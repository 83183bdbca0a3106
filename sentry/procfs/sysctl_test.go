package procfs_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/sentry/vfs"
)

// set writes text to a setting as uid.
func (w *world) set(uid uint32, name, text string) error {
	c, err := w.tree.NewContext("/")
	if err != nil {
		return err
	}
	defer c.Release()
	d, err := c.Open(vfs.Where{Path: "/proc/sys/vm/" + name, Caller: vfs.Caller{UID: uid}}, unix.O_WRONLY|unix.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer d.DecRef() //nolint:errcheck // nothing is written out
	_, err = d.Write([]byte(text))
	return err
}

// Root changes the overcommit settings, of which ratio and kbytes exclude each other;
// nobody else does.
func TestOvercommitSettings(t *testing.T) {
	w := newWorld(t)
	mem := w.Config().Memory
	for _, tt := range []struct {
		uid        uint32
		name, text string
		errno      unix.Errno
		want       pgalloc.Overcommit
	}{
		{1000, "overcommit_memory", "2", unix.EACCES, pgalloc.DefaultOvercommit},
		{0, "overcommit_memory", "2\n", 0, pgalloc.Overcommit{Mode: pgalloc.OvercommitNever, Ratio: 50}},
		{0, "overcommit_memory", "3", unix.EINVAL, pgalloc.Overcommit{Mode: pgalloc.OvercommitNever, Ratio: 50}},
		{0, "overcommit_kbytes", " 0x1000 7", 0, pgalloc.Overcommit{Mode: pgalloc.OvercommitNever, KBytes: 4096}},
		{0, "overcommit_kbytes", "-1", unix.EINVAL, pgalloc.Overcommit{Mode: pgalloc.OvercommitNever, KBytes: 4096}},
		{0, "overcommit_ratio", "70", 0, pgalloc.Overcommit{Mode: pgalloc.OvercommitNever, Ratio: 70}},
		{0, "overcommit_ratio", "4294967296", unix.EINVAL, pgalloc.Overcommit{Mode: pgalloc.OvercommitNever, Ratio: 70}},
	} {
		err := w.set(tt.uid, tt.name, tt.text)
		if tt.errno == 0 && err != nil || tt.errno != 0 && !errors.Is(err, tt.errno) || mem.Overcommit() != tt.want {
			t.Errorf("%d writes %q to %s: %v, %+v", tt.uid, tt.text, tt.name, err, mem.Overcommit())
		}
	}
	if got := w.read(t, "/proc/sys/vm/overcommit_ratio", vfs.Caller{UID: 1000}); got != "70\n" {
		t.Errorf("overcommit_ratio is %q", got)
	}
}

// Committed_AS and CommitLimit are what the memory file says.
func TestMeminfo(t *testing.T) {
	w := newWorld(t)
	mem := w.Config().Memory
	mem.SetLimit(1 << 30)
	mem.Commit(12 << 20)
	text := w.read(t, "/proc/meminfo", vfs.Caller{})
	mem.Commit(-12 << 20)
	for _, line := range []string{"MemTotal:        1048576 kB\n", "CommitLimit:      524288 kB\n", "Committed_AS:      12288 kB\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
}
