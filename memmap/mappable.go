package memmap

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap/safemem"
)

// Mappable is something that can be mapped: a regular file's page cache, shared
// anonymous memory. All ranges are page-aligned and not empty.
type Mappable interface {
	// AddMapping tells that ms now maps [offset, offset+len(ar)) at ar. writable says
	// that the mapping is shared and may ever be written; it is fixed for its life.
	// An error refuses the mapping. Called with ms's mappingMu held for writing.
	AddMapping(ms MappingSpace, ar AddrRange, offset MappableOffset, writable bool) error

	// RemoveMapping undoes AddMapping, for all or a part of an earlier range. It is
	// called only after pmas and host mappings in ar are gone.
	RemoveMapping(ms MappingSpace, ar AddrRange, offset MappableOffset, writable bool)

	// CopyMapping tells that ms, which maps offset at src, maps it at dst as well:
	// the first half of an mremap. Lengths may differ; src may be empty.
	CopyMapping(ms MappingSpace, src, dst AddrRange, offset MappableOffset, writable bool) error

	// Translate says where required (at least) and optional (at most, a superset)
	// lie in a File. at is the access that will be made. What goes on behind required
	// is worth FewTranslations, no more. It may return translations
	// and an error: then those are valid up to where they end. The caller holds
	// activeMu for writing, so only locks below that may be taken. The Mappable keeps
	// the pages until it has invalidated them or the mapping is removed.
	Translate(required, optional MappableRange, at AccessType) ([]Translation, error)
}

// FewTranslations is how many a Mappable gives for the sake of what is not required.
const FewTranslations = 8

// Translation says that Source lies in File from Offset on, and how it may be used.
type Translation struct {
	Source MappableRange
	File   File
	Offset FileOffset
	Perms  AccessType
}

// FileRange returns the range of t.File that t.Source lies in.
func (t Translation) FileRange() FileRange {
	return FileRange{Start: t.Offset, End: t.Offset + FileOffset(t.Source.Length())}
}

// MappingSpace is what a Mappable sees of the memory managers that map it.
type MappingSpace interface {
	// Invalidate makes earlier translations in ar void: translated pages are dropped,
	// and with private also the copies that private mappings have made of them.
	// It takes only activeMu and locks below it.
	Invalidate(ar AddrRange, private bool)
}

// MappingIdentity is what a mapping looks like from outside: the open file it
// was made through. Mappings of one file share a Mappable; their identities may
// differ. Both must agree for vmas to merge.
type MappingIdentity interface {
	IncRef()
	// DecRef drops a reference; the last one may run arbitrary file-system code, so
	// it is never called with a memory manager's lock held.
	DecRef()
	// MappedName is the name in /proc/PID/maps.
	MappedName() string
	// DeviceID is the file's device in userspace's dev_t encoding (unix.Major/Minor).
	DeviceID() uint64
	InodeID() uint64
	// Msync writes dirty pages of mr to where the file lives.
	Msync(mr MappableRange) error
}

// File is a host file whose pages can be mapped into a stub. Offsets need be
// page-aligned only where said.
type File interface {
	// IncRef and DecRef take and drop a reference on each page of fr, which is
	// page-aligned, not empty, and (for DecRef) holds only referenced pages.
	IncRef(fr FileRange)
	DecRef(fr FileRange)

	// MapInternal returns fr as memory of our own, valid while its pages are
	// referenced. Copies from and to it may fault (package safemem).
	MapInternal(fr FileRange, at AccessType) (safemem.Seq, error)

	// FD returns the host's descriptor, or -1 for a File of zeroes without end,
	// which platforms map as anonymous memory, never writable.
	FD() int
}

// BusError is a failed translation that the guest sees as SIGBUS: an access
// beyond a file's end, an I/O error, a full disk.
type BusError struct{ Err error }

func (e *BusError) Error() string { return fmt.Sprintf("bus error: %v", e.Err) }

// Unwrap makes errors.Is find both the reason and EFAULT, which is what a copy
// that met the error returns to its caller.
func (e *BusError) Unwrap() []error { return []error{e.Err, unix.EFAULT} }

// CheckTranslateResult returns what is wrong with a Translate's result, nil if
// nothing is. It panics on wrong arguments. Test builds and `check` use it.
func CheckTranslateResult(required, optional MappableRange, at AccessType, ts []Translation, err error) error {
	if required.IsEmpty() || !alignedRange(required) || !alignedRange(optional) || !optional.IsSupersetOf(required) {
		panic(fmt.Sprintf("memmap: Translate asked for required %v, optional %v", required, optional))
	}
	if len(ts) == 0 {
		if err == nil {
			return fmt.Errorf("no translation and no error for %v", required)
		}
		return nil
	}
	if !ts[0].Source.Contains(required.Start) {
		return fmt.Errorf("first translation %v does not contain %#x", ts[0].Source, required.Start)
	}
	for i, t := range ts {
		switch {
		case t.Source.IsEmpty() || !alignedRange(t.Source):
			return fmt.Errorf("translation %d: %v is empty or unaligned", i, t.Source)
		case t.File == nil:
			return fmt.Errorf("translation %d: no file", i)
		case t.Offset%PageSize != 0:
			return fmt.Errorf("translation %d: unaligned offset %#x", i, t.Offset)
		case i > 0 && ts[i-1].Source.End != t.Source.Start:
			return fmt.Errorf("translation %d: %v does not continue %v", i, t.Source, ts[i-1].Source)
		case !optional.IsSupersetOf(t.Source):
			return fmt.Errorf("translation %d: %v leaves optional %v", i, t.Source, optional)
		case !t.Perms.SupersetOf(at):
			return fmt.Errorf("translation %d: permissions %v lack %v", i, t.Perms, at)
		}
	}
	if last := ts[len(ts)-1].Source; err == nil && last.End < required.End {
		return fmt.Errorf("translations end at %#x before required %v and there is no error", last.End, required)
	}
	return nil
}

func alignedRange(r MappableRange) bool {
	return r.WellFormed() && r.Start%PageSize == 0 && r.End%PageSize == 0
}
