package vfs

import (
	"fmt"
	"hash/fnv"
	"math"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs/filelock"
)

// Locks returns the advisory locks of the world's files.
func (t *Tree) Locks() *filelock.Registry { return &t.locks }

// lockKey returns how locks name d's file: all opens of it alike.
func (d *Description) lockKey() (filelock.Key, error) {
	st, err := d.Stat()
	k := filelock.Key{Dev: st.Dev, Ino: st.Ino}
	if k == (filelock.Key{}) { // a stream of mmsh's has no number: its name tells it apart
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(d.path)) // it never fails
		k.Ino = uint64(sum.Sum32())
	}
	return k, err
}

// LockRange returns the first and the last byte that a struct flock means, the
// errors in fcntl(2)'s order: EINVAL, EOVERFLOW.
func (d *Description) LockRange(whence int16, start, n int64) (first, last int64, err error) {
	base := int64(0)
	switch whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		d.mu.Lock()
		base = d.offset
		d.mu.Unlock()
	case unix.SEEK_END:
		st, err := d.Stat()
		if err != nil {
			return 0, 0, err
		}
		base = st.Size
	default:
		return 0, 0, fmt.Errorf("%w: whence %d", unix.EINVAL, whence)
	}
	if start > math.MaxInt64-base {
		return 0, 0, fmt.Errorf("%w: %d+%d", unix.EOVERFLOW, base, start)
	}
	first, last = base+start, filelock.EOF
	switch {
	case first < 0:
		return 0, 0, fmt.Errorf("%w: it begins at %d", unix.EINVAL, first)
	case n > 0 && n-1 > math.MaxInt64-first:
		return 0, 0, fmt.Errorf("%w: %d bytes at %d", unix.EOVERFLOW, n, first)
	case n > 0:
		last = first + n - 1
	case n < 0 && first+n < 0:
		return 0, 0, fmt.Errorf("%w: %d bytes before %d", unix.EINVAL, -n, first)
	case n < 0:
		first, last = first+n, first-1
	}
	return first, last, nil
}

// Lock asks r for l on d's file, for t's process or for d as l.Kind says:
// filelock.Registry.Acquire. Locks of t go with its first close of the file, those
// of d with d.
func (t *Table) Lock(r *filelock.Registry, d *Description, l filelock.Lock, wait bool) (*filelock.Wait, error) {
	k, err := d.lockKey()
	if err != nil {
		return nil, err
	}
	if l.Kind == filelock.Process {
		l.Owner = t
		t.locks.Store(r)
	} else {
		l.Owner = d
		d.locks.Store(&heldLocks{r, k})
	}
	return r.Acquire(k, l, wait)
}

// TestLock returns the first lock that l would wait for: filelock.Registry.Test.
func (t *Table) TestLock(r *filelock.Registry, d *Description, l filelock.Lock) (filelock.Lock, bool, error) {
	k, err := d.lockKey()
	if err != nil {
		return filelock.Lock{}, false, err
	}
	if l.Owner = d; l.Kind == filelock.Process {
		l.Owner = t
	}
	other, found := r.Test(k, l)
	return other, found, nil
}

// drop closes d for t: the process's locks on its file go, and a reference.
func (t *Table) drop(d *Description) error {
	if r := t.locks.Load(); r != nil && !d.isPath() {
		if k, err := d.lockKey(); err == nil { // else there is no file that it could have locked
			r.Release(k, filelock.Process, t)
		}
	}
	return d.DecRef()
}

// heldLocks is where an open file may have locks of its own.
type heldLocks struct {
	r   *filelock.Registry
	key filelock.Key
}

// unlock lets go of d's own locks.
func (d *Description) unlock() {
	if h := d.locks.Load(); h != nil {
		h.r.Release(h.key, filelock.OpenFile, d)
		h.r.Release(h.key, filelock.Flock, d)
	}
}
