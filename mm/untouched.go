package mm

import (
	"bytes"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// forgetUntouched drops the pages of private anonymous memory in ar that a fault window
// of more than a page may have brought in and nobody has written: a userfaultfd is to
// hear of them as missing. Which pages were only read is not known; those are missing
// as well, and a reader sees zeroes or asks.
//
// Preconditions: mm.mappingMu is held for writing.
func (mm *MemoryManager) forgetUntouched(c *change, ar memmap.AddrRange) error {
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	if !mm.pmas.Overlaps(ar) {
		return nil
	}
	// The host's mappings go first, so that no thread writes to a page that was just
	// found to be empty: its fault waits for our locks.
	c.spoil(ar)
	if err := c.flush(); err != nil {
		return err
	}
	var empty []memmap.AddrRange
	for seg := range mm.vmas.In(ar) {
		if v := &seg.Value; !v.anonymous() || v.mlock != memmap.MLockNone {
			continue
		}
		for p := range mm.pmas.In(seg.Intersect(ar)) {
			runs, err := mm.emptyPages(p, p.Intersect(seg.Intersect(ar)))
			if err != nil {
				return err
			}
			empty = append(empty, runs...)
		}
	}
	for _, run := range empty {
		mm.dropUnpinned(c, run)
	}
	return c.flush()
}

// emptyPages returns the pages of ar, a part of p, that hold zeroes only.
func (mm *MemoryManager) emptyPages(p pmaSeg, ar memmap.AddrRange) ([]memmap.AddrRange, error) {
	if p.Value.kind == zero {
		return []memmap.AddrRange{ar}, nil
	}
	var empty []memmap.AddrRange
	var page, zeroes [memmap.PageSize]byte
	for at := ar.Start; at < ar.End; at += memmap.PageSize {
		one := memmap.AddrRange{Start: at, End: at + memmap.PageSize}
		src, err := p.Value.file.MapInternal(p.Value.fileRange(p.Range, one), memmap.Read)
		if err == nil {
			_, err = safemem.Copy(safemem.Of(page[:]), src)
		}
		if err != nil {
			return nil, err
		}
		if bytes.Equal(page[:], zeroes[:]) {
			empty = append(empty, one)
		}
	}
	return empty, nil
}
