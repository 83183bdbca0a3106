// Package pgalloc keeps the guest's physical memory: one memfd whose pages are
// handed out, counted and taken back.
//
// Placement is synchronous and deterministic: no goroutine decides it, freed
// pages can be used again at once, and the same calls give the same offsets.
//
// pgalloc.go is the file as a whole; allocate.go how pages are chosen, filled and
// made zero again; refs.go how they are counted; mapping.go how the sandbox
// itself sees them; pin.go which must stay where they are; zero.go the zero page, which
// is no part of the file; commit.go how much memory guests are promised.
package pgalloc

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
)

// Kind is what a page is used for; accounting is by kind.
type Kind uint8

// The kinds.
const (
	Anonymous Kind = iota // private memory of a process, shared or not yet copied after forks
	PageCache             // pages of a file
	Shmem                 // shared anonymous memory, memfds, tmpfs
	System                // the sandbox's own: vdso, rings
)

func (k Kind) String() string {
	return [...]string{Anonymous: "anonymous", PageCache: "page cache", Shmem: "shmem", System: "system"}[k]
}

// Options of a MemoryFile.
type Options struct {
	Limit uint64 // most bytes that may be allocated; 0 is no limit
}

// MemoryFile implements memmap.File. It is safe for concurrent use; its lock is
// a leaf.
type MemoryFile struct {
	fd int

	// chunks is replaced, under mu, when the file grows; reading it takes no lock.
	chunks atomic.Pointer[[]*chunk]

	mu sync.Mutex
	// free holds the pages of the file that are not allocated.
	free segment.GapIndex[memmap.FileOffset]
	// stale holds those free pages that may not read as zeroes: what was freed and
	// neither used again nor given back to the host. staleBytes is their sum.
	stale      segment.GapIndex[memmap.FileOffset]
	staleBytes uint64

	pins segment.Set[memmap.FileOffset, pins] // of those that have any; see Pin

	allocated [System + 1]uint64 // bytes
	limit     uint64             // 0: none
	hostRAM   uint64             // bytes
	failAfter int                // 0: never

	giversMu sync.Mutex // a leaf
	givers   []Giver    // see Relieve

	overcommit atomic.Pointer[Overcommit]
	committed  atomic.Int64 // bytes promised to guests, touched or not; see commit.go
}

// New makes an empty MemoryFile.
func New(o Options) (*MemoryFile, error) {
	const name = "mmsh-memory"
	// Nobody may execve the file's text; mapping it executable is another matter.
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("memory file: memfd_create: %w", err)
	}
	// A stub holds the descriptor too: let nobody take pages from under our mappings.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("memory file: sealing: %w", err)
	}
	f := &MemoryFile{fd: fd, limit: o.Limit, hostRAM: hostRAM()}
	f.SetOvercommit(DefaultOvercommit)
	f.chunks.Store(new([]*chunk))
	return f, nil
}

// Close gives all back to the host. It returns an error that names what is still
// allocated or committed, if anything is. No method may be called afterwards, and memory that
// MapInternal returned is gone.
func (f *MemoryFile) Close() error {
	errs := []error{f.leaks()}
	if n := f.Committed(); n != 0 {
		errs = append(errs, fmt.Errorf("memory file: %d bytes are still committed at its end", n))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range *f.chunks.Load() {
		errs = append(errs, c.unmap())
	}
	f.chunks.Store(new([]*chunk))
	errs = append(errs, unix.Close(f.fd))
	f.fd = -1
	return errors.Join(errs...)
}

// leaks returns an error that names what is allocated, nil if nothing is.
func (f *MemoryFile) leaks() error {
	const most = 8 // runs that are named
	var runs []string
	n := 0
	for u := range f.Refs(memmap.FileRange{End: f.size()}) {
		if n++; n <= most {
			runs = append(runs, fmt.Sprintf("%v %v with %d references", u.FileRange, u.Kind, u.Refs))
		}
	}
	switch {
	case n == 0:
		return nil
	case n > most:
		runs = append(runs, fmt.Sprintf("and %d more", n-most))
	}
	return fmt.Errorf("memory file: still allocated at its end: %s", strings.Join(runs, ", "))
}

// FD implements memmap.File.
func (f *MemoryFile) FD() int { return f.fd }

// Stats is what a MemoryFile holds, in bytes.
type Stats struct {
	Allocated [System + 1]uint64 // by Kind
	Total     uint64             // all kinds
	Limit     uint64             // 0: none
	RAM       uint64             // what guests take for all memory
	Committed uint64             // promised to guests, touched or not
	FileSize  uint64             // of the memfd, which is sparse
	HostBytes uint64             // what the host has committed for it (st_blocks)
}

// Stats returns the current numbers.
func (f *MemoryFile) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{Allocated: f.allocated, Total: f.totalLocked(), Limit: f.limit, FileSize: uint64(f.size())}
	s.RAM, s.Committed = f.ramLocked(), f.Committed()
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err == nil {
		s.HostBytes = uint64(st.Blocks) * 512
	}
	return s
}

// totalLocked returns the bytes allocated. f.mu is held.
func (f *MemoryFile) totalLocked() uint64 {
	total := uint64(0)
	for _, n := range f.allocated {
		total += n
	}
	return total
}

// SetLimit changes the limit; what is over it already stays. 0 is no limit.
func (f *MemoryFile) SetLimit(bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = bytes
}

// FailAfter makes the n-th Allocate from now (the next is the first) fail with
// ENOMEM, once; 0 undoes it. For tests.
func (f *MemoryFile) FailAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAfter = n
}
