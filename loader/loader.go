// Package loader makes a process image of an ELF file: mappings, stack, auxiliary
// vector. It reads files through the small interface File and memory through a
// mm.MemoryManager; it runs nothing.
//
// A file is not to be trusted: what is wrong with it is an *Error that says where.
//
// Read load.go first, then parse.go (the file's headers), segments.go, stack.go;
// symbols.go and vdso.go stand apart.
package loader

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
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

// Start is where a loaded program begins. All other registers are zero.
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

func (e *Error) Error() string {
	if e.Where == "" {
		return fmt.Sprintf("load: %s: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("load: %s: %s: %s", e.File, e.Where, e.Reason)
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Err }

// bad returns the error of a malformed file, to be completed with its name.
func bad(where, format string, args ...any) error {
	return &Error{Where: where, Reason: fmt.Sprintf(format, args...), Err: unix.ENOEXEC}
}

// failed returns the error of something that was refused while loading.
func failed(where string, err error) error {
	return &Error{Where: where, Reason: err.Error(), Err: err}
}
