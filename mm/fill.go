package mm

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// bringIn sees to it that pmas that allow at lie over all of ar, a range of pages
// of seg's vma, which allows at. It returns how far it came, and if that is short
// of ar.End, why.
//
// Preconditions: mm.mappingMu is held; mm.activeMu is held for writing.
// Postcondition: c is to be flushed, whatever the outcome.
func (mm *MemoryManager) bringIn(c *change, seg vmaSeg, ar memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	if at.Write && !mm.marks.IsEmpty() {
		return mm.writeMarked(c, seg, ar, at)
	}
	return mm.bringInPages(c, seg, ar, at)
}

// bringInPages is bringIn where no page is marked.
func (mm *MemoryManager) bringInPages(c *change, seg vmaSeg, ar memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	for pos := ar.Start; pos < ar.End; {
		rest := memmap.AddrRange{Start: pos, End: ar.End}
		p, ok := mm.pmas.LowerBound(pos)
		var err error
		switch {
		case !ok || p.Start > pos:
			pos, err = mm.fillHole(c, seg, mm.holeBefore(p, seg, pos), rest, at)
			if pos > rest.Start && at.Write && seg.Value.private && !seg.Value.anonymous() {
				pos, err = rest.Start, nil // what was found in the file is now to be copied
			}
		case mm.mustOwn(&p.Value, at):
			pos, err = mm.breakCOW(c, seg, p, rest)
		case p.Value.kind != owned && !p.Value.translate.SupersetOf(at):
			pos, err = mm.upgrade(c, seg, p, rest, at)
		default:
			pos = p.End
		}
		if err != nil {
			return pos, err
		}
	}
	return ar.End, nil
}

// mustOwn reports whether an access needs private memory where there is none yet.
// The zero page is never executed: the host maps it for reading only.
func (mm *MemoryManager) mustOwn(p *pma, at memmap.AccessType) bool {
	return at.Write && mm.needCOW(p) || at.Execute && p.kind == zero
}

// fillHole makes pmas from rest.Start on, which lies in h, and returns how far.
func (mm *MemoryManager) fillHole(c *change, seg vmaSeg, h hole, rest memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	if err := mm.poisonedAt(rest.Start.Page()); err != nil {
		return rest.Start, err
	}
	if seg.Value.flags&(flagMissing|flagMinor) != 0 {
		if s := seg.Value.sparse(); s != nil {
			return mm.fillShared(c, seg, s, rest, at)
		}
		return rest.Start, mm.userfault(c, seg.Value.uffd, rest.Start, missingFlags(at))
	}
	required := mm.unpoisoned(rest.Intersect(h.AddrRange), rest.Start)
	if !seg.Value.anonymous() {
		optional := mm.unpoisoned(mm.reachInFile(required, at.Write && !seg.Value.private).Intersect(h.AddrRange), rest.Start)
		return mm.translate(c, seg, required, optional, at)
	}
	window := mm.unpoisoned(mm.windowFor(required).Intersect(h.AddrRange), rest.Start)
	if !at.Write && !at.Execute {
		mm.insertZero(c, seg, window)
		return window.End, nil
	}
	return mm.allocate(c, seg, h, required, window)
}

// hole is a stretch of a vma that has no pmas, and the pmas before and behind it,
// which are empty if there are none.
type hole struct {
	memmap.AddrRange
	prev, next pmaSeg
}

// holeBefore returns the hole of seg around addr. next is the first pma behind addr,
// empty if there is none.
func (mm *MemoryManager) holeBefore(next pmaSeg, seg vmaSeg, addr memmap.Addr) hole {
	h := hole{AddrRange: seg.Range, next: next}
	var ok bool
	if h.prev, ok = mm.pmas.UpperBound(addr); ok {
		h.Start = max(h.Start, h.prev.End)
	}
	if !next.IsEmpty() {
		h.End = min(h.End, next.Start)
	}
	h.AddrRange = mm.holeBetweenGuards(h.AddrRange, addr)
	return h
}

func (mm *MemoryManager) insertZero(c *change, seg vmaSeg, ar memmap.AddrRange) {
	p := zeroPMA(ar, &seg.Value)
	p.cause = memmap.ZeroMap
	p.event = mm.brought(c, memmap.ZeroMap, ar)
	mm.insertPMA(ar, p)
}

