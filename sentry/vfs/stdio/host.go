package stdio

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// hostFile is a file of the host that is not ours to close.
type hostFile struct{ f *os.File }

// do runs call with the descriptor, which stays open meanwhile.
func (h hostFile) do(call func(fd int) error) error {
	conn, err := h.f.SyscallConn()
	if err != nil {
		return errno("descriptor", err)
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = call(int(fd)) }); err != nil {
		return errno("descriptor", err)
	}
	return failed
}

func (h hostFile) Stat() (st unix.Stat_t, err error) {
	err = h.do(func(fd int) error { return unix.Fstat(fd, &st) })
	return st, err
}

func (h hostFile) Seekable() bool { return false }
func (h hostFile) External() bool { return true }
func (h hostFile) Release() error { return nil }

// Ready implements vfs.Waiter: it is what the host says.
func (h hostFile) Ready() (events int16) {
	err := h.do(func(fd int) error {
		fds := []unix.PollFd{{Fd: int32(fd), Events: vfs.PollRead | vfs.PollWrite | unix.POLLPRI}}
		_, err := unix.Poll(fds, 0)
		events = fds[0].Revents
		return err
	})
	if err != nil && err != unix.EINTR {
		return unix.POLLERR // the read or write will say why
	}
	return events
}

// Wait implements vfs.Waiter: a goroutine waits for the file, or for the wait to
// be given up. It takes no byte. What never comes is waited for until then.
func (h hostFile) Wait(events int16) (<-chan struct{}, func()) {
	giveUp, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return ready(), func() {} // no wait without it: the caller asks again
	}
	came, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		defer close(came)
		_ = h.do(func(fd int) error { return wait(fd, events, giveUp) })
	}()
	var once sync.Once
	return came, func() {
		once.Do(func() {
			_, _ = unix.Write(giveUp, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			<-gone
			_ = unix.Close(giveUp)
		})
	}
}

// wait returns when fd has one of events, or giveUp is written.
func wait(fd int, events int16, giveUp int) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}, {Fd: int32(giveUp), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return err
		}
	}
}

// Queued returns how many bytes wait to be read: ENOTTY where the host cannot say.
func (h hostFile) Queued() (n int, err error) {
	err = h.do(func(fd int) error {
		n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	return n, err
}

// hostReader is a host file that is read.
type hostReader struct{ hostFile }

// PRead implements vfs.File: it reads only what is there.
func (r *hostReader) PRead(p []byte, _ int64) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.Ready()&^vfs.PollWrite == 0 {
		return 0, vfs.ErrWouldBlock
	}
	err = r.do(func(fd int) error {
		for {
			k, err := unix.Read(fd, p)
			if err != unix.EINTR {
				n = max(k, 0)
				return err
			}
		}
	})
	return n, err
}

func (r *hostReader) PWrite([]byte, int64) (int, error) { return 0, unix.EBADF }
func (r *hostReader) Reopen(int) (vfs.File, error)      { return r, nil }

// hostWriter is a host file that is written.
type hostWriter struct {
	hostFile
	mu sync.Mutex
}

// PWrite implements vfs.File.
func (w *hostWriter) PWrite(p []byte, _ int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.f.Write(p)
	if err != nil {
		return n, errno("write", err)
	}
	return n, nil
}

func (w *hostWriter) PRead([]byte, int64) (int, error) { return 0, unix.EBADF }
func (w *hostWriter) Reopen(int) (vfs.File, error)     { return w, nil }
