package pipe

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

const (
	// MaxSize is what F_SETPIPE_SZ gives without CAP_SYS_RESOURCE, in bytes
	// (fs.pipe-max-size).
	MaxSize = 1 << 20

	// mostSlots bounds the slots of all pipes of a world: 256 MiB. Linux has
	// fs.pipe-user-pages-hard for it, which is off there; guests must not exhaust us.
	mostSlots = 1 << 16
	// softSlots is fs.pipe-user-pages-soft: beyond it a new pipe has fewSlots.
	softSlots = 1 << 14
	fewSlots  = 2
)

// Pool is the pipes of a world. The zero Pool is ready; it is safe for concurrent use.
type Pool struct {
	slots atomic.Int64 // that all pipes may fill
	last  atomic.Uint64
	pages sync.Pool

	mu    sync.Mutex
	named map[vfs.FileKey]*pipe
}

// New returns the two ends of a pipe. Both are vfs.Waiters and not seekable.
// Reading an empty pipe and writing a full one is vfs.ErrWouldBlock; writing
// without a reader is EPIPE (and the caller raises SIGPIPE); reading without a
// writer is the end of the file. path ("pipe:[7]", for inode 7) names both in
// /proc/PID/fd. ENFILE if there are too many.
func (l *Pool) New(inode uint64) (r, w vfs.File, path string, err error) {
	p, err := l.make(inode)
	if err != nil {
		return nil, nil, "", err
	}
	p.readers, p.writers = 1, 1
	return &End{p: p, reads: true}, &End{p: p, writes: true}, fmt.Sprintf("pipe:[%d]", inode), nil
}

// make makes a pipe that nobody has open.
func (l *Pool) make(inode uint64) (*pipe, error) {
	n := defaultSlots
	if l.slots.Load() >= softSlots {
		n = fewSlots
	}
	if !l.charge(n) {
		return nil, fmt.Errorf("pipe: %w: all pipes together hold %d pages", unix.ENFILE, mostSlots)
	}
	return &pipe{pool: l, id: l.last.Add(1), inode: inode, most: n}, nil
}

// charge adds n slots to what all pipes may fill.
func (l *Pool) charge(n int) bool {
	if l.slots.Add(int64(n)) > mostSlots && n > 0 {
		l.slots.Add(int64(-n))
		return false
	}
	return true
}

func (l *Pool) page() []byte {
	if b, ok := l.pages.Get().(*[pageSize]byte); ok {
		return b[:]
	}
	return make([]byte, pageSize)
}

func (l *Pool) putPage(b []byte) { l.pages.Put((*[pageSize]byte)(b)) }

// Size returns what the pipe holds if it is filled with pages, in bytes.
func (e *End) Size() int {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	return e.p.most * pageSize
}

// Resize is F_SETPIPE_SZ: size is rounded up to a power of two of pages, and
// returned. EINVAL, EBUSY if more slots are filled, EPERM for more than MaxSize
// unless privileged.
func (e *End) Resize(size uint32, privileged bool) (int, error) {
	if size > 1<<31 {
		return 0, fmt.Errorf("fcntl: %w: a pipe of %d bytes", unix.EINVAL, size)
	}
	pages := max(1, (int(size)+pageSize-1)/pageSize)
	n := 1 << bits.Len(uint(pages-1))
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	more := n - p.most
	switch {
	case more > 0 && n*pageSize > MaxSize && !privileged:
		return 0, fmt.Errorf("fcntl: %w: a pipe of %d bytes", unix.EPERM, size)
	case n < len(p.slots):
		return 0, fmt.Errorf("fcntl: %w: %d pages are filled", unix.EBUSY, len(p.slots))
	case !p.pool.charge(more):
		return 0, fmt.Errorf("fcntl: %w: all pipes together hold %d pages", unix.EPERM, mostSlots)
	}
	p.most = n
	p.queue.Notify(p.writeEvents())
	return n * pageSize, nil
}
