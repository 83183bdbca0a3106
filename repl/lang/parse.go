package lang

import (
	"fmt"
	"strings"
)

// maxNesting bounds blocks in blocks and parentheses in parentheses, so that no
// text can exhaust the stack.
const maxNesting = 200

// place is a position in the text: 1-based line and byte column.
type place struct{ line, col int }

// parser reads a script. The reading position moves only in next, which counts lines.
type parser struct {
	file  string
	src   string
	off   int
	at    place
	end   int // where the last word or block ended
	depth int
}

func newParser(file, src string, line int) *parser {
	return &parser{file: file, src: src, at: place{line, 1}}
}

// next moves over n bytes.
func (p *parser) next(n int) {
	for range n {
		if p.src[p.off] == '\n' {
			p.at.line++
			p.at.col = 0
		}
		p.at.col++
		p.off++
	}
}

// peek returns the byte i places on, 0 beyond the end.
func (p *parser) peek(i int) byte {
	if p.off+i < len(p.src) {
		return p.src[p.off+i]
	}
	return 0
}

func (p *parser) eof() bool { return p.off >= len(p.src) }

func (p *parser) fail(at place, format string, args ...any) error {
	return &SyntaxError{File: p.file, Line: at.line, Col: at.col, Reason: fmt.Sprintf(format, args...)}
}

// unfinished is fail for a text that more lines could complete.
func (p *parser) unfinished(at place, format string, args ...any) error {
	return &SyntaxError{File: p.file, Line: at.line, Col: at.col, Reason: fmt.Sprintf(format, args...), More: true}
}

// commands reads commands to the end of the text, or of the block that was opened at
// open, whose } it consumes.
func (p *parser) commands(open *place) ([]*Command, error) {
	var cmds []*Command
	for {
		fresh, err := p.skipSeparators()
		switch {
		case err != nil:
			return nil, err
		case p.eof() && open != nil:
			return nil, p.unfinished(*open, "block { is not closed")
		case p.eof():
			return cmds, nil
		case p.alone('}') && open != nil:
			p.next(1)
			return cmds, nil
		case p.alone('}'):
			return nil, p.fail(p.at, "} without {")
		case p.peek(0) == '}' && open != nil:
			return nil, p.fail(p.at, "} must be a word of its own")
		}
		var c *Command
		if p.peek(0) == '!' {
			c, err = p.host(fresh)
		} else {
			c, err = p.command()
		}
		if err != nil {
			return nil, err
		}
		cmds = append(cmds, c)
	}
}

// skipSeparators moves over all that stands between commands. fresh reports whether
// the next command is the first on its line.
func (p *parser) skipSeparators() (fresh bool, err error) {
	fresh = p.off == 0 || p.src[p.off-1] == '\n'
	for !p.eof() {
		switch c := p.peek(0); {
		case c == '\n':
			fresh = true
			p.next(1)
		case c == ';':
			fresh = false
			p.next(1)
		case c == ' ' || c == '\t' || c == '\r':
			p.next(1)
		case c == '#':
			p.skipComment()
		case c == '\\' && p.joinLength() > 0:
			if err := p.join(); err != nil {
				return false, err
			}
		default:
			return fresh, nil
		}
	}
	return fresh, nil
}

func (p *parser) skipComment() {
	for !p.eof() && p.peek(0) != '\n' {
		p.next(1)
	}
}

// joinLength returns how many bytes a \ at the end of a line takes with its newline;
// 1 at the end of the text; 0 if the \ is not the line's last.
func (p *parser) joinLength() int {
	rest := p.src[p.off:]
	switch {
	case rest == "\\" || rest == "\\\r":
		return len(rest)
	case strings.HasPrefix(rest, "\\\n"):
		return 2
	case strings.HasPrefix(rest, "\\\r\n"):
		return 3
	}
	return 0
}

func (p *parser) join() error {
	at := p.at
	p.next(p.joinLength())
	if p.eof() {
		return p.unfinished(at, "nothing follows the \\ that joins lines")
	}
	return nil
}

// alone reports whether the bracket b stands here as a word of its own. The caller
// is at the start of a word.
func (p *parser) alone(b byte) bool {
	return p.peek(0) == b && (p.off+1 == len(p.src) || endsWord(p.peek(1)))
}

func endsWord(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';'
}

// host reads `!rest of line`.
func (p *parser) host(fresh bool) (*Command, error) {
	if !fresh {
		return nil, p.fail(p.at, "! gives a line to the host's shell only where it is first on the line")
	}
	c := &Command{Name: "!", File: p.file, Line: p.at.line, Col: p.at.col}
	start := p.off
	p.skipComment() // to the end of the line
	c.Source = strings.TrimRight(p.src[start:p.off], " \t\r")
	c.Host = strings.TrimLeft(c.Source[1:], " \t")
	c.text = c.Source
	c.Words = []Word{{Text: "!", Line: c.Line, Col: c.Col, start: 0, end: 1}}
	return c, nil
}

// command reads one command with its blocks. It stops before what ends it.
func (p *parser) command() (*Command, error) {
	c := &Command{File: p.file, Line: p.at.line, Col: p.at.col}
	start := p.off
	var text strings.Builder
	if err := p.words(c, &text); err != nil {
		return nil, err
	}
	c.text = text.String()
	if len(c.Words) == 0 {
		return nil, p.fail(p.at, "a block needs a command before its {")
	}
	if err := c.setName(); err != nil {
		return nil, p.fail(place{c.Line, c.Col}, "%v", err)
	}
	blocks := p.off
	if err := p.blocks(c); err != nil {
		return nil, err
	}
	if len(c.Blocks) > 0 {
		c.tail = p.src[blocks:p.end]
	}
	c.Source = p.src[start:p.end]
	return c, p.checkBlocks(c)
}

