package lang

import "strings"

// bracketEnd returns the index behind the bracket that closes the one at s[i], -1
// if none does. Quotes protect brackets.
func bracketEnd(s string, i int) int {
	var due []byte
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\'':
			end := quoteEnd(s, i)
			if end < 0 {
				return -1
			}
			i = end - 1
		case c == '(' || c == '[' || c == '{':
			due = append(due, closer(c))
		case len(due) > 0 && c == due[len(due)-1]:
			if due = due[:len(due)-1]; len(due) == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// outside calls f with each index of s that lies outside quotes and brackets, until f
// returns false.
func outside(s string, f func(i int) bool) {
	for i := 0; i < len(s); {
		end := -1
		switch s[i] {
		case '"', '\'':
			end = quoteEnd(s, i)
		case '(', '[', '{':
			end = bracketEnd(s, i)
		}
		if end > 0 {
			i = end
			continue
		}
		if !f(i) {
			return
		}
		i++
	}
}

// cutOutside is strings.Cut for a separator outside quotes and brackets.
func cutOutside(s, sep string) (left, right string, ok bool) {
	at := -1
	outside(s, func(i int) bool {
		if strings.HasPrefix(s[i:], sep) {
			at = i
		}
		return at < 0
	})
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

// SplitAssign splits at the first = that is an operator of its own, outside quotes
// and brackets: `{8}$a = 3`, `n=4`.
func SplitAssign(s string) (left, right string, ok bool) {
	at := -1
	outside(s, func(i int) bool {
		if s[i] == '=' && byteAt(s, i+1) != '=' && strings.IndexByte("=!<>", byteAt(s, i-1)) < 0 {
			at = i
		}
		return at < 0
	})
	if at < 0 {
		return s, "", false
	}
	return strings.TrimSpace(s[:at]), strings.TrimSpace(s[at+1:]), true
}

// SplitComparison splits at the last of == != < <= > >= outside quotes and brackets:
// `rss <= 4k`, `refs==1`, `count cow-copy in [heap] > 3`. << >> -> are no comparisons.
func SplitComparison(s string) (left, op, right string, ok bool) {
	at := 0
	outside(s, func(i int) bool {
		if o := comparisonAt(s, i); o != "" {
			at, op = i, o
		}
		return true
	})
	if op == "" {
		return s, "", "", false
	}
	return strings.TrimSpace(s[:at]), op, strings.TrimSpace(s[at+len(op):]), true
}

// comparisonAt returns the comparison that stands at s[i], "" if none does.
func comparisonAt(s string, i int) string {
	before, c, after := byteAt(s, i-1), s[i], byteAt(s, i+1)
	switch {
	case after == '=' && (c == '=' || c == '!') && before != '=' && before != '!':
		return s[i : i+2]
	case c != '<' && c != '>', before == c, after == c, c == '>' && before == '-':
		return ""
	case after == '=':
		return s[i : i+2]
	}
	return s[i : i+1]
}

// byteAt returns s[i], or 0 outside s.
func byteAt(s string, i int) byte {
	if i < 0 || i >= len(s) {
		return 0
	}
	return s[i]
}
