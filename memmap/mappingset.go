package memmap

import (
	"fmt"
	"slices"

	"mmsh.dev/mmsh/memmap/segment"
)

// MappingSet is a Mappable's reverse map: which address ranges of which spaces
// map which of its offsets. The zero MappingSet is empty and ready. Its owner
// locks it.
type MappingSet struct {
	mappings segment.Set[MappableOffset, mappers]
}

// mappers says who maps a range of offsets: each of them all of it. It is a
// multiset, never written in place, as the parts of a split range share it.
type mappers []mapper

// mapper is one mapping of a range of offsets. The distance from offsets to
// addresses says where it is and stays the same when the range is split.
type mapper struct {
	space    MappingSpace
	distance Addr // address - offset, modulo 2^64
	writable bool
}

func mapperOf(ms MappingSpace, ar AddrRange, offset MappableOffset, writable bool) mapper {
	return mapper{ms, ar.Start - Addr(offset), writable}
}

// addrs returns where m maps mr.
func (m mapper) addrs(mr MappableRange) AddrRange {
	return AddrRange{Start: Addr(mr.Start) + m.distance, End: Addr(mr.End) + m.distance}
}

// with returns ms and m.
func (ms mappers) with(m mapper) mappers { return append(slices.Clip(ms), m) }

// without returns ms but for one m; ok is false if m is not in it.
func (ms mappers) without(m mapper) (_ mappers, ok bool) {
	i := slices.Index(ms, m)
	if i < 0 {
		return ms, false
	}
	return slices.Concat(ms[:i], ms[i+1:]), true
}

// Merge implements segment.Value: ranges merge if the same mappings go on.
func (ms mappers) Merge(_, _ MappableRange, next mappers) bool {
	if len(ms) != len(next) {
		return false
	}
	if slices.Equal(ms, next) {
		return true
	}
	for _, m := range ms { // the same in another order
		var ok bool
		if next, ok = next.without(m); !ok {
			return false
		}
	}
	return true
}

// Split implements segment.Value.
func (ms mappers) Split(MappableRange, MappableOffset) mappers { return ms }

// AddMapping records a mapping and returns the parts of the mapped offsets that
// had none before.
func (m *MappingSet) AddMapping(ms MappingSpace, ar AddrRange, offset MappableOffset, writable bool) []MappableRange {
	mr := offsetsOf(ar, offset)
	added := mapperOf(ms, ar, offset, writable)
	fresh := slices.Collect(m.mappings.Gaps(mr))
	m.mappings.Update(mr, func(_ MappableRange, old mappers) mappers { return old.with(added) })
	for _, gap := range fresh {
		m.mappings.Insert(gap, mappers{added})
	}
	return fresh
}

// RemoveMapping forgets a mapping, all or a part of one that was added, and
// returns the parts of its offsets that now have none. It panics if there was
// no such mapping.
func (m *MappingSet) RemoveMapping(ms MappingSpace, ar AddrRange, offset MappableOffset, writable bool) []MappableRange {
	mr := offsetsOf(ar, offset)
	removed := mapperOf(ms, ar, offset, writable)
	if !m.mappings.Covers(mr) {
		panic(fmt.Sprintf("memmap: removal of %v at %v, which is not all mapped", mr, ar))
	}
	var bare []MappableRange
	for _, piece := range m.mappings.Cut(mr, nil) {
		rest, ok := piece.Value.without(removed)
		switch {
		case !ok:
			panic(fmt.Sprintf("memmap: removal of %v at %v, but nothing maps %v there", mr, ar, piece.Range))
		case len(rest) > 0:
			m.mappings.Insert(piece.Range, rest)
		case len(bare) > 0 && bare[len(bare)-1].End == piece.Start:
			bare[len(bare)-1].End = piece.End
		default:
			bare = append(bare, piece.Range)
		}
	}
	return bare
}

// offsetsOf returns the offsets that ar maps if its start maps offset.
func offsetsOf(ar AddrRange, offset MappableOffset) MappableRange {
	mr := MappableRange{Start: offset, End: offset + MappableOffset(ar.Length())}
	if ar.IsEmpty() || mr.IsEmpty() || !alignedRange(mr) || !ar.Start.IsPageAligned() {
		panic(fmt.Sprintf("memmap: mapping of offsets %v at %v", mr, ar))
	}
	return mr
}

// Invalidate calls Invalidate for every mapping of offsets in mr.
func (m *MappingSet) Invalidate(mr MappableRange, private bool) {
	m.Each(mr, func(mapping Mapping) bool {
		mapping.Space.Invalidate(mapping.AR, private)
		return true
	})
}

// IsEmpty reports whether nothing is mapped.
func (m *MappingSet) IsEmpty() bool { return m.mappings.IsEmpty() }

// Mapped reports whether any offset of mr is mapped, and whether any of those
// mappings is writable.
func (m *MappingSet) Mapped(mr MappableRange) (mapped, writable bool) {
	m.Each(mr, func(mapping Mapping) bool {
		mapped = true
		writable = writable || mapping.Writable
		return !writable
	})
	return mapped, writable
}

// Mapping is one entry of a MappingSet, as Each reports it.
type Mapping struct {
	Space    MappingSpace
	AR       AddrRange
	MR       MappableRange
	Writable bool
}

// Each calls f for every mapping that touches mr, clipped to mr, until f returns
// false: ascending by offset, where offsets are equal in the order of adding. f
// must not change the set.
func (m *MappingSet) Each(mr MappableRange, f func(Mapping) bool) {
	for seg := range m.mappings.In(mr) {
		part := seg.Intersect(mr)
		for _, who := range seg.Value {
			if !f(Mapping{who.space, who.addrs(part), part, who.writable}) {
				return
			}
		}
	}
}
