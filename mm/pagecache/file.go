package pagecache

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// File is a file's pages. It is counted: opens and identities are its users. It
// implements memmap.Mappable.
//
// What is cached stays as it was read. If somebody else changes the file meanwhile,
// its users see cached pages as they were and the others as they are; who opens it
// then has another File (see Key) and sees all as it is. A File that is written
// here is the file's only one for who opens it as long as it lives.
type File struct {
	cache   *Cache
	key     Key
	backing Backing
	host    *hostFile // its pages are the host's: those below are empty; or nil
	users   int       // Cache.mu

	writing bool   // somebody has opened it for writing; Cache.mu
	opens   uint64 // Cache.mu
	closed  bool   // Cache.mu

	named    atomic.Pointer[string] // see Name
	failures failures               // of writeback
	reads    atomic.Uint64          // of the Backing, to fill pages

	attrMu sync.Mutex // attributes; see writable

	mapsMu sync.Mutex
	maps   memmap.MappingSet
	cursor memmap.MappableOffset // where WriteSome goes on

	dataMu  sync.RWMutex
	pages   pgalloc.Frames
	readers sequence
	dirty   dirtySet
	w       *writable // nil: open for reading only; written with mapsMu as well
	taken   *pageSet  // what is translated during an eviction, else nil
}

// everything is all offsets that pages can have.
var everything = memmap.MappableRange{Start: 0, End: 1<<63 - memmap.PageSize}

// IncRef adds a user.
func (f *File) IncRef() {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if f.users <= 0 {
		panic("pagecache: reference to a released file")
	}
	f.users++
}

// DecRef drops a user. With the last one all pages are given back and the Backing
// is closed; but if pages or attributes cannot be written, the error is returned
// and the File stays: see Cache.Unwritten.
func (f *File) DecRef() error { return f.cache.release(f) }

// Key returns what tells f from other files.
func (f *File) Key() Key { return f.key }

// place notes where f is, for who asks when no Handle is left.
func (f *File) place(p Place) {
	name := p.Path()
	f.named.Store(&name)
}

// Name returns where the Handle that was made or dropped last saw f, "" before
// there is one.
func (f *File) Name() string {
	if name := f.named.Load(); name != nil {
		return *name
	}
	return ""
}

// Backing returns where the bytes live. It is f's.
func (f *File) Backing() Backing { return f.backing }

// Cached returns how many bytes of f are cached.
func (f *File) Cached() uint64 {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	return f.pages.Span()
}

// AddMapping implements memmap.Mappable. Shared mappings that may be written are
// EACCES if the file is open for reading only.
func (f *File) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, offset memmap.MappableOffset, writable bool) error {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	if writable && f.w == nil {
		return fmt.Errorf("shared writable mapping: %w: the file is open for reading only", unix.EACCES)
	}
	f.maps.AddMapping(ms, ar, offset, writable)
	return nil
}

// RemoveMapping implements memmap.Mappable. The pages stay for the next user; what
// can no longer be written through a mapping is written back.
func (f *File) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, offset memmap.MappableOffset, writable bool) {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	f.maps.RemoveMapping(ms, ar, offset, writable)
	if writable {
		f.settle(memmap.MappableRange{Start: offset, End: offset + memmap.MappableOffset(ar.Length())})
	}
}

// CopyMapping implements memmap.Mappable.
func (f *File) CopyMapping(ms memmap.MappingSpace, _, dst memmap.AddrRange, offset memmap.MappableOffset, writable bool) error {
	return f.AddMapping(ms, dst, offset, writable)
}

// Translate implements memmap.Mappable. Pages wholly beyond the file's end, and
// pages that cannot be read, are a *memmap.BusError.
func (f *File) Translate(required, optional memmap.MappableRange, at memmap.AccessType) ([]memmap.Translation, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if f.host != nil {
		return f.translateHost(required, optional, at)
	}
	if at.Write && f.w == nil {
		return nil, &memmap.BusError{Err: fmt.Errorf("%w: the file is open for reading only", unix.EROFS)}
	}
	end, err := f.pageEnd()
	if err != nil {
		return nil, &memmap.BusError{Err: err}
	}
	if required.Start >= end {
		return nil, beyondEnd()
	}
	inFile := memmap.MappableRange{End: end}
	wanted, optional := required.Intersect(inFile), optional.Intersect(inFile)
	fillErr := f.fill(wanted, end)
	ts := f.pages.Translations(f.cache.mem, wanted, optional, memmap.ReadExecute)
	if at.Write {
		f.allowWrites(ts)
	}
	f.noteTaken(ts)
	reached := required.Start
	if len(ts) > 0 {
		reached = ts[len(ts)-1].Source.End
	}
	switch {
	case reached >= required.End:
		return ts, nil
	case reached < wanted.End && fillErr != nil && !errors.Is(fillErr, io.EOF):
		return ts, &memmap.BusError{Err: fillErr}
	}
	return ts, beyondEnd()
}

