package pty

import "golang.org/x/sys/unix"

// unit is how much one key erases.
type unit uint8

const (
	oneCharacter unit = iota
	oneWord
	wholeLine
)

// kill erases the line: on the screen as well if the settings say so. p.mu is held.
func (p *pair) kill() {
	if len(p.in.cells) == p.in.whole {
		return
	}
	shown := p.lflag(unix.ECHOK) && p.lflag(unix.ECHOKE) && p.lflag(unix.ECHOE)
	if p.lflag(unix.ECHO) && shown {
		p.erase(wholeLine)
		return
	}
	p.in.cells = p.in.cells[:p.in.whole]
	if !p.lflag(unix.ECHO) {
		return
	}
	p.finishErasing()
	p.echo(p.termios.Cc[unix.VKILL])
	if p.lflag(unix.ECHOK) {
		p.echoRaw('\n')
	}
}

// erase takes the last character, word or everything from the line that is not
// finished, and shows it. p.mu is held.
func (p *pair) erase(what unit) {
	if len(p.in.cells) == p.in.whole {
		return
	}
	inWord := false
	for len(p.in.cells) > p.in.whole {
		head := len(p.in.cells) - 1
		for p.continues(p.in.cells[head].c) && head > p.in.whole {
			head--
		}
		c := p.in.cells[head].c
		if p.continues(c) {
			break // a part of a character, whose start is not ours to take
		}
		if what == oneWord {
			if alphanumeric(c) || c == '_' {
				inWord = true
			} else if inWord {
				break
			}
		}
		gone := p.in.cells[head:]
		p.in.cells = p.in.cells[:head]
		if p.lflag(unix.ECHO) {
			p.showErased(gone, what)
		}
		if what == oneCharacter {
			break
		}
	}
	if len(p.in.cells) == p.in.whole && p.lflag(unix.ECHO) {
		p.finishErasing()
	}
}

// showErased shows that the bytes gone of one character are.
func (p *pair) showErased(gone []cell, what unit) {
	c := gone[0].c
	switch {
	case p.lflag(unix.ECHOPRT):
		if !p.in.erasing {
			p.echoRaw('\\')
			p.in.erasing = true
		}
		p.echo(c)
		for _, more := range gone[1:] {
			p.echoRaw(more.c)
			p.addEcho(opBack, 0)
		}
	case what == oneCharacter && !p.lflag(unix.ECHOE):
		p.echo(p.termios.Cc[unix.VERASE])
	case c == '\t':
		p.eraseTab()
	default:
		if control(c) && p.lflag(unix.ECHOCTL) {
			p.rubOut()
		}
		if !control(c) || p.lflag(unix.ECHOCTL) {
			p.rubOut()
		}
	}
}

func (p *pair) rubOut() {
	p.echoRaw('\b')
	p.echoRaw(' ')
	p.echoRaw('\b')
}

// eraseTab goes back over a tab: how far depends on what is before it, up to the tab
// before that or the column where the line starts.
func (p *pair) eraseTab() {
	columns, op := byte(0), opTab
	for i := len(p.in.cells) - 1; i >= p.in.whole; i-- {
		c := p.in.cells[i].c
		if c == '\t' {
			op = opTabAfterTab
			break
		}
		switch {
		case control(c) && p.lflag(unix.ECHOCTL):
			columns += 2
		case !control(c) && !p.continues(c):
			columns++
		}
	}
	p.addEcho(op, columns&7)
}

// finishErasing ends what ECHOPRT shows of erased characters.
func (p *pair) finishErasing() {
	if p.in.erasing {
		p.echoRaw('/')
		p.in.erasing = false
	}
}

// continues reports whether c is a byte of a UTF-8 character but its first.
func (p *pair) continues(c byte) bool { return p.iflag(unix.IUTF8) && c&0xc0 == 0x80 }

// The kernel's idea of characters is Latin-1.

func control(c byte) bool { return c < 0x20 || c == 0x7f }

func letter(c byte) bool {
	lowered := c | 0x20
	return lowered >= 'a' && lowered <= 'z' || c >= 0xc0 && c != 0xd7 && c != 0xf7
}

func alphanumeric(c byte) bool { return letter(c) || c >= '0' && c <= '9' }

func upperCase(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 0xc0 && c <= 0xde && c != 0xd7 }

func lower(c byte) byte {
	if upperCase(c) {
		return c + 0x20
	}
	return c
}

func upper(c byte) byte {
	if letter(c) && !upperCase(c) {
		return c - 0x20
	}
	return c
}
