// Package line reads the shell's lines: from a terminal with editing, completion
// and history, from a pipe, or from a test.
//
//	line.go       Reader, the plain and the scripted one
//	terminal.go   the interactive one, on go-prompt
//	parser.go     go-prompt's ConsoleParser: raw mode, keys, paste, window size
//	keys.go       bytes into keys
//	restore.go    the terminal as it was found, on every way out
//	history.go    the history file
package line

import (
	"errors"
	"io"
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

// NewPlain returns a Reader of r's lines. It prints no prompt. A last line without a
// newline is a line. Lines have no limit of length.
func NewPlain(r io.Reader) Reader { panic("line: unwritten") }

// Scripted is a Reader that gives what a test wrote down.
type Scripted struct {
	// Prompts are the prompts that ReadLine was given, in order.
	Prompts []string
	// Steps are what remains: a string is a line, an error is returned as it is.
	Steps []any
}

// NewScripted returns a Reader that gives lines, then io.EOF.
func NewScripted(lines ...string) *Scripted { panic("line: unwritten") }

// ReadLine gives the next step.
func (s *Scripted) ReadLine(prompt string) (string, error) { panic("line: unwritten") }

// Close drops the remaining steps.
func (s *Scripted) Close() error { panic("line: unwritten") }
