package shmem

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Runs implements memmap.Cached. There is nothing behind the pages: none is dirty.
func (p *Pages) Runs() []memmap.CachedRun {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	var runs []memmap.CachedRun
	for seg := range p.runs.All() {
		r := memmap.CachedRun{Pages: seg.Range, In: pgalloc.FrameRange(seg, seg.Range)}
		p.maps.Each(seg.Range, func(m memmap.Mapping) bool {
			r.Maps = append(r.Maps, m)
			return true
		})
		runs = append(runs, r)
	}
	return runs
}

// Length implements memmap.Cached.
func (p *Pages) Length() (uint64, error) { return p.Size(), nil }
