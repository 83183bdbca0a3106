package mm

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// mostRetries bounds how often what found no memory is tried again without coming
// forward: others may have taken what was given back.
const mostRetries = 8

// noRoom reports whether err says that a page was wanted and the MemoryFile had none.
func noRoom(err error) bool {
	var bus *memmap.BusError
	return errors.As(err, &bus) && errors.Is(err, unix.ENOMEM)
}

// relieve has memory given back, by whoever has some to spare. No lock is held.
func (mm *MemoryManager) relieve() bool {
	AssertUnlocked()
	return mm.mem.Relieve()
}

// relieveFor is relieve for populating ar. Private memory that could not be had anyway is
// not worth what others would lose: among that is the code that the process runs.
func (mm *MemoryManager) relieveFor(ar memmap.AddrRange) bool {
	mm.mappingMu.RLock()
	seg, ok := mm.vmas.Find(ar.Start)
	mm.mappingMu.RUnlock()
	if ok && seg.Value.private && ar.Length() > mm.mem.Spare() {
		return false
	}
	return mm.relieve()
}

// GiveBack implements pgalloc.Giver: what MADV_FREE and MAP_DROPPABLE gave away goes, all
// of it. No lock is held.
func (mm *MemoryManager) GiveBack(uint64) uint64 {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	before := mm.rss[rssAnon]
	mm.dropLazy(mm.begin(&Actor{}))
	return before - mm.rss[rssAnon]
}

// giveLazy has mm asked for what MADV_FREE gave away, until it is released.
//
// Preconditions: mm.activeMu is held for writing, or nobody knows mm yet.
func (mm *MemoryManager) giveLazy() {
	if !mm.gives {
		mm.gives = true
		mm.mem.AddGiver(mm)
	}
}

// refill goes on with what populating left for lack of memory, as far as others give
// some back. It returns why it is not all. No lock is held.
func (c *change) refill() error {
	short := c.short
	c.short = nil
	var first error
	for _, ar := range short {
		if err := c.mm.refillRange(c, ar); first == nil {
			first = err
		}
	}
	return first
}

// refillRange is refill of ar, at whose start there was no memory.
func (mm *MemoryManager) refillRange(c *change, ar memmap.AddrRange) error {
	err := outOfMemory(ar, unix.ENOMEM)
	for idle := 0; idle < mostRetries && mm.relieveFor(ar); {
		from := ar.Start
		if ar.Start, err = mm.refillOnce(c, ar); !noRoom(err) {
			return err
		}
		if idle++; ar.Start > from {
			idle = 0
		}
	}
	return err
}

// refillOnce populates ar, and returns how far that went.
func (mm *MemoryManager) refillOnce(c *change, ar memmap.AddrRange) (memmap.Addr, error) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	for seg := range mm.vmas.In(ar) {
		if seg.Value.mlock == memmap.MLockLazy || seg.Value.pageless() {
			continue
		}
		if end, err := mm.populatePart(c, seg, seg.Intersect(ar)); err != nil {
			return end, err
		}
	}
	return ar.End, nil
}
