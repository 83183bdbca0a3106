package pagecache

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// writeDirty writes dirty pages of mr back, most bytes or the rest of a page more,
// and makes those clean that are not kept dirty. It stops at the first failure:
// that page and all behind it stay dirty. It returns the bytes that went and how
// far it came. dataMu is held for writing.
func (f *File) writeDirty(mr memmap.MappableRange, most uint64) (n uint64, reached memmap.MappableOffset, err error) {
	reached = mr.Start
	for _, seg := range f.dirty.in(mr) {
		if n >= most {
			return n, reached, nil
		}
		part := seg.Range
		if room, ok := memmap.PageRoundUp(most - n); ok && room < part.Length() {
			part.End = part.Start + memmap.MappableOffset(room)
		}
		reached, err = f.writePages(part)
		n += uint64(reached - part.Start)
		f.dirty.markClean(memmap.MappableRange{Start: part.Start, End: reached})
		if err != nil {
			return n, reached, f.fail(err)
		}
	}
	return n, mr.End, nil
}

// fail records a failure of writeback, if err is one, and returns it. Whoever waits for
// failures is told of each once, however often it is tried again.
func (f *File) fail(err error) error {
	if err != nil && f.failures.record(err) && f.cache.failed != nil {
		f.cache.failed(f, err)
	}
	return err
}

// writePages writes mr, all of which is cached, up to the file's end. It returns
// the end of the last page that went, which on success is mr's.
func (f *File) writePages(mr memmap.MappableRange) (memmap.MappableOffset, error) {
	size := f.w.attr.Size
	for seg := range f.pages.In(mr) {
		part := seg.Intersect(mr)
		if uint64(part.Start) >= size {
			break
		}
		srcs, err := f.cache.mem.MapInternal(pgalloc.FrameRange(seg, part), memmap.Read)
		if err != nil {
			return part.Start, err
		}
		n, err := writeAll(f.w.out, srcs.TakeFirst(size-uint64(part.Start)), uint64(part.Start))
		if err != nil {
			return part.Start + pageOf(n), err
		}
	}
	return mr.End, nil
}

// errShortWrite is what a Backing did that takes nothing and says no error.
var errShortWrite = fmt.Errorf("%w: nothing was taken", unix.EIO)

// writeAll writes srcs over short counts.
func writeAll(out WritableBacking, srcs safemem.Seq, off uint64) (uint64, error) {
	done := uint64(0)
	for !srcs.IsEmpty() {
		n, err := out.WriteFromBlocksAt(srcs, off+done)
		done += n
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, errShortWrite
		}
		srcs = srcs.DropFirst(n)
	}
	return done, nil
}

// SyncRange writes the dirty pages of mr back and makes them durable: msync. Pages
// become clean: who maps them for writing has to ask again, as on Linux. No lock of
// a memory manager may be held.
func (f *File) SyncRange(mr memmap.MappableRange) error {
	w := f.writer()
	if w == nil {
		return nil
	}
	f.protectKept(mr)
	if err := f.writeBack(mr); err != nil {
		return err
	}
	return f.fail(w.out.Sync())
}

// writeBack is writeDirty of all of mr, for who holds no lock below mapsMu.
func (f *File) writeBack(mr memmap.MappableRange) error {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	_, _, err := f.writeDirty(mr, math.MaxUint64)
	return err
}

// WriteOut writes dirty pages, then dirty attributes, and makes both durable. What
// could not be written stays dirty.
func (f *File) WriteOut() error {
	if err := f.flush(); err != nil {
		return err
	}
	w := f.writer()
	if w == nil {
		return nil
	}
	return f.fail(w.out.Sync())
}

// flush is WriteOut that trusts the Backing with what it was given.
func (f *File) flush() error {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	w := f.writer()
	if w == nil {
		return nil
	}
	f.protectKept(everything)
	if err := f.writeBack(everything); err != nil {
		return err
	}
	f.noteMappedWrites()
	if w.unsaved == 0 {
		return nil
	}
	mask := w.unsaved
	if size, err := w.out.Size(); mask&AttrSize != 0 && err == nil && size >= w.attr.Size {
		mask &^= AttrSize // somebody else may have made it longer since
	}
	if err := w.out.SetMaskedAttributes(mask, w.attr); err != nil {
		return f.fail(err)
	}
	w.unsaved = 0
	return nil
}

// Flush writes out all files, as a world ends: what the Backings were given is
// theirs. It returns all failures; what failed stays dirty.
func (c *Cache) Flush() error {
	var errs []error
	for _, f := range c.hold() {
		errs = append(errs, f.flush(), c.putBack(f))
	}
	return errors.Join(errs...)
}

// WriteBack writes all dirty pages back and makes them clean: who maps them for
// writing has to ask again. It returns how many bytes went. No lock of a memory
// manager may be held.
func (f *File) WriteBack() (uint64, error) {
	f.mapsMu.Lock()
	f.cursor = 0
	f.mapsMu.Unlock()
	return f.writeSome(math.MaxUint64)
}

