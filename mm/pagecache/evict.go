package pagecache

import (
	"slices"

	"mmsh.dev/mmsh/memmap"
)

// tryEvictUnmapped drops all pages if nobody maps f and nobody else is at work on
// it.
func (f *File) tryEvictUnmapped() uint64 {
	if !f.mapsMu.TryLock() {
		return 0
	}
	defer f.mapsMu.Unlock()
	if !f.maps.IsEmpty() || !f.dataMu.TryLock() {
		return 0
	}
	defer f.dataMu.Unlock()
	if f.w != nil {
		return f.dropWritten(everything, nil)
	}
	return f.free(f.cutUnpinned(everything))
}

// evictMapped drops up to want bytes, rounded up to pages, from f's start on.
//
// The pages leave the cache first, so that no new translation finds them; then
// the memory managers drop theirs, which waits for those that are just taking
// references; then ours are dropped. Private copies are no pages of the file and
// stay; so do pages that are pinned.
func (f *File) evictMapped(want uint64) uint64 {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	if f.w != nil {
		return f.evictWritable(want)
	}
	return f.evictClean(f.firstPages(want))
}

// evictClean drops the pages of mr of a file that is only read. mapsMu is held.
func (f *File) evictClean(mr memmap.MappableRange) uint64 {
	f.dataMu.Lock()
	segs := f.cutUnpinned(mr)
	f.dataMu.Unlock()
	for _, seg := range segs {
		f.maps.Invalidate(seg.Range, false)
	}
	return f.free(f.putBackPinned(segs))
}

// EvictRange gives back the cached pages of mr, those that are dirty once they are
// written back, and returns how many bytes that were. Mapped pages are taken from
// their memory managers: no lock of one may be held.
func (f *File) EvictRange(mr memmap.MappableRange) uint64 {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	switch {
	case f.host != nil: // none of it is in guest memory
		f.maps.Invalidate(mr, false)
		return 0
	case f.w != nil:
		return f.evictRange(mr)
	}
	return f.evictClean(mr)
}

// firstPages returns the range that holds the first want bytes that are cached.
func (f *File) firstPages(want uint64) memmap.MappableRange {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	mr := memmap.MappableRange{}
	for seg := range f.pages.All() {
		n, ok := memmap.PageRoundUp(want)
		if !ok || n >= seg.Length() {
			n = seg.Length()
		}
		mr.End = seg.Start + memmap.MappableOffset(n)
		if want <= n {
			break
		}
		want -= n
	}
	return mr
}

// others returns the files but f, to be evicted in f's favour.
func (f *File) others() []*File {
	return slices.DeleteFunc(f.cache.snapshot(), func(o *File) bool { return o == f })
}
