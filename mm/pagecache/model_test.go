package pagecache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// modelPages is how long the model's file gets.
const modelPages = 20

// played is a file of bytes beside the File that should be the same.
type played struct {
	t      *testing.T
	r      *rand.Rand
	mem    *pgalloc.MemoryFile
	c      *Cache
	f      *File
	s      *store
	want   []byte
	spaces []*playedSpace
}

// playedSpace is a process that maps the file several times. It holds translations
// as a memory manager does.
type playedSpace struct {
	p    *played
	maps []playedMap
	held map[memmap.Addr]heldPage
}

type playedMap struct {
	ar      memmap.AddrRange
	off     memmap.MappableOffset
	shared  bool
	written bool // shared and may be written
}

// heldPage is a page of the file, or a private copy of one.
type heldPage struct {
	in    memmap.FileRange
	write bool
	copy  []byte
}

func (s *playedSpace) Invalidate(ar memmap.AddrRange, private bool) {
	for a := ar.Start; a < ar.End; a += page {
		h, ok := s.held[a]
		if !ok || h.copy != nil && !private {
			continue
		}
		if h.copy == nil {
			s.p.mem.DecRef(h.in)
		}
		delete(s.held, a)
	}
}

// touch brings the page at a in; nil if that is a bus error.
func (s *playedSpace) touch(m playedMap, a memmap.Addr, at memmap.AccessType) []byte {
	h, ok := s.held[a]
	if ok && h.copy != nil {
		return h.copy
	}
	p := s.p
	private := !m.shared && at.Write
	if private {
		at = memmap.Read
	}
	if !ok || at.Write && !h.write {
		off := m.off + memmap.MappableOffset(a-m.ar.Start)
		mr := memmap.MappableRange{Start: off, End: off + page}
		ts, err := p.f.Translate(mr, mr, at)
		if bad := memmap.CheckTranslateResult(mr, mr, at, ts, err); bad != nil {
			p.t.Fatal(bad)
		}
		if err != nil {
			if beyond := int(off) >= (len(p.want)+page-1)/page*page; !beyond && !errors.Is(err, unix.ENOMEM) {
				p.t.Fatalf("page %#x of %#x bytes: %v", off, len(p.want), err)
			}
			return nil
		}
		p.mem.IncRef(ts[0].FileRange())
		if ok {
			p.mem.DecRef(h.in)
		}
		h = heldPage{in: ts[0].FileRange(), write: ts[0].Perms.Write}
		s.held[a] = h
	}
	seq, err := p.mem.MapInternal(h.in, memmap.ReadWrite)
	if err != nil {
		p.t.Fatal(err)
	}
	if !private {
		return seq.Head()
	}
	c := make([]byte, page)
	_, _ = safemem.Copy(safemem.Of(c), seq)
	p.mem.DecRef(h.in)
	s.held[a] = heldPage{copy: c}
	return c
}

// aMap returns one of the mappings.
func (p *played) aMap() (*playedSpace, int) {
	s := p.spaces[p.r.IntN(len(p.spaces))]
	if len(s.maps) == 0 {
		return nil, 0
	}
	return s, p.r.IntN(len(s.maps))
}

func (p *played) mmap() {
	s := p.spaces[p.r.IntN(len(p.spaces))]
	if len(s.maps) >= 4 {
		return
	}
	slot := memmap.Addr(1)
	for slices.ContainsFunc(s.maps, func(m playedMap) bool { return m.ar.Start == slot<<20 }) {
		slot++
	}
	n := 1 + p.r.IntN(8)
	m := playedMap{
		ar:     memmap.AddrRange{Start: slot << 20, End: slot<<20 + memmap.Addr(n*page)},
		off:    memmap.MappableOffset(p.r.IntN(modelPages) * page),
		shared: p.r.IntN(3) > 0,
	}
	m.written = m.shared && p.r.IntN(3) > 0
	if err := p.f.AddMapping(s, m.ar, m.off, m.written); err != nil {
		p.t.Fatal(err)
	}
	s.maps = append(s.maps, m)
}

func (p *played) munmap() {
	s, i := p.aMap()
	if s == nil {
		return
	}
	s.unmap(i)
}

func (s *playedSpace) unmap(i int) {
	m := s.maps[i]
	s.Invalidate(m.ar, true)
	s.p.f.RemoveMapping(s, m.ar, m.off, m.written)
	s.maps = slices.Delete(s.maps, i, i+1)
}

// access reads or writes a few bytes through a mapping, in one page.
func (p *played) access() {
	s, i := p.aMap()
	if s == nil {
		return
	}
	m := s.maps[i]
	a := m.ar.Start + memmap.Addr(p.r.IntN(int(m.ar.Length())/page)*page)
	off := int(m.off) + int(a-m.ar.Start)
	at := memmap.Read
	if p.r.IntN(2) == 0 && (m.written || !m.shared) {
		at = memmap.ReadWrite
	}
	own := s.held[a].copy != nil
	mine := bytes.Clone(s.held[a].copy)
	b := s.touch(m, a, at)
	if b == nil {
		return
	}
	if own && !bytes.Equal(b, mine) {
		p.t.Fatal("a private copy has changed")
	}
	inFile := min(page, len(p.want)-off)
	if !own && (inFile <= 0 || !bytes.Equal(b[:inFile], p.want[off:off+inFile])) {
		p.t.Fatalf("page %#x of %#x bytes, mapped at %v: wrong bytes", off, len(p.want), a)
	}
	if at.Write {
		from := p.r.IntN(page)
		to := from + p.r.IntN(page-from)
		for j := from; j < to; j++ {
			b[j] = byte(p.r.Uint32())
		}
		if m.shared && from < inFile { // what lies behind the end is lost
			copy(p.want[off+from:off+inFile], b[from:min(to, inFile)])
		}
	}
}

