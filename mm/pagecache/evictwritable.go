package pagecache

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// evictWritable is evictMapped of a file that is written, run by run. mapsMu is
// held.
func (f *File) evictWritable(want uint64) uint64 {
	got := uint64(0)
	for pos := memmap.MappableOffset(0); got < want; {
		mr := f.nextRun(pos, want-got)
		if mr.IsEmpty() {
			break
		}
		got += f.evictRange(mr)
		pos = mr.End
	}
	return got
}

// nextRun returns the first run of cached pages from pos on, or its first most
// bytes.
func (f *File) nextRun(pos memmap.MappableOffset, most uint64) memmap.MappableRange {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	seg, ok := f.pages.LowerBound(pos)
	if !ok {
		return memmap.MappableRange{}
	}
	mr := memmap.MappableRange{Start: max(pos, seg.Start), End: seg.End}
	if n, ok := memmap.PageRoundUp(most); ok && n < mr.Length() {
		mr.End = mr.Start + memmap.MappableOffset(n)
	}
	return mr
}

// evictRange writes back and drops the pages of mr but for those that cannot be
// written and those that are mapped again meanwhile. mapsMu is held.
//
// The pages stay in the cache while the memory managers drop theirs, so that
// whoever asks for one has the same as everybody; but who has asked keeps it.
func (f *File) evictRange(mr memmap.MappableRange) uint64 {
	f.dataMu.Lock()
	f.dirty.allowClean(mr)
	f.taken = new(pageSet)
	f.dataMu.Unlock()
	f.maps.Invalidate(mr, false)
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	taken := f.taken
	f.taken = nil
	return f.dropWritten(mr, taken)
}

// dropWritten writes the dirty pages of mr back and drops those that are clean
// then, not pinned and not in taken, which may be nil. Nothing else of mr may be mapped.
// dataMu is held for writing.
func (f *File) dropWritten(mr memmap.MappableRange, taken *pageSet) uint64 {
	for _, seg := range f.dirty.in(mr) {
		// A failure is recorded, and keeps its pages; other runs may still go.
		_, _, _ = f.writeDirty(seg.Range, seg.Length())
	}
	var stay pageSet
	for _, seg := range f.dirty.in(mr) {
		stay.add(seg.Range)
	}
	f.addPinned(mr, &stay)
	if taken != nil {
		for seg := range taken.All() {
			stay.add(seg.Range)
		}
	}
	var segs []pgalloc.FrameRun
	for gap := range stay.Gaps(mr) {
		segs = f.pages.Cut(gap, segs)
	}
	return f.free(segs)
}

// InvalidateUnsavable drops all pages: before the world is saved, as after it the
// file may be another. What is dirty is written back; if that fails, or somebody
// maps pages meanwhile (EBUSY), those stay and it is an error.
func (f *File) InvalidateUnsavable() error {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	f.evictRange(everything)
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	switch {
	case f.dirty.IsEmpty() && f.pages.IsEmpty():
		return nil
	case f.dirty.IsEmpty():
		return fmt.Errorf("dropping all pages: %w: some are mapped again", unix.EBUSY)
	}
	return fmt.Errorf("dropping all pages: %d bytes are not written: %w", f.dirty.Span(), f.unwrittenReason())
}

// unwrittenReason is why pages are dirty that were just written back.
func (f *File) unwrittenReason() error {
	if err := f.LastError(); err != nil {
		return err
	}
	return unix.EBUSY // a mapping writes them
}
