// Package loader makes a process image of an ELF file: mappings, stack, auxiliary
// vector. It reads files through the small interface File and memory through a
// mm.MemoryManager; it runs nothing.
package loader

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// File is a program file.
type File interface {
	// ReadAt is io.ReaderAt's.
	ReadAt(p []byte, off int64) (int, error)
	// Size in bytes.
	Size() (int64, error)
	// ConfigureMMap sets Mappable, Identity and MaxPerms of a private mapping.
	ConfigureMMap(o *memmap.MMapOpts) error
}

// Symbol is a named place of a program.
type Symbol struct {
	Name string
	Addr memmap.Addr // where it is loaded
	Size uint64
	Func bool
}

// Segment is a loaded program header.
type Segment struct {
	Index int // in the program headers
	AR    memmap.AddrRange
	Perms memmap.AccessType
}

// Image is what is known of a loaded program.
type Image struct {
	_ [0]func()
}

// Path returns the file's name, Entry where execution starts, Bias what was
// added to the file's addresses.
func (i *Image) Path() string { panic("loader: unwritten") }

// Entry returns the first instruction's address.
func (i *Image) Entry() memmap.Addr { panic("loader: unwritten") }

// Bias returns what was added to the file's addresses.
func (i *Image) Bias() memmap.Addr { panic("loader: unwritten") }

// Segments returns the PT_LOADs.
func (i *Image) Segments() []Segment { panic("loader: unwritten") }

// Symbol returns the symbol of that name.
func (i *Image) Symbol(name string) (Symbol, bool) { panic("loader: unwritten") }

// SymbolAt returns the symbol that contains addr, or the nearest function before
// it in the same segment.
func (i *Image) SymbolAt(addr memmap.Addr) (Symbol, bool) { panic("loader: unwritten") }

// Symbols returns all symbols by name.
func (i *Image) Symbols() []Symbol { panic("loader: unwritten") }

// ArgRange and EnvRange return where argv's and envp's strings lie on the
// stack: what /proc/PID/cmdline and environ show.
func (i *Image) ArgRange() memmap.AddrRange { panic("loader: unwritten") }

// EnvRange returns where envp's strings lie.
func (i *Image) EnvRange() memmap.AddrRange { panic("loader: unwritten") }

// Stack returns the first stack's range as it was mapped.
func (i *Image) Stack() memmap.AddrRange { panic("loader: unwritten") }

// AuxEntry is an entry of the auxiliary vector.
type AuxEntry struct {
	Type, Value uint64
}

// Auxv returns the auxiliary vector, AT_NULL excluded.
func (i *Image) Auxv() []AuxEntry { panic("loader: unwritten") }

// Options are what a program is given.
type Options struct {
	Path                 string // as shown, and AT_EXECFN
	Args                 []string
	Env                  []string
	Random               [16]byte // AT_RANDOM
	UID, EUID, GID, EGID uint32
	MinSigStack          uint64 // AT_MINSIGSTKSZ
	HWCap, HWCap2        uint64
	VDSO                 *VDSO // may be nil
}

// VDSO is the [vvar] and [vdso] that a kernel gives to all its processes.
type VDSO struct {
	_ [0]func()
}

// NewVDSO makes the pages, which Release gives back; processes that map them
// keep them alive.
func NewVDSO(mem *pgalloc.MemoryFile) (*VDSO, error) { panic("loader: unwritten") }

// Release drops the kernel's reference.
func (v *VDSO) Release() { panic("loader: unwritten") }

// Start is where a loaded program begins.
type Start struct {
	Entry memmap.Addr
	SP    memmap.Addr
}

// Error is a program that cannot be loaded: `load: FILE: program header 3: file
// range 0x…+0x… ends beyond the file`. It wraps the errno that execve would give.
type Error struct {
	File   string
	Where  string // "program header 3", "ELF header", ""
	Reason string
	Err    error
}

func (e *Error) Error() string { panic("loader: unwritten") }

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Err }

// Load maps f into the empty memory m. On error m may hold a part of it.
func Load(by *mm.Actor, m *mm.MemoryManager, f File, o Options) (*Image, Start, error) {
	panic("loader: unwritten")
}
