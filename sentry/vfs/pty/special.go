package pty

import "golang.org/x/sys/unix"

// special does what c means, and reports whether it means anything but itself. p.mu
// is held.
func (p *pair) special(c byte) bool {
	if c == disabled {
		return false
	}
	if p.iflag(unix.IXON) && p.control(c) {
		return true
	}
	if p.lflag(unix.ISIG) && p.interrupts(c) {
		return true
	}
	p.resume()
	typed := c
	switch {
	case c == '\r' && p.iflag(unix.IGNCR):
		return true
	case c == '\r' && p.iflag(unix.ICRNL):
		c = '\n'
	case c == '\n' && p.iflag(unix.INLCR):
		c = '\r'
	}
	if p.canonical() && p.edits(c) {
		return true
	}
	if c == typed {
		return false
	}
	if p.lflag(unix.ECHO) {
		if c == '\n' {
			p.finishErasing()
			p.echoRaw(c)
		} else {
			p.echoTyped(c)
		}
	}
	p.store(c)
	return true
}

// control is c that stops or starts the output.
func (p *pair) control(c byte) bool {
	switch {
	case p.is(c, unix.VSTART):
		p.start()
		p.flushEchoes()
	case p.is(c, unix.VSTOP):
		p.stop()
	default:
		return false
	}
	return true
}

// signals are the characters that send a signal to the foreground.
var signals = []struct {
	at  int
	sig unix.Signal
}{{unix.VINTR, unix.SIGINT}, {unix.VQUIT, unix.SIGQUIT}, {unix.VSUSP, unix.SIGTSTP}}

// interrupts is c that sends a signal. All queues are emptied but with NOFLSH.
func (p *pair) interrupts(c byte) bool {
	for _, s := range signals {
		if !p.is(c, s.at) {
			continue
		}
		p.signal(s.sig)
		if !p.lflag(unix.NOFLSH) {
			p.out.echoes = nil
			p.flushOutput()
			p.flushInput()
		}
		if p.iflag(unix.IXON) {
			p.start()
		}
		if p.lflag(unix.ECHO) {
			p.echo(c)
		}
		return true
	}
	return false
}

// edits is c that edits the line, or ends it. p.mu is held.
func (p *pair) edits(c byte) bool {
	extended := p.lflag(unix.IEXTEN)
	switch {
	case p.is(c, unix.VERASE):
		p.erase(oneCharacter)
	case p.is(c, unix.VKILL):
		p.kill()
	case p.is(c, unix.VWERASE) && extended:
		p.erase(oneWord)
	case p.is(c, unix.VLNEXT) && extended:
		p.takeNext()
	case p.is(c, unix.VREPRINT) && extended && p.lflag(unix.ECHO):
		p.reprint(c)
	case c == '\n':
		if p.lflag(unix.ECHO | unix.ECHONL) {
			p.echoRaw('\n')
		}
		p.endLine(c)
	case p.is(c, unix.VEOF):
		p.endLine(disabled)
	case p.is(c, unix.VEOL), p.is(c, unix.VEOL2) && extended:
		p.endWith(c)
	default:
		return false
	}
	return true
}

// endWith is a character that ends a line and is a part of it.
func (p *pair) endWith(c byte) {
	if p.lflag(unix.ECHO) {
		p.markColumn()
		p.echo(c)
	}
	if c == 0xff && p.iflag(unix.PARMRK) {
		p.in.put(c, false)
	}
	p.endLine(c)
}

// takeNext makes the next byte one of the line whatever it is.
func (p *pair) takeNext() {
	p.in.literal = true
	if !p.lflag(unix.ECHO) {
		return
	}
	p.finishErasing()
	if p.lflag(unix.ECHOCTL) {
		p.echoRaw('^')
		p.echoRaw('\b')
	}
}

// reprint shows the line anew.
func (p *pair) reprint(c byte) {
	p.finishErasing()
	p.echo(c)
	p.echoRaw('\n')
	for _, at := range p.in.cells[p.in.whole:] {
		p.echo(at.c)
	}
}
