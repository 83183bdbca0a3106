package vfs

import (
	"errors"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// scratch is a File that can be written.
type scratch struct {
	dummy
	mu   sync.Mutex
	data []byte
	full int // bytes after which writes would block; 0: never
}

func (s *scratch) Seekable() bool { return true }

func (s *scratch) Stat() (unix.Stat_t, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return unix.Stat_t{Size: int64(len(s.data)), Mode: unix.S_IFREG | 0o640}, nil
}

func (s *scratch) PRead(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copy(p, s.data[min(off, int64(len(s.data))):]), nil
}

func (s *scratch) PWrite(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.full > 0 && int(off)+len(p) > s.full {
		p, err = p[:max(s.full-int(off), 0)], ErrWouldBlock
	}
	if grown := int(off) + len(p); grown > len(s.data) {
		s.data = append(s.data, make([]byte, grown-len(s.data))...)
	}
	return copy(s.data[off:], p), err
}

// Writes go where the offset is and move it, by what was written; with O_APPEND to
// the end; pwrite goes where it is told.
func TestWrites(t *testing.T) {
	s := &scratch{}
	d := NewDescription(s, unix.O_RDWR, "scratch")
	write := func(text string, want int) {
		t.Helper()
		if n, err := d.Write([]byte(text)); n != want || err != nil && !errors.Is(err, ErrWouldBlock) {
			t.Errorf("write %q: %d, %v", text, n, err)
		}
	}
	write("0123456789", 10)
	if _, err := d.Seek(2, unix.SEEK_SET); err != nil {
		t.Fatal(err)
	}
	write("ab", 2)
	if n, err := d.PWrite([]byte("X"), 12); n != 1 || err != nil {
		t.Errorf("pwrite: %d, %v", n, err)
	}
	write("c", 1)
	d.SetFlags(unix.O_APPEND)
	write("end", 3)
	if got, want := string(s.data), "01abc56789\x00\x00Xend"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.full = 18
	write("more", 2)
	if at, _ := d.Seek(0, unix.SEEK_CUR); at != 18 {
		t.Errorf("at %d", at)
	}
}

// What a descriptor was not opened for is EBADF, in Linux's order of checks.
func TestModes(t *testing.T) {
	b := make([]byte, 1)
	for _, c := range []struct {
		flags       int
		read, write unix.Errno
	}{
		{unix.O_RDONLY, 0, unix.EBADF}, {unix.O_WRONLY, unix.EBADF, 0}, {unix.O_RDWR, 0, 0}, {unix.O_PATH, unix.EBADF, unix.EBADF},
	} {
		d := NewDescription(&scratch{data: []byte("x")}, c.flags, "scratch")
		for name, call := range map[string]func() (int, error){
			"read": func() (int, error) { return d.Read(b, nil) }, "pread": func() (int, error) { return d.PRead(b, 0) },
		} {
			if _, err := call(); c.read == 0 && err != nil || c.read != 0 && !errors.Is(err, c.read) {
				t.Errorf("%s with %#o: %v", name, c.flags, err)
			}
		}
		for name, call := range map[string]func() (int, error){
			"write": func() (int, error) { return d.Write(b) }, "pwrite": func() (int, error) { return d.PWrite(b, 0) },
		} {
			if _, err := call(); c.write == 0 && err != nil || c.write != 0 && !errors.Is(err, c.write) {
				t.Errorf("%s with %#o: %v", name, c.flags, err)
			}
		}
	}
	pipe := NewDescription(&dummy{}, unix.O_RDONLY, "pipe")
	if _, err := pipe.PRead(b, -1); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a negative offset comes first: %v", err)
	}
	if _, err := pipe.PWrite(b, 0); !errors.Is(err, unix.ESPIPE) {
		t.Errorf("then what has no offsets: %v", err)
	}
	if _, err := pipe.Seek(0, unix.SEEK_CUR); !errors.Is(err, unix.ESPIPE) {
		t.Error(err)
	}
	if err := pipe.ReadDir(nil); !errors.Is(err, unix.ENOTDIR) {
		t.Error(err)
	}
	if _, err := pipe.Statfs(); !errors.Is(err, unix.ENOSYS) {
		t.Error(err)
	}
}

// Users of one Description never read the same bytes.
func TestOneOffsetForAll(t *testing.T) {
	s := &scratch{data: make([]byte, 40000)}
	for i := range s.data {
		s.data[i] = byte(i / 100)
	}
	d := NewDescription(s, unix.O_RDONLY, "scratch")
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[byte]int)
	for range 8 {
		wg.Go(func() {
			for range 25 {
				b := make([]byte, 100)
				if n, err := d.Read(b, nil); n != 100 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
				mu.Lock()
				seen[b[0]]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i := range 200 {
		if seen[byte(i)] != 1 {
			t.Fatalf("piece %d was read %d times", i, seen[byte(i)])
		}
	}
}

// In a Context without a tree no path leads anywhere.
func TestZeroContext(t *testing.T) {
	c := &Context{}
	if _, err := c.Open(Where{Path: "/"}, 0, 0); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	if c.Cwd() != "/" || c.Fork().Umask(0o7777) != 0 {
		t.Error("odd defaults")
	}
	d := NewDescription(&scratch{}, unix.O_RDWR, "scratch")
	if st, err := c.Stat(Where{At: d}, unix.AT_EMPTY_PATH); err != nil || st.Mode != unix.S_IFREG|0o640 {
		t.Errorf("%o, %v", st.Mode, err)
	}
	for mode, want := range map[uint32]error{unix.R_OK | unix.W_OK: nil, unix.X_OK: unix.EACCES} {
		if err := c.Access(Where{At: d}, mode, unix.AT_EMPTY_PATH); !errors.Is(err, want) {
			t.Errorf("access %d: %v", mode, err)
		}
	}
}

// Who claims bytes at the shared offset has them alone; what is given back comes again,
// unless another has gone on meanwhile.
func TestClaim(t *testing.T) {
	d := NewDescription(&scratch{data: []byte("0123456789")}, unix.O_RDWR, "scratch")
	claim := func(n int, wantOff int64, want string) {
		t.Helper()
		b := make([]byte, n)
		off, n, err := d.Claim(b)
		if off != wantOff || string(b[:n]) != want || err != nil {
			t.Errorf("%d %q %v, want %d %q", off, b[:n], err, wantOff, want)
		}
	}
	claim(4, 0, "0123")
	claim(2, 4, "45")
	d.Unclaim(5, 6)
	claim(1, 5, "5")
	d.Unclaim(1, 4)
	claim(9, 6, "6789")
}

// Streams that have no number have locks of their own each.
func TestStreamsLockApart(t *testing.T) {
	in, out := NewDescription(&dummy{}, unix.O_RDWR, "/dev/stdin"), NewDescription(&dummy{}, unix.O_RDWR, "/dev/stdout")
	a, err := in.lockKey()
	b, err2 := out.lockKey()
	if a == b || err != nil || err2 != nil {
		t.Errorf("%v and %v, %v %v", a, b, err, err2)
	}
}
