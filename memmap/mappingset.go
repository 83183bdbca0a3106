package memmap

// MappingSet is a Mappable's reverse map: which address ranges of which spaces
// map which of its offsets. The zero MappingSet is empty and ready. Its owner
// locks it.
type MappingSet struct {
	_ [0]func()
}

// AddMapping records a mapping and returns the parts of the mapped offsets that
// had none before.
func (m *MappingSet) AddMapping(ms MappingSpace, ar AddrRange, offset MappableOffset, writable bool) []MappableRange {
	panic("memmap: unwritten")
}

// RemoveMapping forgets a mapping, all or a part of one that was added, and
// returns the parts of its offsets that now have none. It panics if there was
// no such mapping.
func (m *MappingSet) RemoveMapping(ms MappingSpace, ar AddrRange, offset MappableOffset, writable bool) []MappableRange {
	panic("memmap: unwritten")
}

// Invalidate calls Invalidate for every mapping of offsets in mr.
func (m *MappingSet) Invalidate(mr MappableRange, private bool) { panic("memmap: unwritten") }

// IsEmpty reports whether nothing is mapped.
func (m *MappingSet) IsEmpty() bool { panic("memmap: unwritten") }

// Mapped reports whether any offset of mr is mapped, and whether any of those
// mappings is writable.
func (m *MappingSet) Mapped(mr MappableRange) (mapped, writable bool) { panic("memmap: unwritten") }

// Mapping is one entry of a MappingSet, as Each reports it.
type Mapping struct {
	Space    MappingSpace
	AR       AddrRange
	MR       MappableRange
	Writable bool
}

// Each calls f for every mapping that touches mr, clipped to mr, until f returns false.
func (m *MappingSet) Each(mr MappableRange, f func(Mapping) bool) { panic("memmap: unwritten") }
