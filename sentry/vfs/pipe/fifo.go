package pipe

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// OpenNamed implements vfs.NamedPipes. All opens of key share one pipe, which goes
// with the last of them. Opening for writing without waiting is ENXIO if nobody reads.
func (l *Pool) OpenNamed(key vfs.FileKey, flags int) (vfs.PipeEnd, error) {
	mode := flags & unix.O_ACCMODE
	e := &End{reads: mode != unix.O_WRONLY, writes: mode != unix.O_RDONLY}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.named[key]
	patient := flags&unix.O_NONBLOCK == 0
	switch {
	case p == nil && mode == unix.O_WRONLY && !patient:
		return nil, fmt.Errorf("%w: nobody reads the named pipe", unix.ENXIO)
	case p == nil:
		var err error
		if p, err = l.make(key.Ino); err != nil {
			return nil, err
		}
		p.key = &key
		if l.named == nil {
			l.named = make(map[vfs.FileKey]*pipe)
		}
		l.named[key] = p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if mode == unix.O_WRONLY && !patient && p.readers == 0 {
		return nil, fmt.Errorf("%w: nobody reads the named pipe", unix.ENXIO)
	}
	e.p = p
	e.comes()
	switch {
	case mode == unix.O_RDONLY && p.writers == 0 && patient:
		e.awaited, e.seen = &p.writes, p.writes
	case mode == unix.O_RDONLY && p.writers == 0:
		e.quiet, e.since = true, p.writes
	case mode == unix.O_WRONLY && p.readers == 0:
		e.awaited, e.seen = &p.reads, p.reads
	}
	return e, nil
}

// Met implements vfs.PipeEnd: an opener that waits has met another once there was one,
// also if it has gone again.
func (e *End) Met() (ready <-chan struct{}, giveUp func(), met bool) {
	came := func() int16 {
		e.p.mu.Lock()
		defer e.p.mu.Unlock()
		if e.awaited == nil || *e.awaited != e.seen {
			return unix.POLLHUP
		}
		return 0
	}
	if came() != 0 {
		return nil, func() {}, true
	}
	ready, giveUp = e.p.queue.Wait(0, came)
	return ready, giveUp, false
}
