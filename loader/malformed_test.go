package loader

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
)

// Each thing that can be wrong with a file has its own words, and the errno that
// execve has for it.
func TestErrorsSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		bend func(*tiny)
		want string
	}{
		{func(f *tiny) { f.header.Ident[0] = 'x' }, "load: ./tiny: it is not an ELF file"},
		{func(f *tiny) { copy(f.header.Ident[:], "#!/bin/sh\n") }, "load: ./tiny: it is a script, not an ELF file"},
		{func(f *tiny) { f.header.Ident[elf.EI_CLASS] = 1 }, "load: ./tiny: ELF header: it is a 32-bit program"},
		{func(f *tiny) { f.header.Ident[elf.EI_CLASS] = 9 }, "ELF header: class 9 is unknown"},
		{func(f *tiny) { f.header.Ident[elf.EI_DATA] = 2 }, "ELF header: it is big-endian"},
		{func(f *tiny) { f.header.Ident[elf.EI_DATA] = 0 }, "ELF header: byte order 0 is unknown"},
		{func(f *tiny) { f.header.Machine = uint16(elf.EM_AARCH64) }, "ELF header: it is for machine 183, not x86-64 (62)"},
		{func(f *tiny) { f.header.Type = uint16(elf.ET_REL) }, "ELF header: it is a file of type 1, not a program"},
		{func(f *tiny) { f.header.Type = uint16(elf.ET_CORE) }, "ELF header: it is a file of type 4, not a program"},
		{func(f *tiny) { f.header.Phentsize = 32 }, "ELF header: program headers of 32 bytes instead of 56"},
		{func(f *tiny) { f.header.Phoff = 1 << 40 }, "ELF header: program headers at 0x10000000000+0xe0 end beyond the file"},
		{func(f *tiny) { f.header.Phoff = ^uint64(0) - 20 }, "ELF header: program headers at 0xffffffffffffffeb+0xe0 end beyond the file"},
		{func(f *tiny) { f.header.Phnum = 2000 }, "ELF header: 2000 program headers are 112000 bytes, more than 65536"},
		{func(f *tiny) { f.header.Phnum = 1000 }, "ELF header: program headers at 0x40+0xdac0 end beyond the file"},
		{func(f *tiny) { f.header.Entry = 1 << 47 }, "ELF header: the entry point 0x800000000000 is no address of a program"},
		{func(f *tiny) { f.progs = f.progs[3:] }, "load: ./tiny: it has no PT_LOAD: there is nothing to load"},
		{func(f *tiny) { f.progs[1].Off = 0x100000 }, "program header 1: file range 0x100000+0x80 ends beyond the file"},
		{func(f *tiny) { f.progs[1].Filesz, f.progs[1].Memsz = 1<<40, 1<<40 }, "program header 1: file range 0x1000+0x10000000000 ends beyond the file"},
		{func(f *tiny) { f.progs[1].Filesz = 0x81 }, "program header 1: 0x81 bytes in the file are more than 0x80 in memory"},
		{func(f *tiny) { f.progs[1].Off = 0x1001 }, "program header 1: file offset 0x1001 and address 0x401000 differ within a page"},
		{func(f *tiny) { f.progs[2].Memsz = 1 << 47 }, "program header 2: memory range 0x402800+0x800000000000 ends beyond all addresses, 0x7ffffffff000"},
		{func(f *tiny) { f.progs[2].Memsz = ^uint64(0) - 0x100 }, "program header 2: memory range 0x402800+0xfffffffffffffeff ends beyond all addresses"},
		{func(f *tiny) { f.progs[2].Memsz = -f.progs[2].Vaddr - 1 }, "ends beyond all addresses"},
		{func(f *tiny) { f.progs[0], f.progs[1] = f.progs[1], f.progs[0] }, "program header 1: address 0x400000 is below program header 0's, 0x401000"},
		{func(f *tiny) { f.progs[1].Memsz = 0x1900 }, "program header 2: memory at 0x402800 overlaps program header 1's 0x401000+0x1900"},
		{func(f *tiny) { f.progs[0].Vaddr = 0 }, "program header 0: mmap: EPERM:"},
		{func(f *tiny) {
			f.progs[3] = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 0x1000, Filesz: 1 << 20}
		}, "program header 3: the interpreter's name has 0x100000 bytes"},
		{func(f *tiny) {
			f.progs[3] = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 0x1ff0, Filesz: 0x100}
		}, "program header 3: file range 0x1ff0+0x100 ends beyond the file"},
		{func(f *tiny) {
			f.progs[3] = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 0x1000, Filesz: 10}
		}, "program header 3: the interpreter's name does not end in a zero byte"},
	} {
		f := newTiny(elf.ET_EXEC)
		c.bend(f)
		_, _, err := newProcess(t).load(f.bytes(), Options{Path: "./tiny", Args: []string{"tiny"}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v\nwant %s", err, c.want)
			continue
		}
		if want := unix.ENOEXEC; !errors.Is(err, want) && !errors.Is(err, unix.EPERM) {
			t.Errorf("%v is not %v", err, want)
		}
	}
}

