package pagecache

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// addPinned adds the cached pages of mr that somebody has pinned to set: whoever did goes
// on to write them, so that they must stay the file's. dataMu is held.
func (f *File) addPinned(mr memmap.MappableRange, set *pageSet) {
	for seg := range f.pages.In(mr) {
		part := seg.Intersect(mr)
		fr := pgalloc.FrameRange(seg, part)
		for _, run := range f.cache.mem.Pinned(fr) {
			start := part.Start + memmap.MappableOffset(run.Start-fr.Start)
			set.add(memmap.MappableRange{Start: start, End: start + memmap.MappableOffset(run.Length())})
		}
	}
}

// cutUnpinned takes the pages of mr that nobody has pinned out of the cache. dataMu is
// held for writing.
func (f *File) cutUnpinned(mr memmap.MappableRange) []pgalloc.FrameRun {
	var stay pageSet
	f.addPinned(mr, &stay)
	var segs []pgalloc.FrameRun
	for gap := range stay.Gaps(mr) {
		segs = f.pages.Cut(gap, segs)
	}
	return segs
}

// putBackPinned returns to the cache what of segs, which nobody maps any more, was pinned
// just before, and returns the rest.
func (f *File) putBackPinned(segs []pgalloc.FrameRun) []pgalloc.FrameRun {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	var rest []pgalloc.FrameRun
	for _, seg := range segs {
		if len(f.cache.mem.Pinned(pgalloc.FrameRange(seg, seg.Range))) == 0 || f.pages.Overlaps(seg.Range) {
			rest = append(rest, seg)
			continue
		}
		f.pages.Insert(seg.Range, seg.Value)
		rest = append(rest, f.cutUnpinned(seg.Range)...)
	}
	return rest
}
