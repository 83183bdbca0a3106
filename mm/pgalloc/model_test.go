package pgalloc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// modelPage is what the model knows of an allocated page.
type modelPage struct {
	kind  Kind
	refs  uint32
	stamp uint64 // at the start of the page; 0: the page is zero
}

// model is a MemoryFile beside a map of its pages.
type model struct {
	t     *testing.T
	rng   *rand.Rand
	f     *MemoryFile
	pages map[memmap.FileOffset]modelPage
	live  []memmap.FileRange // what was allocated, until every page of it is free
	stamp uint64
	grows bool // more is allocated than freed

	refusals, punches int
}

func (m *model) memory(at memmap.FileOffset) []byte {
	return memoryOf(m.t, m.f, memmap.FileRange{Start: at, End: at + pageSize})
}

// check compares one page's contents with the model.
func (m *model) check(at memmap.FileOffset) {
	m.t.Helper()
	want, b := m.pages[at].stamp, m.memory(at)
	if got := binary.LittleEndian.Uint64(b); got != want || want == 0 && !isZero(b) {
		m.t.Fatalf("the page at %#x holds %d, want %d", at, got, want)
	}
}

// write stamps a page from end to end.
func (m *model) write(at memmap.FileOffset) {
	m.stamp++
	p, b := m.pages[at], m.memory(at)
	p.stamp = m.stamp
	m.pages[at] = p
	for i := 0; i < pageSize; i += 512 {
		binary.LittleEndian.PutUint64(b[i:], p.stamp)
	}
}

// added takes note of freshly allocated pages, all with the same contents.
func (m *model) added(fr memmap.FileRange, kind Kind, stamp uint64) {
	m.t.Helper()
	for at := fr.Start; at < fr.End; at += pageSize {
		if old, ok := m.pages[at]; ok {
			m.t.Fatalf("allocated %v, but the page at %#x is live: %+v", fr, at, old)
		}
		m.pages[at] = modelPage{kind, 1, stamp}
		m.check(at)
	}
	if !fr.IsEmpty() {
		m.live = append(m.live, fr)
	}
}

// some returns a random part of what is live.
func (m *model) some() memmap.FileRange {
	if len(m.live) == 0 {
		return memmap.FileRange{}
	}
	i := m.rng.IntN(len(m.live))
	fr := m.live[i]
	if !slices.ContainsFunc(m.offsets(fr), func(at memmap.FileOffset) bool { return m.pages[at].refs > 0 }) {
		m.live = slices.Delete(m.live, i, i+1)
		return m.some()
	}
	n := int(fr.Length() / pageSize)
	from := m.rng.IntN(n)
	fr = part(fr, from, 1+m.rng.IntN(n-from))
	// The first run of it that is allocated.
	for fr.Start < fr.End && m.pages[fr.Start].refs == 0 {
		fr.Start += pageSize
	}
	for at := fr.Start; at < fr.End; at += pageSize {
		if m.pages[at].refs == 0 {
			fr.End = at
		}
	}
	return fr
}

func (m *model) offsets(fr memmap.FileRange) []memmap.FileOffset {
	var all []memmap.FileOffset
	for at := fr.Start; at < fr.End; at += pageSize {
		all = append(all, at)
	}
	return all
}

