package pagecache

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Allocator is a WritableBacking that knows fallocate(2).
type Allocator interface {
	Allocate(mode uint32, off, n int64) error
}

// Allocate is fallocate(2) of [off, off+n), n above zero: it reserves room, punches
// holes and writes zeroes. What is cached of a range that becomes zero is made so in
// place, so that who maps it sees the same.
//
// Errors, with nothing changed: EROFS, EFBIG, EOPNOTSUPP also for modes that move
// bytes within the file, the Backing's.
func (f *File) Allocate(mode uint32, off, n uint64) error {
	zeroes := mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0
	if mode&^(unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_UNSHARE_RANGE) != 0 {
		return fmt.Errorf("fallocate: %w: mode %#x moves bytes of mapped files", unix.EOPNOTSUPP, mode)
	}
	if off > maxSize-min(n, maxSize) {
		return fmt.Errorf("fallocate: %w", unix.EFBIG)
	}
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	whole := memmap.MappableRange{Start: pagesOf(0, off).End, End: pageOf(off + n)}
	if zeroes && f.w != nil && whole.Start < whole.End {
		f.protect(whole) // so that it can become clean
	}
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if err := f.allocate(mode, off, n); err != nil {
		return err
	}
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 {
		if err := f.zeroTail(off + n); err != nil {
			return err
		}
		f.growTo(off + n)
	}
	f.touch(AttrMTime | AttrCTime)
	if !zeroes {
		return nil
	}
	return f.zeroCached(off, off+n, whole)
}

// Punch makes mr a hole: MADV_REMOVE.
func (f *File) Punch(mr memmap.MappableRange) error {
	return f.Allocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, uint64(mr.Start), mr.Length())
}

// allocate asks the Backing. attrMu and dataMu are held.
func (f *File) allocate(mode uint32, off, n uint64) error {
	if f.w == nil {
		return fmt.Errorf("fallocate: %w: the file is open for reading only", unix.EROFS)
	}
	a, ok := f.w.out.(Allocator)
	if !ok {
		return fmt.Errorf("fallocate: %w", unix.EOPNOTSUPP)
	}
	return a.Allocate(mode, int64(off), int64(n))
}

// zeroCached clears what is cached of [from, to), in which the Backing has zeroes,
// and makes the whole pages of it clean that no mapping has asked for since they
// were protected. dataMu is held for writing.
func (f *File) zeroCached(from, to uint64, whole memmap.MappableRange) error {
	for from < to {
		seg, ok := f.pages.LowerBound(pageOf(from))
		if !ok || uint64(seg.Start) >= to {
			break
		}
		from = max(from, uint64(seg.Start))
		for end := min(to, uint64(seg.End)); from < end; {
			next := min(end, uint64(pageOf(from))+memmap.PageSize)
			if err := f.zero(from, next); err != nil {
				return err
			}
			from = next
		}
	}
	if whole.Start < whole.End {
		f.dirty.markClean(whole)
	}
	return nil
}
