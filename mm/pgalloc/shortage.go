package pgalloc

import (
	"math"
	"slices"
)

// Giver has memory that it can do without: cached pages, pages that nobody would miss.
type Giver interface {
	// GiveBack frees up to want bytes, or a little more, and returns how many. It takes
	// any lock of its own.
	GiveBack(want uint64) uint64
}

// givenBack is how much is asked for when memory has run out, in bytes: enough that not
// every allocation does it.
const givenBack = 4 << 20

// AddGiver has g asked when memory runs out, before those that were added earlier.
func (f *MemoryFile) AddGiver(g Giver) {
	f.giversMu.Lock()
	defer f.giversMu.Unlock()
	f.givers = append(f.givers, g)
}

// RemoveGiver undoes AddGiver.
func (f *MemoryFile) RemoveGiver(g Giver) {
	f.giversMu.Lock()
	defer f.giversMu.Unlock()
	f.givers = slices.DeleteFunc(f.givers, func(o Giver) bool { return o == g })
}

// Relieve has givers give memory back, and reports whether any did: for who was told
// ENOMEM, and holds no lock that a giver takes. As others may take what was given, a
// caller tries again a few times at most.
func (f *MemoryFile) Relieve() bool {
	f.giversMu.Lock()
	givers := slices.Clone(f.givers)
	f.giversMu.Unlock()
	got := uint64(0)
	for _, g := range slices.Backward(givers) {
		if got >= givenBack {
			break
		}
		got += g.GiveBack(givenBack - got)
	}
	return got > 0
}

// Spare returns how many bytes could be had at most if all cached pages of files went.
func (f *MemoryFile) Spare() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.totalLocked() - f.allocated[PageCache]
	if f.limit == 0 {
		return math.MaxUint64
	}
	return f.limit - min(kept, f.limit)
}