// words reads the words of c, up to a block or to what ends the command.
func (p *parser) words(c *Command, text *strings.Builder) error {
	for {
		blanks := p.off
		for p.peek(0) == ' ' || p.peek(0) == '\t' || p.peek(0) == '\r' {
			p.next(1)
		}
		gap := p.src[blanks:p.off]
		switch {
		case p.eof() || p.peek(0) == '\n' || p.peek(0) == ';' || p.alone('{') || p.alone('}') || p.peek(0) == '#':
			return nil
		case p.peek(0) == '\\' && p.joinLength() > 0:
			if err := p.join(); err != nil {
				return err
			}
			text.WriteString(gap)
			continue
		}
		text.WriteString(gap)
		w := Word{Line: p.at.line, Col: p.at.col, start: text.Len()}
		if err := p.word(text); err != nil {
			return err
		}
		p.end = p.off
		w.end = text.Len()
		w.Text = text.String()[w.start:]
		c.Words = append(c.Words, w)
	}
}

// word reads one word into text.
func (p *parser) word(text *strings.Builder) error {
	var open []byte // closing brackets that are due
	var opened []place
	for !p.eof() {
		c := p.peek(0)
		switch {
		case c == '"' || c == '\'':
			end := quoteEnd(p.src, p.off)
			if end < 0 {
				return p.unfinished(p.at, "quote %c is not closed", c)
			}
			text.WriteString(p.src[p.off:end])
			p.next(end - p.off)
			continue
		case c == '(' || c == '[' || c == '{':
			open = append(open, closer(c))
			opened = append(opened, p.at)
		case len(open) > 0 && c == open[len(open)-1]:
			open, opened = open[:len(open)-1], opened[:len(opened)-1]
		case len(open) > 0: // brackets protect the rest
		case endsWord(c):
			return nil
		case c == '\\' && p.joinLength() > 0:
			if err := p.join(); err != nil {
				return err
			}
			continue
		}
		text.WriteByte(c)
		p.next(1)
	}
	if n := len(open); n > 0 {
		return p.unfinished(opened[n-1], "bracket is not closed: %c is missing", open[n-1])
	}
	return nil
}

func closer(open byte) byte {
	return map[byte]byte{'(': ')', '[': ']', '{': '}'}[open]
}

// blocks reads the blocks that follow c's words.
func (p *parser) blocks(c *Command) error {
	if !p.alone('{') {
		return nil
	}
	if err := p.block(c); err != nil {
		return err
	}
	p.skipBlanks()
	if p.isWord("else") {
		if err := p.elseBlock(c); err != nil {
			return err
		}
		p.skipBlanks()
	}
	switch {
	case p.eof() || p.peek(0) == '\n' || p.peek(0) == ';' || p.alone('}') || p.peek(0) == '#':
		return nil
	}
	return p.fail(p.at, "a new line or ; must follow }")
}

// block reads { … } and adds it to c.
func (p *parser) block(c *Command) error {
	open := p.at
	if p.depth++; p.depth > maxNesting {
		return p.fail(open, "blocks are nested deeper than %d", maxNesting)
	}
	p.next(1)
	b, err := p.commands(&open)
	p.depth--
	c.Blocks = append(c.Blocks, b)
	p.end = p.off
	return err
}

// elseBlock reads else { … }, or else if … as a block of one command.
func (p *parser) elseBlock(c *Command) error {
	at := p.at
	if c.Index("if", 0) < 0 {
		return p.fail(at, "else without if")
	}
	p.next(len("else"))
	p.skipBlanks()
	switch {
	case p.alone('{'):
		return p.block(c)
	case p.isWord("if"):
		if p.depth++; p.depth > maxNesting {
			return p.fail(at, "blocks are nested deeper than %d", maxNesting)
		}
		inner, err := p.command()
		p.depth--
		c.Blocks = append(c.Blocks, Block{inner})
		return err
	case p.eof():
		return p.unfinished(at, "else wants { … } or if")
	}
	return p.fail(at, "else wants { … } or if")
}

func (p *parser) skipBlanks() {
	for p.peek(0) == ' ' || p.peek(0) == '\t' || p.peek(0) == '\r' {
		p.next(1)
	}
}

// isWord reports whether word stands here.
func (p *parser) isWord(word string) bool {
	rest := p.src[p.off:]
	return strings.HasPrefix(rest, word) && (len(rest) == len(word) || endsWord(rest[len(word)]))
}

// blockForms are the commands that own blocks, and how they are written.
var blockForms = map[string]string{
	"repeat":   "repeat N { … }",
	"if":       "if E { … } else { … }",
	"commands": "commands N { … }",
	"goal":     "goal NAME [points N] [needs NAME] [hint TEXT] { … }",
}

// checkBlocks refuses commands that lack a block or have one too many. A command
// such as `time repeat 3 { … }` has its block through one of its words.
func (p *parser) checkBlocks(c *Command) error {
	at := place{c.Line, c.Col}
	form, owns := blockForms[c.Name]
	switch {
	case owns && len(c.Blocks) == 0:
		return p.fail(at, "%s wants a block: %s", c.Name, form)
	case c.Name == "else":
		return p.fail(at, "else must stand on the line of the } before it")
	case len(c.Blocks) == 0 || owns:
		return nil
	}
	for _, w := range c.Words {
		if _, ok := blockForms[w.Text]; ok {
			return nil
		}
	}
	return p.fail(at, "%s takes no block", c.Name)
}
