package memmap

import "golang.org/x/sys/unix"

// AccessType is a set of kinds of access to memory, or of permissions for them.
type AccessType struct {
	Read, Write, Execute bool
}

// The access types that have names.
var (
	NoAccess    = AccessType{}
	Read        = AccessType{Read: true}
	Write       = AccessType{Write: true}
	Execute     = AccessType{Execute: true}
	ReadWrite   = AccessType{Read: true, Write: true}
	ReadExecute = AccessType{Read: true, Execute: true}
	AnyAccess   = AccessType{Read: true, Write: true, Execute: true}
)

// AccessFromProt returns the access that PROT_* bits ask for. Other bits are ignored.
func AccessFromProt(prot int) AccessType {
	return AccessType{
		Read:    prot&unix.PROT_READ != 0,
		Write:   prot&unix.PROT_WRITE != 0,
		Execute: prot&unix.PROT_EXEC != 0,
	}
}

// Prot returns a as PROT_* bits.
func (a AccessType) Prot() int {
	prot := unix.PROT_NONE
	if a.Read {
		prot |= unix.PROT_READ
	}
	if a.Write {
		prot |= unix.PROT_WRITE
	}
	if a.Execute {
		prot |= unix.PROT_EXEC
	}
	return prot
}

// String prints a as three characters: rwx, with - for what is missing.
func (a AccessType) String() string {
	b := [3]byte{'-', '-', '-'}
	if a.Read {
		b[0] = 'r'
	}
	if a.Write {
		b[1] = 'w'
	}
	if a.Execute {
		b[2] = 'x'
	}
	return string(b[:])
}

// Any reports whether a holds any access at all.
func (a AccessType) Any() bool { return a.Read || a.Write || a.Execute }

// SupersetOf reports whether a permits all that b does.
func (a AccessType) SupersetOf(b AccessType) bool {
	return (a.Read || !b.Read) && (a.Write || !b.Write) && (a.Execute || !b.Execute)
}

// Intersect returns what a and b share.
func (a AccessType) Intersect(b AccessType) AccessType {
	return AccessType{a.Read && b.Read, a.Write && b.Write, a.Execute && b.Execute}
}

// Union returns what a or b permits.
func (a AccessType) Union(b AccessType) AccessType {
	return AccessType{a.Read || b.Read, a.Write || b.Write, a.Execute || b.Execute}
}

// Effective returns the permissions that x86-64 gives for a: writable and
// executable pages can always be read.
func (a AccessType) Effective() AccessType {
	a.Read = a.Read || a.Write || a.Execute
	return a
}
