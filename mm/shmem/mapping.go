package shmem

import (
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// Resident says that the pages are shared memory.
func (p *Pages) Resident() memmap.Residency { return memmap.ResidentShmem }

// MappableEnd returns where the last page ends.
func (p *Pages) MappableEnd() memmap.MappableOffset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end()
}

// Cached calls f for the stretches of mr that have pages, in order.
func (p *Pages) Cached(mr memmap.MappableRange, f func(memmap.MappableRange)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seg := range p.runs.In(mr) {
		f(seg.Intersect(mr))
	}
}

// AddMapping implements memmap.Mappable: EPERM for one that may write what is sealed.
func (p *Pages) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	if writable && p.Seals()&unix.F_SEAL_WRITE != 0 {
		return memmap.Refuse("mmap", unix.EPERM, "the file is sealed against writing")
	}
	p.maps.AddMapping(ms, ar, off, writable)
	return nil
}

// RemoveMapping implements memmap.Mappable.
func (p *Pages) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.maps.RemoveMapping(ms, ar, off, writable)
}

// CopyMapping implements memmap.Mappable.
func (p *Pages) CopyMapping(ms memmap.MappingSpace, _, dst memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	return p.AddMapping(ms, dst, off, writable)
}

// Spaces returns who maps the file, each once.
func (p *Pages) Spaces() []memmap.MappingSpace {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	var all []memmap.MappingSpace
	seen := make(map[memmap.MappingSpace]bool)
	p.maps.Each(everything, func(m memmap.Mapping) bool {
		if !seen[m.Space] {
			seen[m.Space] = true
			all = append(all, m.Space)
		}
		return true
	})
	return all
}

// Translate implements memmap.Mappable. Pages are made as they are touched, also by
// reading, as tmpfs does; beyond the last page is SIGBUS.
func (p *Pages) Translate(required, optional memmap.MappableRange, at memmap.AccessType) ([]memmap.Translation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := p.end()
	if required.Start >= end {
		return nil, &memmap.BusError{Err: io.EOF}
	}
	beyond := required.End > end
	required.End = min(required.End, end)
	optional.End = min(optional.End, end)
	_, full := p.fill(p.widened(required, optional, at.Write))
	ts := p.runs.Translations(p.mem, required, optional, memmap.AnyAccess)
	switch {
	case len(ts) == 0 || ts[len(ts)-1].Source.End < required.End:
		return ts, &memmap.BusError{Err: full}
	case beyond:
		return ts, &memmap.BusError{Err: io.EOF}
	}
	return ts, nil
}

// widened returns required and as much behind it as optional allows of p.window, or, for
// who writes from page to page, of a window that grows. p.mu is held.
func (p *Pages) widened(required, optional memmap.MappableRange, write bool) memmap.MappableRange {
	if p.narrow {
		return required
	}
	want := p.window
	if write {
		want = max(want, p.writes.window(required))
	}
	if end := required.Start + memmap.MappableOffset(want); end > required.End {
		required.End = min(end, optional.End)
	}
	if write {
		p.writes.next = required.End
	}
	return required
}

// sequence knows where who writes through a mapping from page to page would find no page
// next, and how much he gets there.
type sequence struct {
	next memmap.MappableOffset
	size uint64 // 0: he has just begun
}

// The window of sequential writers: of a page first, so that who writes here and there
// makes the pages that he writes and no others.
const (
	firstAhead = 64 << 10
	lastAhead  = memmap.HugePageSize
)

// window returns how much is made where required is written, in bytes.
func (s *sequence) window(required memmap.MappableRange) uint64 {
	switch {
	case required.Start != s.next || required.Start == 0:
		s.size = 0
	case s.size == 0:
		s.size = firstAhead
	default:
		s.size = min(4*s.size, lastAhead)
	}
	return s.size
}

// FillPage makes the page at off with that content: EEXIST if it is there, EFAULT beyond
// the last page, ENOMEM.
func (p *Pages) FillPage(off memmap.MappableOffset, content []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	page := memmap.MappableRange{Start: off, End: off + memmap.PageSize}
	switch {
	case off >= p.end():
		return memmap.Refuse("userfaultfd", unix.EFAULT, "offset %#x lies beyond the end, %#x", uint64(off), p.size)
	case p.runs.Overlaps(page):
		return memmap.Refuse("userfaultfd", unix.EEXIST, "shared memory has a page at offset %#x", uint64(off))
	}
	if _, err := p.fill(page); err != nil {
		return memmap.Refuse("userfaultfd", unix.ENOMEM, "%v", err)
	}
	return p.each(content, uint64(off), func(memory safemem.Seq, part []byte) (uint64, error) {
		return safemem.Copy(memory, safemem.Of(part))
	})
}

// Narrow has pages be made one by one from now on: somebody can ask which there are.
func (p *Pages) Narrow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.narrow = true
}

// Punch implements mm.Puncher: mr becomes a hole. Who touches a page meanwhile
// finds a fresh one. EPERM: a seal.
func (p *Pages) Punch(mr memmap.MappableRange) error {
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.mu.Lock()
	if err := p.sealed(sealWrites, "punch"); err != nil {
		p.mu.Unlock()
		return err
	}
	cut := p.runs.Cut(mr, nil)
	p.mu.Unlock()
	p.maps.Invalidate(mr, false)
	p.release(cut)
	return nil
}
