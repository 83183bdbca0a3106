package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Script is a list of memory calls for testdata/play.c, a line each: the call's name
// and its arguments in hexadecimal. The words that are no system calls:
//
//	read write execute ADDR [BYTE]  an access of a byte, its signal caught
//	contents ADDR LEN               a sum of every page
//	smaps, file FD                  what the kernel counts; size, holes and bytes of a file
//	fill FD LEN OFF BYTE            write(2) to a file
//	fork … end                      a child plays what is in between, then exits
//
// Any part of a script is a script.
type Script []string

func (s Script) String() string { return strings.Join(s, "\n") + "\n" }

// The area that scripts play in, and the files that they map: a file in memory, open
// for writing and once more for reading only, another, the program itself, a file that is
// not mapped, and a memfd that can be sealed.
const (
	scriptArea  = 0x20000000
	scriptPages = 40
	scriptPage  = 0x1000

	fileRW, fileRO, memFD, programFD, scratchFD, sealableFD = 10, 11, 12, 13, 14, 15
)

// maker makes a script.
type maker struct {
	rnd    *rand.Rand
	script Script
	calls  []scriptCall
	depth  int
}

// scriptCall is a kind of call and how often it is made.
type scriptCall struct {
	often int
	make  func(*maker)
}

var scriptCalls = []scriptCall{
	{16, (*maker).mmap}, {4, (*maker).munmap}, {9, (*maker).mprotect}, {9, (*maker).mremap}, {14, (*maker).madvise},
	{16, (*maker).access}, {4, (*maker).lock}, {2, (*maker).msync}, {4, (*maker).mincore}, {3, (*maker).policy},
	{1, (*maker).seal}, {2, (*maker).brk}, {1, (*maker).remapFilePages}, {1, (*maker).pkey},
	{1, (*maker).processMadvise}, {10, (*maker).file}, {2, (*maker).sealFile}, {5, (*maker).copies}, {3, (*maker).fork}, {3, (*maker).show},
}

// Generate makes the script of n calls that seed stands for.
func Generate(seed uint64, n int) Script {
	m := &maker{rnd: rand.New(rand.NewPCG(seed, 1)), calls: scriptCalls}
	total := 0
	for _, c := range scriptCalls {
		total += c.often
	}
	for range 3 {
		m.mmap()
	}
	for len(m.script) < n {
		k := m.rnd.IntN(total)
		i := slices.IndexFunc(scriptCalls, func(c scriptCall) bool { k -= c.often; return k < 0 })
		scriptCalls[i].make(m)
	}
	return m.script
}

func (m *maker) say(name string, args ...uint64) {
	var b strings.Builder
	b.WriteString(name)
	for _, a := range args {
		fmt.Fprintf(&b, " %x", a)
	}
	m.script = append(m.script, b.String())
}

func (m *maker) below(n int) uint64    { return uint64(m.rnd.IntN(n)) }
func (m *maker) oneIn(n int) bool      { return m.rnd.IntN(n) == 0 }
func (m *maker) of(v ...uint64) uint64 { return v[m.rnd.IntN(len(v))] }

// span chooses a range: nearly always pages of the area.
func (m *maker) span() (at, length uint64) {
	first := m.below(scriptPages)
	at = scriptArea + first*scriptPage
	length = (1 + m.below(int(min(8, scriptPages-first)))) * scriptPage
	switch m.below(60) {
	case 0:
		return at + 1 + m.below(scriptPage-1), length
	case 1:
		return at, 0
	case 2:
		return at, m.of(1<<63, 1<<47, ^uint64(0), ^uint64(scriptPage-1))
	case 3:
		return m.of(1<<47, 1<<47-scriptPage, ^uint64(scriptPage-1)), length
	case 4, 5, 6:
		return at, length - m.below(scriptPage)
	}
	return at, length
}

// byteAt chooses an address.
func (m *maker) byteAt() uint64 {
	return scriptArea + m.below(scriptPages)*scriptPage + m.of(0, 1, scriptPage-1, 0x123)
}

// prot chooses protection. PROT_EXEC alone is a protection key on a host whose processor
// has them, and means reading as well on ours, which has none.
func (m *maker) prot() uint64 {
	prot := m.of(0, 1, 1, 3, 3, 3, 3, 2, 5, 7, 6, m.below(16))
	if prot&7 == unix.PROT_EXEC {
		prot |= unix.PROT_READ
	}
	return prot
}

