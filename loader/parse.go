package loader

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Sizes of the 64-bit format's structures, in bytes.
const (
	headerSize  = 64
	progSize    = 56
	sectionSize = 64
	symbolSize  = 24
)

// maxHeaders bounds the program header table, in bytes: Linux's limit.
const maxHeaders = 1 << 16

// program is an ELF file's headers, checked.
type program struct {
	kind     elf.Type
	entry    uint64
	phoff    uint64
	shoff    uint64
	shentsz  uint16
	shnum    uint16
	size     uint64 // of the file
	headers  int    // number of program headers
	loads    []load // in ascending order, at least one, not overlapping
	stackX   bool   // PT_GNU_STACK asks for an executable stack
	maxAlign uint64
}

// load is a PT_LOAD.
type load struct {
	index int
	elf.ProgHeader
}

func (l *load) where() string { return header(l.index) }

func (l *load) perms() memmap.AccessType {
	return memmap.AccessType{
		Read: l.Flags&elf.PF_R != 0, Write: l.Flags&elf.PF_W != 0, Execute: l.Flags&elf.PF_X != 0,
	}
}

// header names a program header in errors.
func header(i int) string { return fmt.Sprintf("program header %d", i) }

// parse reads and checks f's headers. user is where guests may have mappings.
func parse(f File, user memmap.AddrRange) (*program, error) {
	size, err := f.Size()
	if err != nil {
		return nil, failed("", err)
	}
	p := &program{size: uint64(max(size, 0))}
	n, err := p.readHeader(f)
	if err != nil {
		return nil, err
	}
	table := make([]byte, n*progSize)
	if err := readFull(f, table, p.phoff); err != nil {
		return nil, failed("program headers", err)
	}
	for i := range n {
		if err := p.addHeader(f, i, table[i*progSize:], user); err != nil {
			return nil, err
		}
	}
	if len(p.loads) == 0 {
		return nil, bad("", "it has no PT_LOAD: there is nothing to load")
	}
	return p, nil
}

// readHeader reads the ELF header and returns the number of program headers.
func (p *program) readHeader(f File) (int, error) {
	const where = "ELF header"
	var raw [headerSize]byte
	ident := raw[:min(headerSize, p.size)]
	if err := readFull(f, ident, 0); err != nil {
		return 0, failed(where, err)
	}
	if len(ident) >= 2 && string(ident[:2]) == "#!" {
		return 0, bad("", "it is a script, not an ELF file")
	}
	if len(ident) < 4 || string(ident[:4]) != elf.ELFMAG {
		return 0, bad("", "it is not an ELF file")
	}
	if len(ident) < headerSize {
		return 0, bad(where, "the file ends after %d of its %d bytes", len(ident), headerSize)
	}
	if err := checkIdent(raw[:]); err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	p.kind = elf.Type(le.Uint16(raw[16:]))
	p.entry, p.phoff, p.shoff = le.Uint64(raw[24:]), le.Uint64(raw[32:]), le.Uint64(raw[40:])
	p.shentsz, p.shnum = le.Uint16(raw[58:]), le.Uint16(raw[60:])
	entry, n := le.Uint16(raw[54:]), int(le.Uint16(raw[56:]))
	p.headers = n
	switch length := uint64(n) * progSize; {
	case p.kind != elf.ET_EXEC && p.kind != elf.ET_DYN:
		return 0, bad(where, "it is a file of type %d, not a program", int(p.kind))
	case entry != progSize:
		return 0, bad(where, "program headers of %d bytes instead of %d", entry, progSize)
	case n == 0:
		return 0, bad(where, "it has no program headers")
	case length > maxHeaders:
		return 0, bad(where, "%d program headers are %d bytes, more than %d", n, length, maxHeaders)
	case p.phoff > p.size || length > p.size-p.phoff:
		return 0, bad(where, "program headers at %#x+%#x end beyond the file", p.phoff, length)
	}
	return n, nil
}

// checkIdent checks what the file is made for.
func checkIdent(raw []byte) error {
	const where = "ELF header"
	class, data := elf.Class(raw[elf.EI_CLASS]), elf.Data(raw[elf.EI_DATA])
	machine := elf.Machine(binary.LittleEndian.Uint16(raw[18:]))
	switch {
	case class == elf.ELFCLASS32:
		return bad(where, "it is a 32-bit program")
	case class != elf.ELFCLASS64:
		return bad(where, "class %d is unknown", int(class))
	case data == elf.ELFDATA2MSB:
		return bad(where, "it is big-endian")
	case data != elf.ELFDATA2LSB:
		return bad(where, "byte order %d is unknown", int(data))
	case machine != elf.EM_X86_64:
		return bad(where, "it is for machine %d, not x86-64 (%d)", int(machine), int(elf.EM_X86_64))
	}
	return nil
}

