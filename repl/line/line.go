// Package line reads the shell's lines: from a terminal with editing, completion
// and history, from a pipe, or from a test. It knows nothing of commands.
//
//	line.go       Reader, the plain and the scripted one
//	terminal.go   the interactive one, on go-prompt; why it is driven the way it is
//	parser.go     go-prompt's ConsoleParser: which key it gets and when
//	keys.go       bytes into keys, and pasted text
//	tty.go        raw mode, Restore on every way out, window size
//	suspend.go    Ctrl-Z
//	history.go    the history file
//
// Start with terminal.go.
package line

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrInterrupt is returned by ReadLine if Ctrl-C dropped the line.
var ErrInterrupt = errors.New("interrupted")

// Reader reads lines. ReadLine returns a line without its newline; io.EOF at the end,
// ErrInterrupt if the line was dropped. It is not safe for concurrent use.
type Reader interface {
	ReadLine(prompt string) (string, error)
	// Close restores the terminal and writes the history. ReadLine then returns io.EOF.
	Close() error
}

// plain reads lines from anything.
type plain struct{ r *bufio.Reader }

// NewPlain returns a Reader of r's lines. It prints no prompt. A last line without a
// newline is a line; a line ends before \n or \r\n. Lines have no limit of length.
func NewPlain(r io.Reader) Reader { return &plain{bufio.NewReader(r)} }

func (p *plain) ReadLine(string) (string, error) {
	if p.r == nil {
		return "", io.EOF
	}
	s, err := p.r.ReadString('\n')
	if err != nil && (err != io.EOF || s == "") {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r"), nil
}

func (p *plain) Close() error {
	p.r = nil
	return nil
}

// Scripted is a Reader that gives what a test wrote down.
type Scripted struct {
	// Prompts are the prompts that ReadLine was given, in order.
	Prompts []string
	// Steps are what remains: a string is a line, an error is returned as it is.
	Steps []any
}

// NewScripted returns a Reader that gives lines, then io.EOF.
func NewScripted(lines ...string) *Scripted {
	s := &Scripted{}
	for _, l := range lines {
		s.Steps = append(s.Steps, l)
	}
	return s
}

// ReadLine gives the next step.
func (s *Scripted) ReadLine(prompt string) (string, error) {
	s.Prompts = append(s.Prompts, prompt)
	if len(s.Steps) == 0 {
		return "", io.EOF
	}
	step := s.Steps[0]
	s.Steps = s.Steps[1:]
	switch step := step.(type) {
	case string:
		return step, nil
	case error:
		return "", step
	}
	return "", fmt.Errorf("line: a step is a string or an error, not %T", step)
}

// Close drops the remaining steps.
func (s *Scripted) Close() error {
	s.Steps = nil
	return nil
}
