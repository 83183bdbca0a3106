package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MDWE is what PR_SET_MDWE forbids.
type MDWE uint8

// The bits of prctl(2).
const (
	MDWERefuseExecGain MDWE = 1 << iota // nothing becomes executable that was not, or is writable too
	MDWENoInherit                       // children are free of it
)

// SetMDWE is prctl(PR_SET_MDWE): memory denies write and execute together.
//
// Errors: EINVAL bits that are not known, or that say nothing; EPERM what was set
// cannot be changed any more.
func (mm *MemoryManager) SetMDWE(bits uint64) error {
	const op = "prctl"
	set := MDWE(bits)
	if bits&^uint64(MDWERefuseExecGain|MDWENoInherit) != 0 || set == MDWENoInherit {
		return memmap.Refuse(op, unix.EINVAL, "MDWE bits %#x", bits)
	}
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	if mm.mdwe != 0 && mm.mdwe != set {
		return memmap.Refuse(op, unix.EPERM, "MDWE bits are %#x and stay", mm.mdwe)
	}
	mm.mdwe = set
	return nil
}

// MDWE returns what SetMDWE set.
func (mm *MemoryManager) MDWE() MDWE {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	return mm.mdwe
}

// inherited returns what a child starts with.
func (m MDWE) inherited() MDWE {
	if m&MDWENoInherit != 0 {
		return 0
	}
	return m
}

// mayExecute is Linux's map_deny_write_exec for a mapping that has old and shall
// have next.
func (mm *MemoryManager) mayExecute(op string, old, next memmap.AccessType) error {
	if mm.mdwe == 0 || !next.Execute || !next.Write && old.Execute {
		return nil
	}
	return memmap.Refuse(op, unix.EACCES, "PR_SET_MDWE forbids %v where %v was", next, old)
}
