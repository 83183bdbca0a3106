package mm

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// sharedAnonymous is the memory of a MAP_SHARED|MAP_ANONYMOUS mapping and all its
// copies in relatives: Linux's unlinked file in its own shmem mount.
type sharedAnonymous struct {
	mem   *pgalloc.MemoryFile
	size  memmap.MappableOffset
	inode uint64
	refs  atomic.Int64

	mapsMu sync.Mutex // taken before any activeMu
	maps   memmap.MappingSet

	mu    sync.Mutex // taken below activeMu
	pages segment.Set[memmap.MappableOffset, fileRun]
}

// fileRun maps a stretch of offsets to one of a File.
type fileRun struct{ start memmap.FileOffset }

// Merge implements segment.Value.
func (f fileRun) Merge(a, _ memmap.MappableRange, next fileRun) (fileRun, bool) {
	return f, f.start+memmap.FileOffset(a.Length()) == next.start
}

// Split implements segment.Value.
func (f fileRun) Split(r memmap.MappableRange, at memmap.MappableOffset) (fileRun, fileRun) {
	return f, fileRun{f.start + memmap.FileOffset(at-r.Start)}
}

// shmemInodes numbers shared anonymous memory: each is a file of its own in maps.
var shmemInodes atomic.Uint64

// shmemDevice is where Linux keeps shared anonymous memory: 00:01.
const shmemDevice = 1

// maxShmemFill is the most that is allocated around a page of shared memory.
const maxShmemFill = 64 << 10

// NewSharedAnonymous returns memory of size bytes for a MAP_SHARED|MAP_ANONYMOUS
// mapping, named "/dev/zero (deleted)", whose pages are made as they are touched.
// The caller owns one reference.
func NewSharedAnonymous(f *pgalloc.MemoryFile, size uint64) (interface {
	memmap.Mappable
	memmap.MappingIdentity
}, error) {
	up, ok := memmap.PageRoundUp(size)
	if !ok || up == 0 {
		return nil, memmap.Refuse("shared memory", unix.ENOMEM, "a size of %#x", size)
	}
	s := &sharedAnonymous{mem: f, size: memmap.MappableOffset(up), inode: shmemInodes.Add(1)}
	s.refs.Store(1)
	return s, nil
}

// Resident says that its pages are shared memory.
func (s *sharedAnonymous) Resident() Residency { return ResidentShmem }

// MappableEnd returns where the pages end.
func (s *sharedAnonymous) MappableEnd() memmap.MappableOffset { return s.size }

// AddMapping implements memmap.Mappable.
func (s *sharedAnonymous) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	s.mapsMu.Lock()
	defer s.mapsMu.Unlock()
	s.maps.AddMapping(ms, ar, off, writable)
	return nil
}

// RemoveMapping implements memmap.Mappable.
func (s *sharedAnonymous) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) {
	s.mapsMu.Lock()
	defer s.mapsMu.Unlock()
	s.maps.RemoveMapping(ms, ar, off, writable)
}

// CopyMapping implements memmap.Mappable.
func (s *sharedAnonymous) CopyMapping(ms memmap.MappingSpace, _, dst memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	return s.AddMapping(ms, dst, off, writable)
}

// Punch implements Puncher. Who touches a page meanwhile finds a fresh one.
func (s *sharedAnonymous) Punch(mr memmap.MappableRange) error {
	s.mapsMu.Lock()
	defer s.mapsMu.Unlock()
	s.mu.Lock()
	gone := s.pages.Cut(mr, nil)
	s.mu.Unlock()
	s.maps.Invalidate(mr, false)
	s.release(gone)
	return nil
}

// Cached calls f for the stretches of mr that have pages, in order.
func (s *sharedAnonymous) Cached(mr memmap.MappableRange, f func(memmap.MappableRange)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for seg := range s.pages.In(mr) {
		f(seg.Intersect(mr))
	}
}

func (s *sharedAnonymous) release(segs []segment.Segment[memmap.MappableOffset, fileRun]) {
	for _, seg := range segs {
		start := seg.Value.start
		s.mem.DecRef(memmap.FileRange{Start: start, End: start + memmap.FileOffset(seg.Length())})
	}
}

// Translate implements memmap.Mappable. The memory does not grow with mremap: what
// is beyond its size is SIGBUS, as on Linux.
func (s *sharedAnonymous) Translate(required, optional memmap.MappableRange, _ memmap.AccessType) ([]memmap.Translation, error) {
	beyond := required.End > s.size
	if required.Start >= s.size {
		return nil, &memmap.BusError{Err: unix.EFAULT}
	}
	required.End = min(required.End, s.size)
	optional.End = min(optional.End, s.size)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.fill(required, optional)
	var ts []memmap.Translation
	end := required.Start
	for seg := range s.pages.In(required) {
		if seg.Start > end {
			break
		}
		src := seg.Intersect(optional)
		ts = append(ts, memmap.Translation{
			Source: src, File: s.mem, Offset: seg.Value.start + memmap.FileOffset(src.Start-seg.Start), Perms: memmap.AnyAccess,
		})
		end = seg.End
	}
	if end < required.End {
		return ts, &memmap.BusError{Err: err}
	}
	if beyond {
		return ts, &memmap.BusError{Err: unix.EFAULT}
	}
	return ts, nil
}

// fill allocates what required lacks, and around it as much of optional as is cheap.
func (s *sharedAnonymous) fill(required, optional memmap.MappableRange) error {
	if want := required.Start + maxShmemFill; want > required.End {
		required.End = min(want, optional.End)
	}
	var holes []memmap.MappableRange
	for hole := range s.pages.Gaps(required) {
		holes = append(holes, hole)
	}
	for _, hole := range holes {
		fr, err := s.mem.Allocate(hole.Length(), pgalloc.Shmem, 0)
		if err != nil {
			return err
		}
		s.pages.Insert(hole, fileRun{fr.Start})
	}
	return nil
}

// IncRef implements memmap.MappingIdentity.
func (s *sharedAnonymous) IncRef() { s.refs.Add(1) }

// DecRef implements memmap.MappingIdentity.
func (s *sharedAnonymous) DecRef() {
	n := s.refs.Add(-1)
	if n < 0 {
		panic("mm: a reference on shared memory too many is dropped")
	}
	if n > 0 {
		return
	}
	s.release(s.pages.Cut(memmap.MappableRange{End: s.size}, nil))
}

// MappedName implements memmap.MappingIdentity.
func (s *sharedAnonymous) MappedName() string { return "/dev/zero (deleted)" }

// DeviceID implements memmap.MappingIdentity.
func (s *sharedAnonymous) DeviceID() uint64 { return shmemDevice }

// InodeID implements memmap.MappingIdentity.
func (s *sharedAnonymous) InodeID() uint64 { return s.inode }

// Msync implements memmap.MappingIdentity: there is nowhere to write it.
func (s *sharedAnonymous) Msync(memmap.MappableRange) error { return nil }