func (m *model) step(limit uint64) {
	n := uint64(1+m.rng.IntN(8)) * pageSize
	if m.grows && m.rng.IntN(50) == 0 {
		n = uint64(1+m.rng.IntN(400)) * pageSize
	}
	kind := Kind(m.rng.IntN(int(System) + 1))
	op := m.rng.IntN(10)
	if !m.grows && op <= 4 && m.rng.IntN(4) > 0 {
		op = 5 // drop references instead of taking them
	}
	switch fr := m.some(); op {
	case 0, 1:
		m.allocate(n, kind, fr, limit)
	case 2:
		m.stamp++
		b := bytes.Repeat(binary.LittleEndian.AppendUint64(nil, m.stamp), int(n/8))
		if got, err := m.f.AllocateCopy(safemem.Of(b), kind, fr.Start); !m.refused(n, limit, err) {
			m.added(got, kind, m.stamp)
		}
	case 3:
		filled := m.rng.IntN(int(n))
		got, err := m.f.AllocateFill(n, kind, 0, &source{n: filled})
		if !m.refused(n, limit, err) {
			stamp := uint64(0)
			if filled >= 8 {
				stamp = 0x7373737373737373
			}
			if filled%pageSize != 0 { // the last page is filled in part
				last := memmap.FileRange{Start: got.End - pageSize, End: got.End}
				if b := m.memory(last.Start); !isZero(b[filled%pageSize:]) {
					m.t.Fatalf("the rest of a page filled with %d bytes is not zero", filled)
				}
				m.f.DecRef(last)
				got.End = last.Start
			}
			m.added(got, kind, stamp)
		}
	case 4:
		if !fr.IsEmpty() {
			m.f.IncRef(fr)
			m.each(fr, func(p *modelPage) { p.refs++ })
		}
	case 5, 6:
		if !fr.IsEmpty() {
			stale := m.f.staleBytes
			m.f.DecRef(fr)
			m.each(fr, func(p *modelPage) { p.refs-- })
			if m.f.staleBytes < stale {
				m.punches++
			}
		}
	case 7, 8:
		for _, at := range m.offsets(fr) {
			m.check(at)
			m.write(at)
		}
	case 9:
		m.ask(fr)
	}
}

// allocate allocates, near what is live or anywhere.
func (m *model) allocate(n uint64, kind Kind, by memmap.FileRange, limit uint64) {
	near := memmap.FileOffset(0)
	switch m.rng.IntN(3) {
	case 0:
		near = by.Start
	case 1:
		near = by.End + memmap.FileOffset(n)
	}
	wanted := memmap.FileRange{Start: near - memmap.FileOffset(n), End: near}
	free := near >= memmap.FileOffset(n) && near <= m.f.size() &&
		!slices.ContainsFunc(m.offsets(wanted), func(at memmap.FileOffset) bool { return m.pages[at].refs > 0 })
	fr, err := m.f.Allocate(n, kind, near)
	if m.refused(n, limit, err) {
		return
	}
	if free && near != 0 && fr != wanted {
		m.t.Fatalf("near %#x is free, got %v", near, fr)
	}
	m.added(fr, kind, 0)
}

// refused reports whether err is the refusal that the model expects of n more bytes.
func (m *model) refused(n, limit uint64, err error) bool {
	m.t.Helper()
	over := uint64(len(m.pages))*pageSize+n > limit
	if over != errors.Is(err, unix.ENOMEM) || !over && err != nil {
		m.t.Fatalf("%d pages are live, %d more under a limit of %d: %v", len(m.pages), n/pageSize, limit/pageSize, err)
	}
	if over {
		m.refusals++
	}
	return over
}

func (m *model) each(fr memmap.FileRange, change func(*modelPage)) {
	for _, at := range m.offsets(fr) {
		p := m.pages[at]
		if change(&p); p.refs == 0 {
			delete(m.pages, at)
			continue
		}
		m.pages[at] = p
	}
}

// ask compares what the file says of fr with the model.
func (m *model) ask(fr memmap.FileRange) {
	m.t.Helper()
	if fr.IsEmpty() {
		return
	}
	unique := m.pages[fr.Start].refs == 1
	run := fr
	for _, at := range m.offsets(fr) {
		if (m.pages[at].refs == 1) != unique {
			run.End = at
			break
		}
	}
	if got, u := m.f.UniqueRun(fr); got != run || u != unique {
		m.t.Fatalf("UniqueRun(%v) = %v, %v, want %v, %v", fr, got, u, run, unique)
	}
	if m.f.HasUniqueRef(fr) != (unique && run == fr) {
		m.t.Fatalf("HasUniqueRef(%v) is wrong", fr)
	}
	at := fr.Start
	for u := range m.f.Refs(fr) {
		if u.Start != at || u.IsEmpty() {
			m.t.Fatalf("Refs(%v): a run %v after %#x", fr, u, at)
		}
		for ; at < u.End; at += pageSize {
			if p := m.pages[at]; p.kind != u.Kind || p.refs != u.Refs {
				m.t.Fatalf("Refs(%v): %v, but the page at %#x is %+v", fr, u, at, p)
			}
		}
	}
	if unique && m.rng.IntN(2) == 0 {
		if err := m.f.Decommit(run); err != nil {
			m.t.Fatal(err)
		}
		m.each(run, func(p *modelPage) { p.stamp = 0 })
		m.check(run.Start)
	}
}