// addHeader reads program header i from raw.
func (p *program) addHeader(f File, i int, raw []byte, user memmap.AddrRange) error {
	le := binary.LittleEndian
	h := elf.ProgHeader{
		Type: elf.ProgType(le.Uint32(raw)), Flags: elf.ProgFlag(le.Uint32(raw[4:])),
		Off: le.Uint64(raw[8:]), Vaddr: le.Uint64(raw[16:]), Paddr: le.Uint64(raw[24:]),
		Filesz: le.Uint64(raw[32:]), Memsz: le.Uint64(raw[40:]), Align: le.Uint64(raw[48:]),
	}
	switch h.Type {
	case elf.PT_INTERP:
		return p.interpreter(f, i, h)
	case elf.PT_GNU_STACK:
		p.stackX = h.Flags&elf.PF_X != 0
	case elf.PT_LOAD:
		l := load{i, h}
		if err := p.checkLoad(&l, user); err != nil || h.Memsz == 0 {
			return err
		}
		p.loads = append(p.loads, l)
		if h.Align&(h.Align-1) == 0 {
			p.maxAlign = max(p.maxAlign, h.Align)
		}
	}
	return nil
}

// checkLoad checks what a PT_LOAD says of the file and of memory.
func (p *program) checkLoad(l *load, user memmap.AddrRange) error {
	end := l.Vaddr + l.Memsz
	pages, ok := memmap.PageRoundUp(end)
	switch {
	case l.Filesz > l.Memsz:
		return bad(l.where(), "%#x bytes in the file are more than %#x in memory", l.Filesz, l.Memsz)
	case l.Off > p.size || l.Filesz > p.size-l.Off:
		return bad(l.where(), "file range %#x+%#x ends beyond the file", l.Off, l.Filesz)
	case l.Filesz > 0 && l.Off%memmap.PageSize != l.Vaddr%memmap.PageSize:
		return bad(l.where(), "file offset %#x and address %#x differ within a page", l.Off, l.Vaddr)
	case end < l.Vaddr || !ok || pages > uint64(user.End):
		return bad(l.where(), "memory range %#x+%#x ends beyond all addresses, %#x", l.Vaddr, l.Memsz, uint64(user.End))
	case l.Memsz == 0 || len(p.loads) == 0:
		return nil
	}
	last := &p.loads[len(p.loads)-1]
	if l.Vaddr < last.Vaddr {
		return bad(l.where(), "address %#x is below program header %d's, %#x", l.Vaddr, last.index, last.Vaddr)
	}
	if l.Vaddr < last.Vaddr+last.Memsz {
		return bad(l.where(), "memory at %#x overlaps program header %d's %#x+%#x", l.Vaddr, last.index, last.Vaddr, last.Memsz)
	}
	return nil
}

// interpreter says that the program is dynamically linked, or what is wrong with
// its PT_INTERP.
func (p *program) interpreter(f File, i int, h elf.ProgHeader) error {
	switch {
	case h.Filesz < 2 || h.Filesz > unix.PathMax:
		return bad(header(i), "the interpreter's name has %#x bytes", h.Filesz)
	case h.Off > p.size || h.Filesz > p.size-h.Off:
		return bad(header(i), "file range %#x+%#x ends beyond the file", h.Off, h.Filesz)
	}
	name := make([]byte, h.Filesz)
	if err := readFull(f, name, h.Off); err != nil {
		return failed(header(i), err)
	}
	if name[len(name)-1] != 0 {
		return bad(header(i), "the interpreter's name does not end in a zero byte")
	}
	return bad(header(i), "it is dynamically linked (interpreter %q): only static programs are loaded; link it with -static or -static-pie", name[:len(name)-1])
}

// readFull fills b from off; an end of the file is an error.
func readFull(f File, b []byte, off uint64) error {
	if len(b) == 0 {
		return nil
	}
	n, err := f.ReadAt(b, int64(off))
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %d of %d bytes at %#x: the file has become shorter", unix.EIO, n, len(b), off)
	}
	return err
}
