package pagecache

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Truncate makes the file size bytes long. Pages that lie wholly behind the new
// end are taken from who maps them, private copies as well; the last page's rest
// is zero. No lock of a memory manager may be held.
//
// Errors, with nothing changed: EROFS f is open for reading only; EFBIG; what the
// Backing says.
func (f *File) Truncate(size uint64) error {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	old, err := f.setSize(size)
	if err != nil || size >= old {
		return err
	}
	// Translate refuses what lies behind the end from here on. So what is mapped can
	// be taken away, and what is cached be freed after that.
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	end, oldEnd := pagesOf(0, size).End, pagesOf(0, old).End
	if end < oldEnd {
		f.maps.Invalidate(memmap.MappableRange{Start: end, End: oldEnd}, true)
	}
	segs, err := f.cutBehind(size)
	f.free(segs)
	return err
}

// setSize sets the size, in the Backing first, and returns what it was.
func (f *File) setSize(size uint64) (old uint64, err error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	switch {
	case f.w == nil:
		return 0, fmt.Errorf("truncate: %w: the file is open for reading only", unix.EROFS)
	case size > maxSize:
		return 0, fmt.Errorf("truncate to %#x: %w", size, unix.EFBIG)
	}
	if old, err = f.size(); err != nil {
		return 0, err
	}
	a := f.w.attr
	a.Size = size
	if err := f.w.out.SetMaskedAttributes(AttrSize, a); err != nil {
		return 0, err
	}
	err = f.zeroTail(size)
	f.w.attr.Size = size
	f.w.unsaved &^= AttrSize
	f.touch(AttrMTime | AttrCTime)
	return old, err
}

// cutBehind takes the pages behind size, which is the file's, out of the cache,
// clean or not, and clears the last one's rest.
func (f *File) cutBehind(size uint64) ([]pgalloc.FrameRun, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	end := pagesOf(0, size).End
	behind := memmap.MappableRange{Start: end, End: everything.End}
	f.dirty.keepClean(behind)
	return f.pages.Cut(behind, nil), f.zero(size, uint64(end))
}
