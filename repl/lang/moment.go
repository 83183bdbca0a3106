package lang

import (
	"fmt"
	"strconv"
)

// MomentKind says how a Moment is counted.
type MomentKind uint8

// The kinds of moments.
const (
	MomentEvent MomentKind = iota // @12: just after event N; @0 the start
	MomentAgo                     // @-N: N events before now
	MomentName                    // @name: a mark or checkpoint, else the newest event of that kind
)

// Moment is a point in the history.
type Moment struct {
	Kind MomentKind
	N    uint64
	Name string
}

// IsMoment reports whether a word names a moment: it begins with @.
func IsMoment(s string) bool { return len(s) > 0 && s[0] == '@' }

// ParseMoment reads a moment: @12, @-3, @name. Numbers are plain decimal.
func ParseMoment(s string) (Moment, error) {
	if !IsMoment(s) || len(s) == 1 {
		return Moment{}, fmt.Errorf("%q is no moment: write @12, @-3 or @name", s)
	}
	m, digits := Moment{Kind: MomentEvent}, s[1:]
	if digits[0] == '-' {
		m.Kind, digits = MomentAgo, digits[1:]
	}
	if digits == "" || m.Kind == MomentEvent && (digits[0] < '0' || digits[0] > '9') {
		if m.Kind == MomentAgo {
			return Moment{}, fmt.Errorf("%s: a number must follow @-", s)
		}
		return Moment{Kind: MomentName, Name: digits}, nil
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return Moment{}, fmt.Errorf("%s: %q is no number of an event", s, digits)
	}
	m.N = n
	return m, nil
}

// String prints the moment as it is written.
func (m Moment) String() string {
	switch m.Kind {
	case MomentAgo:
		return fmt.Sprintf("@-%d", m.N)
	case MomentName:
		return "@" + m.Name
	}
	return fmt.Sprintf("@%d", m.N)
}
