package pagecache

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// WriteAt writes p at off: into cached pages, which become dirty, and past them
// to the Backing; it caches nothing. The file grows to where the write ends. It
// returns how many bytes were written, and why not all.
//
// Errors: EROFS f is open for reading only; EFBIG the first byte lies beyond what
// a file can hold (what fits of the others is written); the Backing's.
func (f *File) WriteAt(p []byte, off uint64) (int, error) {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	return f.write(p, off)
}

// Append is WriteAt at the file's end, which nobody moves meanwhile. It returns
// also where that was.
func (f *File) Append(p []byte) (n int, off uint64, err error) {
	f.attrMu.Lock()
	defer f.attrMu.Unlock()
	if w := f.writer(); w != nil && f.host != nil {
		return f.appendHost(p)
	} else if w != nil {
		off = w.attr.Size
	}
	n, err = f.write(p, off)
	return n, off, err
}

// write is WriteAt. attrMu is held.
func (f *File) write(p []byte, off uint64) (int, error) {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	switch {
	case f.w == nil:
		return 0, fmt.Errorf("write: %w: the file is open for reading only", unix.EROFS)
	case len(p) == 0:
		return 0, nil
	case off >= maxSize:
		return 0, fmt.Errorf("write at %#x: %w", off, unix.EFBIG)
	}
	p = p[:min(uint64(len(p)), maxSize-off)]
	f.touch(AttrMTime | AttrCTime)
	if f.host != nil {
		n, err := writeAll(f.w.out, safemem.Of(p), off)
		return int(n), err
	}
	if err := f.zeroTail(off); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := f.writePiece(p[done:], off+uint64(done))
		done += n
		if n > 0 {
			f.growTo(off + uint64(done))
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// writePiece writes to the cached run at off, or up to the next one to the
// Backing. dataMu is held for writing.
func (f *File) writePiece(p []byte, off uint64) (int, error) {
	at := memmap.MappableOffset(off)
	seg, ok := f.pages.LowerBound(at)
	if ok && seg.Contains(at) {
		return f.writeCached(p, off, seg)
	}
	if ok {
		p = p[:min(uint64(len(p)), uint64(seg.Start-at))]
	}
	n, err := f.w.out.WriteFromBlocksAt(safemem.Of(p), off)
	if n == 0 && err == nil {
		err = errShortWrite
	}
	return int(n), err
}

// writeCached writes to seg, which contains off, up to its end.
func (f *File) writeCached(p []byte, off uint64, seg pgalloc.FrameRun) (int, error) {
	p = p[:min(uint64(len(p)), uint64(seg.End)-off)]
	pages := pagesOf(off, off+uint64(len(p)))
	dst, err := f.cache.mem.MapInternal(pgalloc.FrameRange(seg, pages), memmap.Write)
	if err != nil {
		return 0, err
	}
	n, err := safemem.Copy(dst.DropFirst(off%memmap.PageSize), safemem.Of(p))
	if n > 0 {
		before := f.dirty.Span()
		f.dirty.markDirty(pagesOf(off, off+n))
		f.noteDirt(before)
	}
	return int(n), err
}

// growTo moves the file's end to end if it lies before. attrMu and dataMu are held.
func (f *File) growTo(end uint64) {
	if f.host == nil && end > f.w.attr.Size {
		f.w.attr.Size = end
		f.w.unsaved |= AttrSize
	}
}

// zeroTail clears what the last page holds between the file's end and end, if that
// lies behind: mappings may have left something there, which must not become part
// of the file. dataMu is held for writing.
func (f *File) zeroTail(end uint64) error {
	if f.host != nil {
		return nil // the host has done it
	}
	size := f.w.attr.Size
	return f.zero(size, min(end, uint64(pagesOf(0, size).End)))
}

// zero clears what is cached of [from, to), which lies within one page. dataMu is
// held for writing.
func (f *File) zero(from, to uint64) error {
	if from >= to {
		return nil
	}
	seg, ok := f.pages.Find(memmap.MappableOffset(from))
	if !ok {
		return nil
	}
	dst, err := f.cache.mem.MapInternal(pgalloc.FrameRange(seg, pagesOf(from, to)), memmap.Write)
	if err != nil {
		return err
	}
	_, err = safemem.Zero(dst.DropFirst(from % memmap.PageSize).TakeFirst(to - from))
	return err
}
