// Package pipe is pipe(2): 64 KiB of bytes between two Files.
package pipe

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// Capacity is what a pipe holds, in bytes.
const Capacity = 64 << 10

// AtomicWrite is the largest write that is not mixed with others (PIPE_BUF).
const AtomicWrite = 4096

// New returns the two ends of a pipe. Both are vfs.Waiters and not seekable.
// Reading an empty pipe and writing a full one is vfs.ErrWouldBlock; writing
// without a reader is EPIPE (and the caller raises SIGPIPE); reading without a
// writer is the end of the file. path ("pipe:[7]", for inode 7) names both in
// /proc/PID/fd.
func New(inode uint64) (r, w vfs.File, path string) {
	p := &pipe{inode: inode, readers: 1, writers: 1}
	return &end{p, true, false}, &end{p, false, true}, fmt.Sprintf("pipe:[%d]", inode)
}

// pipe is a ring of bytes.
type pipe struct {
	inode uint64
	queue vfs.WaitQueue

	mu               sync.Mutex
	ring             []byte // made by the first write
	first, held      int    // held bytes from ring[first] on, around the end
	readers, writers int
}

// read takes up to len(dst) bytes.
func (p *pipe) read(dst []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(dst) == 0:
		return 0, nil
	case p.held == 0 && p.writers == 0:
		return 0, nil
	case p.held == 0:
		return 0, vfs.ErrWouldBlock
	}
	done := 0
	for done < len(dst) && p.held > 0 {
		n := copy(dst[done:], p.ring[p.first:min(p.first+p.held, Capacity)])
		p.first = (p.first + n) % Capacity
		p.held -= n
		done += n
	}
	p.queue.Notify(p.writeEvents())
	return done, nil
}

// write puts src in: all of it or nothing if it is no larger than AtomicWrite,
// else as much as there is room for.
func (p *pipe) write(src []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := Capacity - p.held
	switch {
	case p.readers == 0:
		return 0, fmt.Errorf("pipe:[%d]: %w: nobody reads it", p.inode, unix.EPIPE)
	case len(src) == 0:
		return 0, nil
	case room == 0 || room < len(src) && len(src) <= AtomicWrite:
		return 0, vfs.ErrWouldBlock
	}
	if p.ring == nil {
		p.ring = make([]byte, Capacity)
	}
	done := 0
	for done < len(src) && p.held < Capacity {
		at := (p.first + p.held) % Capacity
		n := copy(p.ring[at:min(at+Capacity-p.held, Capacity)], src[done:])
		p.held += n
		done += n
	}
	p.queue.Notify(vfs.PollRead)
	if done < len(src) {
		return done, vfs.ErrWouldBlock
	}
	return done, nil
}

// readEvents are what holds for readers. p.mu is held.
func (p *pipe) readEvents() int16 {
	events := int16(0)
	if p.held > 0 {
		events |= vfs.PollRead
	}
	if p.writers == 0 {
		events |= unix.POLLHUP
	}
	return events
}

// writeEvents are what holds for writers. p.mu is held.
func (p *pipe) writeEvents() int16 {
	events := int16(0)
	if Capacity-p.held >= AtomicWrite {
		events |= vfs.PollWrite
	}
	if p.readers == 0 {
		events |= unix.POLLERR
	}
	return events
}
