package pagecache

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/memmap/segment"
)

// hostFile is a file of the host as a memmap.File, whose offsets are the file's own:
// what stubs map of it are the host's pages. The sandbox maps them as well, in chunks,
// as long as anybody has a reference on a page of one. Accesses to that memory may
// fault at any time: the host may make the file shorter.
type hostFile struct {
	fd    atomic.Int64 // what is mapped
	write atomic.Bool  // fd may be mapped writable
	exec  bool         // the host would let it be executed

	mu     sync.Mutex // a leaf
	closed bool       // fd is nobody's any more: pins may hold pages on
	refs   segment.Set[memmap.FileOffset, refCount]
	chunks map[memmap.FileOffset]hostChunk // by where they begin
	all    *chunkCount
}

// refCount is how many references the pages of a run have.
type refCount uint32

// Merge implements segment.Value.
func (n refCount) Merge(_, _ memmap.FileRange, next refCount) bool { return n == next }

// Split implements segment.Value.
func (n refCount) Split(memmap.FileRange, memmap.FileOffset) refCount { return n }

// hostChunkSize is how much of a file is mapped in the sandbox at once, in bytes.
const hostChunkSize = 2 << 20

// mostHostChunks is how many chunks of all files are mapped at most: the host allows a
// process, us among them, 65,530 mappings.
const mostHostChunks = 16 << 10

// chunkCount counts the chunks of all files.
type chunkCount struct {
	n    atomic.Int64
	most int64
}

// take counts one more, false if there are too many.
func (c *chunkCount) take() bool {
	if c.n.Add(1) <= c.most {
		return true
	}
	c.n.Add(-1)
	return false
}

// hostChunk is where a chunk is mapped in the sandbox.
type hostChunk struct {
	memory   unsafe.Pointer
	writable bool
}

// described is a Backing that is a descriptor of the host, -1: after all it is none.
type described interface{ FD() int }

// newHostFile returns b's file, nil if b has no descriptor or the host does not let it
// be mapped: then its pages are kept as other files' are.
func newHostFile(b Backing, all *chunkCount) *hostFile {
	d, ok := b.(described)
	if !ok || d.FD() < 0 {
		return nil
	}
	fd := d.FD()
	exec := mayMap(fd, unix.PROT_READ|unix.PROT_EXEC)
	if !exec && !mayMap(fd, unix.PROT_READ) {
		return nil
	}
	h := &hostFile{exec: exec, chunks: make(map[memmap.FileOffset]hostChunk), all: all}
	h.fd.Store(int64(fd))
	return h
}

// mayMap asks the host whether fd can be mapped so.
func mayMap(fd, prot int) bool {
	p, err := unix.MmapPtr(fd, 0, nil, memmap.PageSize, prot, unix.MAP_SHARED)
	return err == nil && unix.MunmapPtr(p, memmap.PageSize) == nil
}

// openForWriting maps through b from now on, if the host lets that be written. What is
// mapped stays mapped.
func (h *hostFile) openForWriting(b WritableBacking) {
	if fd := b.FD(); fd >= 0 && mayMap(fd, unix.PROT_READ|unix.PROT_WRITE) {
		h.fd.Store(int64(fd))
		h.write.Store(true)
	}
}

// FD implements memmap.File.
func (h *hostFile) FD() int { return int(h.fd.Load()) }

// IncRef implements memmap.File.
func (h *hostFile) IncRef(fr memmap.FileRange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := slices.Collect(h.refs.Gaps(fr))
	h.refs.Update(fr, func(_ memmap.FileRange, n refCount) refCount { return n + 1 })
	for _, gap := range fresh {
		h.refs.Insert(gap, 1)
	}
}

// DecRef implements memmap.File.
func (h *hostFile) DecRef(fr memmap.FileRange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.refs.Covers(fr) {
		panic(fmt.Sprintf("pagecache: a reference too many on %v of a host file is dropped", fr))
	}
	bare := false
	for _, seg := range h.refs.Cut(fr, nil) {
		if seg.Value > 1 {
			h.refs.Insert(seg.Range, seg.Value-1)
			continue
		}
		bare = true
	}
	if bare {
		h.unmapUnused(fr)
	}
}

// unmapUnused unmaps the chunks of fr that nobody has a reference on. h.mu is held.
func (h *hostFile) unmapUnused(fr memmap.FileRange) {
	drop := func(start memmap.FileOffset) {
		c, mapped := h.chunks[start]
		if mapped && !h.refs.Overlaps(memmap.FileRange{Start: start, End: start + hostChunkSize}) {
			_ = unix.MunmapPtr(c.memory, hostChunkSize) // a mapping of our own: it cannot fail
			delete(h.chunks, start)
			h.all.n.Add(-1)
		}
	}
	if fr.Length()/hostChunkSize > uint64(len(h.chunks)) {
		for start := range h.chunks {
			drop(start)
		}
		return
	}
	for start := fr.Start &^ (hostChunkSize - 1); start < fr.End; start += hostChunkSize {
		drop(start)
	}
}

