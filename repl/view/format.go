package view

import (
	"fmt"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// Addr is an address; JSON has it as "0x…".
type Addr uint64

// String prints 0x…
func (a Addr) String() string { return fmt.Sprintf("%#x", uint64(a)) }

// Bare prints a as /proc/PID/maps does.
func (a Addr) Bare() string { return fmt.Sprintf("%08x", uint64(a)) }

// MarshalJSON makes "0x…".
func (a Addr) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%#x"`, uint64(a)), nil }

// Range is a range of addresses as start and end.
type Range struct {
	Start Addr `json:"start"`
	End   Addr `json:"end"`
}

// RangeOf returns ar.
func RangeOf(ar memmap.AddrRange) Range { return Range{Addr(ar.Start), Addr(ar.End)} }

// String prints 0xSTART..0xEND, which can be pasted as a word.
func (r Range) String() string { return fmt.Sprintf("%v..%v", r.Start, r.End) }

// Size returns the bytes of r.
func (r Range) Size() uint64 { return uint64(r.End - r.Start) }

// Size prints bytes in the largest unit of 1024 that leaves a short number: 4K,
// 132K, 2.1M, 46T.
func Size(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprint(n)
	}
	const units = "KMGTPE"
	f, u := float64(n)/1024, 0
	for f >= 1023.5 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if f < 9.95 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + units[u:u+1]
	}
	return fmt.Sprintf("%.0f%c", f, units[u])
}

// plural prints "1 page", "2 pages".
func plural[N ~int | ~uint64 | ~uint32](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, strings.TrimSuffix(one, "s")+pluralEnd(one))
}

func pluralEnd(one string) string {
	if strings.HasSuffix(one, "s") {
		return "ses"
	}
	return "s"
}

// event prints @N, or nothing for an unknown event.
func event(seq uint64) string {
	if seq == 0 {
		return ""
	}
	return fmt.Sprintf("@%d", seq)
}

// at prints " @N", or nothing.
func at(seq uint64) string {
	if seq == 0 {
		return ""
	}
	return " " + event(seq)
}
