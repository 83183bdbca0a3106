package mm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// change is one operation under way: who asked, what the host must hear of it,
// and what is let go of afterwards. The order is always the same: the sets
// change, the host is told, pages are released, and with mappingMu released
// identities are.
type change struct {
	mm    *MemoryManager
	by    *Actor
	stale []memmap.AddrRange // where the host's mappings are void
	ops   []platform.MapOp   // what the host shall map
	freed []freedRun         // references that are no longer ours
	ids   []memmap.MappingIdentity

	toFill []memmap.AddrRange // locked memory that became writable
	short  []memmap.AddrRange // what populating left for lack of memory; see refill

	heap    bool             // the mapping that is made is the heap's
	byGuest bool             // it answers fault, an access of the guest
	fault   fault            // see byGuest
	made    memmap.AddrRange // what came in around the first page asked for
}

// scratch is where the lists of the change under way begin, which most outgrow
// never. activeMu guards it.
type scratch struct {
	stale [fewOps]memmap.AddrRange
	ops   [fewOps]platform.MapOp
	all   [2 * fewOps]platform.MapOp // unmaps, then ops
	freed [fewOps]freedRun
}

type freedRun struct {
	file memmap.File
	fr   memmap.FileRange
}

// begin starts an operation; the caller defers end before it takes a lock.
func (mm *MemoryManager) begin(by *Actor) *change { return &change{mm: mm, by: by} }

// end finishes the operation with no lock held.
func (c *change) end() {
	if len(c.short) > 0 {
		_ = c.refill() // a kindness: who must know asks before
	}
	if len(c.ids) == 0 {
		return
	}
	AssertUnlocked()
	for _, id := range c.ids {
		id.DecRef()
	}
	c.ids = nil
}

func (c *change) dropIdentity(id memmap.MappingIdentity) { c.ids = append(c.ids, id) }

// spoil marks the host's mappings in ar void. Ranges come in ascending order or
// are few.
func (c *change) spoil(ar memmap.AddrRange) {
	if n := len(c.stale); n > 0 && c.stale[n-1].End == ar.Start {
		c.stale[n-1].End = ar.End
		return
	}
	if c.stale == nil {
		c.stale = c.mm.scratch.stale[:0]
	}
	c.stale = append(c.stale, ar)
}

// release gives up one reference on each page of fr once the host was told.
func (c *change) release(file memmap.File, fr memmap.FileRange) {
	if n := len(c.freed); n > 0 && c.freed[n-1].file == file {
		if last := &c.freed[n-1].fr; last.End == fr.Start {
			last.End = fr.End
			return
		} else if last.Start == fr.End {
			last.Start = fr.Start
			return
		}
	}
	if c.freed == nil {
		c.freed = c.mm.scratch.freed[:0]
	}
	c.freed = append(c.freed, freedRun{file, fr})
}

// flush tells the host, then releases pages. The error is the host's: the stub
// is gone, or has no room for what was to be mapped.
//
// Preconditions: mm.activeMu is held for writing.
func (c *change) flush() error {
	err := c.mm.apply(c.by.Via, c.hostOps())
	for _, r := range c.freed {
		r.file.DecRef(r.fr)
	}
	c.stale, c.ops, c.freed = nil, nil, nil
	return err
}

// hostOps returns the calls for the host: stale mappings go, but for those that
// a new one replaces.
func (c *change) hostOps() []platform.MapOp {
	if len(c.stale) == 0 {
		return c.ops
	}
	ops := c.mm.scratch.all[:0]
	for _, ar := range c.stale {
		if !coveredBy(ar, c.ops) {
			ops = append(ops, platform.MapOp{AR: ar})
		}
	}
	return append(ops, c.ops...)
}

// coveredBy reports whether a stretch of touching, ascending ops covers ar.
func coveredBy(ar memmap.AddrRange, ops []platform.MapOp) bool {
	at := ar.Start
	for _, op := range ops {
		if op.AR.Start <= at && at < op.AR.End {
			at = op.AR.End
		}
	}
	return at >= ar.End
}

// apply has the host do ops. If it fails all of its map is dropped (it is a cache of
// pmas): of what it had mapped, pages are about to be released. If it failed as the map was
// full, ops are tried once more.
//
// Preconditions: mm.activeMu is held for writing.
func (mm *MemoryManager) apply(via platform.Context, ops []platform.MapOp) error {
	if len(ops) == 0 || mm.as == nil {
		return nil
	}
	err := mm.as.Apply(via, ops)
	if err == nil {
		return nil
	}
	dropped := mm.as.Apply(via, []platform.MapOp{{AR: mm.All()}})
	if dropped == nil && errors.Is(err, unix.ENOMEM) {
		err = mm.as.Apply(via, ops)
	}
	if err != nil {
		return fmt.Errorf("host mappings: %w", err)
	}
	return nil
}
