package pagecache

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap/safemem"
)

// store is a WritableBacking in memory that fails where told.
type store struct {
	mu     sync.Mutex
	bytes  []byte
	room   int   // writes beyond are ENOSPC; 0: none are
	fail   error // of all writes
	most   int   // bytes that one write takes; 0: any number
	attr   Attr
	set    AttrMask // that have been set
	noAttr error
	noSync error
	syncs  int
	writes int
	closed int
	dice   *rand.Rand // makes it fail now and then, if not nil
}

var errDisk = errors.New("input/output error of the test")

func (s *store) ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off >= uint64(len(s.bytes)) {
		return 0, io.EOF
	}
	return safemem.Copy(dsts, safemem.Of(s.bytes[off:]))
}

func (s *store) Size() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.bytes)), nil
}

func (s *store) Close() error { s.closed++; return nil }
func (s *store) FD() int      { return -1 }

func (s *store) WriteFromBlocksAt(srcs safemem.Seq, off uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		return 0, s.fail
	}
	n, err := srcs.NumBytes(), error(nil)
	if s.most > 0 {
		n = min(n, uint64(s.most))
	}
	if s.dice != nil {
		switch s.dice.IntN(8) {
		case 0:
			err = errDisk
		case 1:
			err = unix.ENOSPC
			n = s.dice.Uint64N(n)
		case 2, 3:
			n = 1 + s.dice.Uint64N(n)
		}
	}
	if s.room > 0 && off+n > uint64(s.room) {
		n, err = uint64(max(s.room-int(off), 0)), unix.ENOSPC
	}
	if err != nil && !errors.Is(err, unix.ENOSPC) || n == 0 {
		return 0, err
	}
	if grow := int(off+n) - len(s.bytes); grow > 0 {
		s.bytes = append(s.bytes, make([]byte, grow)...)
	}
	done, _ := safemem.Copy(safemem.Of(s.bytes[off:off+n]), srcs)
	return done, err
}

func (s *store) SetMaskedAttributes(mask AttrMask, a Attr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noAttr != nil {
		return s.noAttr
	}
	if s.dice != nil && s.dice.IntN(5) == 0 {
		return errDisk
	}
	s.attr, s.set = a, s.set|mask
	if mask&AttrSize != 0 {
		s.bytes = append(s.bytes[:min(len(s.bytes), int(a.Size))], make([]byte, max(0, int(a.Size)-len(s.bytes)))...)
	}
	return nil
}

func (s *store) Sync() error {
	s.syncs++
	return s.noSync
}

// clock is a clock that goes on by one whenever it is read.
func clock() func() int64 {
	n := int64(1000)
	var mu sync.Mutex
	return func() int64 {
		mu.Lock()
		defer mu.Unlock()
		n++
		return n
	}
}

func newStore(n int) *store { return &store{bytes: newDisk(n).bytes} }

func (c *Cache) openStore(s *store, ino uint64) *File {
	return c.OpenWritable(Key{Ino: ino}, s, WriteOptions{Attr: Attr{Size: uint64(len(s.bytes))}, Now: clock()})
}

// drop releases f, which is clean by then.
func drop(t *testing.T, f *File) {
	t.Helper()
	if err := f.DecRef(); err != nil {
		t.Error(err)
	}
}