// MappableEnd returns where the file's last page ends, for those who want to know
// without touching it; an unreadable file has no pages.
func (f *File) MappableEnd() memmap.MappableOffset {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	end, err := f.pageEnd()
	if err != nil {
		return 0
	}
	return end
}

// HugeAligned says whether the host would place large mappings of f where huge
// pages begin: its file system's choice.
func (f *File) HugeAligned() bool {
	b, ok := f.backing.(interface{ HugeAligned() bool })
	return ok && b.HugeAligned()
}

func beyondEnd() error {
	return &memmap.BusError{Err: fmt.Errorf("beyond the file's end: %w", io.EOF)}
}

// pageEnd returns the end of the file's last page. dataMu is held.
func (f *File) pageEnd() (memmap.MappableOffset, error) {
	size, err := f.size()
	if err != nil {
		return 0, err
	}
	end, ok := memmap.PageRoundUp(size)
	if !ok {
		return 0, fmt.Errorf("%w: size %#x", unix.EFBIG, size)
	}
	return memmap.MappableOffset(end), nil
}

// allowWrites lets who is given ts write to them: they stay dirty from now on.
// dataMu is held for writing.
func (f *File) allowWrites(ts []memmap.Translation) {
	before := f.dirty.Span()
	for i := range ts {
		ts[i].Perms.Write = true
		f.dirty.keepDirty(ts[i].Source)
	}
	if f.noteDirt(before) {
		f.w.mapped.Store(f.w.now())
	}
}

// noteTaken tells an eviction under way that ts are mapped again. dataMu is held
// for writing.
func (f *File) noteTaken(ts []memmap.Translation) {
	if f.taken == nil {
		return
	}
	for _, t := range ts {
		f.taken.add(t.Source)
	}
}

// ReadAt reads at off: cached pages as they are mapped, the rest from the Backing
// without caching it. At the end it returns fewer bytes and no error.
func (f *File) ReadAt(p []byte, off uint64) (int, error) {
	n, err := f.read(p, off)
	if n > 0 {
		f.TouchAccessTime()
	}
	return n, err
}

// ReadUnnoticed is ReadAt that leaves the access time alone.
func (f *File) ReadUnnoticed(p []byte, off uint64) (int, error) { return f.read(p, off) }

func (f *File) read(p []byte, off uint64) (int, error) {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	done := 0
	for done < len(p) {
		n, err := f.readPiece(p[done:], off+uint64(done))
		done += n
		if err != nil && !errors.Is(err, io.EOF) {
			return done, err
		}
		if n == 0 || err != nil {
			break
		}
	}
	return done, nil
}

// readPiece reads from the cached run at off, or up to the next one from the
// Backing. dataMu is held.
func (f *File) readPiece(p []byte, off uint64) (int, error) {
	limit := f.readLimit()
	if off >= limit {
		return 0, io.EOF
	}
	p = p[:min(uint64(len(p)), limit-off)]
	at := memmap.MappableOffset(off)
	seg, ok := f.pages.LowerBound(at)
	if ok && seg.Contains(at) {
		return f.readCached(p, off, seg)
	}
	if ok {
		p = p[:min(uint64(len(p)), uint64(seg.Start-at))]
	}
	n, err := f.backing.ReadToBlocksAt(safemem.Of(p), off)
	return int(n), err
}

// readCached reads from seg, which contains off, up to its end or the file's.
func (f *File) readCached(p []byte, off uint64, seg pgalloc.FrameRun) (int, error) {
	size, err := f.size()
	if err != nil {
		return 0, err
	}
	if off >= size {
		return 0, io.EOF
	}
	p = p[:min(uint64(len(p)), uint64(seg.End)-off, size-off)]
	pages := memmap.MappableRange{Start: memmap.MappableOffset(off) &^ (memmap.PageSize - 1), End: seg.End}
	src, err := f.cache.mem.MapInternal(pgalloc.FrameRange(seg, pages), memmap.Read)
	if err != nil {
		return 0, err
	}
	n, err := safemem.Copy(safemem.Of(p), src.DropFirst(off%memmap.PageSize))
	return int(n), err
}