// allocate puts fresh pages at window, a part of h, or if there is not so much memory
// at required, or at its first page alone, for which what MADV_FREE gave away makes room.
func (mm *MemoryManager) allocate(c *change, seg vmaSeg, h hole, required, window memmap.AddrRange) (memmap.Addr, error) {
	var err error
	last := required.Start.Page()
	for i, ar := range [...]memmap.AddrRange{window, required, last, last} {
		if i == 3 && !mm.dropLazy(c) {
			break
		}
		var fr memmap.FileRange
		if fr, err = mm.mem.Allocate(ar.Length(), pgalloc.Anonymous, continuing(ar, h.prev, h.next)); err != nil {
			continue
		}
		p := mm.ownPMA(fr, &seg.Value)
		p.cause = memmap.ZeroFill
		p.event = mm.brought(c, memmap.ZeroFill, ar)
		mm.insertPMA(ar, p)
		return ar.End, nil
	}
	return required.Start, outOfMemory(required, err)
}

// outOfMemory is what a guest meets that needs a page where none is left: SIGBUS,
// as with Linux's memory files.
func outOfMemory(ar memmap.AddrRange, err error) error {
	return &memmap.BusError{Err: &memmap.Refusal{
		Op: "fault", Errno: unix.ENOMEM, Why: memmap.LimitHit,
		Reason: fmt.Sprintf("no memory for %v: %v", ar, err),
	}}
}

// translate makes pmas for required, and as much of optional as the Mappable
// offers, out of its answer.
func (mm *MemoryManager) translate(c *change, seg vmaSeg, required, optional memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	toCopy := seg.Value.private && at.Write
	if seg.Value.private { // we must read to copy later, and never dirty the file
		at.Read, at.Write = true, false
	}
	ts, err := mm.askMappable(seg, required, optional, at)
	end := required.Start
	for _, t := range ts {
		ar := addrRangeOf(seg, t.Source)
		t.File.IncRef(t.FileRange())
		p := translatedPMA(t, &seg.Value)
		p.cause = memmap.FileMap
		if !toCopy { // else the copy is the event
			p.event = mm.brought(c, memmap.FileMap, ar)
		}
		mm.insertPMA(ar, p)
		end = ar.End
	}
	if end < required.End {
		return end, err
	}
	return end, nil
}

// askMappable is Translate for addresses, with its answer checked.
func (mm *MemoryManager) askMappable(seg vmaSeg, required, optional memmap.AddrRange, at memmap.AccessType) ([]memmap.Translation, error) {
	req, opt := mappableRange(seg, required), mappableRange(seg, optional)
	ts, err := seg.Value.mappable.Translate(req, opt, at)
	if bad := memmap.CheckTranslateResult(req, opt, at, ts, err); bad != nil {
		panic(fmt.Sprintf("mm: %v: %v", seg.Range, bad))
	}
	return ts, err
}

// addrRangeOf returns where seg has the offsets mr.
func addrRangeOf(seg vmaSeg, mr memmap.MappableRange) memmap.AddrRange {
	start := seg.Start + memmap.Addr(mr.Start-seg.Value.off)
	return memmap.AddrRange{Start: start, End: start + memmap.Addr(mr.Length())}
}

// upgrade asks the Mappable of p, whose translation does not allow at, anew, and
// puts its answer in p's place.
func (mm *MemoryManager) upgrade(c *change, seg vmaSeg, p pmaSeg, rest memmap.AddrRange, at memmap.AccessType) (memmap.Addr, error) {
	piece := p.Intersect(seg.Range)
	required := piece.Intersect(rest)
	at = at.Union(p.Value.translate)
	if seg.Value.private {
		at.Read, at.Write = true, false
	}
	optional := mm.reachInFile(required, at.Write).Intersect(piece)
	ts, err := mm.askMappable(seg, required, optional, at)
	end := required.Start
	for _, t := range ts {
		ar := addrRangeOf(seg, t.Source)
		mm.cutPMAs(c, ar, everything)
		t.File.IncRef(t.FileRange())
		next := translatedPMA(t, &seg.Value)
		next.cause = memmap.Upgrade
		next.event = mm.brought(c, memmap.Upgrade, ar)
		mm.insertPMA(ar, next)
		end = ar.End
	}
	if end < required.End {
		return end, err
	}
	return end, nil
}
