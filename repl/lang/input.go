package lang

// Input collects the lines of a prompt or pipe until they make commands.
// The zero Input is ready; File names it in errors.
type Input struct {
	File string

	line int    // lines seen before pending
	text string // lines that are not finished
}

// Add gives the next line, without its newline. more is true if the text so far needs
// more lines (then there are no commands); the lines are kept. After commands or an
// error the next line begins anew; line numbers go on.
func (in *Input) Add(line string) (cmds []*Command, more bool, err error) { panic("lang: unwritten") }

// Pending reports whether lines wait for more.
func (in *Input) Pending() bool { return in.text != "" }

// End says that no line follows: an unfinished text is a *SyntaxError.
func (in *Input) End() error { panic("lang: unwritten") }

// Drop forgets unfinished lines: Ctrl-C at the continuation prompt.
func (in *Input) Drop() { panic("lang: unwritten") }
