package shmem

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Anonymous is the memory of a MAP_SHARED|MAP_ANONYMOUS mapping and all its copies in
// relatives: Linux's unlinked file in its own mount. It is the mapping's identity as well.
type Anonymous struct {
	*Pages
	inode uint64
	refs  atomic.Int64
}

// inodes numbers shared anonymous memory: each is a file of its own in maps.
var inodes atomic.Uint64

// Device is where Linux keeps all memory that has no name in a file system: 00:01.
const Device = 1

// wideWindow is the most that is allocated around a page of memory that nobody can ask
// which pages it has.
const wideWindow = 64 << 10

// NewAnonymous returns memory of size bytes, rounded up to pages, named
// "/dev/zero (deleted)", whose pages are made as they are touched. It does not grow
// with mremap: what is beyond its size is SIGBUS, as on Linux. The caller owns one
// reference. noReserve and errors are as for NewFixed.
func NewAnonymous(mem *pgalloc.MemoryFile, size uint64, noReserve bool) (*Anonymous, error) {
	p, err := NewFixed(mem, size, noReserve)
	if err != nil {
		return nil, err
	}
	a := &Anonymous{Pages: p, inode: inodes.Add(1)}
	a.refs.Store(1)
	return a, nil
}

// NewFixed returns memory of size bytes, rounded up to pages, that no descriptor leads
// to: nobody can ask which pages it has. All of it is committed at once, unless noReserve
// says otherwise and is listened to.
//
// Errors: ENOMEM a size that cannot be, overcommit.
func NewFixed(mem *pgalloc.MemoryFile, size uint64, noReserve bool) (*Pages, error) {
	up, ok := memmap.PageRoundUp(size)
	if !ok || up == 0 || up > MaxSize {
		return nil, memmap.Refuse("shared memory", unix.ENOMEM, "a size of %#x", size)
	}
	p := New(mem)
	p.size, p.window = up, wideWindow
	if noReserve && mem.Overcommit().Mode != pgalloc.OvercommitNever {
		return p, nil
	}
	return p, p.reserve()
}

// IncRef implements memmap.MappingIdentity.
func (a *Anonymous) IncRef() { a.refs.Add(1) }

// DecRef implements memmap.MappingIdentity.
func (a *Anonymous) DecRef() {
	switch n := a.refs.Add(-1); {
	case n == 0:
		a.Drop()
	case n < 0:
		panic("shmem: a reference on shared memory too many is dropped")
	}
}

// MappedName implements memmap.MappingIdentity.
func (a *Anonymous) MappedName() string { return "/dev/zero (deleted)" }

// DeviceID implements memmap.MappingIdentity.
func (a *Anonymous) DeviceID() uint64 { return Device }

// InodeID implements memmap.MappingIdentity.
func (a *Anonymous) InodeID() uint64 { return a.inode }

// OpenFlags says how the file behind the memory is open.
func (a *Anonymous) OpenFlags() int { return unix.O_RDWR }

// Msync implements memmap.MappingIdentity: there is nowhere to write it.
func (a *Anonymous) Msync(memmap.MappableRange) error { return nil }
