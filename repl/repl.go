// Package repl is the shell: one table of commands, and the loop that reads lines,
// runs commands and shows their answers.
//
//	repl.go      Session: what a shell remembers
//	table.go     Command, and finding one by name
//	exec.go      running a command: errors, envelopes, panics
//	loop.go      prompts, pipes, scripts; Ctrl-C
//	env.go       what expressions see (registers, symbols, mappings)
//	args.go      reading a command's words
//	cmd_*.go     the commands, by group; expect*.go, star.go the checks of scripts
//	complete.go  completion; docs.go the pages made from the table
//
// A command parses its words, calls the debugger or the engine, and returns a
// value of package view. It prints nothing.
package repl

import (
	"context"
	"io"
	"sync"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

// JSON says how answers are written.
type JSON uint8

// The ways.
const (
	JSONOff   JSON = iota
	JSONOn         // indented envelopes
	JSONLines      // one line each
)

// Config is what a Session is made of.
type Config struct {
	Debugger *debugger.Debugger
	Sink     *debugger.Sink // the guests' output
	Memory   *pgalloc.MemoryFile
	Window   *mm.FaultWindow
	ASIO     *mm.ASIO

	Out, Err  io.Writer
	JSON      JSON
	Color     bool
	Width     func() int // columns of the terminal; nil: no limit
	Page      func(text string) bool
	KeepGoing bool
	Batch     bool
	// HostShell allows `!command`.
	HostShell bool

	// Find returns the path of a program that was named without one.
	Find func(name string) string

	// Demos are the embedded programs.
	Demos   func() []string
	Demo    func(name string) ([]byte, bool)
	Version string
}

// Session is one shell: variables, aliases, rows of the last vmas, and how it fared.
// It is used by one goroutine, but for Interrupt.
type Session struct {
	config  Config
	d       *debugger.Debugger
	table   *table
	vars    map[string]lang.Number
	aliases map[string]string
	rows    map[int32][]row
	typed   []string // lines of this session, for `history`

	format   lang.Format // of x
	examined memmap.Addr // where the last x ended
	dumped   memmap.Addr // where the last hexdump ended
	regs     platform.Regs
	prevRegs platform.Regs

	declared map[string]bool // aliases that scripts define
	checking bool            // `set check every`

	status   int // the worst so far: 0, 1, 3
	quitting bool
	depth    int  // of commands inside commands
	muted    int  // `quiet`: answers are not shown
	scripted int  // >0: errors say where they stand
	at       bool // at a prompt: prefixes are allowed

	mu      sync.Mutex
	cancel  context.CancelFunc // of the running command
	presses int                // Ctrl-C since it began
	broken  bool               // interrupted: a batch ends
}

// row is a line of the last vmas, for vma:N.
type row struct {
	ar     memmap.AddrRange
	origin uint64
}

// New returns a Session.
func New(c Config) *Session {
	return &Session{
		config:   c,
		d:        c.Debugger,
		table:    newTable(),
		vars:     map[string]lang.Number{},
		aliases:  map[string]string{},
		rows:     map[int32][]row{},
		declared: map[string]bool{},
		format:   lang.Format{Count: 1, Letter: 'x', Unit: 4},
	}
}

// Status returns what mmsh exits with: 0, 1 if a command or expectation failed,
// 3 if mmsh or the host is at fault, or what `quit N` said.
func (s *Session) Status() int { return s.status }

// Quitting reports whether `quit` was run.
func (s *Session) Quitting() bool { return s.quitting }

// Show draws a value as commands' answers are drawn, e.g. the first stop.
func (s *Session) Show(v view.Value) { s.print(v) }

// worsen remembers the worst status.
func (s *Session) worsen(status int) { s.status = max(s.status, status) }
