package pty

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// masterRead is the most that one read of the master gets: one queue of Linux's.
const masterRead = lineSize - 1

// widest is the most bytes that one byte of output becomes: a tab.
const widest = 8

// output is what the master will read.
type output struct {
	queue   []byte
	echoes  []echo // what is shown once there is room
	stopped bool
	off     bool // stopped by TCOOFF, which only TCOON ends
	column  int
	start   int // the column where the line that is typed starts
}

// room is how many bytes the queue takes.
func (o *output) room() int { return masterRead + 1 + stageSize - len(o.queue) }

// put appends bytes as they are. There is room.
func (o *output) put(b ...byte) { o.queue = append(o.queue, b...) }

// take removes up to len(b) bytes.
func (o *output) take(b []byte) int {
	n := copy(b[:min(len(b), masterRead)], o.queue)
	o.queue = o.queue[n:]
	if len(o.queue) == 0 {
		o.queue = nil
	}
	return n
}

// write is what a program writes to the terminal: as much of b as there is room for.
// p.mu is held.
func (p *pair) write(b []byte) (int, error) {
	if p.hung {
		return 0, unix.EIO
	}
	p.flushEchoes()
	n := 0
	if p.oflag(unix.OPOST) {
		for n < len(b) && p.mayWrite(b[n]) {
			p.process(b[n])
			n++
		}
	} else if !p.out.stopped {
		n = min(len(b), p.out.room())
		p.out.put(b[:n]...)
	}
	if n < len(b) {
		return n, vfs.ErrWouldBlock
	}
	return n, nil
}

// mayWrite reports whether there is room for what c becomes.
func (p *pair) mayWrite(c byte) bool {
	need := 1
	switch {
	case c == '\t' && p.termios.Oflag&unix.TABDLY == unix.XTABS:
		need = widest
	case c == '\n' && p.oflag(unix.ONLCR):
		need = 2
	}
	return !p.out.stopped && p.out.room() >= need
}

// process writes c as OPOST and its kin say, and follows the column.
func (p *pair) process(c byte) {
	o := &p.out
	switch c {
	case '\n':
		p.newline()
		return
	case '\r':
		if p.oflag(unix.ONOCR) && o.column == 0 {
			return
		}
		if p.oflag(unix.OCRNL) {
			c = '\n'
			if p.oflag(unix.ONLRET) {
				o.column, o.start = 0, 0
			}
		} else {
			o.column, o.start = 0, 0
		}
	case '\t':
		spaces := 8 - o.column&7
		o.column += spaces
		if p.termios.Oflag&unix.TABDLY == unix.XTABS {
			o.put([]byte("        ")[:spaces]...)
			return
		}
	case '\b':
		o.column = max(o.column-1, 0)
	default:
		if control(c) {
			break
		}
		if p.oflag(unix.OLCUC) {
			c = upper(c)
		}
		if !p.continues(c) {
			o.column++
		}
	}
	o.put(c)
}

// newline is process of '\n'.
func (p *pair) newline() {
	o := &p.out
	if p.oflag(unix.ONLRET) {
		o.column = 0
	}
	if p.oflag(unix.ONLCR) {
		o.column, o.start = 0, 0
		o.put('\r', '\n')
		return
	}
	o.start = o.column
	o.put('\n')
}

// stop and start the output. p.mu is held.
func (p *pair) stop() {
	if !p.out.stopped {
		p.out.stopped = true
		p.tell(unix.TIOCPKT_START, unix.TIOCPKT_STOP)
	}
}

func (p *pair) start() {
	if p.out.stopped && !p.out.off {
		p.out.stopped = false
		p.tell(unix.TIOCPKT_STOP, unix.TIOCPKT_START)
	}
}

// flushInput and flushOutput throw away what was typed and what was written: of the
// latter what Linux's master would not have in its own queue yet. p.mu is held.
func (p *pair) flushInput() {
	p.in.reset()
	p.tell(0, unix.TIOCPKT_FLUSHREAD)
}

func (p *pair) flushOutput() {
	p.out.queue = p.out.queue[:min(len(p.out.queue), masterRead)]
	p.tell(0, unix.TIOCPKT_FLUSHWRITE)
}
