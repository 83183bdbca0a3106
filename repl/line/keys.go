package line

import (
	"bytes"
	"unicode/utf8"

	prompt "github.com/c-bata/go-prompt"
)

// Keys that the parser itself looks at or makes.
var (
	keyCtrlC = []byte{0x03}
	keyCtrlD = []byte{0x04}
	keyEnter = []byte{'\r'}
	keyCtrlZ = []byte{0x1a}
	// keyLeave is a key that does nothing in go-prompt. We bind it to leaving Input with
	// the line kept; as a real key it is dropped.
	keyLeave = []byte{0x1b, '[', 'E'}
)

// The terminal's brackets around pasted text.
var (
	pasteBegin = []byte("\x1b[200~")
	pasteEnd   = []byte("\x1b[201~")
)

// splitter cuts what a terminal sends into keys. go-prompt takes what one Read
// returns for one key, so "cmd\r" read at once would be text.
type splitter struct {
	rest    []byte // an unfinished sequence or character
	pasting bool
	cr      bool // pasted text: the last byte was \r, a \n after it is the same end of line
}

// split returns the keys in what was kept and b: one control character, one escape
// sequence that go-prompt knows, or a run of text. The end is kept if it is unfinished.
func (s *splitter) split(b []byte) [][]byte {
	b = append(s.rest, b...)
	s.rest = nil
	var keys [][]byte
	for len(b) > 0 {
		key, n := s.next(b)
		if n == 0 {
			s.rest = bytes.Clone(b)
			break
		}
		if key != nil {
			keys = append(keys, key)
		}
		b = b[n:]
	}
	return keys
}

// flush gives up waiting for the rest of a sequence: an ESC alone is the Escape key.
func (s *splitter) flush() [][]byte {
	b := s.rest
	s.rest = nil
	if len(b) == 1 && b[0] == 0x1b && !s.pasting {
		return [][]byte{b}
	}
	return nil
}

// next returns the first key of b and its length; no key if it is to be dropped,
// length 0 if b ends inside it.
func (s *splitter) next(b []byte) (key []byte, n int) {
	switch {
	case b[0] == 0x1b:
		return s.escape(b)
	case s.pasting && (b[0] < 0x20 || b[0] == 0x7f):
		return s.pastedControl(b[0]), 1
	case b[0] < 0x20 || b[0] == 0x7f:
		return b[:1:1], 1
	}
	s.cr = false
	return text(b)
}

// pastedControl returns what a control character in pasted text stands for: ends of
// lines are Enter, a tab is a blank, the rest is dropped, for nobody typed it.
func (s *splitter) pastedControl(c byte) []byte {
	again := c == '\n' && s.cr
	s.cr = c == '\r'
	switch {
	case again:
		return nil
	case c == '\r' || c == '\n':
		return keyEnter
	case c == '\t':
		return []byte{' '}
	}
	return nil
}

// text returns the run of whole characters that b begins with.
func text(b []byte) (key []byte, n int) {
	for n < len(b) && b[n] >= 0x20 && b[n] != 0x7f {
		if !utf8.FullRune(b[n:]) {
			break
		}
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size == 1 {
			if n > 0 {
				break
			}
			return nil, 1 // no UTF-8
		}
		n += size
	}
	if n == 0 {
		return nil, 0
	}
	return b[:n:n], n
}

// escape returns the sequence that b begins with. Unknown ones are dropped, for
// go-prompt would take them for text.
func (s *splitter) escape(b []byte) (key []byte, n int) {
	n = escapeLength(b)
	if n == 0 {
		return nil, 0
	}
	seq := b[:n:n]
	switch {
	case bytes.Equal(seq, pasteBegin):
		s.pasting, s.cr = true, false
		return nil, n
	case bytes.Equal(seq, pasteEnd):
		s.pasting = false
		return nil, n
	case s.pasting:
		return nil, n
	}
	if k := prompt.GetKey(seq); k == prompt.NotDefined || k == prompt.Ignore {
		return nil, n
	}
	return seq, n
}

// escapeLength returns the length of the escape sequence at the start of b, 0 if it
// is unfinished. ESC and another character are Alt with a key.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case 'O':
		if len(b) < 3 {
			return 0
		}
		return 3
	case '[':
		if len(b) > 2 && b[2] == '[' { // the Linux console's function keys
			if len(b) < 4 {
				return 0
			}
			return 4
		}
		for i := 2; i < len(b); i++ {
			if b[i] >= 0x40 && b[i] <= 0x7e {
				return i + 1
			}
			if b[i] < 0x20 {
				return i // broken off: the control character is a key of its own
			}
		}
		return 0
	case 0x1b:
		return 1
	}
	if !utf8.FullRune(b[1:]) {
		return 0
	}
	_, size := utf8.DecodeRune(b[1:])
	return 1 + size
}
