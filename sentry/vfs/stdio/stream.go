package stdio

import (
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// chunk is how much is read ahead of a guest, in bytes.
const chunk = 4096

// reader is any io.Reader.
type reader struct {
	from  io.Reader
	queue vfs.WaitQueue

	mu      sync.Mutex
	reading bool // a goroutine waits for from
	ahead   []byte
	err     error // what came behind ahead
}

func (r *reader) Stat() (unix.Stat_t, error)        { return pipeStat() }
func (r *reader) Seekable() bool                    { return false }
func (r *reader) PWrite([]byte, int64) (int, error) { return 0, unix.EBADF }
func (r *reader) External() bool                    { return true }
func (r *reader) Release() error                    { return nil }
func (r *reader) Reopen(int) (vfs.File, error)      { return r, nil }

// PRead implements vfs.File.
func (r *reader) PRead(p []byte, _ int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(p) == 0:
		return 0, nil
	case len(r.ahead) > 0:
		n := copy(p, r.ahead)
		r.ahead = r.ahead[n:]
		return n, nil
	case errors.Is(r.err, io.EOF):
		return 0, nil
	case r.err != nil:
		err := r.err
		r.err = nil
		return 0, errno("read", err)
	}
	r.start()
	return 0, vfs.ErrWouldBlock
}

// start makes a goroutine read a chunk, if none does. r.mu is held.
func (r *reader) start() {
	if r.reading {
		return
	}
	r.reading = true
	go func() {
		buf := make([]byte, chunk)
		n, err := r.from.Read(buf)
		r.mu.Lock()
		r.reading, r.ahead, r.err = false, buf[:n], err
		r.mu.Unlock()
		r.queue.Notify(vfs.PollRead)
	}()
}

// Ready implements vfs.Waiter. Who asks wants input: it is read ahead.
func (r *reader) Ready() int16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ahead) > 0 || r.err != nil {
		return vfs.PollRead
	}
	r.start()
	return 0
}

// Wait implements vfs.Waiter.
func (r *reader) Wait(events int16) (<-chan struct{}, func()) {
	return r.queue.Wait(events, r.Ready)
}

// Queued implements vfs.Queued.
func (r *reader) Queued() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ahead), nil
}

// writer is any io.Writer.
type writer struct {
	mu sync.Mutex
	to io.Writer
}

func (w *writer) Stat() (unix.Stat_t, error)       { return pipeStat() }
func (w *writer) Seekable() bool                   { return false }
func (w *writer) PRead([]byte, int64) (int, error) { return 0, unix.EBADF }
func (w *writer) External() bool                   { return true }
func (w *writer) Release() error                   { return nil }
func (w *writer) Reopen(int) (vfs.File, error)     { return w, nil }

// PWrite implements vfs.File.
func (w *writer) PWrite(p []byte, _ int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.to.Write(p)
	if err != nil {
		return n, errno("write", err)
	}
	return n, nil
}

// Ready implements vfs.Waiter.
func (w *writer) Ready() int16 { return vfs.PollWrite }

// Wait implements vfs.Waiter: what is no room for writing never comes.
func (w *writer) Wait(events int16) (<-chan struct{}, func()) {
	if events&vfs.PollWrite == 0 {
		return nil, func() {}
	}
	return ready(), func() {}
}

// ready returns a channel that is closed.
func ready() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
