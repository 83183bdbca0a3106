package pgalloc

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// chunkSize is how much the file grows by and how much of it is mapped at once.
// The host spends memory on neither.
const chunkSize = 1 << 30

// chunk is what is known of one stretch of the file.
type chunk struct {
	// pages holds the state of each page, guarded by MemoryFile.mu. An array of
	// words makes every count one memory access away, a run of pages a loop of
	// under a nanosecond each, and needs neither merging nor splitting; what is
	// never touched of it costs no memory.
	pages []page
	// memory is where the chunk is mapped in the sandbox, nil until it is needed;
	// it then stays until the file is closed.
	memory atomic.Pointer[byte]
}

func newChunk() *chunk { return &chunk{pages: make([]page, chunkSize/memmap.PageSize)} }

// size returns where the file ends.
func (f *MemoryFile) size() memmap.FileOffset {
	return memmap.FileOffset(len(*f.chunks.Load())) * chunkSize
}

// growLocked adds n chunks to the file, free and all zeroes. f.mu is held.
func (f *MemoryFile) growLocked(n uint64) error {
	old := *f.chunks.Load()
	from := f.size()
	to := from + memmap.FileOffset(n)*chunkSize
	if err := unix.Ftruncate(f.fd, int64(to)); err != nil {
		return memmap.Refuse("allocate", unix.ENOMEM, "the host does not let the memory file grow to %d bytes: %v", to, err)
	}
	chunks := append(make([]*chunk, 0, len(old)+int(n)), old...)
	for range n {
		chunks = append(chunks, newChunk())
	}
	f.chunks.Store(&chunks)
	f.free.Free(memmap.FileRange{Start: from, End: to})
	return nil
}

// MapInternal implements memmap.File: fr need not be aligned but must lie within
// the file. Execute is EACCES. The result is valid while fr's pages are
// referenced; it takes no lock once fr's chunks have been used before.
func (f *MemoryFile) MapInternal(fr memmap.FileRange, at memmap.AccessType) (safemem.Seq, error) {
	if at.Execute {
		return safemem.Seq{}, memmap.Refuse("map", unix.EACCES, "the sandbox executes no guest memory")
	}
	if fr.IsEmpty() || fr.End > f.size() {
		panic(fmt.Sprintf("pgalloc: %v lies not in the memory file, which ends at %#x", fr, f.size()))
	}
	if i := fr.Start / chunkSize; fr.End <= (i+1)*chunkSize { // in one chunk, as most lie
		memory, err := f.memory(i)
		if err != nil {
			return safemem.Seq{}, err
		}
		from := fr.Start % chunkSize
		return safemem.Of(memory[from : from+fr.End-fr.Start]), nil
	}
	var blocks safemem.Seq
	for fr.Start < fr.End {
		memory, err := f.memory(fr.Start / chunkSize)
		if err != nil {
			return safemem.Seq{}, err
		}
		from := fr.Start % chunkSize
		n := min(chunkSize-from, fr.End-fr.Start)
		blocks = blocks.Append(memory[from : from+n])
		fr.Start += n
	}
	return blocks, nil
}

// memory returns all of chunk i's memory.
func (f *MemoryFile) memory(i memmap.FileOffset) ([]byte, error) {
	c := (*f.chunks.Load())[i]
	p := c.memory.Load()
	if p == nil {
		var err error
		if p, err = f.mapChunk(c, i); err != nil {
			return nil, err
		}
	}
	return unsafe.Slice(p, chunkSize), nil
}

// mapChunk maps c, which is chunk i, if no other goroutine has just done so.
func (f *MemoryFile) mapChunk(c *chunk, i memmap.FileOffset) (*byte, error) {
	p, err := unix.MmapPtr(f.fd, int64(i*chunkSize), nil, chunkSize,
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("memory file: mapping chunk %d: %w", i, err)
	}
	if !c.memory.CompareAndSwap(nil, (*byte)(p)) {
		if err := unix.MunmapPtr(p, chunkSize); err != nil {
			return nil, fmt.Errorf("memory file: unmapping chunk %d: %w", i, err)
		}
	}
	return c.memory.Load(), nil
}

func (c *chunk) unmap() error {
	p := c.memory.Swap(nil)
	if p == nil {
		return nil
	}
	if err := unix.MunmapPtr(unsafe.Pointer(p), chunkSize); err != nil {
		return fmt.Errorf("memory file: unmapping: %w", err)
	}
	return nil
}
