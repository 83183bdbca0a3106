package pty

import "golang.org/x/sys/unix"

// echo is something to be shown that was typed. It waits while the output is stopped
// or full, as what it does to the column depends on what comes before it.
type echo struct {
	op echoOp
	c  byte
}

type echoOp uint8

const (
	opByte        echoOp = iota // c as the output's settings say
	opCaret                     // c as ^C
	opTab                       // go back over a tab with c columns before it from the line's start
	opTabAfterTab               // the same, from another tab
	opBack                      // the column goes back by one
	opMark                      // the line starts here
)

// addEcho appends to what is to be shown: what finds no room is not.
func (p *pair) addEcho(op echoOp, c byte) {
	if len(p.out.echoes) < echoSize {
		p.out.echoes = append(p.out.echoes, echo{op, c})
	}
}

// echoRaw shows c.
func (p *pair) echoRaw(c byte) { p.addEcho(opByte, c) }

// echo shows c, a control character so that it can be seen.
func (p *pair) echo(c byte) {
	if p.lflag(unix.ECHOCTL) && control(c) && c != '\t' {
		p.addEcho(opCaret, c)
		return
	}
	p.addEcho(opByte, c)
}

// echoTyped shows c, a byte of the line.
func (p *pair) echoTyped(c byte) {
	p.finishErasing()
	p.markColumn()
	p.echo(c)
}

// markColumn remembers where the line starts, if it does.
func (p *pair) markColumn() {
	if len(p.in.cells) == p.in.whole {
		p.addEcho(opMark, 0)
	}
}

// flushEchoes shows what can be shown now. As on Linux that is done as bytes come and
// are written, not as soon as TCOON lets output go on. p.mu is held.
func (p *pair) flushEchoes() {
	n := 0
	for n < len(p.out.echoes) && !p.out.stopped && p.out.room() >= widest {
		p.show(p.out.echoes[n])
		n++
	}
	p.out.echoes = p.out.echoes[n:]
	if len(p.out.echoes) == 0 {
		p.out.echoes = nil
	}
}

// show writes e. There is room.
func (p *pair) show(e echo) {
	o := &p.out
	switch e.op {
	case opByte:
		if p.oflag(unix.OPOST) {
			p.process(e.c)
		} else {
			o.put(e.c)
		}
	case opCaret:
		o.put('^', e.c^0x40)
		o.column += 2
	case opTab, opTabAfterTab:
		columns := int(e.c)
		if e.op == opTab {
			columns += o.start
		}
		for range 8 - columns&7 {
			o.put('\b')
			o.column = max(o.column-1, 0)
		}
	case opBack:
		o.column = max(o.column-1, 0)
	case opMark:
		o.start = o.column
	}
}
