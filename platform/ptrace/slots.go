package ptrace

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slot is one system call for the stub's batch loop, as stub_amd64.s reads it.
type slot struct {
	nr   uint64
	args [6]uint64
	_    uint64
}

// slotsPerBatch is how many fit.
const slotsPerBatch = slotsSize / int(unsafe.Sizeof(slot{}))

// slotFile is the memfd whose pieces are the request slots of address spaces:
// written through our own mapping, seen read-only by the guest.
type slotFile struct {
	fd int

	mu   sync.Mutex
	size int64   // of the file
	free []int64 // offsets of pieces that nobody has
}

// area is one address space's piece of a slotFile.
type area struct {
	offset int64
	bytes  []byte // slotsSize, shared
}

func newSlotFile() (*slotFile, error) {
	fd, err := unix.MemfdCreate("mmsh-slots", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &slotFile{fd: fd}, nil
}

// take returns a piece, zeroed: what was asked for one guest is not for the next.
func (f *slotFile) take() (area, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.free) == 0 {
		if err := unix.Ftruncate(f.fd, f.size+slotsSize); err != nil {
			return area{}, err
		}
		f.free = append(f.free, f.size)
		f.size += slotsSize
	}
	offset := f.free[len(f.free)-1]
	b, err := unix.Mmap(f.fd, offset, slotsSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return area{}, err
	}
	f.free = f.free[:len(f.free)-1]
	clear(b)
	return area{offset: offset, bytes: b}, nil
}

// give returns a piece that no stub maps any more.
func (f *slotFile) give(a area) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = unix.Munmap(a.bytes) // of a mapping that we made: it cannot fail
	f.free = append(f.free, a.offset)
}

func (f *slotFile) close() { _ = unix.Close(f.fd) }

// slots returns the piece as slots.
func (a area) slots() []slot {
	return unsafe.Slice((*slot)(unsafe.Pointer(&a.bytes[0])), slotsPerBatch)
}