// Sync writes out all files. It returns all failures; what failed stays dirty.
func (c *Cache) Sync() error {
	var errs []error
	for _, f := range c.hold() {
		errs = append(errs, f.WriteOut(), c.putBack(f))
	}
	return errors.Join(errs...)
}

// noteDirt counts what became dirty since before bytes were, and reports whether
// anything did. dataMu is held for writing.
func (f *File) noteDirt(before uint64) bool {
	n := f.dirty.Span() - before
	f.cache.news.Add(n)
	return n > 0
}

// writeEvery is how much may become dirty before WriteDue says so, in bytes.
const writeEvery = 32 << 20

// WriteDue is WriteSome once enough has become dirty since the last one: whoever
// makes pages dirty calls it where no lock is held, so that what a crash of the
// machine costs is bounded, and when it is written depends on the guests alone.
func (c *Cache) WriteDue() {
	if c.news.Load() >= writeEvery {
		_, _ = c.WriteSome(writeEvery) // failures are recorded, and the pages stay dirty
	}
}

// WriteSome writes back up to most bytes of dirty pages, rounded up to pages, going
// round over files and pages: the background's step. Pages become clean: who maps
// them for writing has to ask again. No lock of a memory manager may be held.
// It returns how many bytes went, and all failures; what failed stays dirty and
// the next call begins behind it.
func (c *Cache) WriteSome(most uint64) (uint64, error) {
	c.news.Store(0)
	files := c.hold()
	var errs []error
	done := uint64(0)
	for _, f := range rotated(files, c.nextTurn()) {
		if done < most {
			n, err := f.writeSome(most - done)
			done += n
			errs = append(errs, err)
		}
	}
	for _, f := range files {
		errs = append(errs, c.putBack(f))
	}
	return done, errors.Join(errs...)
}

// rotated returns files from the n-th on, going round.
func rotated(files []*File, n int) []*File {
	if len(files) == 0 {
		return nil
	}
	n %= len(files)
	return append(files[n:len(files):len(files)], files[:n]...)
}

// writeSome is WriteSome of one file, from where the last one ended.
func (f *File) writeSome(most uint64) (uint64, error) {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	mr := f.firstDirty(most)
	if mr.IsEmpty() {
		return 0, nil
	}
	f.protect(mr)
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	n, reached, err := f.writeDirty(mr, most)
	f.cursor = reached
	if err != nil {
		f.cursor += memmap.PageSize
	}
	return n, err
}

// firstDirty returns the range of the first most bytes, rounded up to pages, that
// are dirty from the cursor on, or from the start if there are none.
func (f *File) firstDirty(most uint64) memmap.MappableRange {
	f.dataMu.RLock()
	defer f.dataMu.RUnlock()
	seg, ok := f.dirty.LowerBound(f.cursor)
	if !ok {
		f.cursor = 0
		if seg, ok = f.dirty.First(); !ok {
			return memmap.MappableRange{}
		}
	}
	mr := memmap.MappableRange{Start: max(f.cursor, seg.Start)}
	for seg := range f.dirty.In(memmap.MappableRange{Start: mr.Start, End: everything.End}) {
		from := max(seg.Start, mr.Start)
		n, ok := memmap.PageRoundUp(most)
		if ok && n <= uint64(seg.End-from) {
			mr.End = from + memmap.MappableOffset(n)
			break
		}
		mr.End = seg.End
		most -= uint64(seg.End - from)
	}
	return mr
}

// protectKept is protect of what of mr mappings keep dirty, for who holds no lock from
// mapsMu on.
func (f *File) protectKept(mr memmap.MappableRange) {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	f.dataMu.RLock()
	dirty := f.dirty.in(mr)
	f.dataMu.RUnlock()
	for _, seg := range dirty {
		if seg.Value.keep {
			f.protect(seg.Range)
		}
	}
}

// protect takes mr from the mappings that may write it; what of it they ask for
// again meanwhile is kept dirty again. mapsMu is held.
func (f *File) protect(mr memmap.MappableRange) {
	f.dataMu.Lock()
	f.dirty.allowClean(mr)
	f.dataMu.Unlock()
	f.maps.Each(mr, func(m memmap.Mapping) bool {
		if m.Writable {
			m.Space.Invalidate(m.AR, false)
		}
		return true
	})
}

// settle writes back what of mr no mapping can write any more. mapsMu is held.
// Failures are heard of by the next who syncs.
func (f *File) settle(mr memmap.MappableRange) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if f.w == nil || !f.dirty.Overlaps(mr) {
		return
	}
	for _, part := range f.notWritable(mr) {
		f.dirty.allowClean(part)
		_, _, _ = f.writeDirty(part, math.MaxUint64) // recorded, and the pages stay dirty
	}
}

// notWritable returns the parts of mr that no writable mapping has. mapsMu is held.
func (f *File) notWritable(mr memmap.MappableRange) []memmap.MappableRange {
	var written pageSet
	f.maps.Each(mr, func(m memmap.Mapping) bool {
		if m.Writable {
			written.add(m.MR)
		}
		return true
	})
	var parts []memmap.MappableRange
	for gap := range written.Gaps(mr) {
		parts = append(parts, gap)
	}
	return parts
}
