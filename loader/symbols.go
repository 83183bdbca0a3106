package loader

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"slices"

	"mmsh.dev/mmsh/memmap"
)

// maxSymbols bounds what is read of symbols: bytes of a table, bytes of its names.
const maxSymbols = 64 << 20

// Symbol is a named place of a program.
type Symbol struct {
	Name string
	Addr memmap.Addr // where it is loaded
	Size uint64
	Func bool
}

// symbol is a Symbol with what decides between several.
type symbol struct {
	Symbol
	global bool
}

// symbolTable is a program's symbols, indexed both ways.
type symbolTable struct {
	byName []symbol // the meant one of equal names first
	byAddr []symbol // the one to be shown of equal addresses last
	funcs  []int    // for each of byAddr: the last function at or before it, else -1
}

// readSymbols reads .symtab and .dynsym. What is wrong with them costs symbols
// only: a program runs without.
func readSymbols(f File, p *program, img *Image) []symbol {
	r := symbolReader{f: f, size: p.size, img: img}
	sections := r.sections(p)
	for _, s := range sections {
		if kind := elf.SectionType(s.Type); (kind == elf.SHT_SYMTAB || kind == elf.SHT_DYNSYM) && int(s.Link) < len(sections) {
			r.table(s, sections[s.Link])
		}
	}
	return r.list
}

// symbolReader gathers symbols.
type symbolReader struct {
	f    File
	size uint64
	img  *Image
	list []symbol
}

// sections returns the section headers, none if anything is wrong with them.
func (r *symbolReader) sections(p *program) []elf.Section64 {
	n := uint64(p.shnum)
	if p.shentsz != sectionSize || n == 0 {
		return nil
	}
	raw := r.read(p.shoff, n*sectionSize)
	sections := make([]elf.Section64, len(raw)/sectionSize)
	if _, err := binary.Decode(raw, binary.LittleEndian, sections); err != nil {
		return nil
	}
	return sections
}

// read returns n bytes of the file from off, nil if they are not all there.
func (r *symbolReader) read(off, n uint64) []byte {
	if n > maxSymbols || off > r.size || n > r.size-off {
		return nil
	}
	b := make([]byte, n)
	if readFull(r.f, b, off) != nil {
		return nil
	}
	return b
}

// table gathers the symbols of the section s, whose names are in names.
func (r *symbolReader) table(s, names elf.Section64) {
	raw, text := r.read(s.Off, s.Size), r.read(names.Off, names.Size)
	for ; len(raw) >= symbolSize; raw = raw[symbolSize:] {
		le := binary.LittleEndian
		kind, bind := elf.ST_TYPE(raw[4]), elf.ST_BIND(raw[4])
		if !shown(kind) || elf.SectionIndex(le.Uint16(raw[6:])) == elf.SHN_UNDEF {
			continue
		}
		name := textAt(text, le.Uint32(raw))
		addr := memmap.Addr(le.Uint64(raw[8:])) + r.img.bias
		if name == "" || !r.loaded(addr) {
			continue
		}
		code := kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC
		r.list = append(r.list, symbol{Symbol{name, addr, le.Uint64(raw[16:]), code}, bind != elf.STB_LOCAL})
	}
}

// shown says whether symbols of that kind name places.
func shown(kind elf.SymType) bool {
	return kind == elf.STT_NOTYPE || kind == elf.STT_OBJECT || kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC
}

// loaded says whether addr lies in a segment or is the end of one.
func (r *symbolReader) loaded(addr memmap.Addr) bool {
	return slices.ContainsFunc(r.img.segments, func(s Segment) bool {
		return s.AR.Contains(addr) || addr == s.AR.End
	})
}

// textAt returns the string at off of a string table, "" if there is none.
func textAt(text []byte, off uint32) string {
	if uint64(off) >= uint64(len(text)) {
		return ""
	}
	name, _, ended := bytes.Cut(text[off:min(uint64(len(text)), uint64(off)+4096)], []byte{0})
	if !ended {
		return ""
	}
	return string(name)
}

// index makes the table of symbols in the order of the file.
func index(list []symbol) symbolTable {
	t := symbolTable{byName: list}
	slices.SortStableFunc(t.byName, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), before(b.global, a.global))
	})
	t.byName = slices.CompactFunc(t.byName, func(a, b symbol) bool { return a.Symbol == b.Symbol })
	t.byAddr = slices.Clone(t.byName)
	slices.SortStableFunc(t.byAddr, func(a, b symbol) int {
		return cmp.Or(
			cmp.Compare(a.Addr, b.Addr),
			before(a.Func, b.Func), before(a.Size > 0, b.Size > 0), before(a.global, b.global),
			-cmp.Compare(len(a.Name), len(b.Name)), -cmp.Compare(a.Name, b.Name))
	})
	t.funcs = make([]int, len(t.byAddr))
	last := -1
	for i, s := range t.byAddr {
		if s.Func {
			last = i
		}
		t.funcs[i] = last
	}
	return t
}

// before orders false before true.
func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// named returns the meant symbol of that name.
func (t *symbolTable) named(name string) (Symbol, bool) {
	i, ok := slices.BinarySearchFunc(t.byName, name, func(s symbol, name string) int { return cmp.Compare(s.Name, name) })
	if !ok {
		return Symbol{}, false
	}
	return t.byName[i].Symbol, true
}

// at returns the symbol that contains addr, or the nearest function from low on
// before it.
func (t *symbolTable) at(addr, low memmap.Addr) (Symbol, bool) {
	i, _ := slices.BinarySearchFunc(t.byAddr, addr, func(s symbol, addr memmap.Addr) int {
		if s.Addr <= addr {
			return -1
		}
		return 1
	})
	i-- // the last one that does not begin behind addr
	if i < 0 {
		return Symbol{}, false
	}
	if s := t.byAddr[i].Symbol; uint64(addr-s.Addr) < s.Size || s.Addr == addr {
		return s, true
	}
	if i = t.funcs[i]; i < 0 || t.byAddr[i].Addr < low {
		return Symbol{}, false
	}
	return t.byAddr[i].Symbol, true
}

func (t *symbolTable) all() []Symbol {
	all := make([]Symbol, len(t.byName))
	for i := range t.byName {
		all[i] = t.byName[i].Symbol
	}
	return all
}
