package repl

import (
	"fmt"
	"math"
	"strconv"
)

// formatBits prints the low unit bytes of v by one of gdb's letters: x hexadecimal,
// z the same with leading zeroes, d signed, u unsigned, o octal, t binary, a
// address, c character, f floating point.
func formatBits(v uint64, letter byte, unit int) string {
	shift := uint(64 - 8*unit)
	unsigned := v << shift >> shift
	signed := int64(v<<shift) >> shift
	switch letter {
	case 'd':
		return strconv.FormatInt(signed, 10)
	case 'u':
		return strconv.FormatUint(unsigned, 10)
	case 'o':
		if unsigned == 0 {
			return "0"
		}
		return "0" + strconv.FormatUint(unsigned, 8)
	case 't':
		return strconv.FormatUint(unsigned, 2)
	case 'c':
		return fmt.Sprintf("%d %s", int8(v), strconv.QuoteRune(rune(byte(v))))
	case 'f':
		return formatFloat(unsigned, signed, unit)
	case 'a':
		return fmt.Sprintf("%#x", unsigned)
	}
	return fmt.Sprintf("0x%0*x", zeroes(letter, unit), unsigned)
}

// zeroes is the width of a hexadecimal number: x fills the unit in memory views
// as gdb does, which is what z is for in print.
func zeroes(letter byte, unit int) int {
	if letter == 'z' || unit < 8 {
		return 2 * unit
	}
	return 1
}

func formatFloat(unsigned uint64, signed int64, unit int) string {
	switch unit {
	case 4:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(unsigned))), 'g', 9, 32)
	case 8:
		return strconv.FormatFloat(math.Float64frombits(unsigned), 'g', 17, 64)
	}
	return strconv.FormatInt(signed, 10)
}
