package pgalloc

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// Allocate returns n bytes (whole pages) of zeroes with one reference a page,
// owned by the caller. near, if not zero, is the File offset that the caller
// would like the range to end at, so that host mappings merge: it ends there if
// all that is free, else somewhere with room above and below for the next ones.
// Without near it lies as high as it fits: mappings are placed downwards, and so
// is what is allocated for them.
//
// ENOMEM, a *memmap.Refusal: over the limit, or the host has no more.
func (f *MemoryFile) Allocate(n uint64, kind Kind, near memmap.FileOffset) (memmap.FileRange, error) {
	var few [4]memmap.FileRange
	fr, stale, err := f.take(n, kind, near, few[:0])
	if err != nil {
		return memmap.FileRange{}, err
	}
	for _, part := range stale {
		if err := f.clear(part); err != nil {
			f.DecRef(fr)
			return memmap.FileRange{}, err
		}
	}
	return fr, nil
}

// take allocates n bytes and appends to stale which parts of them may not be zeroes.
func (f *MemoryFile) take(n uint64, kind Kind, near memmap.FileOffset, stale []memmap.FileRange) (memmap.FileRange, []memmap.FileRange, error) {
	if n == 0 || n%memmap.PageSize != 0 || kind > System || near%memmap.PageSize != 0 {
		panic(fmt.Sprintf("pgalloc: allocation of %d bytes of kind %d near %#x", n, kind, near))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.admitLocked(n); err != nil {
		return memmap.FileRange{}, nil, err
	}
	fr, err := f.placeLocked(memmap.FileOffset(n), near)
	if err != nil {
		return memmap.FileRange{}, nil, err
	}
	f.free.Take(fr)
	f.allocated[kind] += n
	fresh := page(kind)<<kindShift | 1
	for rest := fr; !rest.IsEmpty(); {
		var pages []page
		pages, rest = f.front(rest)
		for i := range pages {
			pages[i] = fresh
		}
	}
	for f.staleBytes > 0 {
		part, ok := f.stale.Lowest(fr, 1)
		if !ok {
			break
		}
		f.stale.Take(part)
		f.staleBytes -= part.Length()
		stale = append(stale, part)
	}
	return fr, stale, nil
}

// admitLocked refuses n bytes that are over the limit. f.mu is held.
func (f *MemoryFile) admitLocked(n uint64) error {
	if f.failAfter > 0 {
		if f.failAfter--; f.failAfter == 0 {
			return memmap.Refuse("allocate", unix.ENOMEM, "this allocation was set to fail")
		}
	}
	if total := f.totalLocked(); f.limit > 0 && (n > f.limit || total > f.limit-n) {
		r := memmap.Refuse("allocate", unix.ENOMEM, "%d kB more would exceed the limit of the sandbox's memory: %d of %d kB are allocated",
			n>>10, total>>10, f.limit>>10)
		r.Why = memmap.LimitHit
		return r
	}
	return nil
}

// roomToGrow is what is left free above pages that could not be had where they
// were wanted, so that the next ones can be: memory is mostly touched upwards.
const roomToGrow = 2 << 20

// placeLocked chooses n free bytes, for which the file grows if it must. f.mu is held.
func (f *MemoryFile) placeLocked(n, near memmap.FileOffset) (memmap.FileRange, error) {
	if near >= n && near <= f.size() {
		wanted := memmap.FileRange{Start: near - n, End: near}
		if _, ok := f.free.Highest(wanted, uint64(n)); ok {
			return wanted, nil
		}
	}
	all := memmap.FileRange{End: f.size()}
	if near != 0 && n < roomToGrow {
		if gap, ok := f.free.Highest(all, uint64(n)+2*roomToGrow); ok {
			end := gap.End - roomToGrow
			return memmap.FileRange{Start: end - n, End: end}, nil
		}
	}
	gap, ok := f.free.Highest(all, uint64(n))
	if !ok {
		const most = 1 << 62 // what an off_t can hold, and no sum below overflows
		if n > most-all.End {
			return gap, memmap.Refuse("allocate", unix.ENOMEM, "%d bytes are more than a file can hold", n)
		}
		if err := f.growLocked(uint64(n+chunkSize-1) / chunkSize); err != nil {
			return gap, err
		}
		gap, _ = f.free.Highest(memmap.FileRange{End: f.size()}, uint64(n))
	}
	return memmap.FileRange{Start: gap.End - n, End: gap.End}, nil
}

// clear makes fr, which the caller owns, read as zeroes.
func (f *MemoryFile) clear(fr memmap.FileRange) error {
	memory, err := f.MapInternal(fr, memmap.Write)
	if err != nil {
		return err
	}
	if _, err := safemem.Zero(memory); err != nil {
		return noHostMemory(fr, err)
	}
	return nil
}

// WriteFresh writes b, as long as fr, to fr, which the caller owns and nobody has mapped,
// by a system call: ENOMEM. For more than a few pages that is quicker than to
// write to memory that the host has yet to find, clear and map page by page.
func (f *MemoryFile) WriteFresh(fr memmap.FileRange, b []byte) error {
	for done := 0; done < len(b); {
		n, err := unix.Pwrite(f.fd, b[done:], int64(fr.Start)+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return noHostMemory(fr, err)
		}
		done += n
	}
	if len(b) == 0 {
		return nil
	}
	return f.mapAround(fr)
}

// HostAround is how much the host maps, in bytes, where it meets a read of what is mapped but
// not in its page tables: Linux's fault_around_bytes, as all leave it.
const HostAround = 64 << 10

// mapAround has the host map fr here, a fault for each HostAround: a page that nobody has
// mapped costs it twice as much to map in a stub, and to unmap there, again and again.
func (f *MemoryFile) mapAround(fr memmap.FileRange) error {
	memory, err := f.MapInternal(fr, memmap.Read)
	if err != nil {
		return err
	}
	var b [1]byte
	for ; !memory.IsEmpty(); memory = memory.DropFirst(HostAround) {
		if _, err := safemem.Copy(safemem.Of(b[:]), memory); err != nil {
			return noHostMemory(fr, err)
		}
	}
	return nil
}

// noHostMemory is the refusal for a fault in pages of our own, which happens when
// the host cannot find memory for them.
func noHostMemory(fr memmap.FileRange, err error) error {
	r := memmap.Refuse("allocate", unix.ENOMEM, "the host has no memory for %v: %v", fr, err)
	r.Why = memmap.LimitHit
	return r
}

// AllocateCopy is Allocate of src's length, whole pages, filled from src. A fault
// in src is a *memmap.BusError and the whole pages copied before it are returned
// with it, perhaps none.
func (f *MemoryFile) AllocateCopy(src safemem.Seq, kind Kind, near memmap.FileOffset) (memmap.FileRange, error) {
	fr, _, err := f.take(src.NumBytes(), kind, near, nil)
	if err != nil {
		return memmap.FileRange{}, err
	}
	dst, err := f.MapInternal(fr, memmap.Write)
	if err != nil {
		f.DecRef(fr)
		return memmap.FileRange{}, err
	}
	populate(dst)
	n, err := safemem.Copy(dst, src)
	if err == nil {
		return fr, nil
	}
	if isFaultIn(dst, err) {
		f.DecRef(fr)
		return memmap.FileRange{}, noHostMemory(fr, err)
	}
	return f.keep(fr, n-n%memmap.PageSize), &memmap.BusError{Err: err}
}

// fillStep is how much AllocateFill has read at once, into a buffer of fillBuffers: into
// memory that the host has yet to find it would fault at each page.
const fillStep = 64 << 10

var fillBuffers = sync.Pool{New: func() any { b := make([]byte, fillStep); return &b }}

// AllocateFill is Allocate of n bytes filled by r until r is short or fails. The
// rest of the last page touched is zero; whole pages that r did not reach are
// given back. It returns what was kept (perhaps empty) and r's error.
func (f *MemoryFile) AllocateFill(n uint64, kind Kind, near memmap.FileOffset, r safemem.Reader) (memmap.FileRange, error) {
	fr, _, err := f.take(n, kind, near, nil)
	if err != nil {
		return memmap.FileRange{}, err
	}
	buf := fillBuffers.Get().(*[]byte)
	defer fillBuffers.Put(buf)
	var readErr error
	done := uint64(0)
	for done < n && readErr == nil {
		part := (*buf)[:min(n-done, fillStep)]
		got, err := r.ReadToBlocks(safemem.Of(part))
		if got > uint64(len(part)) {
			panic(fmt.Sprintf("pgalloc: a reader filled %d of %d bytes", got, len(part)))
		}
		pages, _ := memmap.PageRoundUp(got)
		clear(part[got:pages])
		at := memmap.FileRange{Start: fr.Start + memmap.FileOffset(done), End: fr.Start + memmap.FileOffset(done+pages)}
		if err := f.WriteFresh(at, part[:pages]); err != nil {
			f.DecRef(fr)
			return memmap.FileRange{}, err
		}
		done, readErr = done+got, err
		if got < uint64(len(part)) {
			break
		}
	}
	kept, _ := memmap.PageRoundUp(done)
	return f.keep(fr, kept), readErr
}

// keep gives back all of fr, which the caller owns, but its first n bytes.
func (f *MemoryFile) keep(fr memmap.FileRange, n uint64) memmap.FileRange {
	kept := memmap.FileRange{Start: fr.Start, End: fr.Start + memmap.FileOffset(n)}
	if rest := (memmap.FileRange{Start: kept.End, End: fr.End}); !rest.IsEmpty() {
		f.DecRef(rest)
	}
	return kept
}

// populate has the host find memory for dst at one stroke, where it is more than a
// page. It is an attempt: what it leaves out comes one fault at a time.
func populate(dst safemem.Seq) {
	for ; !dst.IsEmpty(); dst = dst.DropFirst(uint64(len(dst.Head()))) {
		if b := dst.Head(); len(b) > memmap.PageSize {
			unix.Madvise(b, unix.MADV_POPULATE_WRITE)
		}
	}
}

// isFaultIn reports whether err is a fault in blocks.
func isFaultIn(blocks safemem.Seq, err error) bool {
	var fault *safemem.FaultError
	if !errors.As(err, &fault) {
		return false
	}
	for ; !blocks.IsEmpty(); blocks = blocks.DropFirst(uint64(len(blocks.Head()))) {
		b := blocks.Head()
		if off := fault.Addr - uintptr(unsafe.Pointer(unsafe.SliceData(b))); off < uintptr(len(b)) {
			return true
		}
	}
	return false
}
