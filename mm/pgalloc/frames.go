package pgalloc

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
)

// Frames says where in a MemoryFile the pages of a Mappable lie that it has. Their
// references are the owner's to take and drop.
type Frames struct {
	segment.Set[memmap.MappableOffset, Frame]
}

// Frame is where a run of pages begins in the MemoryFile.
type Frame memmap.FileOffset

// FrameRun is a run of pages that lie side by side in the MemoryFile too.
type FrameRun = segment.Segment[memmap.MappableOffset, Frame]

// Merge implements segment.Value: runs that continue in the MemoryFile are one.
func (f Frame) Merge(a, _ memmap.MappableRange, next Frame) bool {
	return uint64(f)+a.Length() == uint64(next)
}

// Split implements segment.Value.
func (f Frame) Split(run memmap.MappableRange, at memmap.MappableOffset) Frame {
	return f + Frame(at-run.Start)
}

// FrameRange returns where part, of run, lies in the MemoryFile.
func FrameRange(run FrameRun, part memmap.MappableRange) memmap.FileRange {
	start := memmap.FileOffset(run.Value) + memmap.FileOffset(part.Start-run.Start)
	return memmap.FileRange{Start: start, End: start + memmap.FileOffset(part.Length())}
}

// Near is where an allocation for gap, which has no pages, had best end for it to
// continue the run before or behind it, 0 if there is none: see Allocate.
func (f *Frames) Near(gap memmap.MappableRange) memmap.FileOffset {
	if prev, ok := f.UpperBound(gap.Start); ok && prev.End == gap.Start {
		return FrameRange(prev, prev.Range).End + memmap.FileOffset(gap.Length())
	}
	if next, ok := f.LowerBound(gap.End); ok && next.Start == gap.End {
		return FrameRange(next, next.Range).Start
	}
	return 0
}

// Translations says where required lies in file, which the runs are of, as far as its
// pages go without a hole, and what continues it in optional: at most
// memmap.FewTranslations runs beyond those.
func (f *Frames) Translations(file memmap.File, required, optional memmap.MappableRange, perms memmap.AccessType) []memmap.Translation {
	var ts []memmap.Translation
	next := required.Start
	for run := range f.In(memmap.MappableRange{Start: required.Start, End: optional.End}) {
		if run.Start > next || next >= required.End && len(ts) >= memmap.FewTranslations {
			break
		}
		source := run.Intersect(optional)
		ts = append(ts, memmap.Translation{Source: source, File: file, Offset: FrameRange(run, source).Start, Perms: perms})
		next = source.End
	}
	return ts
}
