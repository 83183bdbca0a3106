package line

import (
	"bytes"
	"errors"
	"sync"

	prompt "github.com/c-bata/go-prompt"
	"golang.org/x/sys/unix"
)

// ending is why a call of go-prompt's Input ends, the more urgent the higher.
type ending uint8

const (
	endNone      ending = iota
	endRedraw           // the window's size changed, or we were stopped and go on
	endLine             // Enter
	endInterrupt        // Ctrl-C or SIGINT; go-prompt sees Enter
	endEOF              // Ctrl-D, if the line is empty
	endSuspend          // Ctrl-Z
	endPanic            // the completer panicked; go-prompt sees Enter, which empties the line
	endHangup           // the terminal is gone
)

// parser is go-prompt's ConsoleParser. Read is called by go-prompt's reading goroutine;
// Setup, TearDown and GetWinSize by the one that runs Input.
//
// go-prompt's reader goes on after Enter until it is told to stop, and what it reads
// then is lost. So after each key that ends or may end Input, Read gives nothing until
// the next begin: type-ahead stays in queue.
type parser struct {
	tty *tty

	mu      sync.Mutex
	split   splitter
	queue   [][]byte // keys that were read and not given yet
	held    bool     // nothing is given
	end     ending   // valid while held
	request ending   // an end that a signal or a panic asked for
}

// errNothing is what Read returns if there is no key; go-prompt asks again.
var errNothing = errors.New("no key")

// pollTime is how long, in milliseconds, a Read waits. It bounds how long Input
// takes to notice a signal, and how long an ESC alone waits for a sequence.
const pollTime = 25

// forget drops what was asked for outside of the editing of a line.
func (p *parser) forget() {
	p.mu.Lock()
	if p.request != endHangup {
		p.request = endNone
	}
	p.mu.Unlock()
}

// begin lets keys through again.
func (p *parser) begin() {
	p.mu.Lock()
	p.held, p.end = false, endNone
	p.mu.Unlock()
}

// release says that Ctrl-D did not end the line.
func (p *parser) release() { p.begin() }

// ended returns why Input ended.
func (p *parser) ended() ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// ask ends Input from outside, before the keys that still wait.
func (p *parser) ask(e ending) {
	p.mu.Lock()
	p.request = max(p.request, e)
	p.mu.Unlock()
}

// Setup makes the terminal raw.
func (p *parser) Setup() error { return p.tty.setRaw() }

// TearDown restores the terminal, unless Input is left only to be called again.
func (p *parser) TearDown() error {
	if p.ended() == endRedraw {
		return nil
	}
	return p.tty.restore()
}

// GetWinSize returns the window's size, never 0.
func (p *parser) GetWinSize() *prompt.WinSize {
	rows, cols := p.tty.size()
	return &prompt.WinSize{Row: rows, Col: cols}
}

// Read returns the next key.
func (p *parser) Read() ([]byte, error) {
	if key, ok := p.take(); ok {
		return key, nil
	}
	if p.isHeld() {
		return nil, errNothing
	}
	ready, err := p.tty.wait(pollTime)
	switch {
	case err != nil:
		p.ask(endHangup)
	case ready:
		p.fill()
	default:
		p.mu.Lock()
		p.queue = append(p.queue, p.split.flush()...)
		p.mu.Unlock()
	}
	if key, ok := p.take(); ok {
		return key, nil
	}
	return nil, errNothing
}

func (p *parser) isHeld() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// fill reads what the terminal has.
func (p *parser) fill() {
	var buf [4096]byte
	n, err := unix.Read(p.tty.fd, buf[:])
	if err == unix.EINTR || err == unix.EAGAIN {
		return
	}
	if n <= 0 {
		p.ask(endHangup)
		return
	}
	p.mu.Lock()
	p.queue = append(p.queue, p.split.split(buf[:n])...)
	p.mu.Unlock()
}

// take returns the next key that may be given.
func (p *parser) take() ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		return nil, false
	}
	if p.request != endNone {
		end := p.request
		p.request = endNone
		if end == endInterrupt || end == endPanic {
			return p.hold(end, keyEnter), true
		}
		return p.hold(end, keyLeave), true
	}
	if len(p.queue) == 0 {
		return nil, false
	}
	key := p.queue[0]
	p.queue = p.queue[1:]
	switch {
	case bytes.Equal(key, keyEnter), bytes.Equal(key, []byte{'\n'}):
		return p.hold(endLine, keyEnter), true
	case bytes.Equal(key, keyCtrlC):
		return p.hold(endInterrupt, keyEnter), true
	case bytes.Equal(key, keyCtrlD):
		return p.hold(endEOF, keyCtrlD), true
	case bytes.Equal(key, keyCtrlZ):
		return p.hold(endSuspend, keyLeave), true
	}
	return key, true
}

// hold stops the flow of keys behind key.
func (p *parser) hold(end ending, key []byte) []byte {
	p.held, p.end = true, end
	return key
}
