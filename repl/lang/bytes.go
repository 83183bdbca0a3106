package lang

// ParseBytes reads bytes to write or compare: a quoted text ("text" with C's
// escapes, '…' literal), or hexadecimal digits, two a byte, in one or more words:
// `deadbeef`, `de ad be ef`, `hex:dead`. All words are used.
func ParseBytes(words []Word) ([]byte, error) { panic("lang: unwritten") }

// Pattern is what `search` looks for: bytes, of which Mask says which bits count;
// or, if Pointer is set, any aligned 8-byte value inside Within.
type Pattern struct {
	Bytes, Mask []byte // same length; not empty unless Pointer
	Pointer     bool
	Within      Range
}

// ParsePattern reads a search pattern: "text", hex:DE??AD, u32:N, u64:N, ptr:RANGE.
func ParsePattern(env Env, w Word) (Pattern, error) { panic("lang: unwritten") }

// Format is the /NFU of x and print.
type Format struct {
	Count  int  // how many; negative: backwards; 1 if not given
	Letter byte // x d u o t a c f s i z
	Unit   int  // bytes of one: 1 2 4 8
}

// ParseFormat reads the text behind x/ or print/: [-]COUNT, a letter of xduotacfsiz
// and a unit of bhwg in any order. What is not given is last's.
func ParseFormat(s string, last Format) (Format, error) { panic("lang: unwritten") }

// Expand returns a word of echo: without its quotes, with $name and ${EXPR} outside
// quotes replaced by their values.
func Expand(env Env, w Word) (string, error) { panic("lang: unwritten") }
