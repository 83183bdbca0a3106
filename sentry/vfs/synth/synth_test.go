package synth

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// A text says what it said when it was opened, however often it is read.
func TestTextsAreSnapshots(t *testing.T) {
	n := byte('0')
	text := &Text{Attr: Attr{Mode: 0o444, Ino: 5}, Make: func() ([]byte, error) {
		n++
		return []byte{'a', n}, nil
	}}
	open := func() *vfs.Description {
		f, err := text.Open(unix.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		return vfs.NewDescription(f, unix.O_RDONLY, "text")
	}
	one, two := open(), open()
	for range 2 {
		b := make([]byte, 10)
		if n, err := one.Read(b, nil); string(b[:n]) != "a1" || err != nil {
			t.Errorf("%q, %v", b[:n], err)
		}
		if n, err := two.PRead(b, 1); string(b[:n]) != "2" || err != nil {
			t.Errorf("%q, %v", b[:n], err)
		}
		if n, err := two.PRead(b, 1<<40); n != 0 || err != nil {
			t.Errorf("%d bytes, %v beyond the end", n, err)
		}
		if _, err := one.Seek(0, unix.SEEK_SET); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := one.Seek(0, unix.SEEK_END); !errors.Is(err, unix.EINVAL) {
		t.Errorf("seek to the end: %v", err)
	}
	if _, err := text.Open(unix.O_RDWR); !errors.Is(err, unix.EACCES) {
		t.Errorf("for writing: %v", err)
	}
	if st, err := text.Stat(); err != nil || st.Mode != unix.S_IFREG|0o444 || st.Ino != 5 || st.Size != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

// A directory is read in pieces from any place on.
func TestDirs(t *testing.T) {
	d := &Dir{Attr: Attr{Ino: 1}, Parent: 9, List: func() ([]vfs.Dirent, error) {
		return []vfs.Dirent{{Name: "a", Inode: 2}, {Name: "b", Inode: 3}}, nil
	}}
	f, err := d.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[int64]int{-5: 4, 0: 4, 1: 3, 3: 1, 4: 0, 1 << 60: 0} {
		list, err := f.(vfs.Dir).ReadDir(from)
		if len(list) != want || err != nil {
			t.Errorf("from %d: %v, %v", from, list, err)
		}
		for i, e := range list {
			if e.Next != max(from, 0)+int64(i)+1 {
				t.Errorf("from %d: %+v", from, e)
			}
		}
	}
}
