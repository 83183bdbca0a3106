package loader

import (
	"slices"

	"mmsh.dev/mmsh/memmap"
)

// Segment is a loaded program header.
type Segment struct {
	Index int // in the program headers
	AR    memmap.AddrRange
	File  uint64 // bytes of AR, from its start, that come from the file
	Perms memmap.AccessType
}

// Image is what is known of a loaded program. It does not change.
type Image struct {
	path       string
	entry      memmap.Addr
	bias       memmap.Addr
	segments   []Segment
	vdso       memmap.AddrRange // empty if there is none
	symbols    symbolTable
	stack      memmap.AddrRange
	sp         memmap.Addr
	args, envs memmap.AddrRange
	auxv       []AuxEntry
}

// Path returns the file's name.
func (i *Image) Path() string { return i.path }

// Entry returns the first instruction's address.
func (i *Image) Entry() memmap.Addr { return i.entry }

// Bias returns what was added to the file's addresses.
func (i *Image) Bias() memmap.Addr { return i.bias }

// Segments returns the PT_LOADs in ascending order; ranges are of bytes, not of
// pages.
func (i *Image) Segments() []Segment { return slices.Clone(i.segments) }

// Symbol returns the symbol of that name. Of several the global one is meant, of
// several of those the first in the file.
func (i *Image) Symbol(name string) (Symbol, bool) { return i.symbols.named(name) }

// SymbolAt returns the symbol that contains addr, or the nearest function before
// it in the same segment, or in [vdso]. Cost O(log n).
func (i *Image) SymbolAt(addr memmap.Addr) (Symbol, bool) {
	if i.vdso.Contains(addr) {
		return i.symbols.at(addr, i.vdso.Start)
	}
	for _, s := range i.segments {
		if s.AR.Contains(addr) {
			return i.symbols.at(addr, s.AR.Start)
		}
	}
	return Symbol{}, false
}

// Symbols returns all symbols by name, those of [vdso] included.
func (i *Image) Symbols() []Symbol { return i.symbols.all() }

// ArgRange returns where argv's strings lie on the stack: what /proc/PID/cmdline
// shows.
func (i *Image) ArgRange() memmap.AddrRange { return i.args }

// EnvRange returns where envp's strings lie: what /proc/PID/environ shows.
func (i *Image) EnvRange() memmap.AddrRange { return i.envs }

// Stack returns the first stack's range as it was mapped.
func (i *Image) Stack() memmap.AddrRange { return i.stack }

// StackStart returns the first stack pointer: where argc lies.
func (i *Image) StackStart() memmap.Addr { return i.sp }

// Auxv returns the auxiliary vector, AT_NULL excluded.
func (i *Image) Auxv() []AuxEntry { return slices.Clone(i.auxv) }
