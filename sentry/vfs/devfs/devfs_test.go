package devfs

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry/vfs"
)

func open(t *testing.T, name string, flags int) *vfs.Description {
	t.Helper()
	c, err := vfs.NewTree(&FS{Random: bytes.NewReader(bytes.Repeat([]byte{4}, 1000))}).NewContext("/")
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Open(vfs.Where{Path: name}, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.DecRef() })
	return d
}

// Each device does to reads, writes and seeks what Linux's does.
func TestDevices(t *testing.T) {
	for _, c := range []struct {
		name  string
		read  string // of 5 bytes
		write unix.Errno
		seek  int64 // where lseek(3, SEEK_SET) leads
	}{
		{"null", "", 0, 0},
		{"zero", "\x00\x00\x00\x00\x00", 0, 0},
		{"full", "\x00\x00\x00\x00\x00", unix.ENOSPC, 0},
		{"random", "\x04\x04\x04\x04\x04", 0, 10},
		{"urandom", "\x04\x04\x04\x04\x04", 0, 10},
	} {
		d := open(t, c.name, unix.O_RDWR)
		b := []byte("xxxxx")
		n, err := d.Read(b, nil)
		if string(b[:n]) != c.read || err != nil {
			t.Errorf("%s: read %q, %v", c.name, b[:n], err)
		}
		if n == 0 {
			_, _ = d.Write(b) // move the offset
		}
		n, err = d.Write(b)
		if c.write == 0 && (n != 5 || err != nil) || c.write != 0 && !errors.Is(err, c.write) {
			t.Errorf("%s: write %d, %v", c.name, n, err)
		}
		if at, err := d.Seek(3, unix.SEEK_SET); at != c.seek || err != nil {
			t.Errorf("%s: lseek %d, %v", c.name, at, err)
		}
		if d.File().(vfs.Waiter).Ready() != vfs.PollRead|vfs.PollWrite {
			t.Errorf("%s is not ready", c.name)
		}
	}
}

// Private mappings of zero are memory of zeroes.
func TestZeroIsMapped(t *testing.T) {
	m := open(t, "zero", unix.O_RDWR).File().(vfs.Mapper)
	o := memmap.MMapOpts{Private: true}
	if err := m.ConfigureMMap(&o); err != nil || o.Mappable != nil || o.MaxPerms != memmap.AnyAccess {
		t.Errorf("%+v, %v", o, err)
	}
	if err := m.ConfigureMMap(&memmap.MMapOpts{}); !errors.Is(err, unix.ENODEV) {
		t.Error(err)
	}
	if _, ok := open(t, "null", unix.O_RDWR).File().(vfs.Mapper); ok {
		t.Error("null can be mapped")
	}
}

// The directory lists what can be found in it.
func TestDirectory(t *testing.T) {
	c, err := vfs.NewTree(New()).NewContext("/")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	err = open(t, "/", unix.O_RDONLY|unix.O_DIRECTORY).ReadDir(func(e vfs.Dirent) bool {
		names[e.Name] = true
		st, err := c.Stat(vfs.Where{Path: e.Name}, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || st.Ino != e.Inode || uint32(e.Type)<<12 != st.Mode&unix.S_IFMT {
			t.Errorf("%+v: %+v, %v", e, st, err)
		}
		return true
	})
	if err != nil || !names["null"] || !names["stdin"] || !names["."] || len(names) != 12 {
		t.Errorf("%v, %v", names, err)
	}
	if text, err := c.Readlink(vfs.Where{Path: "stdout"}); text != "/proc/self/fd/1" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
