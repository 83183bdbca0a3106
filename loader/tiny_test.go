package loader

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// tiny is a small ELF file as Go values, to be bent before it is written: headers,
// program headers at 64, a code segment, a data segment with bss, a symbol table.
type tiny struct {
	header  elf.Header64
	progs   []elf.Prog64
	symbols []elf.Sym64
	names   []byte
}

// newTiny returns a program of type kind that is in order.
func newTiny(kind elf.Type) *tiny {
	base := uint64(0)
	if kind == elf.ET_EXEC {
		base = 0x400000
	}
	t := &tiny{names: []byte("\x00_start\x00table\x00helper\x00")}
	copy(t.header.Ident[:], elf.ELFMAG)
	t.header.Ident[elf.EI_CLASS], t.header.Ident[elf.EI_DATA], t.header.Ident[elf.EI_VERSION] = 2, 1, 1
	t.header.Type, t.header.Machine, t.header.Version = uint16(kind), uint16(elf.EM_X86_64), 1
	t.header.Entry, t.header.Phoff, t.header.Ehsize = base+0x1000, headerSize, headerSize
	t.header.Phentsize, t.header.Shentsize = progSize, sectionSize
	t.progs = []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Vaddr: base, Filesz: 0x200, Memsz: 0x200, Align: 0x1000},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: 0x1000, Vaddr: base + 0x1000, Filesz: 0x80, Memsz: 0x80, Align: 0x1000},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: 0x1800, Vaddr: base + 0x2800, Filesz: 0x100, Memsz: 0x5000, Align: 0x1000},
		{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W)},
	}
	function, object := elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), elf.ST_INFO(elf.STB_GLOBAL, elf.STT_OBJECT)
	t.symbols = []elf.Sym64{
		{},
		{Name: 1, Info: function, Shndx: 1, Value: base + 0x1000, Size: 0x40},
		{Name: 8, Info: object, Shndx: 2, Value: base + 0x2810, Size: 0x20},
		{Name: 14, Info: elf.ST_INFO(elf.STB_LOCAL, elf.STT_FUNC), Shndx: 1, Value: base + 0x1060},
	}
	return t
}

// tinySize is the file's size in bytes without its symbols.
const tinySize = 0x1900

// bytes writes the file.
func (t *tiny) bytes() []byte {
	h := t.header
	if h.Phnum == 0 {
		h.Phnum = uint16(len(t.progs))
	}
	symtab := uint64(len(t.symbols)) * symbolSize
	sections := []elf.Section64{
		{},
		{Type: uint32(elf.SHT_SYMTAB), Off: tinySize, Size: symtab, Link: 2, Entsize: symbolSize},
		{Type: uint32(elf.SHT_STRTAB), Off: tinySize + symtab, Size: uint64(len(t.names))},
	}
	if h.Shoff == 0 {
		h.Shoff, h.Shnum = tinySize+symtab+uint64(len(t.names)), uint16(len(sections))
	}
	var b bytes.Buffer
	write := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // a Buffer does not fail
	write(h)
	write(t.progs)
	b.Write(bytes.Repeat([]byte{0xcc}, max(tinySize-b.Len(), 0)))
	write(t.symbols)
	b.Write(t.names)
	write(sections)
	return b.Bytes()
}
