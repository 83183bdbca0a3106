package pgalloc

import (
	"fmt"

	"mmsh.dev/mmsh/memmap"
)

// CheckInvariants returns what is wrong with the file's books, nil if nothing is:
// it derives again, page by page, what is kept as sums and as sets.
func (f *MemoryFile) CheckInvariants() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.free.CheckInvariants(); err != nil {
		return fmt.Errorf("memory file: free: %w", err)
	}
	if err := f.stale.CheckInvariants(); err != nil {
		return fmt.Errorf("memory file: stale: %w", err)
	}
	freeBytes := uint64(0)
	for fr := range f.free.All() {
		freeBytes += fr.Length()
		if err := f.checkFreeLocked(fr); err != nil {
			return err
		}
	}
	staleBytes := uint64(0)
	for fr := range f.stale.All() {
		staleBytes += fr.Length()
		if _, ok := f.free.Lowest(fr, fr.Length()); !ok {
			return fmt.Errorf("memory file: %v is stale but not free", fr)
		}
	}
	if staleBytes != f.staleBytes {
		return fmt.Errorf("memory file: %d bytes are stale, but %d are counted", staleBytes, f.staleBytes)
	}
	if total := f.totalLocked(); freeBytes+total != uint64(f.size()) {
		return fmt.Errorf("memory file: %d bytes free and %d allocated of %d", freeBytes, total, f.size())
	}
	if err := f.checkPinsLocked(); err != nil {
		return err
	}
	return f.checkKindsLocked()
}

func (f *MemoryFile) checkFreeLocked(fr memmap.FileRange) error {
	for rest := fr; !rest.IsEmpty(); {
		from := rest.Start
		var pages []page
		pages, rest = f.front(rest)
		for i, p := range pages {
			if p.refs() != 0 {
				return fmt.Errorf("memory file: the page at %#x is free with %d references", offset(from, i), p.refs())
			}
		}
	}
	return nil
}

func (f *MemoryFile) checkKindsLocked() error {
	var allocated [System + 1]uint64
	for _, c := range *f.chunks.Load() {
		for _, p := range c.pages {
			if p.refs() > 0 {
				allocated[p.kind()] += memmap.PageSize
			}
		}
	}
	if allocated != f.allocated {
		return fmt.Errorf("memory file: %v bytes are allocated by kind, but %v are counted", allocated, f.allocated)
	}
	return nil
}
