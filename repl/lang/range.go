package lang

import (
	"fmt"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// Range is a range of addresses as a command was given it. It is unchecked: it may
// be empty, unaligned or wrap, so that the engine's own answer can be seen.
type Range struct {
	Start  memmap.Addr
	Length uint64 // bytes
	PID    int    // the process of an ADDR@PID; 0 is the current one
	Text   string // as written
}

// AddrRange returns r as start and end; ok is false if its end wraps.
func (r Range) AddrRange() (ar memmap.AddrRange, ok bool) { return r.Start.ToRange(r.Length) }

// String prints r as 0xSTART..0xEND, with @PID if it is of another process.
func (r Range) String() string {
	s := fmt.Sprintf("%v..%v", r.Start, r.Start+memmap.Addr(r.Length))
	if r.PID != 0 {
		s += fmt.Sprintf("@%d", r.PID)
	}
	return s
}

// Lone says what an address alone means to the command that asks for a range.
type Lone uint8

// The meanings of an address alone.
const (
	LoneRefused Lone = iota // an error that shows the spellings
	LonePage                // the page it lies in: pages touch pin populate evict cow break
	Lone128                 // 128 bytes: hexdump
	Lone8                   // 8 bytes: watch
)

// ParseRange reads the range that words begin with, and returns how many words it
// took: 1, or 2 for ADDR LEN. The spellings:
//
//	A..B        B not included; right of .. a mapping's name means its end
//	A,LEN A,+LEN
//	ADDR LEN    two words; LEN must begin like a number: a digit, $ ( * ~ { + or -digit
//	A-B         both sides 8 to 16 bare hexadecimal digits, as maps prints them
//	[heap] vma:3 libc   a mapping
//	ADDR        as lone says
func ParseRange(env Env, words []Word, lone Lone) (r Range, used int, err error) {
	if len(words) == 0 {
		return r, 0, fmt.Errorf("a range is missing: write A..B, ADDR,LEN or ADDR LEN")
	}
	text := words[0].Text
	used = 1
	if from, to, ok := mapsRange(text); ok {
		r, err = between(env, from, to)
	} else if left, right, ok := cutOutside(text, ".."); ok {
		r, err = between(env, left, right)
	} else if left, right, ok := cutOutside(text, ","); ok {
		r, err = sized(env, left, strings.TrimPrefix(right, "+"))
	} else {
		r, used, err = oneOrTwo(env, words, lone)
	}
	if err != nil {
		return Range{}, 0, err
	}
	r.Text = JoinWords(words[:used])
	return r, used, nil
}

// mapsRange splits A-B as maps prints it, with an @PID that both sides get.
func mapsRange(s string) (from, to string, ok bool) {
	s, pid, at := strings.Cut(s, "@")
	from, to, ok = strings.Cut(s, "-")
	if !ok || !IsBareHex(from) || !IsBareHex(to) {
		return "", "", false
	}
	if at {
		return from + "@" + pid, to + "@" + pid, true
	}
	return from, to, true
}

// between reads A..B. An @PID of B is A's too if A has none.
func between(env Env, left, right string) (Range, error) {
	a, err := ParseAddr(left)
	if err != nil {
		return Range{}, err
	}
	b, err := ParseAddr(right)
	if err != nil {
		return Range{}, err
	}
	root := a.root
	if there, ok := b.root.(inProcess); ok {
		if _, own := root.(inProcess); !own {
			root = inProcess{root, there.pid}
		}
	}
	from, err := root.eval(scope{env: env})
	if err != nil {
		return Range{}, err
	}
	to, err := b.root.eval(scope{env: env, ends: true})
	if err != nil {
		return Range{}, err
	}
	whole, err := owned(Number{Kind: Address}, from, to)
	return Range{Start: from.Addr(), Length: to.Bits - from.Bits, PID: whole.PID}, err
}

// sized reads A,LEN. An @PID behind LEN is A's.
func sized(env Env, left, right string) (Range, error) {
	if size, pid, ok := cutOutside(right, "@"); ok {
		left, right = left+"@"+pid, size
	}
	a, err := EvalAddr(env, left)
	if err != nil {
		return Range{}, err
	}
	n, err := length(env, right)
	return Range{Start: a.Addr(), Length: n, PID: a.PID}, err
}

// length evaluates a LEN.
func length(env Env, s string) (uint64, error) {
	v, err := Eval(env, s)
	if err != nil && IsBareHex(s) {
		return 0, fmt.Errorf("a length is no bare hexadecimal number: write 0x%s, or A..%s for an end", s, s)
	}
	return v.Bits, err
}

// oneOrTwo reads a mapping's name, ADDR LEN or a lone ADDR.
func oneOrTwo(env Env, words []Word, lone Lone) (r Range, used int, err error) {
	e, err := ParseAddr(words[0].Text)
	if err != nil {
		return r, 0, err
	}
	ar, pid, ok, err := mapped(e.root, scope{env: env})
	if err != nil {
		return r, 0, err
	}
	if ok {
		return Range{Start: ar.Start, Length: ar.Length(), PID: pid}, 1, nil
	}
	a, err := e.Eval(env)
	if err != nil {
		return r, 0, err
	}
	r = Range{Start: a.Addr(), PID: a.PID}
	if len(words) > 1 && beginsLength(words[1].Text) {
		r.Length, err = length(env, words[1].Text)
		return r, 2, err
	}
	switch lone {
	case LonePage:
		r.Start, r.Length = r.Start.RoundDown(), memmap.PageSize
	case Lone128:
		r.Length = 128
	case Lone8:
		r.Length = 8
	default:
		return r, 0, fmt.Errorf("%s alone is no range: write %[1]s..END, %[1]s,LEN or %[1]s LEN", words[0].Text)
	}
	return r, 1, nil
}

// beginsLength reports whether a word behind ADDR is its length rather than the
// next argument: names and flags are not.
func beginsLength(s string) bool {
	if s[0] == '-' && len(s) > 1 {
		s = s[1:]
	}
	return '0' <= s[0] && s[0] <= '9' || strings.IndexByte("$(*~{+", s[0]) >= 0
}
