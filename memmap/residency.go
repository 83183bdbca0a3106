package memmap

// Residency says how a Mappable's pages count in the resident sums. A Mappable
// whose pages are not a file's implements `Resident() Residency`.
type Residency uint8

// The residencies.
const (
	ResidentFile  Residency = iota // RssFile
	ResidentShmem                  // RssShmem: shared anonymous memory, memfds, tmpfs
	ResidentNever                  // no page of it counts, as Linux's [vvar]
)
