package pagecache

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// fill brings the pages of required in, and what follows as far as readahead
// goes. end is the end of the file's last page, and not below required's. It
// returns the first error; what was read before it is cached. dataMu is held for
// writing.
func (f *File) fill(required memmap.MappableRange, end memmap.MappableOffset) error {
	if f.pages.Covers(required) {
		return nil
	}
	ahead := required
	ahead.End = min(end, max(required.End, required.Start+f.readers.ahead(required)))
	f.readers.next = ahead.End
	err := f.fillGaps(required, ahead)
	if !errors.Is(err, unix.ENOMEM) {
		return err
	}
	f.cache.evictUnmapped(required.Length(), f.others())
	return f.fillGaps(required, required)
}

// sequence knows where who reads a file from page to page would miss one next, and how
// much is read for him there.
type sequence struct{ next, size memmap.MappableOffset }

// ahead returns how much is read where required is missing, in bytes.
func (s *sequence) ahead(required memmap.MappableRange) memmap.MappableOffset {
	if required.Start != s.next || required.Start == 0 {
		s.size = readahead
	} else {
		s.size = min(4*s.size, mostAhead)
	}
	return s.size
}

// fillGaps fills the gaps of ahead that begin in required.
func (f *File) fillGaps(required, ahead memmap.MappableRange) error {
	var gaps []memmap.MappableRange
	for gap := range f.pages.Gaps(ahead) {
		if gap.Start >= required.End {
			break
		}
		gaps = append(gaps, gap)
	}
	for _, gap := range gaps {
		if err := f.fillGap(gap); err != nil {
			return err
		}
	}
	return nil
}

// fillGap reads gap, of which nothing is cached.
func (f *File) fillGap(gap memmap.MappableRange) error {
	f.reads.Add(1)
	r := &filler{backing: f.backing, off: uint64(gap.Start), limit: f.readLimit()}
	fr, err := f.cache.mem.AllocateFill(gap.Length(), pgalloc.PageCache, f.pages.Near(gap), r)
	if !fr.IsEmpty() {
		gap.End = gap.Start + memmap.MappableOffset(fr.Length())
		f.pages.Insert(gap, pgalloc.Frame(fr.Start))
	}
	return err
}

// filler reads a Backing on from off, over short counts, until the blocks are
// full or the file ends, and asks for nothing from limit on.
type filler struct {
	backing Backing
	off     uint64
	limit   uint64
}

// ReadToBlocks implements safemem.Reader.
func (r *filler) ReadToBlocks(dsts safemem.Seq) (uint64, error) {
	done := uint64(0)
	for !dsts.IsEmpty() {
		if r.off >= r.limit {
			return done, io.EOF
		}
		n, err := r.backing.ReadToBlocksAt(dsts.TakeFirst(r.limit-r.off), r.off)
		done += n
		r.off += n
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		dsts = dsts.DropFirst(n)
	}
	return done, nil
}

// drop gives back the cached pages of mr and returns their bytes. Nothing may map
// them, or their mappings have been invalidated since they were cut.
func (f *File) drop(mr memmap.MappableRange) uint64 {
	return f.free(f.cut(mr))
}

// cut takes the cached pages of mr out of the cache: nobody will find them.
func (f *File) cut(mr memmap.MappableRange) []pgalloc.FrameRun {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	return f.pages.Cut(mr, nil)
}

func (f *File) free(segs []pgalloc.FrameRun) uint64 {
	n := uint64(0)
	for _, seg := range segs {
		f.cache.mem.DecRef(pgalloc.FrameRange(seg, seg.Range))
		n += seg.Length()
	}
	return n
}
