package hostfs

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// budget bounds the host descriptors that guests' files take, so that no guest can
// leave mmsh itself without any.
type budget struct {
	most int64
	used atomic.Int64
}

// newBudget returns three quarters of what the host allows us.
func newBudget() (*budget, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	return &budget{most: int64(min(limit.Cur, 1<<20) / 4 * 3)}, nil
}

// open returns the descriptor that call makes: ENFILE if there are too many.
func (b *budget) open(call func() (int, error)) (int, error) {
	if b.used.Add(1) > b.most {
		b.used.Add(-1)
		return -1, fmt.Errorf("%w: guests have %d host files open", unix.ENFILE, b.most)
	}
	for {
		fd, err := call()
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			b.used.Add(-1)
		}
		return fd, err
	}
}

// close closes a descriptor that open has returned.
func (b *budget) close(fd int) error {
	b.used.Add(-1)
	return unix.Close(fd)
}
