package lang

import (
	"errors"
	"strings"
)

// Input collects the lines of a prompt or pipe until they make commands.
// The zero Input is ready; File names it in errors.
type Input struct {
	File string

	line    int      // lines before pending
	pending []string // lines that are not finished
}

// Add gives the next line, without its newline. more is true if the text so far needs
// more lines (then there are no commands); the lines are kept. After commands or an
// error the next line begins anew; line numbers go on.
func (in *Input) Add(line string) (cmds []*Command, more bool, err error) {
	in.pending = append(in.pending, line)
	cmds, err = in.parse()
	var syntax *SyntaxError
	if errors.As(err, &syntax) && syntax.More {
		return nil, true, nil
	}
	in.Drop()
	return cmds, false, err
}

func (in *Input) parse() ([]*Command, error) {
	return newParser(in.File, strings.Join(in.pending, "\n"), in.line+1).commands(nil)
}

// Pending reports whether lines wait for more.
func (in *Input) Pending() bool { return len(in.pending) > 0 }

// End says that no line follows: an unfinished text is a *SyntaxError.
func (in *Input) End() error {
	_, err := in.parse()
	in.Drop()
	return err
}

// Drop forgets unfinished lines: Ctrl-C at the continuation prompt.
func (in *Input) Drop() {
	in.line += len(in.pending)
	in.pending = nil
}
