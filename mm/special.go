package mm

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Special is a Mappable and MappingIdentity over a few pages of MemoryFile that
// belong to no file: [vdso], [vvar]. It is reference-counted; the last DecRef
// frees the pages.
type Special struct {
	mem  *pgalloc.MemoryFile
	name string
	fr   memmap.FileRange
	refs atomic.Int64
}

// NewSpecial returns a Special named name whose pages hold content, padded with
// zeroes to size bytes (whole pages). The caller owns one reference.
func NewSpecial(f *pgalloc.MemoryFile, name string, size uint64, content []byte) (*Special, error) {
	if size == 0 || size%memmap.PageSize != 0 || uint64(len(content)) > size {
		return nil, fmt.Errorf("%s: %w: %d bytes in %d", name, unix.EINVAL, len(content), size)
	}
	fr, err := f.Allocate(size, pgalloc.System, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s := &Special{mem: f, name: name, fr: fr}
	s.refs.Store(1)
	dst, err := s.Memory()
	if err == nil {
		_, err = safemem.Copy(dst, safemem.Of(content))
	}
	if err != nil {
		s.DecRef()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// Memory returns the pages as memory of our own, valid while a reference is held.
func (s *Special) Memory() (safemem.Seq, error) { return s.mem.MapInternal(s.fr, memmap.ReadWrite) }

// Resident implements the interface of that name: Linux counts the vdso's pages as
// a file's and those of [vvar], which are no memory to it, not at all.
func (s *Special) Resident() memmap.Residency {
	if s.name == "[vdso]" {
		return memmap.ResidentFile
	}
	return memmap.ResidentNever
}

// wholeSpecials refuses ar if it begins or ends inside a mapping of the kernel's own:
// Linux never splits one.
//
// Preconditions: mm.mappingMu is held.
func (mm *MemoryManager) wholeSpecials(op string, ar memmap.AddrRange) error {
	if !mm.specials.Overlaps(ar) {
		return nil
	}
	for _, at := range [...]memmap.Addr{ar.Start, ar.End} {
		if seg, ok := mm.vmas.Find(at); ok && seg.Value.special() && seg.CanSplitAt(at) {
			return memmap.Refuse(op, unix.EINVAL, "%v is %s, which stays whole", seg.Range, seg.Value.id.MappedName())
		}
	}
	return nil
}

// MappableEnd returns where the pages end.
func (s *Special) MappableEnd() memmap.MappableOffset {
	return memmap.MappableOffset(s.fr.Length())
}

// AddMapping implements memmap.Mappable.
func (s *Special) AddMapping(memmap.MappingSpace, memmap.AddrRange, memmap.MappableOffset, bool) error {
	return nil
}

// RemoveMapping implements memmap.Mappable.
func (s *Special) RemoveMapping(memmap.MappingSpace, memmap.AddrRange, memmap.MappableOffset, bool) {}

// CopyMapping implements memmap.Mappable.
func (s *Special) CopyMapping(memmap.MappingSpace, memmap.AddrRange, memmap.AddrRange, memmap.MappableOffset, bool) error {
	return nil
}

// Translate implements memmap.Mappable.
func (s *Special) Translate(required, optional memmap.MappableRange, _ memmap.AccessType) ([]memmap.Translation, error) {
	end := memmap.MappableOffset(s.fr.Length())
	if required.Start >= end {
		return nil, &memmap.BusError{Err: unix.EFAULT}
	}
	src := optional
	src.End = min(src.End, end)
	ts := []memmap.Translation{{
		Source: src, File: s.mem, Offset: s.fr.Start + memmap.FileOffset(src.Start), Perms: memmap.AnyAccess,
	}}
	if required.End > end {
		return ts, &memmap.BusError{Err: unix.EFAULT}
	}
	return ts, nil
}

// IncRef implements memmap.MappingIdentity.
func (s *Special) IncRef() { s.refs.Add(1) }

// DecRef implements memmap.MappingIdentity.
func (s *Special) DecRef() {
	switch n := s.refs.Add(-1); {
	case n == 0:
		s.mem.DecRef(s.fr)
	case n < 0:
		panic("mm: a reference on " + s.name + " too many is dropped")
	}
}

// MappedName implements memmap.MappingIdentity.
func (s *Special) MappedName() string { return s.name }

// DeviceID implements memmap.MappingIdentity.
func (s *Special) DeviceID() uint64 { return 0 }

// InodeID implements memmap.MappingIdentity.
func (s *Special) InodeID() uint64 { return 0 }

// Msync implements memmap.MappingIdentity.
func (s *Special) Msync(memmap.MappableRange) error { return nil }
