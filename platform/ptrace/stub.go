package ptrace

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// stubText returns where the bytes of the code in stub_amd64.s are in our own memory.
func stubText() unsafe.Pointer

// Sizes of the stub's part of an address space: a page of code and the request
// slots behind it.
const (
	codeSize  = memmap.PageSize
	slotsSize = 3 * memmap.PageSize
	stubSize  = codeSize + slotsSize
)

// userEnd is where guest addresses end: the host's TASK_SIZE with 4-level page
// tables. With five levels the host still keeps to it unless asked beyond.
const userEnd = 0x7ffffffff000

// What the stub's code is told to do, in rbx.
const (
	doCall = iota
	doBatch
	doClone
	doSleep
)

// layout says where the stub's pages are in every address space.
type layout struct {
	code  memmap.Addr // a page, r-x; the first byte is the code's entry
	slots memmap.Addr // slotsSize bytes; the guest sees them read-only
	image []byte      // the code page
}

// newLayout puts the stub's pages as low as the host allows, and not below 64 KiB.
func newLayout() layout {
	base := memmap.Addr(0x10000)
	if b, err := os.ReadFile("/proc/sys/vm/mmap_min_addr"); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 63); err == nil {
			if up, ok := memmap.Addr(n).RoundUp(); ok && up > base {
				base = up
			}
		}
	}
	return layout{code: base, slots: base + codeSize, image: codePage()}
}

// stubRange returns the range of the stub's pages.
func (l layout) stubRange() memmap.AddrRange {
	return memmap.AddrRange{Start: l.code, End: l.code + stubSize}
}

// userRange returns what is left to the guest.
func (l layout) userRange() memmap.AddrRange {
	return memmap.AddrRange{Start: l.code + stubSize, End: userEnd}
}

// atTrap reports whether rip is behind one of the code's int3.
func (l layout) atTrap(rip uint64) bool {
	off := rip - uint64(l.code) - 1
	return off < uint64(len(l.image)) && l.image[off] == int3
}

const int3 = 0xcc

// codePage returns the stub's code, filled up to a page with int3.
func codePage() []byte {
	text := unsafe.Slice((*byte)(stubText()), codeSize/2)
	end := bytes.Repeat([]byte{int3}, 8)
	n := bytes.Index(text, end)
	if n < 0 {
		panic("ptrace: the stub's code has no end")
	}
	page := bytes.Repeat([]byte{int3}, codeSize)
	copy(page, text[:n])
	return page
}

// elfImage returns an ELF executable that maps nothing but the code page. Its
// entry is an int3: the image does nothing of its own accord.
func (l layout) elfImage() []byte {
	const ehsize, phsize = 64, 56
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	le := func(vs ...any) {
		for _, v := range vs {
			_ = binary.Write(&b, binary.LittleEndian, v) // a Buffer never fails
		}
	}
	entry := uint64(l.code) + codeSize - 8
	le(uint16(2), uint16(62), uint32(1)) // ET_EXEC, EM_X86_64
	le(entry, uint64(ehsize), uint64(0), uint32(0))
	le(uint16(ehsize), uint16(phsize), uint16(2), uint16(0), uint16(0), uint16(0))
	// PT_LOAD: the page behind the headers, r-x.
	le(uint32(1), uint32(5), uint64(codeSize), uint64(l.code), uint64(l.code),
		uint64(codeSize), uint64(codeSize), uint64(memmap.PageSize))
	// PT_GNU_STACK, rw-: or the stack, short as it lives, would be executable.
	le(uint32(0x6474e551), uint32(6), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(16))
	b.Write(make([]byte, codeSize-b.Len()))
	b.Write(l.image)
	return b.Bytes()
}

// elfFile returns a descriptor of a memfd that holds the image.
func (l layout) elfFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("mmsh-stub", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // a host before 6.3, where all memfds can be executed
		fd, err = unix.MemfdCreate("mmsh-stub", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "mmsh-stub")
	if _, err := f.Write(l.elfImage()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
