package mm

import (
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// VMAInfo is a vma as people see it.
type VMAInfo struct {
	AR        memmap.AddrRange
	Perms     memmap.AccessType // as asked
	MaxPerms  memmap.AccessType
	Private   bool
	GrowsDown bool
	MLock     memmap.MLockMode
	Offset    memmap.MappableOffset // 0 if Anonymous
	Anonymous bool                  // private anonymous: no Mappable
	Device    uint64
	Inode     uint64
	Name      string // as in maps, "" if none
	Origin    memmap.Origin
	RSS       uint64 // bytes that pmas hold, the zero page excepted
	COW       uint64 // bytes of pmas that wait for copy-on-write
}

// PMAInfo is a pma as people see it.
type PMAInfo struct {
	AR        memmap.AddrRange
	Effective memmap.AccessType // what may be mapped now
	NeedCOW   bool
	Private   bool // anonymous, or already copied
	Zero      bool // the zero page
	File      memmap.File
	InMemory  bool // File is the MemoryFile
	Offset    memmap.FileOffset
	Refs      []RefRun // reference counts of the pages, ascending, if InMemory
	FileName  string   // the vma's name if the pages are a file's
	Cause     memmap.Cause
	Event     uint64 // the fault or fork that made it what it is; 0 if unknown
}

// RefRun is a run of pages with one reference count.
type RefRun struct {
	Bytes uint64
	Refs  uint32
}

// Page is the state of one page, by the letters of the `pages` view.
type Page byte

// The states of a page. Mappings that are both writable and executable, and
// locked ones, are told from the vma.
const (
	PageUnmapped  Page = ' '
	PagePrivate   Page = 'W' // private, written: ours alone to write
	PageCOW       Page = 'c' // waits for copy-on-write
	PageZero      Page = 'z'
	PageFile      Page = 'f'
	PageFileDirty Page = 'd'
	PageShared    Page = 's' // shared anonymous
	PageNone      Page = '.' // never faulted
	PageGuard     Page = 'g'
)

// Stats are a memory manager's sums and counters, in bytes and events.
type Stats struct {
	Virtual, Data, Locked      uint64
	RSS, MaxRSS                uint64
	RSSAnon, RSSFile, RSSShmem uint64
	VMAs, PMAs                 int
	COWWaiting                 uint64 // bytes
	LargestGap                 uint64
	MinorFaults, MajorFaults   uint64
	Causes                     [memmap.IOError + 1]uint64 // faults by cause
}

// VMAs returns the vmas that overlap ar, whole, in order.
func (mm *MemoryManager) VMAs(ar memmap.AddrRange) []VMAInfo { panic("mm: unwritten") }

// FindVMA returns the vma that contains addr.
func (mm *MemoryManager) FindVMA(addr memmap.Addr) (VMAInfo, bool) { panic("mm: unwritten") }

// PMAs returns the pmas in ar, clipped to it and split at vmas' ends.
func (mm *MemoryManager) PMAs(ar memmap.AddrRange) []PMAInfo { panic("mm: unwritten") }

// Pages returns one state a page of ar.
func (mm *MemoryManager) Pages(ar memmap.AddrRange) []Page { panic("mm: unwritten") }

// Stats returns the current numbers. Cost: linear in vmas and pmas.
func (mm *MemoryManager) Stats() Stats { panic("mm: unwritten") }

// All is the whole of guest memory.
func (mm *MemoryManager) All() memmap.AddrRange { panic("mm: unwritten") }

// BrkRange returns the heap: its start and the exact break.
func (mm *MemoryManager) BrkRange() memmap.AddrRange { panic("mm: unwritten") }

// Walk is the chain from an address to the host: each step as far as there is one.
type Walk struct {
	Addr   memmap.Addr
	VMA    *VMAInfo
	Before *VMAInfo // without VMA: the neighbours of the hole
	After  *VMAInfo
	// FileOffset is addr's offset in what the vma maps, if it maps something.
	FileOffset memmap.MappableOffset
	PMA        *PMAInfo
	MemOffset  memmap.FileOffset     // addr's offset in PMA.File
	Refs       uint32                // of that page, if in the MemoryFile
	Host       *platform.HostMapping // what the host says is mapped there
	HostErr    error                 // why the host could not be asked
}

// Walk follows addr down.
func (mm *MemoryManager) Walk(addr memmap.Addr) Walk { panic("mm: unwritten") }

// Rule is one question that an access must pass, in the order in which the
// engine asks them.
type Rule struct {
	OK    bool
	Text  string // "a vma maps 0x2000", "the vma allows writing (r--)"
	Event uint64 // the event that made it so, 0 if unknown
	Fix   string // for a failed rule: a shell command that would allow it, if there is one
}

// Explanation is what an access would meet. Nothing is touched.
type Explanation struct {
	Addr   memmap.Addr
	At     memmap.AccessType
	Rules  []Rule
	Cause  memmap.Cause // what the fault would do, or why it would be refused
	Signal unix.Signal  // what the guest would get, 0 if the access is made
	Code   int32        // its si_code
	// Mapped says that the host has it mapped already: no fault would come.
	Mapped bool
}

// Explain says what an access of kind at to addr would meet, sp being the stack pointer.
func (mm *MemoryManager) Explain(by *Actor, addr memmap.Addr, at memmap.AccessType, sp memmap.Addr) Explanation {
	panic("mm: unwritten")
}

// Owner is a process that has a page.
type Owner struct {
	PID  int32
	Addr memmap.Addr
	Cow  bool
}

// OwnersOf returns where mm maps the page of file at off privately or as a
// translation: the caller asks every memory manager.
func (mm *MemoryManager) OwnersOf(file memmap.File, off memmap.FileOffset) []Owner {
	panic("mm: unwritten")
}

// WriteMaps writes /proc/PID/maps, byte for byte as Linux 6.18 does.
func (mm *MemoryManager) WriteMaps(w io.Writer) error { panic("mm: unwritten") }

// Check verifies every invariant of the engine, and with host also that the
// host's mappings agree with it. It returns all that is wrong.
func (mm *MemoryManager) Check(host bool) []error { panic("mm: unwritten") }
