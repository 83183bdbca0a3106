package vfs

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs/filelock"
)

// maxFD bounds every table, whatever the limit: Linux's fs.nr_open.
const maxFD = 1 << 20

// Table is a process's descriptors. It is safe for concurrent use.
type Table struct {
	mu    sync.Mutex
	slots []slot
	free  int32 // no slot below is free

	locks atomic.Pointer[filelock.Registry] // nil: the process never had locks
}

// slot is a descriptor; d is nil where there is none.
type slot struct {
	d       *Description
	cloexec bool
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{} }

// at returns the used slot fd, or EBADF. t.mu is held.
func (t *Table) at(fd int32) (*slot, error) {
	if fd < 0 || int(fd) >= len(t.slots) || t.slots[fd].d == nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, unix.EBADF)
	}
	return &t.slots[fd], nil
}

// Get returns what fd leads to, with a reference that the caller drops. EBADF.
func (t *Table) Get(fd int32) (*Description, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.at(fd)
	if err != nil {
		return nil, err
	}
	s.d.IncRef()
	return s.d, nil
}

// Add puts d at the lowest free number not below min, and takes over the caller's
// reference. EMFILE at limit, EINVAL for a min that is negative or not below
// limit; then the reference is still the caller's.
func (t *Table) Add(d *Description, cloexec bool, min int32, limit uint64) (int32, error) {
	limit = bounded(limit)
	if min < 0 || min > 0 && uint64(min) >= limit {
		return -1, fmt.Errorf("lowest descriptor %d: %w: the limit is %d", min, unix.EINVAL, limit)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fd := max(min, t.free)
	for int(fd) < len(t.slots) && t.slots[fd].d != nil {
		fd++
	}
	if uint64(fd) >= limit {
		return -1, fmt.Errorf("%w: the limit is %d descriptors", unix.EMFILE, limit)
	}
	if min <= t.free {
		t.free = fd + 1
	}
	t.put(fd, slot{d, cloexec})
	return fd, nil
}

// Set is dup2: it puts d at exactly fd, closes what was there, and takes over the
// caller's reference. EBADF if fd is no number below limit; then the reference is
// still the caller's.
func (t *Table) Set(fd int32, d *Description, cloexec bool, limit uint64) error {
	if fd < 0 || uint64(fd) >= bounded(limit) {
		return fmt.Errorf("descriptor %d: %w: the limit is %d", fd, unix.EBADF, limit)
	}
	t.mu.Lock()
	old := t.put(fd, slot{d, cloexec})
	t.mu.Unlock()
	if old != nil {
		_ = t.drop(old) // dup2 tells nobody of it
	}
	return nil
}

// put fills slot fd and returns what it held. t.mu is held.
func (t *Table) put(fd int32, s slot) *Description {
	for int(fd) >= len(t.slots) {
		t.slots = append(t.slots, slot{})
	}
	old := t.slots[fd].d
	t.slots[fd] = s
	return old
}

// Close removes fd: EBADF, or the error of a release, after which fd is closed all
// the same.
func (t *Table) Close(fd int32) error {
	t.mu.Lock()
	s, err := t.at(fd)
	if err != nil {
		t.mu.Unlock()
		return err
	}
	d := s.d
	*s = slot{}
	t.free = min(t.free, fd)
	t.mu.Unlock()
	return t.drop(d)
}

// CloseOnExec reports fd's flag. EBADF.
func (t *Table) CloseOnExec(fd int32) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.at(fd)
	if err != nil {
		return false, err
	}
	return s.cloexec, nil
}

// SetCloseOnExec is F_SETFD. EBADF.
func (t *Table) SetCloseOnExec(fd int32, on bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.at(fd)
	if err != nil {
		return err
	}
	s.cloexec = on
	return nil
}

// Fork returns a copy that shares the descriptions.
func (t *Table) Fork() *Table {
	t.mu.Lock()
	defer t.mu.Unlock()
	child := &Table{slots: make([]slot, len(t.slots)), free: t.free}
	for fd, s := range t.slots {
		if s.d != nil {
			s.d.IncRef()
			child.slots[fd] = s
		}
	}
	return child
}

// CloseAll empties the table.
func (t *Table) CloseAll() { t.closeIf(func(slot) bool { return true }) }

// CloseExec closes what is marked close-on-exec.
func (t *Table) CloseExec() { t.closeIf(func(s slot) bool { return s.cloexec }) }

func (t *Table) closeIf(which func(slot) bool) {
	t.mu.Lock()
	var closed []*Description
	for fd := range t.slots {
		if s := &t.slots[fd]; s.d != nil && which(*s) {
			closed = append(closed, s.d)
			*s = slot{}
			t.free = min(t.free, int32(fd))
		}
	}
	t.mu.Unlock()
	for _, d := range closed {
		_ = t.drop(d) // nobody is left to be told
	}
}

// Each calls f for every descriptor in order, as they are when Each is called. f
// may use the table; it does not own d.
func (t *Table) Each(f func(fd int32, d *Description, cloexec bool)) {
	copied := t.Fork()
	defer copied.CloseAll()
	for fd, s := range copied.slots {
		if s.d != nil {
			f(int32(fd), s.d, s.cloexec)
		}
	}
}

func bounded(limit uint64) uint64 { return min(limit, maxFD) }
