package memmap

import "fmt"

// Asker is the party that asked for a change of memory.
type Asker uint8

// The askers.
const (
	ByKernel Asker = iota // the sandbox itself: stacks, vdso, signal frames
	ByGuest               // a system call or an access of the guest
	ByShell               // a command of the person at the prompt
	ByELF                 // the loader
)

func (a Asker) String() string {
	return [...]string{ByKernel: "kernel", ByGuest: "guest", ByShell: "shell", ByELF: "elf"}[a]
}

// Origin says where a mapping or an event comes from.
type Origin struct {
	By    Asker
	Op    string // what was asked, a constant: "mmap", "brk", "PT_LOAD[1]", "stack"
	PC    Addr   // ByGuest: the instruction after the system call, or the one that faulted
	TID   int32  // the thread that asked, 0 if none did
	Event uint64 // the event that made the mapping; filled in by the engine, 0 if events are off
}

func (o Origin) String() string {
	switch {
	case o.By == ByELF:
		return "ELF " + o.Op
	case o.By == ByGuest && o.PC != 0:
		return fmt.Sprintf("%s from %v", o.Op, o.PC)
	case o.By == ByGuest:
		return o.Op
	}
	return fmt.Sprintf("%s by %v", o.Op, o.By)
}

// Cause names what a fault did, or why it was refused.
type Cause uint8

// The causes. The first group brought a page in; the second was refused.
const (
	NoCause   Cause = iota
	ZeroMap         // private anonymous page read before it was written: the zero page
	ZeroFill        // a fresh page of zeroes
	FileMap         // a page of a file
	COWCopy         // copied on write: the page has other owners
	COWReuse        // taken over on write: we were the last owner
	Upgrade         // a read-only translation became writable
	StackGrow       // the stack's mapping was extended downwards first
	Refault         // the page was there; only the host's mapping was missing
	UserFill        // filled through a userfaultfd

	NoMapping  // no vma at the address
	Permission // the vma forbids the access
	GuardPage  // a guard region or a stack's guard gap
	BeyondEOF  // beyond the end of the mapped file
	LimitHit   // a limit: memory of the sandbox, RLIMIT_STACK, …
	UserFault  // a userfaultfd's owner is to deal with it first
	IOError    // the file could not be read, or its pages not be written back
)

var causeNames = [...]string{
	NoCause: "none", ZeroMap: "zero-map", ZeroFill: "zero-fill", FileMap: "file-map",
	COWCopy: "cow-copy", COWReuse: "cow-reuse", Upgrade: "upgrade", StackGrow: "stack-grow",
	Refault: "refault", UserFill: "user-fill", NoMapping: "no-mapping", Permission: "permission", GuardPage: "guard",
	BeyondEOF: "beyond-eof", LimitHit: "limit", UserFault: "user-fault", IOError: "io-error",
}

func (c Cause) String() string { return causeNames[c] }

// Refused reports whether c says that an access was refused.
func (c Cause) Refused() bool { return c >= NoMapping }

// ParseCause returns the cause that String prints as s.
func ParseCause(s string) (Cause, bool) {
	for c, name := range causeNames {
		if name == s && c != int(NoCause) {
			return Cause(c), true
		}
	}
	return NoCause, false
}