func (m *maker) mmap() {
	at, length := m.span()
	prot := m.prot()
	flags := m.of(unix.MAP_FIXED, unix.MAP_FIXED, unix.MAP_FIXED, unix.MAP_FIXED, unix.MAP_FIXED_NOREPLACE, 0)
	flags |= m.of(0, 0, 0, 0, 0, 0, unix.MAP_POPULATE, unix.MAP_LOCKED, unix.MAP_NORESERVE, unix.MAP_STACK, unix.MAP_NONBLOCK|unix.MAP_POPULATE, unix.MAP_DENYWRITE, unix.MAP_32BIT)
	fd, off := ^uint64(0), uint64(0)
	switch m.below(12) {
	case 0, 1, 2, 3:
		flags |= unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	case 4:
		flags |= unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_GROWSDOWN
	case 5, 6:
		flags |= unix.MAP_SHARED | unix.MAP_ANONYMOUS
	case 7, 8:
		flags |= unix.MAP_PRIVATE
		fd, off = m.of(fileRW, fileRW, memFD, programFD, sealableFD), m.below(8)*scriptPage
	case 9, 10:
		flags |= m.of(unix.MAP_SHARED, unix.MAP_SHARED, unix.MAP_SHARED_VALIDATE)
		fd, off = m.of(fileRW, fileRW, memFD, fileRO, sealableFD), m.below(8)*scriptPage
	default: // what is wrong somewhere
		flags = m.below(1<<18) &^ unix.MAP_HUGETLB
		if flags&0xf >= 8 {
			flags &^= 8 // MAP_DROPPABLE
		}
		fd, off = m.of(^uint64(0), fileRW, memFD, 99), m.of(0, 0, scriptPage, 1, ^uint64(scriptPage-1))
	}
	m.say("mmap", at, length, prot, flags, fd, off)
}

func (m *maker) munmap() {
	at, length := m.span()
	m.say("munmap", at, length)
}

func (m *maker) mprotect() {
	at, length := m.span()
	prot := m.prot()
	if m.oneIn(12) {
		prot |= m.of(unix.PROT_GROWSDOWN, unix.PROT_GROWSUP)
	}
	m.say("mprotect", at, length, prot)
}

// mremap moves one page mostly: see Apart.
func (m *maker) mremap() {
	at, length := m.span()
	to, size := m.span()
	if m.below(3) > 0 {
		length = min(length, scriptPage)
	}
	if m.oneIn(2) {
		size = length
	}
	if m.oneIn(20) {
		length = 0
	}
	flags := m.of(0, unix.MREMAP_MAYMOVE, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED,
		unix.MREMAP_MAYMOVE|unix.MREMAP_DONTUNMAP, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP, m.below(16))
	m.say("mremap", at, length, size, flags, to)
}

// advice chooses an advice; those that take memory from the host are not tried.
func (m *maker) advice() uint64 {
	return m.of(unix.MADV_DONTNEED, unix.MADV_DONTNEED, unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_FREE, unix.MADV_NORMAL, unix.MADV_RANDOM, unix.MADV_SEQUENTIAL,
		unix.MADV_WILLNEED, unix.MADV_COLD, unix.MADV_REMOVE, unix.MADV_REMOVE, unix.MADV_DONTFORK, unix.MADV_DOFORK,
		unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK, unix.MADV_DONTDUMP, unix.MADV_DODUMP, unix.MADV_POPULATE_READ, unix.MADV_POPULATE_READ,
		unix.MADV_POPULATE_WRITE, unix.MADV_POPULATE_WRITE, unix.MADV_DONTNEED_LOCKED, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE,
		unix.MADV_MERGEABLE, unix.MADV_UNMERGEABLE, unix.MADV_COLLAPSE, guardInstall, guardInstall, guardRemove, 7, 99)
}

// Advices that package unix does not name.
const (
	guardInstall = 102
	guardRemove  = 103
)

// advised is span without lengths that reach the process's own stack and code: unlike
// other calls madvise goes over holes, and the player would lose its own memory.
func (m *maker) advised() (at, length uint64) {
	at, length = m.span()
	if length >= 1<<47 && at+length > at {
		length = ^uint64(0) // ends before it starts
	}
	return at, length
}

func (m *maker) madvise() {
	at, length := m.advised()
	m.say("madvise", at, length, m.advice())
}

func (m *maker) processMadvise() {
	a, n := m.advised()
	b, k := m.advised()
	m.say("process_madvise", a, n, b, k, m.of(unix.MADV_DONTNEED, unix.MADV_COLD, unix.MADV_WILLNEED, guardInstall, m.advice()))
}

func (m *maker) access() {
	for range 1 + m.below(3) {
		switch m.below(5) {
		case 0, 1:
			m.say("read", m.byteAt())
		case 2, 3:
			m.say("write", m.byteAt(), m.below(256))
		default:
			m.say("execute", m.byteAt()&^(scriptPage-1))
		}
	}
}