// TestMemoryFileAgainstModel plays 10^5 random operations. The limit is above what
// is kept of free pages, so that holes are punched too.
func TestMemoryFileAgainstModel(t *testing.T) {
	const limit = 2 * keptStale
	m := &model{
		t: t, rng: rand.New(rand.NewPCG(9, 10)),
		f: newFile(t, Options{Limit: limit}), pages: map[memmap.FileOffset]modelPage{},
	}
	for i := range 100_000 {
		m.grows = i%10_000 < 4000
		m.step(limit)
		if i%2000 != 0 {
			continue
		}
		if err := m.f.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		if got, want := m.f.Stats().Total, uint64(len(m.pages))*pageSize; got != want {
			t.Fatalf("%d bytes allocated, want %d", got, want)
		}
	}
	if m.refusals == 0 || m.punches == 0 {
		t.Errorf("the limit refused %d times and holes were punched %d times: the test misses its aim", m.refusals, m.punches)
	}
	for at, p := range m.pages {
		for range p.refs {
			m.f.DecRef(memmap.FileRange{Start: at, End: at + pageSize})
		}
	}
}

// TestPlacementIsDeterministic plays the same operations twice.
func TestPlacementIsDeterministic(t *testing.T) {
	play := func() []memmap.FileRange {
		m := &model{
			t: t, rng: rand.New(rand.NewPCG(11, 12)),
			f: newFile(t, Options{}), pages: map[memmap.FileOffset]modelPage{},
		}
		for range 2000 {
			m.step(1 << 40)
		}
		var all []memmap.FileRange
		for u := range m.f.Refs(memmap.FileRange{End: m.f.size()}) {
			all = append(all, u.FileRange)
			for range u.Refs {
				m.f.DecRef(u.FileRange)
			}
		}
		return all
	}
	if a, b := play(), play(); !slices.Equal(a, b) {
		t.Error("the same calls gave other offsets")
	}
}

// TestManyAtOnce has goroutines allocate, write, share, read back and free at the
// same time; each must find its own bytes and nothing else.
func TestManyAtOnce(t *testing.T) {
	f := newFile(t, Options{})
	shared, _ := f.Allocate(4*pageSize, Shmem, 0)
	var all sync.WaitGroup
	for who := range 8 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(who), 1))
			stamp := bytes.Repeat([]byte{byte(who + 1)}, pageSize)
			var near memmap.FileOffset
			var held []memmap.FileRange
			for range 500 {
				fr, err := f.Allocate(uint64(1+rng.IntN(8))*pageSize, Anonymous, near)
				if err != nil {
					t.Error(err)
					return
				}
				near = fr.Start
				b := memoryOf(t, f, fr)
				if !isZero(b) {
					t.Error("fresh pages are not zero")
				}
				copy(b, stamp)
				f.IncRef(fr)
				f.IncRef(shared)
				if f.HasUniqueRef(fr) || f.HasUniqueRef(shared) {
					t.Error("shared pages look unique")
				}
				f.DecRef(shared)
				f.DecRef(fr)
				f.Stats()
				held = append(held, fr)
				if len(held) > 20 {
					old := held[0]
					held = held[1:]
					if b := memoryOf(t, f, old); !bytes.Equal(b[:pageSize], stamp) {
						t.Error("somebody else wrote to my pages")
					}
					f.DecRef(old)
				}
			}
			for _, fr := range held {
				f.DecRef(fr)
			}
		})
	}
	all.Wait()
	if !f.HasUniqueRef(shared) {
		t.Error("references were lost")
	}
	f.DecRef(shared)
}
