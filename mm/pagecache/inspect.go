package pagecache

import "mmsh.dev/mmsh/memmap"

// Run is cached pages of a file that are alike and lie next to each other in the
// MemoryFile.
type Run struct {
	Pages memmap.MappableRange
	In    memmap.FileRange // of the MemoryFile
	Dirty bool
	Keep  bool             // a mapping may be writing it: it stays dirty when written back
	Maps  []memmap.Mapping // who maps it or a part of it
}

// Runs returns what is cached, in ascending order.
func (f *File) Runs() []Run {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	var runs []Run
	for seg := range f.pages.All() {
		add := func(mr memmap.MappableRange, dirty, keep bool) {
			r := Run{Pages: mr, In: fileRange(seg, mr), Dirty: dirty, Keep: keep}
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

// Dirty returns how many bytes of f's pages the Backing does not have yet.
func (f *File) Dirty() uint64 {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	return f.dirty.Span()
}

// LastError returns the last failure to write back, nil if there was none.
func (f *File) LastError() error { return f.failures.last() }

// Files returns all cached files, those that were opened first first, without
// references: for looking at.
func (c *Cache) Files() []*File { return c.snapshot() }
