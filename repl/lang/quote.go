package lang

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// quoteEnd returns the index behind the quoted text that begins at s[i], or -1 if
// it has no end.
func quoteEnd(s string, i int) int {
	q := s[i]
	for j := i + 1; j < len(s); j++ {
		switch {
		case s[j] == q:
			return j + 1
		case s[j] == '\\' && q == '"':
			j++
		}
	}
	return -1
}

// unquote removes quotes from a word: '…' is literal, "…" knows C's escapes, the
// rest stands for itself.
func unquote(s string) (string, error) {
	if !strings.ContainsAny(s, `'"`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '"' && s[i] != '\'' {
			b.WriteByte(s[i])
			i++
			continue
		}
		end := quoteEnd(s, i)
		if end < 0 {
			return "", fmt.Errorf("quote %c is not closed", s[i])
		}
		inner := s[i+1 : end-1]
		if s[i] == '"' {
			var err error
			if inner, err = unescape(inner); err != nil {
				return "", err
			}
		}
		b.WriteString(inner)
		i = end
	}
	return b.String(), nil
}

// plainEscapes are C's escapes of one letter, and GNU's \e.
var plainEscapes = map[byte]byte{
	'a': '\a', 'b': '\b', 'e': 0x1b, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
	'\\': '\\', '\'': '\'', '"': '"', '?': '?',
}

// unescape replaces C's escapes.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			i++
			continue
		}
		text, n, err := escape(s[i:])
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		i += n
	}
	return b.String(), nil
}

// escape reads the escape that s begins with, n bytes long.
func escape(s string) (text string, n int, err error) {
	if len(s) < 2 {
		return "", 0, fmt.Errorf(`nothing follows \`)
	}
	switch c := s[1]; {
	case c == '\n':
		return "", 2, nil
	case c == 'x':
		return numericEscape(s, 2, 16, 1, 2)
	case c == 'u':
		return numericEscape(s, 2, 16, 4, 4)
	case c == 'U':
		return numericEscape(s, 2, 16, 8, 8)
	case '0' <= c && c <= '7':
		return numericEscape(s, 1, 8, 1, 3)
	default:
		plain, ok := plainEscapes[c]
		if !ok {
			return "", 0, fmt.Errorf(`unknown escape \%c`, c)
		}
		return string([]byte{plain}), 2, nil
	}
}

// numericEscape reads from least to most digits at s[from:]: a byte, or for 4 and 8
// digits a character.
func numericEscape(s string, from, base, least, most int) (string, int, error) {
	end := from
	for end < len(s) && end < from+most && digit(s[end]) < base {
		end++
	}
	v, err := strconv.ParseUint(s[from:end], base, 32)
	switch {
	case end-from < least:
		return "", 0, fmt.Errorf(`\%c wants %d digits`, s[1], least)
	case err != nil || least == 1 && v > 0xff || least > 1 && !utf8.ValidRune(rune(v)):
		return "", 0, fmt.Errorf("%s is no character", s[:end])
	case least == 1:
		return string([]byte{byte(v)}), end, nil
	}
	return string(rune(v)), end, nil
}

// digit returns the value of a hexadecimal digit, 99 for other bytes.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}

// Expand returns a word of echo: without its quotes, with $name and ${EXPR} outside
// quotes replaced by their values.
func Expand(env Env, w Word) (string, error) {
	var b strings.Builder
	s := w.Text
	for i := 0; i < len(s); {
		end := i + 1
		switch {
		case s[i] == '"' || s[i] == '\'':
			if end = quoteEnd(s, i); end < 0 {
				return "", fmt.Errorf("quote %c is not closed", s[i])
			}
			text, err := unquote(s[i:end])
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		case s[i] == '$' && end < len(s) && (s[end] == '{' || isNameStart(s[end])):
			var expr string
			if expr, end = dollar(s, i); end < 0 {
				return "", fmt.Errorf("${ is not closed in %s", s)
			}
			v, err := Eval(env, expr)
			if err != nil {
				return "", err
			}
			b.WriteString(v.String())
		default:
			b.WriteByte(s[i])
		}
		i = end
	}
	return b.String(), nil
}

// dollar returns the expression of the $name or ${EXPR} at s[i], and where it ends,
// -1 if } is missing.
func dollar(s string, i int) (expr string, end int) {
	if s[i+1] != '{' {
		end = i + 1
		for end < len(s) && isNamePart(s[end]) {
			end++
		}
		return s[i:end], end
	}
	end = bracketEnd(s, i+1)
	if end < 0 {
		return "", -1
	}
	return s[i+2 : end-1], end
}
