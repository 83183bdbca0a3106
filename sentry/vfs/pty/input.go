package pty

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// cell is a byte that was typed.
type cell struct {
	c   byte
	end bool // a line ends with it; with c disabled it is the end of a file and no byte
}

// input is what was typed and has not been read.
type input struct {
	cells   []cell
	whole   int  // so many of them are finished lines
	literal bool // the next byte is taken as it is
	erasing bool // between the \ and the / of ECHOPRT
}

// reset forgets everything but what the next byte means.
func (in *input) reset() {
	in.cells, in.whole, in.erasing = nil, 0, false
}

// put appends c.
func (in *input) put(c byte, end bool) {
	if len(in.cells) < lineSize {
		in.cells = append(in.cells, cell{c, end})
	}
}

// regroup is what a change between canonical and not makes of what was typed: all of
// it is a line, or none of it is.
func (in *input) regroup(canonical bool) {
	for i := range in.cells {
		in.cells[i].end = false
	}
	in.whole, in.erasing, in.literal = 0, false, false
	if n := len(in.cells); canonical && n > 0 {
		in.cells[n-1].end = true
		in.whole = n
	}
}

// room is how many more bytes the line takes. p.mu is held.
func (p *pair) room() int {
	room := lineSize - len(p.in.cells)
	if p.iflag(unix.PARMRK) {
		room = (room + 2) / 3
	}
	return room - 1
}

// hasRoom reports whether a byte can be received. A line that is too long has room
// for more bytes, which replace its last one: its end is to be found. p.mu is held.
func (p *pair) hasRoom() bool {
	return p.room() > 0 || p.canonical() && p.in.whole == 0
}

// readable reports whether n bytes can be read, or a line. p.mu is held.
func (p *pair) readable(n int) bool {
	if p.canonical() && !p.lflag(unix.EXTPROC) {
		return p.in.whole > 0
	}
	return len(p.in.cells) >= n
}

// read takes up to len(b) bytes, of one line at most: ErrWouldBlock if there are
// none. p.mu is held.
func (p *pair) read(b []byte) (int, error) {
	switch {
	case p.hung:
		return 0, nil
	case len(b) == 0:
		return 0, nil
	case !p.readable(1):
		return 0, vfs.ErrWouldBlock
	case p.canonical() && !p.lflag(unix.EXTPROC):
		return p.readLine(b), nil
	}
	n := min(len(b), len(p.in.cells))
	for i := range n {
		b[i] = p.in.cells[i].c
	}
	p.consume(n)
	return n, nil
}

// readLine takes the first line or a part of it. p.mu is held.
func (p *pair) readLine(b []byte) int {
	n := 0
	for i, at := range p.in.cells[:p.in.whole] {
		if at.end && at.c == disabled { // of no length: it goes with what is before it
			p.consume(i + 1)
			return n
		}
		if n == len(b) {
			break
		}
		b[n] = at.c
		n++
		if at.end {
			break
		}
	}
	p.consume(n)
	return n
}

// consume drops the first n cells. p.mu is held.
func (p *pair) consume(n int) {
	p.in.cells = p.in.cells[n:]
	p.in.whole = max(p.in.whole-n, 0)
	if len(p.in.cells) == 0 {
		p.in.cells = nil
	}
}

// queued is FIONREAD: how many bytes can be read. p.mu is held.
func (p *pair) queued() int {
	if !p.canonical() || p.lflag(unix.EXTPROC) {
		return len(p.in.cells)
	}
	n := 0
	for _, at := range p.in.cells[:p.in.whole] {
		if !at.end || at.c != disabled {
			n++
		}
	}
	return n
}

// receive does what the settings say about the byte c, for which there is room. p.mu
// is held.
func (p *pair) receive(c byte) {
	if room := p.room(); room < 0 { // of a line that is too long
		p.in.cells = p.in.cells[:len(p.in.cells)-1]
	}
	if p.iflag(unix.ISTRIP) {
		c &= 0x7f
	}
	if p.iflag(unix.IUCLC) && p.lflag(unix.IEXTEN) {
		c = lower(c)
	}
	switch {
	case p.in.literal:
		p.in.literal = false
		p.plain(c)
	case p.lflag(unix.EXTPROC):
		p.in.put(c, false)
	case !p.special(c):
		p.plain(c)
	}
}

// plain takes c as a byte of a line. p.mu is held.
func (p *pair) plain(c byte) {
	p.resume()
	if p.lflag(unix.ECHO) {
		p.echoTyped(c)
	}
	p.store(c)
}

// store appends c, doubled where it would be taken for the mark of an error.
func (p *pair) store(c byte) {
	if c == 0xff && p.iflag(unix.PARMRK) {
		p.in.put(c, false)
	}
	p.in.put(c, false)
}

// resume starts stopped output if any byte does.
func (p *pair) resume() {
	if p.out.stopped && !p.out.off && p.iflag(unix.IXON) && p.iflag(unix.IXANY) {
		p.start()
		p.flushEchoes()
	}
}

// endLine ends the line with c. p.mu is held.
func (p *pair) endLine(c byte) {
	p.in.put(c, true)
	p.in.whole = len(p.in.cells)
}
