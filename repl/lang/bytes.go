package lang

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// ParseBytes reads bytes to write or compare: a quoted text ("text" with C's
// escapes, '…' literal), or hexadecimal digits, two a byte, in one or more words:
// `deadbeef`, `de ad be ef`, `hex:dead`. All words are used.
func ParseBytes(words []Word) ([]byte, error) {
	if len(words) == 0 {
		return nil, fmt.Errorf(`bytes are missing: write "text" or hexadecimal digits`)
	}
	var all []byte
	for _, w := range words {
		if w.Quoted() {
			text, err := w.Value()
			if err != nil {
				return nil, err
			}
			all = append(all, text...)
			continue
		}
		b, mask, err := hexBytes(strings.TrimPrefix(w.Text, "hex:"))
		if err != nil {
			return nil, err
		}
		for _, m := range mask {
			if m != 0xff {
				return nil, fmt.Errorf("%s: ? stands for a byte only in search", w.Text)
			}
		}
		all = append(all, b...)
	}
	return all, nil
}

// hexBytes reads hexadecimal digits, two a byte; ? is any digit. mask has the bits
// that count.
func hexBytes(s string) (b, mask []byte, err error) {
	if s == "" || len(s)%2 != 0 {
		return nil, nil, fmt.Errorf(`%q is no text and no hexadecimal bytes: write "text", or two digits a byte`, s)
	}
	for i := 0; i < len(s); i += 2 {
		high, highMask := nibble(s[i])
		low, lowMask := nibble(s[i+1])
		if high > 15 || low > 15 {
			return nil, nil, fmt.Errorf(`%q is no text and no hexadecimal bytes: write "text", or two digits a byte`, s)
		}
		b = append(b, byte(high<<4|low))
		mask = append(mask, highMask<<4|lowMask)
	}
	return b, mask, nil
}

// nibble returns a digit's value and the bits of it that count.
func nibble(c byte) (v int, mask byte) {
	if c == '?' {
		return 0, 0
	}
	return digit(c), 0xf
}

// Pattern is what `search` looks for: bytes, of which Mask says which bits count;
// or, if Pointer is set, any aligned 8-byte value inside Within.
type Pattern struct {
	Bytes, Mask []byte // same length; not empty unless Pointer
	Pointer     bool
	Within      Range
}

// ParsePattern reads a search pattern: "text", hex:DE??AD, u32:N, u64:N, ptr:RANGE.
func ParsePattern(env Env, w Word) (Pattern, error) {
	if w.Quoted() {
		text, err := w.Value()
		if err == nil && text == "" {
			err = fmt.Errorf("an empty text is everywhere")
		}
		return exact([]byte(text)), err
	}
	kind, rest, _ := strings.Cut(w.Text, ":")
	switch kind {
	case "hex":
		b, mask, err := hexBytes(rest)
		return Pattern{Bytes: b, Mask: mask}, err
	case "u32", "u64":
		v, err := Eval(env, rest)
		if err != nil {
			return Pattern{}, err
		}
		if kind == "u64" {
			return exact(binary.LittleEndian.AppendUint64(nil, v.Bits)), nil
		}
		if v.Bits>>32 != 0 && v.Int() < -1<<31 || v.Int() >= 1<<32 || v.Kind == Unsigned && v.Bits>>32 != 0 {
			return Pattern{}, fmt.Errorf("%s does not fit in 32 bits", rest)
		}
		return exact(binary.LittleEndian.AppendUint32(nil, uint32(v.Bits))), nil
	case "ptr":
		r, _, err := ParseRange(env, []Word{{Text: rest}}, LonePage)
		return Pattern{Pointer: true, Within: r}, err
	}
	return Pattern{}, fmt.Errorf(`%q is no pattern: write "text", hex:DE??AD, u32:N, u64:N or ptr:RANGE`, w.Text)
}

func exact(b []byte) Pattern {
	mask := make([]byte, len(b))
	for i := range mask {
		mask[i] = 0xff
	}
	return Pattern{Bytes: b, Mask: mask}
}
