package lang

import (
	"errors"
	"fmt"
	"strings"
)

// Command is one command of a script as it was written.
type Command struct {
	// Name is the command's first word, without quotes. Of `x/4gx`, `p/x` and `print/d`
	// it is the part before the first slash.
	Name string
	// Slash is what follows the first slash of x, p and print: "4gx". See ParseFormat.
	Slash string
	// Words are the command's words, the first (the name) included; blocks are not words.
	Words []Word
	// Blocks are the blocks behind the words: one for repeat, commands and goal, one or
	// two for if (the second is its else).
	Blocks []Block
	// Host is set for `!rest of line`: the text for the host's shell. Name is then "!".
	Host string

	File      string // where the command stands: "lab.mmsh", "<stdin>", "-c"
	Line, Col int    // 1-based; Col counts bytes

	// Source is the command as written, from its first word to its last or to the } of
	// its last block.
	Source string

	text string // the words' text with joined lines joined; Word.start and .end index it
	tail string // the blocks as written
}

// Block is what stands between { and }.
type Block []*Command

// Word is one word of a command.
type Word struct {
	Text      string // as written, quotes included
	Line, Col int    // 1-based; Col counts bytes

	start, end int
}

// SyntaxError says where a text stops being a script.
type SyntaxError struct {
	File      string
	Line, Col int
	Reason    string
	// More is true if the text so far is right but unfinished: an open quote, bracket
	// or block, or a joined line.
	More bool
}

// Error prints FILE:LINE: and the reason.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason) }

// ParseScript parses a whole script. name is what error messages call it. On a
// *SyntaxError no command is returned: a script is run whole or not at all.
func ParseScript(name, src string) ([]*Command, error) {
	p := newParser(name, src, 1)
	return p.commands(nil)
}

// Where returns FILE:LINE.
func (c *Command) Where() string { return fmt.Sprintf("%s:%d", c.File, c.Line) }

// Args returns the words behind the name.
func (c *Command) Args() []Word {
	if len(c.Words) == 0 {
		return nil
	}
	return c.Words[1:]
}

// Rest returns the text of the words from number i on, exactly as written between
// them: the last expression of `assert print x if set`. It is "" if there are none.
func (c *Command) Rest(i int) string { return c.Text(i, len(c.Words)) }

// Text returns the text of the words from number i up to number j, which is not
// included, exactly as written between them: an expression that ends before `if` or a
// moment.
func (c *Command) Text(i, j int) string {
	if i < 0 || i >= j || j > len(c.Words) {
		return ""
	}
	return c.text[c.Words[i].start:c.Words[j-1].end]
}

// From returns the command that begins with word i, blocks included: what `quiet`,
// `time`, `on PID`, `let a =`, `expect error EFAULT` run. It returns nil if there is
// no word i.
func (c *Command) From(i int) *Command {
	if i < 0 || i >= len(c.Words) {
		return nil
	}
	d := *c
	d.Words = c.Words[i:]
	d.Line, d.Col = d.Words[0].Line, d.Words[0].Col
	d.Source = c.Rest(i)
	if c.tail != "" {
		d.Source += " " + c.tail
	}
	d.setName()
	return &d
}

// Index returns the number of the first word that is written exactly as word, at
// or after number from; -1 if none is. Quoted words are never found.
func (c *Command) Index(word string, from int) int {
	for i := max(from, 0); i < len(c.Words); i++ {
		if c.Words[i].Text == word {
			return i
		}
	}
	return -1
}

// setName sets Name and Slash from the first word.
func (c *Command) setName() error {
	name, err := c.Words[0].Value()
	c.Name, c.Slash = name, ""
	if err != nil || c.Words[0].Text != name {
		return err
	}
	if head, tail, ok := strings.Cut(name, "/"); ok && (head == "x" || head == "p" || head == "print") {
		c.Name, c.Slash = head, tail
	}
	return nil
}

// Value returns the word without its quotes.
func (w Word) Value() (string, error) { return unquote(w.Text) }

// Quoted reports whether the word is one quoted text from end to end.
func (w Word) Quoted() bool {
	return w.Text != "" && (w.Text[0] == '"' || w.Text[0] == '\'') && quoteEnd(w.Text, 0) == len(w.Text)
}

// Walk calls f for every command of a tree, outer before inner, until f fails.
func Walk(cmds []*Command, f func(*Command) error) error {
	for _, c := range cmds {
		if err := f(c); err != nil {
			return err
		}
		for _, b := range c.Blocks {
			if err := Walk(b, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// SplitWords splits text as a command's words are split. Blocks and separators
// are refused.
func SplitWords(text string) ([]Word, error) {
	p, c := newParser("", text, 1), &Command{}
	err := p.words(c, &strings.Builder{})
	if p.peek(0) == '#' {
		p.skipComment()
	}
	var syntax *SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, errors.New(syntax.Reason)
	case !p.eof():
		return nil, fmt.Errorf("%q: unexpected %q", text, p.src[p.off:])
	}
	return c.Words, nil
}

// JoinWords returns the words with one blank between them.
func JoinWords(words []Word) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.Text
	}
	return strings.Join(texts, " ")
}
