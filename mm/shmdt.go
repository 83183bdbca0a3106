package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// attachment is the identity of System V memory that was attached: shmdt(2) finds it,
// and its mappings are counted, which is why two never become one.
type attachment interface {
	memmap.MappingIdentity
	AttachedSize() uint64 // bytes, whole pages
}

// Detach is shmdt(2): what is left of the attachment that began at addr, in however
// many pieces, is unmapped. What mremap moved elsewhere is not found.
//
// Errors: EINVAL addr not page-aligned, nothing attached there; EPERM a sealed mapping.
func (mm *MemoryManager) Detach(by *Actor, addr memmap.Addr) error {
	const op = "shmdt"
	if !addr.IsPageAligned() {
		return unaligned(op, addr)
	}
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	var found attachment
	var pieces []vmaSeg
	for seg := range mm.vmas.In(memmap.AddrRange{Start: addr, End: mm.layout.Max}) {
		if found != nil && uint64(seg.End-addr) > found.AttachedSize() {
			break
		}
		a, ok := seg.Value.id.(attachment)
		switch {
		case !ok || seg.Start < addr || memmap.MappableOffset(seg.Start-addr) != seg.Value.off:
		case found == nil || a == found:
			found = a
			pieces = append(pieces, seg)
		}
	}
	if found == nil {
		return memmap.Refuse(op, unix.EINVAL, "no shared memory is attached at %v", addr)
	}
	for _, seg := range pieces {
		if err := mm.mayUnmap(op, seg.Range, &seg.Value, seg.Range); err != nil {
			return err
		}
		if err := mm.unmapRange(c, seg.Range); err != nil {
			return err
		}
	}
	return nil
}

// MappingsOf returns how many mappings m has: of attached memory Linux counts them.
func (mm *MemoryManager) MappingsOf(m memmap.Mappable) int {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	n := 0
	for seg := range mm.vmas.All() {
		if seg.Value.mappable == m {
			n++
		}
	}
	return n
}

// PID returns the process that the memory was made for.
func (mm *MemoryManager) PID() int32 { return mm.pid }
