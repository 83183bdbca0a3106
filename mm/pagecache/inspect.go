package pagecache

import (
	"errors"
	"io"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Runs implements memmap.Cached.
func (f *File) Runs() []memmap.CachedRun {
	if f.host != nil {
		return f.hostRuns()
	}
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	var runs []memmap.CachedRun
	for seg := range f.pages.All() {
		add := func(mr memmap.MappableRange, dirty, keep bool) {
			r := memmap.CachedRun{Pages: mr, In: pgalloc.FrameRange(seg, mr), Dirty: dirty, Keep: keep}
			f.maps.Each(mr, func(m memmap.Mapping) bool {
				r.Maps = append(r.Maps, m)
				return true
			})
			runs = append(runs, r)
		}
		next := seg.Start
		for _, d := range f.dirty.in(seg.Range) {
			if next < d.Start {
				add(memmap.MappableRange{Start: next, End: d.Start}, false, false)
			}
			add(d.Range, true, d.Value.keep)
			next = d.End
		}
		if next < seg.End {
			add(memmap.MappableRange{Start: next, End: seg.End}, false, false)
		}
	}
	return runs
}

// Length implements memmap.Cached: the size as users of f see it.
func (f *File) Length() (uint64, error) {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	return f.size()
}

// Reads returns how often pages were brought in from the Backing.
func (f *File) Reads() uint64 { return f.reads.Load() }

// CheckRead says why the page of off cannot be brought in; nil if it is there or
// can be. Nothing is cached by it.
func (f *File) CheckRead(off memmap.MappableOffset) error {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	if _, ok := f.pages.Find(off); ok {
		return nil
	}
	_, err := f.backing.ReadToBlocksAt(safemem.Of(make([]byte, 1)), uint64(off)&^(memmap.PageSize-1))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Dirty returns how many bytes of f's pages the Backing does not have yet.
func (f *File) Dirty() uint64 {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	return f.dirty.Span()
}

// LastError returns the last failure to write back, nil if there was none.
func (f *File) LastError() error {
	_, err := f.failures.last()
	return err
}

// LastTries returns how often it was met, one after the other.
func (f *File) LastTries() int {
	n, _ := f.failures.last()
	return n
}

// Files returns all cached files, those that were opened first first, without
// references: for looking at.
func (c *Cache) Files() []*File { return c.snapshot() }
