package memmap

// CachedRun is pages of a file in guest memory that are alike and lie next to each
// other in the MemoryFile.
type CachedRun struct {
	Pages MappableRange
	In    FileRange // of the MemoryFile
	Dirty bool      // what is behind the file does not have them yet
	Keep  bool      // a mapping may be writing it: it stays dirty when written back
	Maps  []Mapping // who maps it or a part of it
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
