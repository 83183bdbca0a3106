package mm

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Special is a Mappable and MappingIdentity over a few pages of MemoryFile that
// belong to no file: [vdso], [vvar]. It is reference-counted; the last DecRef
// frees the pages.
type Special struct {
	_ [0]func()
}

// NewSpecial returns a Special named name whose pages hold content, padded with
// zeroes to size bytes (whole pages). The caller owns one reference.
func NewSpecial(f *pgalloc.MemoryFile, name string, size uint64, content []byte) (*Special, error) {
	panic("mm: unwritten")
}

// NewSharedAnonymous returns memory of size bytes for a MAP_SHARED|MAP_ANONYMOUS
// mapping, named "/dev/zero (deleted)", whose pages are made as they are touched.
// The caller owns one reference.
func NewSharedAnonymous(f *pgalloc.MemoryFile, size uint64) (interface {
	memmap.Mappable
	memmap.MappingIdentity
}, error) {
	panic("mm: unwritten")
}
