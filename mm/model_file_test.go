package mm_test

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/mm/shmem"
)

const page = memmap.PageSize

// source is something that can be mapped, as the model knows it: what each of its
// pages holds, and which of them cannot be had.
type source struct {
	name   string
	data   [][]byte       // one slice a page, up to the end of the file
	before map[int][]byte // what pages held before the operation under way
	bad    map[int]bool   // pages that are I/O errors
	refuse int            // the mapping that is refused, counted down
	file   *modelFile     // nil: shared anonymous memory

	mappable   memmap.Mappable
	identities []memmap.MappingIdentity
}

func (s *source) fails(off int) bool { return off >= len(s.data) || s.bad[off] }

// add is the model's AddMapping.
func (s *source) add() error {
	if s == nil || s.refuse == 0 {
		return nil
	}
	if s.refuse--; s.refuse == 0 {
		return unix.EAGAIN
	}
	return nil
}

func (s *source) write(off, at int, b []byte) {
	if _, ok := s.before[off]; !ok {
		s.before[off] = append([]byte(nil), s.data[off]...)
	}
	copy(s.data[off][at:], b)
}

// modelFile is a Mappable over pages of the MemoryFile that refuses and fails as it
// is told. Pages become writable only by a translation for writing.
type modelFile struct {
	mem      *pgalloc.MemoryFile
	pages    []memmap.FileOffset
	dirty    map[memmap.MappableOffset]bool // translated for writing since the last invalidation
	bad      map[int]bool                   // the source's
	mappings memmap.MappingSet
	refuse   int
}

// newFile returns a file of n pages, each full of its own bytes.
func newFile(mem *pgalloc.MemoryFile, name string, n int) (*source, error) {
	s := &source{name: name, before: map[int][]byte{}, bad: map[int]bool{}}
	f := &modelFile{mem: mem, dirty: map[memmap.MappableOffset]bool{}, bad: s.bad}
	s.file, s.mappable = f, f
	for i := range 2 {
		s.identities = append(s.identities, &modelIdentity{name: fmt.Sprintf("/%s.%d", name, i)})
	}
	return s, s.extend(n)
}

// newShared returns shared anonymous memory of n pages.
func newShared(mem *pgalloc.MemoryFile, name string, n int) (*source, error) {
	shared, err := shmem.NewAnonymous(mem, uint64(n)*page, false)
	if err != nil {
		return nil, err
	}
	s := &source{name: name, before: map[int][]byte{}, mappable: shared, identities: []memmap.MappingIdentity{shared}}
	for range n {
		s.data = append(s.data, make([]byte, page))
	}
	return s, nil
}

// extend makes the file longer by pages that begin with bytes of their own.
func (s *source) extend(n int) error {
	for len(s.data) < n {
		b := make([]byte, page)
		for i := range b[:64] {
			b[i] = byte(len(s.data)*7 + i + len(s.name))
		}
		fr, err := s.file.mem.AllocateCopy(safemem.Of(b), pgalloc.PageCache, 0)
		if err != nil {
			return err
		}
		s.file.pages = append(s.file.pages, fr.Start)
		s.data = append(s.data, b)
	}
	return nil
}

// truncate makes the file shorter, as a file system does: mappings hear of it before
// the pages go.
func (s *source) truncate(n int) {
	s.file.invalidate(n, len(s.data), true)
	for _, off := range s.file.pages[n:] {
		s.file.mem.DecRef(memmap.FileRange{Start: off, End: off + page})
	}
	s.data, s.file.pages = s.data[:n], s.file.pages[:n]
}

// close returns what is left over of the source's mappings.
func (s *source) close() error {
	if s.file == nil {
		s.identities[0].DecRef()
		return nil
	}
	if !s.file.mappings.IsEmpty() {
		return fmt.Errorf("%s is still mapped", s.name)
	}
	for _, id := range s.identities {
		if id := id.(*modelIdentity); id.refs != 0 {
			return fmt.Errorf("%s has %d references", id.name, id.refs)
		}
	}
	s.truncate(0)
	return nil
}

func mappableOffset(i int) memmap.MappableOffset { return memmap.MappableOffset(i) * page }

func (f *modelFile) invalidate(first, end int, private bool) {
	if first >= end {
		return
	}
	for i := first; i < end; i++ {
		delete(f.dirty, mappableOffset(i))
	}
	f.mappings.Invalidate(memmap.MappableRange{Start: mappableOffset(first), End: mappableOffset(end)}, private)
}

func (f *modelFile) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	if f.refuse > 0 {
		if f.refuse--; f.refuse == 0 {
			return fmt.Errorf("told to refuse: %w", unix.EAGAIN)
		}
	}
	f.mappings.AddMapping(ms, ar, off, writable)
	return nil
}

func (f *modelFile) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) {
	f.mappings.RemoveMapping(ms, ar, off, writable)
}

func (f *modelFile) CopyMapping(ms memmap.MappingSpace, _, dst memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	return f.AddMapping(ms, dst, off, writable)
}

func (f *modelFile) Translate(required, optional memmap.MappableRange, at memmap.AccessType) ([]memmap.Translation, error) {
	if mapped, _ := f.mappings.Mapped(required); !mapped {
		panic(fmt.Sprintf("Translate of %v, which is not mapped", required))
	}
	good := func(off memmap.MappableOffset) bool {
		i := int(off / page)
		return i < len(f.pages) && !f.bad[i]
	}
	start := required.Start
	for start > optional.Start && good(start-page) && good(required.Start) {
		start -= page
	}
	perms := memmap.ReadExecute
	if at.Write {
		perms = memmap.AnyAccess
	}
	var ts []memmap.Translation
	for off := start; off < optional.End; off += page {
		if !good(off) {
			if off < required.End {
				return ts, &memmap.BusError{Err: errors.New("told to fail")}
			}
			break
		}
		if off >= required.End && len(ts) > 0 && f.pages[off/page] != ts[len(ts)-1].FileRange().End {
			break // a translation of its own would lie outside of what is required
		}
		if at.Write {
			f.dirty[off] = true
		}
		ts = appendTranslation(ts, required, memmap.Translation{
			Source: memmap.MappableRange{Start: off, End: off + page}, File: f.mem, Offset: f.pages[off/page], Perms: perms,
		})
	}
	return ts, nil
}

// appendTranslation joins t to the last of ts if it can. What ends before the
// required range begins is left out.
func appendTranslation(ts []memmap.Translation, required memmap.MappableRange, t memmap.Translation) []memmap.Translation {
	if n := len(ts); n > 0 {
		if last := &ts[n-1]; last.FileRange().End == t.Offset {
			last.Source.End = t.Source.End
			return ts
		} else if last.Source.End <= required.Start {
			ts = ts[:n-1]
		}
	}
	return append(ts, t)
}

// modelIdentity counts its references.
type modelIdentity struct {
	name string
	refs int
}

func (id *modelIdentity) IncRef() { id.refs++ }
func (id *modelIdentity) DecRef() {
	if id.refs--; id.refs < 0 {
		panic("a reference on " + id.name + " too many is dropped")
	}
}
func (id *modelIdentity) MappedName() string               { return id.name }
func (id *modelIdentity) DeviceID() uint64                 { return unix.Mkdev(8, 1) }
func (id *modelIdentity) InodeID() uint64                  { return 77 }
func (id *modelIdentity) Msync(memmap.MappableRange) error { return nil }
