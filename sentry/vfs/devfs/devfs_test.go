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
		ready int16
	}{
		{"null", "", 0, vfs.PollRead | vfs.PollWrite},
		{"zero", "\x00\x00\x00\x00\x00", 0, vfs.PollRead | vfs.PollWrite},
		{"full", "\x00\x00\x00\x00\x00", unix.ENOSPC, vfs.PollRead | vfs.PollWrite},
		{"random", "\x04\x04\x04\x04\x04", 0, vfs.PollRead},
		{"urandom", "\x04\x04\x04\x04\x04", 0, vfs.PollRead | vfs.PollWrite},
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
		if at, err := d.Seek(3, unix.SEEK_SET); at != 0 || err != nil {
			t.Errorf("%s: lseek %d, %v", c.name, at, err)
		}
		if d.File().(vfs.Waiter).Ready() != c.ready {
			t.Errorf("%s is not ready, or too much", c.name)
		}
	}
}

// Mappings of zero are anonymous memory; private ones say whose.
func TestZeroIsMapped(t *testing.T) {
	m := open(t, "zero", unix.O_RDWR).File().(vfs.Mapper)
	o := memmap.MMapOpts{Private: true}
	if err := m.ConfigureMMap(&o); err != nil || o.Mappable != nil || o.MaxPerms != memmap.AnyAccess || o.Identity.MappedName() != "/dev/zero" {
		t.Errorf("%+v, %v", o, err)
	}
	o = memmap.MMapOpts{}
	if err := m.ConfigureMMap(&o); err != nil || o.Mappable != nil || o.Identity != nil || o.MaxPerms != memmap.AnyAccess {
		t.Errorf("%+v, %v", o, err)
	}
	if _, ok := open(t, "null", unix.O_RDWR).File().(vfs.Mapper); ok {
		t.Error("null can be mapped")
	}
}

// What is written to null is not looked at; what is written to random is.
func TestSinks(t *testing.T) {
	for name, want := range map[string]error{"null": nil, "zero": nil, "full": unix.ENOSPC} {
		s := open(t, name, unix.O_RDWR).File().(vfs.Sink)
		if n, err := s.Swallow(7); !errors.Is(err, want) || err == nil && n != 7 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if _, ok := open(t, "random", unix.O_RDWR).File().(vfs.Sink); ok {
		t.Error("random swallows")
	}
}

// The directory lists what can be found in it.
func TestDirectory(t *testing.T) {
	fs := New()
	fs.Places = []string{"pts", "shm"}
	c, err := vfs.NewTree(fs).NewContext("/")
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Open(vfs.Where{Path: "/"}, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.DecRef()
	names := map[string]bool{}
	err = d.ReadDir(func(e vfs.Dirent) bool {
		names[e.Name] = true
		st, err := c.Stat(vfs.Where{Path: e.Name}, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || st.Ino != e.Inode || uint32(e.Type)<<12 != st.Mode&unix.S_IFMT {
			t.Errorf("%+v: %+v, %v", e, st, err)
		}
		return true
	})
	if err != nil || !names["null"] || !names["stdin"] || !names["."] || !names["shm"] || len(names) != 15 {
		t.Errorf("%v, %v", names, err)
	}
	for _, path := range []string{"shm/x", "null/x"} {
		if _, err := c.Stat(vfs.Where{Path: path}, 0); !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := c.Readlink(vfs.Where{Path: "stdout"}); text != "/proc/self/fd/1" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
