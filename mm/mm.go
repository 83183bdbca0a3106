// Package mm is the memory engine: a MemoryManager is the whole memory of a
// process. It owns the vmas (what the program asked for) and the pmas (the pages
// it holds), answers faults, and keeps the host's mappings in the stub no
// wider than what it decided.
//
// Lock order, outer to inner:
//
//	file locks (but Mappable locks)
//	  metadataMu                          argv, envv, auxv, executable
//	    mappingMu (RW)                    vmas, brk, sums over them, traps
//	      Mappable locks outside Translate
//	        activeMu (RW)                 pmas, RSS
//	          Mappable locks inside Translate
//	            platform.AddressSpace
//	  pgalloc.MemoryFile, Ring            leaves
//
// Traps are written under both locks, so either of them protects a reader. Two
// managers' locks are held together by Fork only, which nobody else can meet in
// the child. The last DecRef of an identity is done with mappingMu released.
//
// Build with the tag mmlocks to have the order checked.
//
// Read vma.go and pma.go first, then fault.go, fill.go and cow.go.
package mm

import (
	"sync/atomic"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/segment"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
)

// MaxMapCount is the most mappings that a process may have: Linux's
// vm.max_map_count.
const MaxMapCount = 65530

// Config is what a MemoryManager is made of.
type Config struct {
	Memory *pgalloc.MemoryFile
	AS     platform.AddressSpace
	Layout Layout
	Window *FaultWindow // nil: 4 KiB
	ASIO   *ASIO        // nil: automatic
	Events *Ring        // nil: events are off
	PID    int32        // stamped on events
}

// MemoryManager is the memory of one process, or of several that share it.
// It implements memmap.MappingSpace.
type MemoryManager struct {
	mem    *pgalloc.MemoryFile
	layout Layout
	window *FaultWindow
	asio   *ASIO
	events *Ring
	pid    int32
	users  atomic.Int32

	mappingMu mappingMutex
	vmas      vmaSet
	gaps      segment.GapIndex[memmap.Addr]     // what vmas leave free of the layout
	ids       map[memmap.MappingIdentity]uint64 // bytes mapped through each; one reference each
	traps     segment.Set[memmap.Addr, Trap]    // also under activeMu
	guards    segment.Set[memmap.Addr, Trap]    // likewise; see guard.go
	watched   atomic.Bool                       // by a userfaultfd, now or once
	specials  memmap.AddrRange                  // hull of where mappings of the kernel's own are, or were
	brk       memmap.AddrRange                  // End is exact, not rounded
	startSP   memmap.Addr                       // its vma is called [stack]
	maxAS     uint64                            // the most bytes that an insertion led to
	dataAS    uint64                            // bytes that count against RLIMIT_DATA
	lockedAS  uint64                            // bytes of locked vmas
	committed uint64                            // bytes of accounted vmas, which mem counts too
	someApart bool                              // what the newest Fork found
	defMLock  memmap.MLockMode                  // what new mappings inherit
	mdwe      MDWE
	keyTried  bool
	barriers  uint32 // registered commands of membarrier

	activeMu activeMutex
	pmas     pmaSet
	marks    segment.Set[memmap.Addr, mark] // see mark.go
	gives    bool                           // mm is one of the MemoryFile's givers
	as       platform.AddressSpace          // nil once released
	gen      uint32                         // see pma.needCOW
	forked   uint64                         // event of the newest fork that shared our pages
	rss      [rssKinds]uint64
	maxRSS   uint64
	faults   Stats // only its counters
	auto     sequence
	scratch  scratch
	pins     []*Pin // that have not ended, oldest first
	lastPin  int64  // the number of the newest
	pinned   uint64 // bytes, each as often as it is pinned: Linux's pinned_vm
	// captured holds what a child under construction may not miss: Mappables
	// know it already, but its pmas are still being copied. nil outside Fork.
	captured *[]invalidation
}

type invalidation struct {
	ar      memmap.AddrRange
	private bool
}

// New returns an empty MemoryManager with one user. It takes over c.AS.
func New(c Config) *MemoryManager {
	mm := newManager(c)
	mm.gaps.Free(mm.All())
	return mm
}

func newManager(c Config) *MemoryManager {
	mm := &MemoryManager{
		mem:     c.Memory,
		as:      c.AS,
		layout:  c.Layout,
		window:  c.Window,
		asio:    c.ASIO,
		events:  c.Events,
		pid:     c.PID,
		ids:     make(map[memmap.MappingIdentity]uint64),
		startSP: c.Layout.StackTop - 1,
	}
	mm.users.Store(1)
	return mm
}

// AddressSpace returns where the guest runs.
func (mm *MemoryManager) AddressSpace() platform.AddressSpace {
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	return mm.as
}

// Layout returns the layout.
func (mm *MemoryManager) Layout() Layout { return mm.layout }

// All is the whole of guest memory.
func (mm *MemoryManager) All() memmap.AddrRange {
	return memmap.AddrRange{Start: mm.layout.Min, End: mm.layout.Max}
}

// IncUsers adds a user (CLONE_VM); false if there is none left to share with.
func (mm *MemoryManager) IncUsers() bool {
	for {
		n := mm.users.Load()
		if n == 0 {
			return false
		}
		if mm.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// DecUsers drops a user. With the last one the address space is released, then
// all memory.
func (mm *MemoryManager) DecUsers(by *Actor) {
	switch n := mm.users.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("mm: a user too many is dropped")
	}
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	mm.activeMu.Lock()
	as := mm.as
	mm.as = nil // from here on there is no host to tell
	if as != nil {
		as.Release()
	}
	mm.dropPages(c)
	mm.activeMu.Unlock()
	mm.dropMappings(c)
	mm.mappingMu.Unlock()
	if mm.gives {
		mm.mem.RemoveGiver(mm)
	}
}

// dropPages releases every page. The sets are read, not taken apart: their nodes may
// be a relative's as well.
func (mm *MemoryManager) dropPages(c *change) {
	for p := range mm.pmas.All() {
		if p.Value.kind != zero {
			c.release(p.Value.file, p.Value.fileRange(p.Range, p.Range))
		}
	}
	mm.unpinAll()
	mm.pmas.Clear()
	mm.traps.Clear()
	mm.guards.Clear()
	mm.marks.Clear()
	mm.rss = [rssKinds]uint64{}
	_ = c.flush() // there is no host any more
}

// dropMappings ends every mapping.
func (mm *MemoryManager) dropMappings(c *change) {
	if mm.vmas.IsEmpty() {
		return
	}
	mm.note(c, Event{Kind: EventUnmap, Range: mm.All()})
	for seg := range mm.vmas.All() {
		if v := &seg.Value; v.mappable != nil {
			v.mappable.RemoveMapping(mm, seg.Range, v.off, v.canWriteMappable())
		}
	}
	for id := range mm.ids {
		c.dropIdentity(id)
	}
	clear(mm.ids)
	mm.vmas.Clear()
	mm.gaps = segment.GapIndex[memmap.Addr]{}
	mm.gaps.Free(mm.All())
	mm.mem.Commit(-int64(mm.committed))
	mm.dataAS, mm.lockedAS, mm.committed = 0, 0, 0
	mm.brk = memmap.AddrRange{}
}
