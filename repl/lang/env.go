package lang

import "mmsh.dev/mmsh/memmap"

// Env is what expressions know of a process. One Env serves one process; Process
// gives another's.
type Env interface {
	// Register returns the register called name, without $: rip, eax, and gdb's pc sp
	// fp. rip rsp rbp are Addresses, the others Signed. ok is false for a name
	// that is no register; err says why a register cannot be read.
	Register(name string) (v Number, ok bool, err error)

	// Variable returns what `let` or the shell set: a, _, child, i.
	Variable(name string) (v Number, ok bool)

	// Symbol returns the address of a symbol. name may hold @: puts@plt.
	Symbol(name string) (a memmap.Addr, ok bool)

	// Mapping returns where a name is mapped, from its first mapping's start to its
	// last's end: [heap], a file's path, its base name, or that without version
	// (libc for libc.so.6).
	Mapping(name string) (ar memmap.AddrRange, ok bool)

	// Row returns row n of the process's last vmas. The error says that there was no
	// vmas, that it had fewer rows, or that the mapping is gone.
	Row(n uint64) (memmap.AddrRange, error)

	// Read fills p from memory, permissions ignored.
	Read(a memmap.Addr, p []byte) error

	// Process returns the Env of another process of the same world.
	Process(pid int) (Env, error)

	// Names lists the names of a sort that exist, for the nearest match to a wrong one.
	Names(sort NameSort) []string
}

// NameSort is a sort of name that can be mistyped.
type NameSort uint8

// The sorts of names.
const (
	RegisterNames NameSort = iota // without $
	VariableNames                 // without $
	SymbolNames
	MappingNames
)

// UnknownError is a name that nothing answers to.
type UnknownError struct {
	Word    string   // as written: "$riip", "mian"
	Tried   []string // what was looked for: "symbol", "mapping", "constant"
	Nearest string   // the closest name there is, as it would be written; "" if none is close
}
