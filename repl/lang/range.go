package lang

import "mmsh.dev/mmsh/memmap"

// Range is a range of addresses as a command was given it. It is unchecked: it may
// be empty, unaligned or wrap, so that the engine's own answer can be seen.
type Range struct {
	Start  memmap.Addr
	Length uint64 // bytes
	PID    int    // the process of an ADDR@PID; 0 is the current one
	Text   string // as written
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
//	ADDR LEN    two words; the second must begin like a number: a digit, $, (, *, ~, { or +
//	A-B         both sides 8 to 16 bare hexadecimal digits, as maps prints them
//	[heap] vma:3 libc   a mapping
//	ADDR        as lone says
func ParseRange(env Env, words []Word, lone Lone) (r Range, used int, err error) {
	panic("lang: unwritten")
}

// AddrRange returns r as start and end; ok is false if its end wraps.
func (r Range) AddrRange() (ar memmap.AddrRange, ok bool) { return r.Start.ToRange(r.Length) }

// String prints r as 0xSTART..0xEND.
func (r Range) String() string { panic("lang: unwritten") }