// A dynamically linked program is told from a broken one.
func TestDynamicPrograms(t *testing.T) {
	f := newTiny(elf.ET_DYN)
	b := f.bytes()
	name := "/lib64/ld-linux-x86-64.so.2\x00"
	copy(b[0x1000:], name)
	interp := elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 0x1000, Filesz: uint64(len(name)), Memsz: uint64(len(name))}
	if _, err := binary.Encode(b[headerSize+3*progSize:], binary.LittleEndian, interp); err != nil {
		t.Fatal(err)
	}
	_, _, err := newProcess(t).load(b, Options{Path: "./tiny"})
	want := `load: ./tiny: program header 3: it is dynamically linked (interpreter "/lib64/ld-linux-x86-64.so.2"): only static programs are loaded`
	if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, unix.ENOEXEC) {
		t.Error(err)
	}
}

// A file that was cut at any place is refused in words, or is whole as far as it
// is loaded.
func TestCutFiles(t *testing.T) {
	whole := newTiny(elf.ET_DYN).bytes()
	for n := range whole {
		_, _, err := newProcess(t).load(whole[:n], Options{Path: "cut"})
		var e *Error
		if n < tinySize && !errors.As(err, &e) || n >= tinySize && err != nil {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// Arguments are bounded as Linux bounds them.
func TestArgumentSpace(t *testing.T) {
	b := newTiny(elf.ET_EXEC).bytes()
	many := func(n, length int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = strings.Repeat("x", length)
		}
		return list
	}
	for _, c := range []struct {
		args, env []string
		limit     uint64
		fits      bool
	}{
		{many(1, maxString-1), nil, 8 << 20, true},
		{many(1, maxString), nil, 8 << 20, false},
		{nil, many(1, maxString), 8 << 20, false},
		{many(15, 130000), nil, 8 << 20, true}, // less than a quarter of the stack
		{many(10, 100000), many(10, 130000), 8 << 20, false},
		{many(1000, 100), nil, 256 << 10, true}, // 128 KiB whatever the stack
		{many(1300, 100), nil, 256 << 10, false},
		{many(200000, 0), nil, 8 << 20, true}, // pointers need more room than Linux keeps below the strings
		{many(240000, 0), nil, 8 << 20, false},
		{many(48, 125000), nil, mm.Infinity, true}, // 6 MiB whatever the stack
		{many(50, 130000), nil, mm.Infinity, false},
	} {
		p := newProcess(t)
		p.by.Limits.Stack = c.limit
		_, start, err := p.load(b, Options{Path: "p", Args: c.args, Env: c.env})
		if (err == nil) != c.fits || err != nil && !errors.Is(err, unix.E2BIG) {
			t.Errorf("%d and %d strings, limit %#x: %v", len(c.args), len(c.env), c.limit, err)
		}
		if err != nil {
			continue
		}
		var argc [8]byte
		_, err = p.CopyIn(p.by, start.SP, argc[:], mm.IOOpts{})
		if n := binary.LittleEndian.Uint64(argc[:]); err != nil || n != uint64(max(len(c.args), 1)) {
			t.Errorf("argc is %d, %v", n, err)
		}
	}
}

// However little memory there is, Load returns an error and nothing is lost.
func TestMemoryRunsOut(t *testing.T) {
	b := newTiny(elf.ET_DYN).bytes()
	failures := 0
	for n := range 10 {
		p := newProcess(t)
		p.mem.SetLimit(uint64(n) << 12)
		_, _, err := p.load(b, Options{Path: "p"})
		if err == nil {
			continue // the page cache did without readahead, or all was there already
		}
		failures++
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("with %d pages: %v", n, err)
		}
	}
	if failures == 0 {
		t.Error("no allocation failed")
	}
}