// MapInternal implements memmap.File: EACCES for what is not open for writing, ENOMEM if
// too much is mapped in the sandbox.
func (h *hostFile) MapInternal(fr memmap.FileRange, at memmap.AccessType) (safemem.Seq, error) {
	if at.Execute || at.Write && !h.write.Load() {
		return safemem.Seq{}, memmap.Refuse("map", unix.EACCES, "the host's file is not mapped %v", at)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var blocks safemem.Seq
	for fr.Start < fr.End {
		start := fr.Start &^ (hostChunkSize - 1)
		p, err := h.chunk(start, at.Write)
		if err != nil {
			return safemem.Seq{}, &memmap.BusError{Err: err}
		}
		end := min(start+hostChunkSize, fr.End)
		blocks = blocks.Append(unsafe.Slice((*byte)(p), hostChunkSize)[fr.Start-start : end-start])
		fr.Start = end
	}
	return blocks, nil
}

// chunk returns the memory of the chunk at start. One that was mapped for reading is
// replaced where it lies: others may be at work on it. h.mu is held.
func (h *hostFile) chunk(start memmap.FileOffset, write bool) (unsafe.Pointer, error) {
	c, mapped := h.chunks[start]
	if mapped && (c.writable || !write) {
		return c.memory, nil
	}
	if h.closed {
		return nil, fmt.Errorf("%w: the host's file is closed", unix.EBADF)
	}
	if !mapped && !h.all.take() {
		return nil, fmt.Errorf("%w: %d parts of the host's files are mapped in the sandbox", unix.ENOMEM, h.all.most)
	}
	prot, flags := unix.PROT_READ, unix.MAP_SHARED
	if h.write.Load() {
		prot |= unix.PROT_WRITE
	}
	if mapped {
		flags |= unix.MAP_FIXED
	}
	p, err := unix.MmapPtr(h.FD(), int64(start), c.memory, hostChunkSize, prot, flags)
	if err != nil {
		if !mapped {
			h.all.n.Add(-1)
		}
		return nil, fmt.Errorf("mapping the host's file at offset %#x: %w", start, err)
	}
	h.chunks[start] = hostChunk{p, prot&unix.PROT_WRITE != 0}
	return p, nil
}

// close says that the descriptor goes. What is mapped stays.
func (h *hostFile) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

// Counts implements memmap.Counted.
func (h *hostFile) Counts(fr memmap.FileRange, f func(memmap.FileRange, uint32)) {
	h.mu.Lock()
	runs := slices.Collect(h.refs.In(fr))
	h.mu.Unlock()
	for _, seg := range runs {
		f(seg.Intersect(fr), uint32(seg.Value))
	}
}

// translateHost is Translate of a file that the host keeps: the pages that it has
// now, to be written only by who is about to. dataMu is held.
func (f *File) translateHost(required, optional memmap.MappableRange, at memmap.AccessType) ([]memmap.Translation, error) {
	end, err := f.pageEnd()
	if err != nil {
		return nil, &memmap.BusError{Err: err}
	}
	if at.Write && !f.host.write.Load() {
		return nil, &memmap.BusError{Err: fmt.Errorf("%w: the file is open for reading only", unix.EROFS)}
	}
	if required.Start >= end {
		return nil, beyondEnd()
	}
	source := optional.Intersect(memmap.MappableRange{End: end})
	perms := memmap.AccessType{Read: true, Write: at.Write, Execute: f.host.exec}
	if at.Execute && !f.host.exec {
		return nil, &memmap.BusError{Err: fmt.Errorf("%w: the host does not let it be executed", unix.EACCES)}
	}
	ts := []memmap.Translation{{Source: source, File: f.host, Offset: memmap.FileOffset(source.Start), Perms: perms}}
	if source.End < required.End {
		return ts, beyondEnd()
	}
	return ts, nil
}

// Appender is a WritableBacking whose end others may move: AppendBlocks finds it and
// writes there in one step, and returns also where the end is afterwards.
type Appender interface {
	AppendBlocks(srcs safemem.Seq) (n, end uint64, err error)
}

// appendHost is Append to a file that the host keeps. attrMu is held.
func (f *File) appendHost(p []byte) (n int, off uint64, err error) {
	if len(p) == 0 {
		return 0, 0, nil
	}
	if a, ok := f.w.out.(Appender); ok {
		k, end, err := a.AppendBlocks(safemem.Of(p))
		return int(k), max(end, k) - k, err
	}
	if off, err = f.w.out.Size(); err != nil {
		return 0, 0, err
	}
	n, err = f.write(p, off)
	return n, off, err
}

// hostRuns is Runs of a file that the host keeps: what guests map of it. What else of
// it is in memory, and what is dirty, is the host's affair.
func (f *File) hostRuns() []memmap.CachedRun {
	f.mapsMu.Lock()
	defer f.mapsMu.Unlock()
	var runs []memmap.CachedRun
	f.host.Counts(memmap.FileRange{End: memmap.FileOffset(everything.End)}, func(fr memmap.FileRange, refs uint32) {
		r := memmap.CachedRun{
			Pages: memmap.MappableRange{Start: memmap.MappableOffset(fr.Start), End: memmap.MappableOffset(fr.End)},
			In:    fr, HostRefs: refs,
		}
		f.maps.Each(r.Pages, func(m memmap.Mapping) bool {
			r.Maps = append(r.Maps, m)
			return true
		})
		runs = append(runs, r)
	})
	return runs
}

// OfHost reports whether f's pages are the host's own, mapped directly.
func (f *File) OfHost() bool { return f.host != nil }