func (m *maker) lock() {
	at, length := m.span()
	switch m.below(10) {
	case 0, 1, 2:
		m.say("mlock", at, length)
	case 3, 4, 5:
		m.say("mlock2", at, length, m.of(0, 1, 1, 2))
	case 6, 7:
		m.say("munlock", at, length)
	case 8:
		m.say("mlockall", m.of(1, 2, 3, 6, 7, 4, 0))
	default:
		m.say("munlockall")
	}
}

func (m *maker) msync() {
	at, length := m.span()
	m.say("msync", at, length, m.of(unix.MS_ASYNC, unix.MS_SYNC, unix.MS_INVALIDATE, unix.MS_SYNC|unix.MS_INVALIDATE, 0, unix.MS_ASYNC|unix.MS_SYNC, 8))
}

func (m *maker) mincore() {
	at, length := m.span()
	m.say("mincore", at, length)
}

func (m *maker) policy() {
	at, length := m.span()
	mode := m.of(0, 1, 2, 3, 4, 5, 6, 9)
	switch m.below(6) {
	case 0:
		m.say("set_mempolicy", mode, m.of(0, 1, 1, 2), m.of(0, 64, 64, 1))
	case 1:
		m.say("set_mempolicy_home_node", at, length, m.of(0, 0, 1), m.of(0, 0, 0, 1))
	default:
		m.say("mbind", at, length, mode, m.of(0, 1, 1, 1, 2), m.of(64, 64, 0), m.of(0, 0, 1, 2, 3))
	}
}

func (m *maker) seal() {
	at, length := m.span()
	m.say("mseal", at, min(length, 3*scriptPage), m.of(0, 0, 0, 0, 0, 1))
}

func (m *maker) brk() {
	m.say("brk", m.below(40)*scriptPage/2)
}

func (m *maker) remapFilePages() {
	at, length := m.span()
	m.say("remap_file_pages", at, length, m.of(0, 0, 0, 1), m.below(8), m.of(0, 0, unix.MAP_NONBLOCK))
}

// pkey changes protection with no key: whether there are keys is the processor's affair.
func (m *maker) pkey() {
	at, length := m.span()
	m.say("pkey_mprotect", at, length, m.prot(), ^uint64(0))
}

// file changes a file below its mappings. Room is not reserved (fallocate's modes 0 and 1):
// a tmpfs counts such pages as holes until they are written, ours does not.
func (m *maker) file() {
	fd := m.of(fileRW, fileRW, fileRW, memFD, fileRO, sealableFD)
	size := m.below(10)*scriptPage + m.of(0, 0, 0, 1, 100, scriptPage-1)
	switch m.below(8) {
	case 0, 1, 2:
		m.say("ftruncate", fd, size)
	case 3:
		m.say("fallocate", fd, m.of(3, 3, 3, 3, 3, 2, 16, 8), size, m.below(4)*scriptPage+m.of(0, 0, 1, 77))
	case 4, 5:
		m.say("fill", fd, m.of(10, scriptPage, 5000), size, m.below(256))
	case 6:
		m.say("fsync", fd)
	default:
		m.say("file", fd)
	}
}

// sealFile adds seals to the memfd, or asks for them.
func (m *maker) sealFile() {
	if m.oneIn(3) {
		m.say("fcntl", sealableFD, unix.F_GET_SEALS)
		return
	}
	seals := m.of(unix.F_SEAL_SHRINK, unix.F_SEAL_GROW, unix.F_SEAL_WRITE, unix.F_SEAL_WRITE, unix.F_SEAL_FUTURE_WRITE, unix.F_SEAL_EXEC, unix.F_SEAL_SEAL, 64)
	m.say("fcntl", sealableFD, unix.F_ADD_SEALS, seals)
}

// copies reads into memory and writes from it: the kernel's own accesses. Not with a file
// that is mapped: a copy onto itself is in no order that anybody promises.
func (m *maker) copies() {
	length, off := m.of(1, 100, scriptPage, 3*scriptPage), m.below(8)*scriptPage+m.of(0, 5)
	if m.oneIn(2) {
		m.say("pwrite", scratchFD, m.byteAt(), length, off)
		return
	}
	m.say("pread", m.of(programFD, scratchFD), m.byteAt(), length, off)
}

// fork has a child play some calls.
func (m *maker) fork() {
	if m.depth == 3 {
		return
	}
	m.say("fork")
	m.depth++
	for range m.below(6) {
		m.calls[m.rnd.IntN(len(m.calls))].make(m)
	}
	m.depth--
	m.say("end")
}

func (m *maker) show() {
	if m.oneIn(2) {
		m.say("smaps")
		return
	}
	at, length := m.span()
	m.say("contents", at&^(scriptPage-1), min(length, 16*scriptPage))
}
