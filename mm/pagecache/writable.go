package pagecache

import (
	"math"
	"sync/atomic"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// WritableBacking is where the bytes of a file live that may be written. It reads
// as well.
type WritableBacking interface {
	Backing
	// WriteFromBlocksAt writes srcs at off. A short count without an error is legal.
	WriteFromBlocksAt(srcs safemem.Seq, off uint64) (uint64, error)
	// SetMaskedAttributes sets those attributes of a that are in mask, all or none.
	// What a file system cannot set (AttrCTime) it leaves alone.
	SetMaskedAttributes(mask AttrMask, a Attr) error
	// Sync makes what was written durable.
	Sync() error
	// FD returns the host's descriptor, or -1; its sign is constant for life.
	FD() int
}

// Attr is what is known of a file beside its bytes. Times are in nanoseconds.
type Attr struct {
	Perms               uint32 // mode bits 07777
	UID, GID            uint32
	Links               uint32
	Size                uint64 // bytes
	ATime, MTime, CTime int64
}

// AttrMask is a set of attributes.
type AttrMask uint16

// The attributes. Links are counted, never set.
const (
	AttrPerms AttrMask = 1 << iota
	AttrUID
	AttrGID
	AttrSize
	AttrATime
	AttrMTime
	AttrCTime
)

// WriteOptions are what a File needs to know to be written.
type WriteOptions struct {
	Attr     Attr         // as the Backing has them now
	NoATime  bool         // reading leaves the access time alone
	RelATime bool         // reading moves it if the file has changed since, or once a day
	Now      func() int64 // the clock of the file's times, in nanoseconds
}

// writable is what a File has once somebody has opened it for writing.
type writable struct {
	out      WritableBacking
	apart    bool // out is not the File's Backing as well
	noATime  bool
	relATime bool
	now      func() int64

	// attr and unsaved, what of it the Backing does not have yet: attrMu, but for
	// attr.Size, which is read under attrMu or dataMu and written under both.
	attr    Attr
	unsaved AttrMask

	mapped atomic.Int64 // when a mapping last made pages dirty, 0: never since noted in attr
}

func newWritable(b WritableBacking, o *WriteOptions) *writable {
	return &writable{out: b, noATime: o.NoATime, relATime: o.RelATime, now: o.Now, attr: o.Attr}
}

// becomeWritable makes f write through b, which it takes over if it is the first.
func (f *File) becomeWritable(b WritableBacking, o *WriteOptions) (first bool) {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if f.w != nil {
		return false
	}
	f.w = newWritable(b, o)
	f.w.apart = true
	if f.host != nil {
		f.host.openForWriting(b)
	}
	return true
}

// writer returns what f is written with, nil if it is open for reading only.
func (f *File) writer() *writable {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	return f.w
}

// size returns where the file ends, in bytes. dataMu is held.
func (f *File) size() (uint64, error) {
	if f.w != nil && f.host == nil {
		return f.w.attr.Size, nil
	}
	return f.backing.Size()
}

// readLimit returns from where on nothing is asked of the Backing: somebody else
// may have made it longer than we know. dataMu is held.
func (f *File) readLimit() uint64 {
	if f.w != nil && f.host == nil {
		return f.w.attr.Size
	}
	return math.MaxUint64
}

// maxSize is how long a file can be, in bytes.
const maxSize = uint64(1<<63 - memmap.PageSize)

// pageOf returns off's page's start.
func pageOf(off uint64) memmap.MappableOffset {
	return memmap.MappableOffset(off &^ (memmap.PageSize - 1))
}

// pagesOf returns the pages that [from, to) touches; to is at most maxSize.
func pagesOf(from, to uint64) memmap.MappableRange {
	return memmap.MappableRange{Start: pageOf(from), End: pageOf(to + memmap.PageSize - 1)}
}
