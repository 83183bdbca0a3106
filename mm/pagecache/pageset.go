package pagecache

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
)

// pageSet is a set of pages.
type pageSet struct {
	segment.Set[memmap.MappableOffset, member]
}

// member is what a pageSet knows of its pages: nothing.
type member struct{}

// Merge implements segment.Value.
func (member) Merge(_, _ memmap.MappableRange, _ member) bool { return true }

// Split implements segment.Value.
func (member) Split(memmap.MappableRange, memmap.MappableOffset) member { return member{} }

// add adds the pages of mr.
func (s *pageSet) add(mr memmap.MappableRange) {
	if mr.IsEmpty() {
		return
	}
	s.Cut(mr, nil)
	s.Insert(mr, member{})
}
