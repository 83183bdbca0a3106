package loader

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// vdsoCalls are the functions of the image and the calls that they make.
var vdsoCalls = []struct {
	name string
	nr   uint32
}{
	{"clock_gettime", unix.SYS_CLOCK_GETTIME},
	{"gettimeofday", unix.SYS_GETTIMEOFDAY},
	{"time", unix.SYS_TIME},
	{"getcpu", unix.SYS_GETCPU},
	{"clock_getres", unix.SYS_CLOCK_GETRES},
}

const (
	vdsoName    = "linux-vdso.so.1"
	vdsoVersion = "LINUX_2.6"
)

// vdsoImage returns a shared object, linked for address 0, with a dynamic section,
// a hash table and symbol versions: all that a C library or the Go runtime goes
// through to find __vdso_clock_gettime@LINUX_2.6 and its like. Each function is
// there under its plain name as well, as Linux has it.
func vdsoImage() []byte { return buildVDSO().out }

func buildVDSO() *imageBuilder {
	b := &imageBuilder{names: []byte{0}}
	b.reserve(headerSize + 2*progSize)
	b.code()
	b.symtab()
	b.hashes()
	b.versions()
	b.strings()
	b.dynamicSection()
	b.headers()
	return b
}

// symbols returns the functions' first names, of an image that lies at addr.
func (b *imageBuilder) symbols(addr memmap.Addr) []symbol {
	var list []symbol
	for _, f := range b.funcs {
		if elf.ST_BIND(f.Info) == elf.STB_GLOBAL && elf.ST_TYPE(f.Info) == elf.STT_FUNC {
			name := textAt(b.names, f.Name)
			list = append(list, symbol{Symbol{name, addr + memmap.Addr(f.Value), f.Size, true}, true})
		}
	}
	return list
}

// imageBuilder writes the image from its start to its end; the headers, whose
// place is reserved, come last.
type imageBuilder struct {
	out   []byte
	names []byte // .dynstr
	funcs []elf.Sym64
	tags  []elf.Dyn64 // of the dynamic section, as tables are written

	dynamic, dynamicEnd int
}

func (b *imageBuilder) reserve(n int) { b.out = append(b.out, make([]byte, n)...) }

// align returns where the next thing begins.
func (b *imageBuilder) align(n int) uint64 {
	for len(b.out)%n != 0 {
		b.out = append(b.out, 0)
	}
	return uint64(len(b.out))
}

// write appends fixed-size values.
func (b *imageBuilder) write(values ...any) {
	for _, v := range values {
		b.out, _ = binary.Append(b.out, binary.LittleEndian, v) // it fails only for sizes that are not fixed
	}
}

// tag notes an entry of the dynamic section.
func (b *imageBuilder) tag(tag elf.DynTag, value uint64) {
	b.tags = append(b.tags, elf.Dyn64{Tag: int64(tag), Val: value})
}

// name adds a string to .dynstr.
func (b *imageBuilder) name(s string) uint32 {
	at := uint32(len(b.names))
	b.names = append(append(b.names, s...), 0)
	return at
}

// code writes the functions: mov eax, nr; syscall; ret. The arguments are where
// the call wants them already.
func (b *imageBuilder) code() {
	for _, call := range vdsoCalls {
		at := b.align(16)
		b.write(byte(0xb8), call.nr, []byte{0x0f, 0x05, 0xc3})
		for _, name := range []string{"__vdso_" + call.name, call.name} {
			bind := elf.STB_GLOBAL
			if name == call.name {
				bind = elf.STB_WEAK
			}
			b.funcs = append(b.funcs, elf.Sym64{
				Name: b.name(name), Info: elf.ST_INFO(bind, elf.STT_FUNC), Shndx: 1, // any that is not undefined
				Value: at, Size: uint64(len(b.out)) - at,
			})
		}
	}
}

// symtab writes .dynsym: the empty symbol, the version's, the functions.
func (b *imageBuilder) symtab() {
	b.tag(elf.DT_SYMTAB, b.align(8))
	b.tag(elf.DT_SYMENT, symbolSize)
	version := elf.Sym64{
		Name: b.name(vdsoVersion), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_OBJECT), Shndx: uint16(elf.SHN_ABS),
	}
	b.funcs = append([]elf.Sym64{{}, version}, b.funcs...)
	b.write(b.funcs)
}

// hashes writes .hash with a single bucket: the chain runs through all symbols.
func (b *imageBuilder) hashes() {
	b.tag(elf.DT_HASH, b.align(4))
	n := uint32(len(b.funcs))
	b.write(uint32(1), n, n-1) // one bucket, n chain entries, the first is the last symbol
	for i := range n {
		b.write(max(i, 1) - 1)
	}
}

// versions writes .gnu.version and .gnu.version_d: version 1 is the object itself,
// version 2 that of every symbol.
func (b *imageBuilder) versions() {
	b.tag(elf.DT_VERSYM, b.align(2))
	for i := range b.funcs {
		b.write(uint16(min(i, 1) * 2))
	}
	b.tag(elf.DT_VERDEF, b.align(4))
	b.tag(elf.DT_VERDEFNUM, 2)
	soname := b.name(vdsoName)
	b.tag(elf.DT_SONAME, uint64(soname))
	b.verdef(1, 1, vdsoName, soname, 28)
	b.verdef(0, 2, vdsoVersion, b.funcs[1].Name, 0)
}

// verdef writes an Elf64_Verdef and its one Verdaux. next is the distance to the
// next Verdef.
func (b *imageBuilder) verdef(flags, index uint16, name string, at, next uint32) {
	b.write(uint16(1), flags, index, uint16(1), sysvHash(name), uint32(20), next)
	b.write(at, uint32(0))
}

// strings writes .dynstr, when all names are known.
func (b *imageBuilder) strings() {
	b.tag(elf.DT_STRTAB, uint64(len(b.out)))
	b.tag(elf.DT_STRSZ, uint64(len(b.names)))
	b.out = append(b.out, b.names...)
}

func (b *imageBuilder) dynamicSection() {
	b.dynamic = int(b.align(8))
	b.tag(elf.DT_NULL, 0)
	b.write(b.tags)
	b.dynamicEnd = len(b.out)
}

// headers writes the ELF and program headers into their place.
func (b *imageBuilder) headers() {
	size, dynamic := uint64(len(b.out)), uint64(b.dynamic)
	h := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: headerSize, Ehsize: headerSize, Phentsize: progSize, Phnum: 2, Shentsize: sectionSize,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	h.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	progs := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Filesz: size, Memsz: size, Align: 4096},
		{Type: uint32(elf.PT_DYNAMIC), Flags: uint32(elf.PF_R), Off: dynamic, Vaddr: dynamic, Paddr: dynamic,
			Filesz: uint64(b.dynamicEnd) - dynamic, Memsz: uint64(b.dynamicEnd) - dynamic, Align: 8},
	}
	var front bytes.Buffer
	_ = binary.Write(&front, binary.LittleEndian, h) // neither can fail
	_ = binary.Write(&front, binary.LittleEndian, progs)
	copy(b.out, front.Bytes())
}

// sysvHash is the hash function of the System V ABI.
func sysvHash(name string) uint32 {
	h := uint32(0)
	for _, c := range []byte(name) {
		h = h<<4 + uint32(c)
		h ^= h >> 24 & 0xf0
	}
	return h & 0x0fffffff
}
