package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// RemapPages is remap_file_pages(2) as Linux emulates it: what maps a file shared and
// writable in ar, which must be one mapping or equal ones without a hole, is replaced
// by a mapping of the same file from page first on, which populate brings in.
//
// Errors: EINVAL no such mapping, EOVERFLOW an offset beyond all, and those of MMap.
func (mm *MemoryManager) RemapPages(by *Actor, ar memmap.AddrRange, first uint64, populate bool) error {
	const op = "remap_file_pages"
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	seg, err := mm.remappable(op, ar)
	if err != nil {
		return err
	}
	v := seg.Value
	off := first * memmap.PageSize
	if first > ^uint64(0)/memmap.PageSize || off+ar.Length() < off {
		return memmap.Refuse(op, unix.EOVERFLOW, "page %#x lies beyond all offsets", first)
	}
	if v.mlock != memmap.MLockNone && !mayLockAtAll(by) {
		return memmap.Refuse(op, unix.EPERM, "RLIMIT_MEMLOCK is 0")
	}
	ar, err = mm.createVMA(c, op, &memmap.MMapOpts{
		Mappable: v.mappable, Identity: v.id, Offset: memmap.MappableOffset(off), Length: ar.Length(),
		Addr: ar.Start, Fixed: true, Unmap: true,
		Perms: v.perms, MaxPerms: v.maxPerms, MLock: max(v.mlock, mm.defMLock), Name: v.name,
	})
	if err != nil {
		return err
	}
	if made := mm.made(ar); populate || made.Value.mlock == memmap.MLockEager {
		_ = mm.populate(c, made, ar) // a kindness, as in Linux
	}
	return nil
}

// remappable returns the mapping at ar's start, if those that follow in ar are its
// like.
func (mm *MemoryManager) remappable(op string, ar memmap.AddrRange) (vmaSeg, error) {
	seg, ok := mm.vmas.Find(ar.Start)
	if !ok || !seg.Value.canWriteMappable() {
		return seg, memmap.Refuse(op, unix.EINVAL, "%v is not a shared writable mapping of a file", ar.Start)
	}
	for end := seg.End; end < ar.End; {
		next, ok := mm.vmas.Find(end)
		if !ok || !alike(seg.Value, next.Value) {
			return seg, memmap.Refuse(op, unix.EINVAL, "%v is not all of one kind", ar)
		}
		end = next.End
	}
	return seg, nil
}

// alike reports whether a and b differ in nothing that Linux has a flag for.
func alike(a, b vma) bool {
	return a.id == b.id && a.mappable == b.mappable && a.perms == b.perms && a.maxPerms == b.maxPerms &&
		a.private == b.private && a.mlock == b.mlock && a.flags == b.flags && a.noReserve == b.noReserve
}
