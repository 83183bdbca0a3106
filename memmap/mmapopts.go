package memmap

// MLockMode says how a mapping is locked in memory. Order matters: where two
// modes meet the higher one holds.
type MLockMode uint8

// The lock modes.
const (
	MLockNone  MLockMode = iota
	MLockEager           // every page is brought in at once (mlock)
	MLockLazy            // pages stay once they are in (mlock2 with MLOCK_ONFAULT)
)

// MMapOpts is what an mmap asks for.
type MMapOpts struct {
	Length uint64 // bytes; rounded up to pages

	Mappable Mappable        // nil: private anonymous memory
	Identity MappingIdentity // may be nil; the callee takes its own reference
	Offset   MappableOffset  // page-aligned; ignored if Mappable and Identity are nil

	Addr      Addr // a hint, or with Fixed the place
	Fixed     bool
	Unmap     bool // MAP_FIXED: what is there is unmapped; needs Fixed
	NoReplace bool // MAP_FIXED_NOREPLACE: EEXIST if something is there; needs Fixed
	Map32Bit  bool // below 2 GiB; ignored if Fixed

	Perms    AccessType // as asked, e.g. write only
	MaxPerms AccessType // what mprotect may ever give; must be Effective
	Private  bool

	GrowsDown bool // extends itself down to faults below it
	Stack     bool // a stack: never of huge pages, narrow copies

	NoReserve bool      // not counted by overcommit accounting
	Droppable bool      // MAP_DROPPABLE: private anonymous, may lose its pages when memory is short
	Populate  bool      // MAP_POPULATE: bring all pages in, failures ignored
	MLock     MLockMode // MAP_LOCKED

	Name string // shown in maps instead of the identity's name: "[heap]"
}
