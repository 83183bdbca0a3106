// Package pipe is pipe(2) and what named pipes have inside: bytes between two Files.
//
//	pool.go    the pipes of a world, and what they may hold in all
//	pipe.go    one pipe: its slots, reading and writing
//	end.go     an open end as a vfs.File
//	splice.go  pages that move without passing through a guest
//	fifo.go    named pipes, whose openers wait for each other
//
// As in Linux a pipe is a queue of slots, each of them part of one page. How much
// fits into it therefore depends on how it was written.
//
// Locks: a pipe's is a leaf but for Take, which holds it while its bytes are used.
// Of two pipes the one that was made first is locked first.
package pipe

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry/vfs"
)

// pageSize is what a slot holds.
const pageSize = memmap.PageSize

// Capacity is what a new pipe holds, in bytes.
const Capacity = defaultSlots * pageSize

const defaultSlots = 16

// AtomicWrite is the largest write that is not mixed with others (PIPE_BUF).
const AtomicWrite = 4096

// pipe is a queue of slots.
type pipe struct {
	pool  *Pool
	id    uint64 // the order of locks
	inode uint64
	queue vfs.WaitQueue
	key   *vfs.FileKey // of a named pipe, else nil

	mu               sync.Mutex
	slots            []slot // the oldest first
	most             int    // slots that there may be
	held             int    // bytes in all of them
	readers, writers int
	reads, writes    uint64 // how often an end was opened for reading, for writing
}

// slot is the bytes [from, to) of a page.
type slot struct {
	page     []byte
	from, to int
	grows    bool // a write may add to it
	packet   bool // a read ends with it, and drops what it does not take
	shared   bool // another slot has the page as well
}

func (s *slot) bytes() []byte { return s.page[s.from:s.to] }

func (p *pipe) full() bool { return len(p.slots) >= p.most }

// push puts a slot behind the others. p.mu is held, as in all that follows.
func (p *pipe) push(s slot) {
	p.slots = append(p.slots, s)
	p.held += s.to - s.from
}

// drop takes n bytes off the oldest slot, which goes with its last byte.
func (p *pipe) drop(n int) {
	s := &p.slots[0]
	s.from += n
	p.held -= n
	if s.from < s.to {
		return
	}
	if !s.shared {
		p.pool.putPage(s.page)
	}
	p.slots[0] = slot{}
	p.slots = p.slots[1:]
	if len(p.slots) == 0 {
		p.slots = nil
	}
}

// read takes up to len(dst) bytes, or a packet.
func (p *pipe) read(dst []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(dst) == 0:
		return 0, nil
	case len(p.slots) == 0 && p.writers == 0:
		return 0, nil
	case len(p.slots) == 0:
		return 0, vfs.ErrWouldBlock
	}
	done := 0
	for done < len(dst) && len(p.slots) > 0 {
		s := p.slots[0]
		n := copy(dst[done:], s.bytes())
		done += n
		if s.packet {
			p.drop(s.to - s.from)
			break
		}
		p.drop(n)
	}
	p.queue.Notify(p.writeEvents())
	return done, nil
}

// write puts src in: all of it or nothing if it is no larger than AtomicWrite,
// else as much as there is room for.
func (p *pipe) write(src []byte, packets bool) (int, error) {
	if len(src) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers == 0 {
		return 0, p.broken()
	}
	done := p.grow(src[:len(src)%pageSize])
	for done < len(src) && !p.full() {
		s := slot{page: p.pool.page(), grows: !packets, packet: packets}
		s.to = copy(s.page, src[done:])
		done += s.to
		p.push(s)
	}
	if done > 0 {
		p.queue.Notify(vfs.PollRead)
	}
	if done < len(src) {
		return done, vfs.ErrWouldBlock
	}
	return done, nil
}

// grow adds src to the newest slot, if all of it fits there.
func (p *pipe) grow(src []byte) int {
	if len(p.slots) == 0 || len(src) == 0 {
		return 0
	}
	s := &p.slots[len(p.slots)-1]
	if !s.grows || s.to+len(src) > pageSize {
		return 0
	}
	s.to += copy(s.page[s.to:], src)
	p.held += len(src)
	return len(src)
}

func (p *pipe) broken() error {
	return fmt.Errorf("pipe:[%d]: %w: nobody reads it", p.inode, unix.EPIPE)
}

// readEvents are what holds for readers.
func (p *pipe) readEvents() int16 {
	events := int16(0)
	if len(p.slots) > 0 {
		events |= vfs.PollRead
	}
	if p.writers == 0 {
		events |= unix.POLLHUP
	}
	return events
}

// writeEvents are what holds for writers.
func (p *pipe) writeEvents() int16 {
	events := int16(0)
	if !p.full() {
		events |= vfs.PollWrite
	}
	if p.readers == 0 {
		events |= unix.POLLERR
	}
	return events
}
