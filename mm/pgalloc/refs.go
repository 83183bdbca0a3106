package pgalloc

import (
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// page is the state of one page: its references in the low bits, its Kind above
// them. A page without references is free.
type page uint32

const (
	kindShift = 28
	maxRefs   = 1<<kindShift - 1
)

func (p page) refs() uint32 { return uint32(p) & maxRefs }
func (p page) kind() Kind   { return Kind(p >> kindShift) }

// checkRange panics unless fr holds whole pages, at least one, of the file.
func (f *MemoryFile) checkRange(fr memmap.FileRange) {
	if fr.IsEmpty() || fr.Start%memmap.PageSize != 0 || fr.End%memmap.PageSize != 0 || fr.End > f.size() {
		panic(fmt.Sprintf("pgalloc: %v are not pages of the memory file, which ends at %#x", fr, f.size()))
	}
}

// front returns the states of fr's pages in its first chunk, and the rest of fr.
// f.mu is held.
func (f *MemoryFile) front(fr memmap.FileRange) (pages []page, rest memmap.FileRange) {
	i := fr.Start / chunkSize
	end := min(fr.End, (i+1)*chunkSize)
	pages = (*f.chunks.Load())[i].pages
	pages = pages[fr.Start%chunkSize/memmap.PageSize:][:(end-fr.Start)/memmap.PageSize]
	return pages, memmap.FileRange{Start: end, End: fr.End}
}

// offset returns where the i-th page after from lies.
func offset(from memmap.FileOffset, i int) memmap.FileOffset {
	return from + memmap.FileOffset(i)*memmap.PageSize
}

// IncRef takes a reference on each page of fr; all must be allocated.
func (f *MemoryFile) IncRef(fr memmap.FileRange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checkRange(fr)
	for rest := fr; !rest.IsEmpty(); {
		from := rest.Start
		var pages []page
		pages, rest = f.front(rest)
		for i, p := range pages {
			if refs := p.refs(); refs == 0 || refs == maxRefs {
				panic(fmt.Sprintf("pgalloc: reference taken on the page at %#x, which has %d", offset(from, i), refs))
			}
			pages[i] = p + 1
		}
	}
}

// DecRef drops a reference on each page of fr. Pages without references are free
// at once.
func (f *MemoryFile) DecRef(fr memmap.FileRange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checkRange(fr)
	var freed memmap.FileRange // the last run, not yet reported free
	for rest := fr; !rest.IsEmpty(); {
		from := rest.Start
		var pages []page
		pages, rest = f.front(rest)
		for i, p := range pages {
			if p.refs() == 0 {
				panic(fmt.Sprintf("pgalloc: reference dropped on the page at %#x, which is free", offset(from, i)))
			}
			pages[i] = p - 1
			if p.refs() > 1 {
				continue
			}
			f.allocated[p.kind()] -= memmap.PageSize
			at := offset(from, i)
			if freed.End != at {
				f.freeLocked(freed)
				freed.Start = at
			}
			freed.End = at + memmap.PageSize
		}
	}
	f.freeLocked(freed)
	f.punchLocked()
}

// freeLocked makes fr, which has no references any more, free. f.mu is held.
func (f *MemoryFile) freeLocked(fr memmap.FileRange) {
	f.free.Free(fr)
	f.stale.Free(fr)
	f.staleBytes += fr.Length()
}

// HasUniqueRef reports whether every page of fr has exactly one reference.
func (f *MemoryFile) HasUniqueRef(fr memmap.FileRange) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checkRange(fr)
	return f.uniqueLocked(fr)
}

func (f *MemoryFile) uniqueLocked(fr memmap.FileRange) bool {
	for rest := fr; !rest.IsEmpty(); {
		var pages []page
		pages, rest = f.front(rest)
		for _, p := range pages {
			if p.refs() != 1 {
				return false
			}
		}
	}
	return true
}

// UniqueRun returns the longest prefix of fr in which either every page has
// exactly one reference (unique) or none has.
func (f *MemoryFile) UniqueRun(fr memmap.FileRange) (run memmap.FileRange, unique bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checkRange(fr)
	first, _ := f.front(fr)
	unique = first[0].refs() == 1
	for rest := fr; !rest.IsEmpty(); {
		from := rest.Start
		var pages []page
		pages, rest = f.front(rest)
		for i, p := range pages {
			if (p.refs() == 1) != unique {
				return memmap.FileRange{Start: fr.Start, End: offset(from, i)}, unique
			}
		}
	}
	return fr, unique
}

// Usage is a run of pages with the same kind and reference count.
type Usage struct {
	memmap.FileRange
	Kind Kind
	Refs uint32
}

// Refs iterates, over a snapshot, the allocated runs that overlap fr, clipped to
// it, in ascending order. fr may reach beyond the file's end.
func (f *MemoryFile) Refs(fr memmap.FileRange) iter.Seq[Usage] {
	return slices.Values(f.snapshot(fr))
}

func (f *MemoryFile) snapshot(fr memmap.FileRange) []Usage {
	f.mu.Lock()
	defer f.mu.Unlock()
	var runs []Usage
	var last page
	fr.Start -= fr.Start % memmap.PageSize
	fr.End = min(fr.End, f.size())
	for rest := fr; !rest.IsEmpty(); {
		from := rest.Start
		var pages []page
		pages, rest = f.front(rest)
		for i, p := range pages {
			at := offset(from, i)
			switch n := len(runs); {
			case p.refs() == 0:
			case n > 0 && last == p && runs[n-1].End == at:
				runs[n-1].End += memmap.PageSize
			default:
				run := memmap.FileRange{Start: at, End: at + memmap.PageSize}
				runs = append(runs, Usage{run, p.kind(), p.refs()})
			}
			last = p
		}
	}
	return runs
}

// Decommit gives the host the memory behind fr back: its bytes become zero. All
// pages must have exactly one reference. On an error they are as they were.
func (f *MemoryFile) Decommit(fr memmap.FileRange) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checkRange(fr)
	if !f.uniqueLocked(fr) {
		panic(fmt.Sprintf("pgalloc: decommit of %v, whose pages have not one reference each", fr))
	}
	return f.punch(fr)
}

// punch makes fr a hole of the memfd.
func (f *MemoryFile) punch(fr memmap.FileRange) error {
	const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	for {
		err := unix.Fallocate(f.fd, mode, int64(fr.Start), int64(fr.Length()))
		if err == unix.EINTR { // the runtime preempts by signals
			continue
		}
		if err != nil {
			return fmt.Errorf("memory file: giving back %v: %w", fr, err)
		}
		return nil
	}
}

// keptStale is how many bytes of free pages the host is not given back, because
// clearing one by hand is several times faster than to make the host find one.
const keptStale = 8 << 20

// punchLocked gives stale pages back to the host when there are too many, until
// half as many are left. The lowest go first, as the highest are used next. What
// the host does not take stays stale, which costs memory and nothing else. f.mu is held.
func (f *MemoryFile) punchLocked() {
	if f.staleBytes <= keptStale {
		return
	}
	for f.staleBytes > keptStale/2 {
		fr, _ := f.stale.Lowest(memmap.FileRange{End: f.size()}, 1)
		fr.End = min(fr.End, fr.Start+memmap.FileOffset(f.staleBytes-keptStale/2))
		if f.punch(fr) != nil {
			return
		}
		f.stale.Take(fr)
		f.staleBytes -= fr.Length()
	}
}
