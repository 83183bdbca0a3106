package memfs

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/sentry/vfs"
)

// newWorld returns an empty file system at the root of a tree, in memory of at most
// limit bytes. At the end nothing of it may be left.
func newWorld(t *testing.T, limit uint64) (*vfs.Context, *pgalloc.MemoryFile) {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	fs := New(mem, Options{Mode: 0o755, Minor: 41})
	t.Cleanup(func() {
		if err := errors.Join(fs.Close(), mem.Close()); err != nil {
			t.Error(err)
		}
	})
	c, err := vfs.NewTree(fs).NewContext("/")
	if err != nil {
		t.Fatal(err)
	}
	return c, mem
}

func create(t *testing.T, c *vfs.Context, path string) *vfs.Description {
	t.Helper()
	d, err := c.Open(vfs.Where{Path: path}, unix.O_RDWR|unix.O_CREAT, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A full memory takes what fits and says ENOSPC; fallocate takes all or nothing.
func TestFull(t *testing.T) {
	const limit = 64 << 10
	c, mem := newWorld(t, limit)
	d := create(t, c, "f")
	if err := d.Allocate(0, 0, limit+1); !errors.Is(err, unix.ENOSPC) || mem.Stats().Total != 0 {
		t.Errorf("fallocate: %v, %d bytes taken", err, mem.Stats().Total)
	}
	if n, err := d.Write(make([]byte, limit+100)); n != limit || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("write: %d, %v", n, err)
	}
	if n, err := d.Write([]byte{1}); n != 0 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("write to a full memory: %d, %v", n, err)
	}
	if err := d.Truncate(4096); err != nil {
		t.Error(err)
	}
	if n, err := d.PWrite([]byte{1}, 1<<40); n != 1 || err != nil || mem.Stats().Total != 8192 {
		t.Errorf("far write: %d, %v, %d bytes taken", n, err, mem.Stats().Total)
	}
	if err := d.DecRef(); err != nil {
		t.Error(err)
	}
}

// A file's pages live until its last name, descriptor and handle are gone.
func TestUnlinkedWhileOpen(t *testing.T) {
	c, mem := newWorld(t, 0)
	d := create(t, c, "f")
	if _, err := d.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	handle, err := c.Open(vfs.Where{Path: "f"}, unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Unlink(vfs.Where{Path: "f"}); err != nil {
		t.Fatal(err)
	}
	if d.Path() != "/f (deleted)" {
		t.Errorf("path %q", d.Path())
	}
	for _, d := range []*vfs.Description{d, handle} {
		if mem.Stats().Total != 4096 {
			t.Errorf("%d bytes while it is open", mem.Stats().Total)
		}
		if err := d.DecRef(); err != nil {
			t.Error(err)
		}
	}
	if mem.Stats().Total != 0 {
		t.Errorf("%d bytes left", mem.Stats().Total)
	}
}

// A file is an array of bytes, whatever is done to its length and its holes.
func TestFileAgainstModel(t *testing.T) {
	c, mem := newWorld(t, 0)
	d := create(t, c, "f")
	rng := rand.New(rand.NewPCG(1, 2))
	var model []byte
	grow := func(n int64) {
		if n > int64(len(model)) {
			model = append(model, make([]byte, n-int64(len(model)))...)
		}
	}
	for step := range 5000 {
		off, n := rng.Int64N(100_000), 1+rng.Int64N(20_000)
		var err error
		switch rng.IntN(5) {
		case 0:
			err = d.Truncate(off)
			grow(off)
			model = model[:off:off]
		case 1:
			err = d.Allocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
			clear(model[min(off, int64(len(model))):min(off+n, int64(len(model)))])
		case 2:
			err = d.Allocate(0, off, n)
			grow(off + n)
		default:
			b := bytes.Repeat([]byte{byte(step)}, int(n))
			_, err = d.PWrite(b, off)
			grow(off + n)
			copy(model[off:], b)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(model)+1)
		if k, err := d.PRead(got, 0); k != len(model) || err != nil || !bytes.Equal(got[:k], model) {
			t.Fatalf("step %d: %d bytes of %d, %v, equal %v", step, k, len(model), err, bytes.Equal(got[:k], model))
		}
	}
	if err := errors.Join(mem.CheckInvariants(), d.DecRef()); err != nil {
		t.Error(err)
	}
}
