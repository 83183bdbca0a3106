// Package pty is pseudoterminals: /dev/ptmx, /dev/pts, and between each master and its
// terminal a line discipline that does what Linux's N_TTY does.
//
//	FS      the terminals by number: a mounted devpts         fs.go
//	pair    a master and its terminal: who has them open      this file, open.go
//	input   what was typed, edited, and waits to be read      input.go, special.go, erase.go
//	output  what was written or echoed, for the master        output.go, echo.go
//	ends    both as vfs.Files                                 master.go, terminal.go
//
// Locks: FS.mu is outside pair.mu, which is a leaf but for wait queues. The kernel
// (vfs.Jobs) is called with neither held.
//
// Everything is bounded: a pair holds some 30 KiB at most, an FS so many pairs as it
// is told.
package pty

import (
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// What Linux's queues hold, in bytes.
const (
	lineSize  = 4096 // N_TTY_BUF_SIZE: what was typed
	stageSize = 8192 // what is on its way between the ends
	echoSize  = 4096 // echoes that output is stopped for
)

// pair is a pseudoterminal.
type pair struct {
	fs     *FS
	number int
	uid    uint32
	gid    uint32
	tty    vfs.TTY

	masters, slaves vfs.WaitQueue // who waits at which end

	mu        sync.Mutex
	termios   unix.Termios
	size      unix.Winsize
	locked    bool
	exclusive bool
	open      int  // Files of the terminal
	left      bool // the terminal was open, and is not
	hung      bool // the master is gone
	held      bool // the master may not write: TCOOFF there
	packet    bool
	status    byte // TIOCPKT_* that the master has not read

	in     input
	out    output
	due    []unix.Signal // for the foreground, once mu is free
	onHold []byte        // typed, for which in has no room yet
}

// newPair returns a locked pair whose master is open.
func newPair(fs *FS, number int, who vfs.Caller) *pair {
	p := &pair{fs: fs, number: number, uid: who.UID, gid: who.GID, termios: defaults(), locked: true}
	p.tty.Device = unix.Mkdev(vfs.PtsMajor, uint32(number))
	p.tty.Open = p.reopen
	return p
}

// do runs f with the lock, lets input flow as far as it can, and then tells who waits
// and who is to be signalled.
func (p *pair) do(f func()) {
	p.mu.Lock()
	f()
	p.flow()
	due := p.due
	p.due = nil
	p.masters.Notify(p.masterEvents())
	p.slaves.Notify(p.slaveEvents(1))
	p.mu.Unlock()
	for _, sig := range due {
		p.fs.signal(&p.tty, sig)
	}
}

// flow receives what waits for room. p.mu is held.
func (p *pair) flow() {
	n := 0
	for n < len(p.onHold) && p.hasRoom() {
		p.receive(p.onHold[n])
		n++
	}
	if n == 0 {
		return
	}
	p.onHold = p.onHold[n:]
	if len(p.onHold) == 0 {
		p.onHold = nil
	}
	p.flushEchoes()
}

// typed takes what the master writes, as much as there is room for, and returns how
// much that was. What is echoed shows when all of it was received. p.mu is held.
func (p *pair) typed(b []byte) int {
	n := 0
	for n < len(b) && len(p.onHold) == 0 && p.hasRoom() {
		p.receive(b[n])
		n++
	}
	p.flushEchoes()
	more := min(len(b)-n, stageSize-len(p.onHold))
	if more > 0 {
		p.onHold = append(p.onHold, b[n:n+more]...)
	}
	return n + more
}

// masterEvents are what holds at the master. p.mu is held.
func (p *pair) masterEvents() int16 {
	events := int16(0)
	if len(p.out.queue) > 0 {
		events |= vfs.PollRead
	}
	if p.packet && p.status != 0 {
		events |= vfs.PollRead | unix.POLLPRI
	}
	if !p.held && len(p.onHold) < stageSize {
		events |= vfs.PollWrite
	}
	if p.left {
		events |= unix.POLLHUP
	}
	return events
}

// slaveEvents are what holds at the terminal where that many bytes are worth a read.
// p.mu is held.
func (p *pair) slaveEvents(enough int) int16 {
	if p.hung {
		return vfs.PollRead | vfs.PollWrite | unix.POLLERR | unix.POLLHUP
	}
	events := int16(0)
	if p.readable(enough) {
		events |= vfs.PollRead
	}
	if !p.out.stopped && p.out.room() >= widest {
		events |= vfs.PollWrite
	}
	return events
}

// tell sets bits of the packet status. p.mu is held.
func (p *pair) tell(clear, set byte) {
	if p.packet {
		p.status = p.status&^clear | set
	}
}

// signal sends sig to the foreground group when the lock is free. p.mu is held.
func (p *pair) signal(sig unix.Signal) {
	for _, s := range p.due {
		if s == sig {
			return
		}
	}
	p.due = append(p.due, sig)
}
