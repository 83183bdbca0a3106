package pipe

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// device is pipefs's in st_dev: an anonymous one.
var device = unix.Mkdev(0, 15)

// end is an open end of a pipe, or through /proc/PID/fd both of them.
type end struct {
	p             *pipe
	reads, writes bool
}

func (e *end) Stat() (unix.Stat_t, error) {
	return unix.Stat_t{
		Dev: device, Ino: e.p.inode, Mode: unix.S_IFIFO | 0o600, Nlink: 1,
		Uid: uint32(unix.Geteuid()), Gid: uint32(unix.Getegid()), Blksize: AtomicWrite,
	}, nil
}

func (e *end) Seekable() bool { return false }

func (e *end) PRead(p []byte, _ int64) (int, error)  { return e.p.read(p) }
func (e *end) PWrite(p []byte, _ int64) (int, error) { return e.p.write(p) }

// Ready implements vfs.Waiter.
func (e *end) Ready() int16 {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	events := int16(0)
	if e.reads {
		events |= e.p.readEvents()
	}
	if e.writes {
		events |= e.p.writeEvents()
	}
	return events
}

// Wait implements vfs.Waiter.
func (e *end) Wait(events int16) (<-chan struct{}, func()) {
	return e.p.queue.Wait(events, e.Ready)
}

// Queued implements vfs.Queued.
func (e *end) Queued() (int, error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	return e.p.held, nil
}

// Reopen implements vfs.Reopener.
func (e *end) Reopen(flags int) (vfs.File, error) {
	mode := flags & unix.O_ACCMODE
	other := &end{e.p, mode != unix.O_WRONLY, mode != unix.O_RDONLY}
	other.count(1)
	return other, nil
}

// Release implements vfs.File: who waits at the other end is told.
func (e *end) Release() error {
	e.count(-1)
	return nil
}

// count adds n to the users of e's sides and tells who waits at the others.
func (e *end) count(n int) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.reads {
		e.p.readers += n
	}
	if e.writes {
		e.p.writers += n
	}
	e.p.queue.Notify((e.p.readEvents() | e.p.writeEvents()) & (unix.POLLHUP | unix.POLLERR))
}
