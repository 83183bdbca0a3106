package pgalloc

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// Zero is the zero page, as a File of zeroes without end that is never written:
// every offset reads as zero and references mean nothing. The engine maps it at
// the File offset equal to the address, so that neighbouring zero pages are one
// pma and one host mapping however many there are.
var Zero memmap.File = zeroFile{}

type zeroFile struct{}

func (zeroFile) IncRef(memmap.FileRange) {}
func (zeroFile) DecRef(memmap.FileRange) {}
func (zeroFile) FD() int                 { return -1 }

// MapInternal implements memmap.File. Write and Execute are EACCES.
func (zeroFile) MapInternal(fr memmap.FileRange, at memmap.AccessType) (safemem.Seq, error) {
	if at.Write || at.Execute {
		return safemem.Seq{}, memmap.Refuse("map", unix.EACCES, "the zero page can only be read")
	}
	buffer, err := zeroes()
	if err != nil {
		return safemem.Seq{}, err
	}
	// The place in the buffer keeps the alignment of the offset.
	first := buffer[fr.Start%memmap.PageSize:]
	left := fr.Length()
	blocks := safemem.Of(first[:min(left, uint64(len(first)))])
	for left -= blocks.NumBytes(); left > 0; {
		n := min(left, uint64(len(buffer)))
		blocks = blocks.Append(buffer[:n])
		left -= n
	}
	return blocks, nil
}

// zeroes returns memory that reads as zeroes and faults when it is written. The
// host backs it with its own zero page. There is one, and it stays.
var zeroes = sync.OnceValues(func() ([]byte, error) {
	const size = memmap.HugePageSize
	p, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("zero page: %w", err)
	}
	return unsafe.Slice((*byte)(p), size), nil
})
