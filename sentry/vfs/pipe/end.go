package pipe

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// device is pipefs's in st_dev: an anonymous one.
var device = unix.Mkdev(0, 15)

// End is an open end of a pipe, or both of them: opened through /proc/PID/fd, or by
// a name.
type End struct {
	p             *pipe
	reads, writes bool

	packets atomic.Bool // what is written is packets: O_DIRECT
	spliced atomic.Bool // it was an end of a splice, and has to be waited for since

	since uint64 // the writers that there had been when it was opened without one
	quiet bool   // since counts: no hang-up before there was another

	awaited *uint64 // what counts the opens that this one waits for; nil: it does not
	seen    uint64  // of them
}

// Of returns the end that f is, also by a name; nil if f is no pipe.
func Of(f vfs.File) *End {
	if u, ok := f.(vfs.Wrapper); ok {
		f = u.Unwrap()
	}
	e, _ := f.(*End)
	return e
}

func (e *End) Stat() (unix.Stat_t, error) {
	return unix.Stat_t{
		Dev: device, Ino: e.p.inode, Mode: unix.S_IFIFO | 0o600, Nlink: 1,
		Uid: uint32(unix.Geteuid()), Gid: uint32(unix.Getegid()), Blksize: AtomicWrite,
	}, nil
}

func (e *End) Seekable() bool { return false }

func (e *End) PRead(p []byte, _ int64) (int, error)  { return e.p.read(p) }
func (e *End) PWrite(p []byte, _ int64) (int, error) { return e.p.write(p, e.packets.Load()) }

// Flagged implements vfs.PipeEnd: O_DIRECT makes packets of writes.
func (e *End) Flagged(flags int) { e.packets.Store(flags&unix.O_DIRECT != 0) }

// MayNotWait implements vfs.PipeEnd. Linux takes it away from an end that was
// spliced, and never gives it to a named pipe's.
func (e *End) MayNotWait() bool { return e.p.key == nil && !e.spliced.Load() }

// Ready implements vfs.Waiter.
func (e *End) Ready() int16 {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	events := int16(0)
	if e.reads {
		events |= e.p.readEvents()
		if e.quiet && e.since == e.p.writes {
			events &^= unix.POLLHUP
		}
	}
	if e.writes {
		events |= e.p.writeEvents()
	}
	return events
}

// Wait implements vfs.Waiter.
func (e *End) Wait(events int16) (<-chan struct{}, func()) {
	return e.p.queue.Wait(events, e.Ready)
}

// Queued implements vfs.Queued.
func (e *End) Queued() (int, error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	return e.p.held, nil
}

// Reopen implements vfs.Reopener.
func (e *End) Reopen(flags int) (vfs.File, error) {
	mode := flags & unix.O_ACCMODE
	other := &End{p: e.p, reads: mode != unix.O_WRONLY, writes: mode != unix.O_RDONLY}
	other.p.mu.Lock()
	defer other.p.mu.Unlock()
	other.comes()
	return other, nil
}

// comes counts e among its sides' users and wakes who waits for one. p.mu is held.
func (e *End) comes() {
	if e.reads {
		e.p.readers++
		e.p.reads++
	}
	if e.writes {
		e.p.writers++
		e.p.writes++
	}
	e.p.queue.Notify(unix.POLLHUP | unix.POLLERR) // who waits for a partner
}

// Release implements vfs.File: who waits at the other end is told.
func (e *End) Release() error {
	p := e.p
	if p.key != nil { // nobody opens it meanwhile
		p.pool.mu.Lock()
		defer p.pool.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.reads {
		p.readers--
	}
	if e.writes {
		p.writers--
	}
	if p.readers == 0 && p.writers == 0 {
		p.pool.charge(-p.most)
		if p.key != nil {
			delete(p.pool.named, *p.key)
		}
	}
	p.queue.Notify((p.readEvents() | p.writeEvents()) & (unix.POLLHUP | unix.POLLERR))
	return nil
}
