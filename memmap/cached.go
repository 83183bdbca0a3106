package memmap

// CachedRun is pages of a file in guest memory that are alike and lie next to each
// other in the MemoryFile.
type CachedRun struct {
	Pages MappableRange
	In    FileRange // of the MemoryFile
	Dirty bool      // what is behind the file does not have them yet
	Keep  bool      // a mapping may be writing it: it stays dirty when written back
	Maps  []Mapping // who maps it or a part of it
	// HostRefs is above zero for pages of the host's own, which guests map directly: In
	// is then of the host's file, and this how many references each page has.
	HostRefs uint32
}

// Cached is a Mappable whose pages can be looked at. Its methods take the locks
// that lie above memory managers': they are not for Translate's callers.
type Cached interface {
	Mappable
	// Runs returns the pages that are held, in ascending order.
	Runs() []CachedRun
	// Length returns how long the file is, in bytes.
	Length() (uint64, error)
}

// Counted is a File other than the MemoryFile that tells how many references its pages
// have: each is a mapping's.
type Counted interface {
	File
	// Counts calls f for the runs of fr's pages that have references, in order.
	Counts(fr FileRange, f func(run FileRange, refs uint32))
}
