package lang

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

// ParseMoment reads a moment.
func ParseMoment(s string) (Moment, error) { panic("lang: unwritten") }

func (m Moment) String() string { panic("lang: unwritten") }
