package mm

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// Fork returns a copy of the memory for process pid, in the address space as,
// which it takes over (and releases on error). Private memory is shared until
// either side writes it.
//
// No pma is rewritten: both sides begin a new generation, in which nothing that was
// written before may be written in place. Parent and child share the sets' nodes
// until they change them.
func (mm *MemoryManager) Fork(by *Actor, as platform.AddressSpace, pid int32) (*MemoryManager, error) {
	child := newManager(Config{
		Memory: mm.mem, AS: as, Layout: mm.layout, Window: mm.window, ASIO: mm.asio, Events: mm.events, PID: pid,
	})
	if err := mm.forkInto(by, child); err != nil {
		child.DecUsers(by)
		return nil, err
	}
	return child, nil
}

// forkInto copies mm to child, which is empty. After an error child is consistent
// and to be dropped.
func (mm *MemoryManager) forkInto(by *Actor, child *MemoryManager) error {
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock() // not for reading: cloning a set marks its nodes
	defer mm.mappingMu.Unlock()
	child.brk, child.startSP, child.specials = mm.brk, mm.startSP, mm.specials
	child.barriers = mm.barriers
	child.mdwe, child.keyTried = mm.mdwe.inherited(), mm.keyTried
	var captured []invalidation
	child.captured = &captured
	if err := mm.copyVMAs(c, child); err != nil {
		return err
	}
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	child.activeMu.lockChild()
	defer child.activeMu.Unlock()
	err := mm.copyPMAs(c, child)
	child.captured = nil
	for _, inv := range captured {
		child.invalidate(inv.ar, inv.private)
	}
	return err // of the host: the stub is gone, and soon the process
}

// copyVMAs gives child the vmas that forks copy, unlocked, and tells Mappables. On
// an error child has those that were told.
//
// Preconditions: mm.mappingMu is held for writing.
func (mm *MemoryManager) copyVMAs(c *change, child *MemoryManager) error {
	plain := mm.lockedAS == 0 // the clone needs no change
	mm.someApart = false
	told := memmap.AddrRange{Start: mm.layout.Min, End: mm.layout.Max}
	var promised copied
	var err error
	for seg := range mm.vmas.All() {
		v := seg.Value
		if v.flags&flagDontFork != 0 {
			plain, mm.someApart = false, true
			continue
		}
		if v.flags&flagWipeOnFork != 0 {
			mm.someApart = true
		}
		if v.uffd != nil {
			plain = false
		}
		promised.add(&v, seg.Length())
		if v.mappable == nil {
			continue
		}
		if err = v.mappable.AddMapping(child, seg.Range, v.off, v.canWriteMappable()); err != nil {
			told.End = seg.Start
			break
		}
	}
	if err == nil {
		err = mm.mayCopy(c.by, promised)
	}
	child.vmas = mm.vmas.Clone()
	child.gaps = mm.gaps.Clone()
	child.dataAS, child.lockedAS = mm.dataAS, mm.lockedAS
	child.commit(mm.committed)
	for id, n := range mm.ids {
		id.IncRef()
		child.ids[id] = n
	}
	if !plain {
		child.forgetNotCopied(c)
	}
	if told.End < mm.layout.Max {
		child.takeVMAs(c, memmap.AddrRange{Start: told.End, End: mm.layout.Max}, nil)
	}
	return err
}

// forgetNotCopied takes out of a child's clone what fork does not pass on: mappings
// that are DONTFORK, userfaultfds, and locks.
func (mm *MemoryManager) forgetNotCopied(c *change) {
	var dontFork, watched []memmap.AddrRange
	for seg := range mm.vmas.All() {
		if seg.Value.flags&flagDontFork != 0 {
			dontFork = append(dontFork, seg.Range)
		} else if seg.Value.uffd != nil {
			watched = append(watched, seg.Range)
		}
	}
	for _, ar := range dontFork {
		mm.takeVMAs(c, ar, nil)
	}
	for _, ar := range watched {
		mm.updateVMAs(ar, (*vma).unwatch)
	}
	if mm.lockedAS > 0 {
		mm.updateVMAs(mm.All(), func(v *vma) { v.mlock = memmap.MLockNone })
	}
}

