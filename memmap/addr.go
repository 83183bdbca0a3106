// Package memmap is the vocabulary of virtual memory that every other room
// speaks: addresses and offsets, access types, and the contracts between a
// memory manager and the things that can be mapped.
//
//	vma (addresses → Mappable offsets)               mm.MemoryManager, mappingMu
//	Mappable.Translate (offsets → File offsets)      the file, the page cache
//	pma (addresses → File offsets, a cache)          mm.MemoryManager, activeMu
//	platform.AddressSpace (addresses → host memory)  the stub
//
// A pma exists only where a vma does; a host mapping only where a pma does.
// Read addr.go and access.go, then mappable.go.
package memmap

import (
	"fmt"

	"mmsh.dev/mmsh/memmap/segment"
)

// Page sizes, in bytes.
const (
	PageSize     = 1 << 12
	HugePageSize = 1 << 21
)

// Addr is an address in a guest's address space.
type Addr uint64

// MappableOffset is an offset, in bytes, into a Mappable.
type MappableOffset uint64

// FileOffset is an offset, in bytes, into a File.
type FileOffset uint64

// Ranges of the three kinds of place, half open.
type (
	AddrRange     = segment.Range[Addr]
	MappableRange = segment.Range[MappableOffset]
	FileRange     = segment.Range[FileOffset]
)

func (a Addr) String() string { return fmt.Sprintf("%#x", uint64(a)) }

// AddLength returns a+n; ok is false exactly when the sum wraps.
func (a Addr) AddLength(n uint64) (sum Addr, ok bool) {
	sum = a + Addr(n)
	return sum, sum >= a
}

// ToRange returns [a, a+n); ok is false exactly when its end wraps.
func (a Addr) ToRange(n uint64) (r AddrRange, ok bool) {
	end, ok := a.AddLength(n)
	return AddrRange{Start: a, End: end}, ok
}

// RoundDown returns the start of a's page.
func (a Addr) RoundDown() Addr { return a &^ (PageSize - 1) }

// RoundUp returns the lowest page boundary not below a. On overflow ok is false
// and the value is the wrapped one, which some callers use on purpose.
func (a Addr) RoundUp() (up Addr, ok bool) {
	up = (a + PageSize - 1) &^ (PageSize - 1)
	return up, up >= a
}

// PageOffset returns a's distance from the start of its page.
func (a Addr) PageOffset() uint64 { return uint64(a) & (PageSize - 1) }

// IsPageAligned reports whether a is a multiple of the page size.
func (a Addr) IsPageAligned() bool { return a.PageOffset() == 0 }

// Page returns the range of the page that contains a.
func (a Addr) Page() AddrRange {
	return AddrRange{Start: a.RoundDown(), End: a.RoundDown() + PageSize}
}

// PageRoundUp rounds a length up to whole pages. On overflow ok is false and the
// value is the wrapped one, normally 0.
func PageRoundUp(n uint64) (up uint64, ok bool) {
	up = (n + PageSize - 1) &^ (PageSize - 1)
	return up, up >= n
}
