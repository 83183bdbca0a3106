package lang

import "mmsh.dev/mmsh/memmap"

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

// String prints n as its kind says: -14, 18446744073709551602, 0x555555559000; with
// @PID if it belongs to another process.
func (n Number) String() string { panic("lang: unwritten") }

// ParseNumber reads a number word: 16 0x10 0b1 0o7, with a suffix k m g t (1024s) or
// p (pages). A leading zero and what does not fit 64 bits are refused.
func ParseNumber(s string) (uint64, error) { panic("lang: unwritten") }

// IsBareHex reports whether s is 8 to 16 hexadecimal digits and nothing else, which
// where an address is asked is a hexadecimal number.
func IsBareHex(s string) bool { panic("lang: unwritten") }
