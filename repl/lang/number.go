package lang

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// Kind says how a Number is compared, divided and printed.
type Kind uint8

// The kinds, with gdb's rules for the types they stand for.
const (
	Signed   Kind = iota // long: literals, general registers, memory; printed as -14
	Unsigned             // unsigned long: literals of 2^63 and more
	Address              // a pointer: rip rsp rbp, symbols, mappings; printed as 0x…
)

// Number is the value of an expression: 64 bits that wrap, as C's do.
//
// Kinds combine: an Address plus or minus a number is an Address, the difference of
// two is Signed; otherwise Unsigned wins over Signed. < / % and >> are signed if both
// sides are Signed, else unsigned. Comparisons and && || ! give Signed 0 or 1.
type Number struct {
	Bits uint64
	Kind Kind
	// PID is the process that an ADDR@PID belongs to; 0 is the current one.
	PID int
}

// Int returns a Signed number.
func Int(n int64) Number { return Number{Bits: uint64(n)} }

// At returns an Address.
func At(a memmap.Addr) Number { return Number{Bits: uint64(a), Kind: Address} }

// Addr returns n as an address.
func (n Number) Addr() memmap.Addr { return memmap.Addr(n.Bits) }

// Int returns n as a signed number.
func (n Number) Int() int64 { return int64(n.Bits) }

// True reports whether n is not 0.
func (n Number) True() bool { return n.Bits != 0 }

// String prints n as its kind says: -14, 18446744073709551602, 0x555555559000; an
// address with @PID if it belongs to another process.
func (n Number) String() string {
	switch {
	case n.Kind == Address && n.PID != 0:
		return fmt.Sprintf("%#x@%d", n.Bits, n.PID)
	case n.Kind == Address:
		return fmt.Sprintf("%#x", n.Bits)
	case n.Kind == Unsigned:
		return strconv.FormatUint(n.Bits, 10)
	}
	return strconv.FormatInt(n.Int(), 10)
}

// suffixes are what may follow a number.
var suffixes = map[byte]uint64{
	'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30, 't': 1 << 40, 'p': memmap.PageSize,
}

// ParseNumber reads a number word: 16 0x10 0b1 0o7, with a suffix k m g t (1024s) or
// p (pages), in either case. A leading zero and what does not fit 64 bits are refused.
func ParseNumber(s string) (uint64, error) {
	digits, unit := s, uint64(1)
	if n := len(s); n > 1 {
		if u, ok := suffixes[s[n-1]|0x20]; ok {
			digits, unit = s[:n-1], u
		}
	}
	base := 10
	if len(digits) > 2 && digits[0] == '0' {
		switch digits[1] | 0x20 {
		case 'x':
			base = 16
		case 'o':
			base = 8
		case 'b':
			base = 2
		}
	}
	if base != 10 {
		digits = digits[2:]
	}
	for i := range len(digits) {
		if digit(digits[i]) >= base {
			return 0, notNumber(s)
		}
	}
	switch {
	case digits == "":
		return 0, notNumber(s)
	case base == 10 && len(digits) > 1 && digits[0] == '0':
		return 0, leadingZero(s)
	}
	v, err := strconv.ParseUint(digits, base, 64)
	high, low := bits.Mul64(v, unit)
	if err != nil || high != 0 {
		return 0, fmt.Errorf("%s does not fit in 64 bits", s)
	}
	return low, nil
}

func notNumber(s string) error {
	if strings.IndexFunc(s, func(r rune) bool { return r > 0x7f || digit(byte(r)) > 15 }) < 0 && s != "" {
		return fmt.Errorf("%q is not a number: hexadecimal is written 0x%s", s, s)
	}
	return fmt.Errorf("%q is not a number", s)
}

// leadingZero refuses 010, which is 8 to some and 10 to others, with the spelling of
// each reading that there is.
func leadingZero(s string) error {
	decimal := strings.TrimLeft(s, "0")
	if decimal == "" || digit(decimal[0]) > 9 {
		decimal = "0" + decimal
	}
	if strings.ContainsAny(s, "89") {
		return fmt.Errorf("%s has a leading zero: write %s", s, decimal)
	}
	return fmt.Errorf("%s has a leading zero: write 0o%s or %s", s, decimal, decimal)
}

// IsBareHex reports whether s is 8 to 16 hexadecimal digits and nothing else, which
// where an address is asked is a hexadecimal number.
func IsBareHex(s string) bool {
	if len(s) < 8 || len(s) > 16 {
		return false
	}
	for i := range len(s) {
		if digit(s[i]) > 15 {
			return false
		}
	}
	return true
}