// copyPMAs shares the parent's pages with child, in one walk over the pmas, and
// takes the right to write from what the host has mapped. Pinned pages are copied:
// ENOMEM, with the parent as it was.
//
// Preconditions: both managers' locks are held for writing.
func (mm *MemoryManager) copyPMAs(c *change, child *MemoryManager) error {
	s := sharing{mm: mm, child: child, c: c}
	for p := range mm.pmas.All() {
		s.pma(p)
	}
	s.flushRun()
	child.pmas = mm.pmas.Clone()
	mm.copyGuards(child)
	mm.copyMarks(child)
	for _, ar := range s.dropped {
		child.pmas.Cut(ar, nil)
	}
	child.gen = mm.gen + 1
	if err := s.copyPinned(); err != nil {
		return err
	}
	mm.gen++
	s.keepPinned()
	child.rss, child.maxRSS = s.rss, 0
	child.maxRSS = child.residentLocked()
	s.protectParent()
	if err := c.flush(); err != nil {
		return err
	}
	mm.forked = mm.note(c, Event{Kind: EventFork, Number: int64(child.pid)})
	child.forked = mm.forked
	s.stampCopies(mm.forked)
	return nil
}

// sharing is a fork's walk: references are taken on runs of pages as long as they
// come one after the other in a file.
type sharing struct {
	mm, child *MemoryManager
	c         *change
	run       freedRun // pages that the child gets a reference on
	dropped   []memmap.AddrRange
	pinned    []memmap.AddrRange // the parent's pages that stay its own
	copies    []memmap.AddrRange // those of them that the child gets copies of
	writable  []memmap.AddrRange // in the parent, joined over holes
	pieces    int                // of them
	rss       [rssKinds]uint64
	asked     memmap.AddrRange // hasOwned's last question
	answer    bool
}

// pma shares p, or those of its pages that the child gets.
func (s *sharing) pma(p pmaSeg) {
	if p.Value.kind == shared {
		s.dropped = append(s.dropped, p.Range)
		return
	}
	if p.Value.kind != clean && !s.mm.someApart {
		s.share(p, p.Range)
		return
	}
	for vseg := range s.mm.vmas.In(p.Range) {
		ar := p.Intersect(vseg.Range)
		if vseg.Value.flags&(flagDontFork|flagWipeOnFork) != 0 || p.Value.kind == clean && !s.hasOwned(vseg.Range) {
			s.dropped = append(s.dropped, ar)
			s.leave(p, ar)
			continue
		}
		s.share(p, ar)
	}
}

// hasOwned reports whether a vma has private pages. As on Linux a child gets the
// file's pages only together with written ones; else it finds them in the file.
func (s *sharing) hasOwned(ar memmap.AddrRange) bool {
	if s.asked != ar {
		s.asked, s.answer = ar, s.mm.holdsOwned(ar)
	}
	return s.answer
}

// leave shares nothing of p at ar: it will be of a past generation too, and is taken over
// by the next write.
func (s *sharing) leave(p pmaSeg, ar memmap.AddrRange) {
	s.eachPart(p, ar, func(part memmap.AddrRange, pinned bool) {
		if pinned {
			s.keep(part)
		} else {
			s.noteWritable(&p, part)
		}
	})
}

func (s *sharing) share(p pmaSeg, ar memmap.AddrRange) {
	s.rss[p.Value.rss] += ar.Length()
	s.eachPart(p, ar, func(part memmap.AddrRange, pinned bool) {
		if pinned {
			s.keep(part)
			s.copies = append(s.copies, part)
		} else {
			s.sharePages(p, part)
		}
	})
}

func (s *sharing) sharePages(p pmaSeg, ar memmap.AddrRange) {
	s.noteWritable(&p, ar)
	if p.Value.kind == zero {
		return
	}
	fr := p.Value.fileRange(p.Range, ar)
	if s.run.file == p.Value.file && s.run.fr.End == fr.Start {
		s.run.fr.End = fr.End
		return
	}
	s.flushRun()
	s.run = freedRun{p.Value.file, fr}
}

func (s *sharing) flushRun() {
	if s.run.file != nil {
		s.run.file.IncRef(s.run.fr)
	}
	s.run = freedRun{}
}

// noteWritable keeps in mind the part of p at ar if the host may have it mapped
// writable. More than a few pieces are remembered by their hull.
func (s *sharing) noteWritable(p *pmaSeg, ar memmap.AddrRange) {
	if p.Value.kind != owned || !s.mm.grants(&p.Value, false).Write {
		return
	}
	s.pieces++
	if n := len(s.writable); n > 0 && (s.writable[n-1].End == ar.Start || n == maxForkOps) {
		s.writable[n-1].End = ar.End
		return
	}
	s.writable = append(s.writable, ar)
}

// maxForkOps bounds a fork's host calls.
const maxForkOps = 32

// protectParent takes the right to write from the parent's host mappings: they are
// mapped anew without it, or, if they are too many, unmapped.
func (s *sharing) protectParent() {
	for _, ar := range s.writable {
		s.c.spoil(ar)
	}
	if s.pieces > maxForkOps {
		return
	}
	for _, ar := range s.writable {
		s.mm.mapPMAs(s.c, ar, false)
	}
}
