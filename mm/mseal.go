package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MSeal is mseal(2): what is mapped in [addr, addr+length) stays as it is. It can no
// longer be unmapped, moved, resized or protected otherwise; and anonymous memory that
// may not be written cannot lose its contents either.
//
// Errors: EINVAL addr not page-aligned, an overflow; ENOMEM a hole, with nothing
// done; ENOMEM vm.max_map_count.
func (mm *MemoryManager) MSeal(by *Actor, addr memmap.Addr, length uint64) error {
	const op = "mseal"
	if !addr.IsPageAligned() {
		return unaligned(op, addr)
	}
	ar, err := roundedRange(op, addr, length, ^memmap.Addr(0), unix.EINVAL)
	if err != nil || ar.IsEmpty() {
		return err
	}
	c := mm.begin(by)
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	for hole := range mm.vmas.Gaps(ar) {
		return mm.holeRefused(op, hole.Start)
	}
	if err := mm.maySplit(op, ar); err != nil {
		return err
	}
	mm.note(c, Event{Kind: EventSeal, Range: ar, Addr: ar.Start})
	mm.updateVMAs(ar, func(v *vma) { v.flags |= flagSealed })
	return nil
}

func (v *vma) sealed() bool { return v.flags&flagSealed != 0 }

// keepsContents reports whether v is sealed so that its contents may not go: what is
// a file's is in the file all the same, and what may be written could be overwritten.
func (v *vma) keepsContents() bool { return v.sealed() && v.anonymous() && !v.perms.Write }

func sealedRefused(op string, seg vmaSeg) error {
	return memmap.Refuse(op, unix.EPERM, "%v is sealed", seg.Range)
}

// unsealed refuses ar if a mapping in it is sealed.
func (mm *MemoryManager) unsealed(op string, ar memmap.AddrRange) error {
	for seg := range mm.vmas.In(ar) {
		if seg.Value.sealed() {
			return sealedRefused(op, seg)
		}
	}
	return nil
}
