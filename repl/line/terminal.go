package line

// Suggestion is one completion.
type Suggestion struct {
	Text        string // replaces the word (up to a blank) before the cursor
	Description string
}

// Config says how a terminal is read.
type Config struct {
	// Complete returns what may stand in place of the word that ends at byte pos of
	// line. It is called once for a line and position, not at every key. May be nil.
	Complete func(line string, pos int) []Suggestion
	// Color draws the prompt and the suggestions in colour.
	Color bool
	// History keeps lines over sessions. May be nil: this session only.
	History *History
}

// Terminal is the Reader of an interactive terminal.
type Terminal struct{}

// NewTerminal returns a Reader of the controlling terminal. The error says what is
// missing: standard input or output is no terminal, or there is no /dev/tty.
// From then on SIGTERM and SIGHUP restore the terminal and exit with 143 and 129
// while a line is edited; at other times they are the caller's (see Restore).
func NewTerminal(c Config) (*Terminal, error) { panic("line: unwritten") }

// ReadLine edits one line.
func (t *Terminal) ReadLine(prompt string) (string, error) { panic("line: unwritten") }

// Close restores the terminal and writes the history.
func (t *Terminal) Close() error { panic("line: unwritten") }

// Restore puts the terminal back as it was found. It may be called at any time, from
// any goroutine, any number of times, and does nothing where there is nothing to do:
// `defer line.Restore()` in main and before every exit.
func Restore() { panic("line: unwritten") }