func (p *played) writeAt() {
	off := p.r.IntN(modelPages * page)
	b := make([]byte, 1+p.r.IntN(3*page))
	for i := range b {
		b[i] = byte(p.r.Uint32())
	}
	if off+len(b) > modelPages*page {
		b = b[:modelPages*page-off]
	}
	n, err := p.f.WriteAt(b, uint64(off))
	if (err == nil) != (n == len(b)) {
		p.t.Fatalf("%d of %d bytes written: %v", n, len(b), err)
	}
	if grow := off + n - len(p.want); n > 0 && grow > 0 {
		p.want = append(p.want, make([]byte, grow)...)
	}
	if n > 0 {
		copy(p.want[off:], b[:n])
	}
}

func (p *played) readAt() {
	off, b := p.r.IntN((modelPages+1)*page), make([]byte, p.r.IntN(4*page))
	n, err := p.f.ReadAt(b, uint64(off))
	if want := p.want[min(off, len(p.want)):min(off+len(b), len(p.want))]; err != nil || !bytes.Equal(b[:n], want) {
		p.t.Fatalf("ReadAt(%#x, %d): %d bytes, want %d; %v", off, len(b), n, len(want), err)
	}
}

func (p *played) truncate() {
	size := p.r.IntN(modelPages * page)
	if p.f.Truncate(uint64(size)) != nil {
		return
	}
	end := memmap.MappableOffset((size + page - 1) / page * page)
	for _, s := range p.spaces { // private copies behind the end are gone, by order
		for _, m := range s.maps {
			for a := m.ar.Start; a < m.ar.End; a += page {
				if _, ok := s.held[a]; ok && size < len(p.want) && m.off+memmap.MappableOffset(a-m.ar.Start) >= end {
					p.t.Fatalf("truncated to %#x: page mapped at %v is left", size, a)
				}
			}
		}
	}
	p.want = append(p.want[:min(size, len(p.want))], make([]byte, max(0, size-len(p.want)))...)
}

// check proves that no byte is lost: what is not dirty is in the Backing.
func (p *played) check() {
	p.f.dataMu.RLock()
	defer p.f.dataMu.RUnlock()
	if p.f.w.attr.Size != uint64(len(p.want)) {
		p.t.Fatalf("size %#x, want %#x", p.f.w.attr.Size, len(p.want))
	}
	all := memmap.MappableRange{End: memmap.MappableOffset((len(p.want) + page - 1) / page * page)}
	for clean := range p.f.dirty.Gaps(all) {
		end := min(int(clean.End), len(p.want))
		have := p.s.bytes[min(int(clean.Start), len(p.s.bytes)):min(end, len(p.s.bytes))]
		if !bytes.Equal(have, p.want[clean.Start:end]) {
			p.t.Fatalf("clean pages %v are not in the backing", clean)
		}
	}
	for seg := range p.f.dirty.All() {
		if !p.f.pages.Covers(seg.Range) {
			p.t.Fatalf("dirty pages %v are not cached", seg.Range)
		}
	}
	for _, s := range p.spaces {
		for _, m := range s.maps {
			for a := m.ar.Start; a < m.ar.End; a += page {
				if h := s.held[a]; h.write && h.copy == nil {
					d, ok := p.f.dirty.Find(m.off + memmap.MappableOffset(a-m.ar.Start))
					if !ok || !d.Value.keep {
						p.t.Fatalf("the page at %v may be written and is not kept dirty", a)
					}
				}
			}
		}
	}
}

// A file of bytes, and a File with mappings in several spaces over a Backing that
// fails at random, are played the same. Nothing is ever lost.
func TestModel(t *testing.T) {
	const steps = 100_000
	for seed := range uint64(2) {
		c := newCache(t, 24*page)
		s := newStore(7*page + 100)
		p := &played{t: t, r: rand.New(rand.NewPCG(seed, 4)), mem: c.Memory(), c: c, s: s, want: bytes.Clone(s.bytes)}
		s.dice = rand.New(rand.NewPCG(seed, 5))
		p.f = c.openStore(s, 1)
		for range 3 {
			p.spaces = append(p.spaces, &playedSpace{p: p, held: map[memmap.Addr]heldPage{}})
		}
		for range steps / 2 {
			p.step()
			p.check()
		}
		for _, sp := range p.spaces {
			for len(sp.maps) > 0 {
				sp.unmap(0)
			}
		}
		s.dice = nil
		if err := p.f.DecRef(); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(s.bytes, p.want) || s.closed != 1 {
			t.Errorf("seed %d: the file is not what was written; closed %d times", seed, s.closed)
		}
	}
}

func (p *played) step() {
	switch n := p.r.IntN(100); {
	case n < 50:
		p.access()
	case n < 60:
		p.writeAt()
	case n < 70:
		p.readAt()
	case n < 76:
		p.mmap()
	case n < 81:
		p.munmap()
	case n < 84:
		p.truncate()
	case n < 88:
		p.c.Evict(p.r.Uint64N(6 * page))
	case n < 92:
		_, _ = p.c.WriteSome(p.r.Uint64N(6 * page)) // failures are checked as losses
	case n < 95:
		_ = p.f.WriteOut()
	case n < 98:
		_ = p.f.SyncRange(pagesAt(p.r.Uint64N(modelPages), 1+p.r.Uint64N(6)))
	case n < 99:
		_ = p.f.InvalidateUnsavable()
	default:
		_ = p.c.Sync()
	}
}
