package mm

import (
	"sync/atomic"

	"mmsh.dev/mmsh/memmap"
)

// FaultWindow is how much a fault brings in at once, in bytes; WindowAuto grows
// with sequential use up to 2 MiB. One setting is shared by a world of processes.
type FaultWindow struct{ bytes atomic.Uint64 }

// WindowAuto is the growing window.
const WindowAuto = 0

// Set changes the window to 4 KiB, 64 KiB, 2 MiB or WindowAuto.
func (w *FaultWindow) Set(bytes uint64) { w.bytes.Store(bytes) }

// Get returns the window. A nil FaultWindow is one of 4 KiB.
func (w *FaultWindow) Get() uint64 {
	if w == nil {
		return memmap.PageSize
	}
	return w.bytes.Load()
}

// The automatic window starts small, for those that touch here and there, and
// quadruples each time that a fault comes where the last window ended.
const (
	autoFirst = 64 << 10
	autoLast  = memmap.HugePageSize
	// autoRead is how far a reader of a file sees at once what is there of it.
	autoRead = 16 << 20
	// autoPopulate is the largest new mapping that is brought in at once.
	autoPopulate = 64 << 10
)

// sequence is the memory of the automatic window: where a sequential reader of
// addresses would fault next, upwards or downwards, and how much it would get.
type sequence struct {
	last memmap.AddrRange
	size uint64
}

// next returns the window for a fault at page.
func (s *sequence) next(page memmap.AddrRange) memmap.AddrRange {
	switch {
	case s.size == 0, page.Start != s.last.End && page.End != s.last.Start:
		s.size = autoFirst
		s.last = around(page, autoFirst)
	case page.Start == s.last.End:
		s.size = min(4*s.size, autoLast)
		s.last = around(page, s.size)
		s.last.Start = page.Start
	default:
		s.size = min(4*s.size, autoLast)
		s.last = around(page, s.size)
		s.last.End = page.End
	}
	return s.last
}

// around returns ar widened to the aligned blocks of size bytes that it touches.
func around(ar memmap.AddrRange, size uint64) memmap.AddrRange {
	mask := memmap.Addr(size - 1)
	if up := (ar.End + mask) &^ mask; up >= ar.End {
		ar.End = up
	}
	ar.Start &^= mask
	return ar
}

// windowFor returns how much a fault at page may allocate, copy or translate at
// once, a superset of page.
//
// Preconditions: mm.activeMu is held for writing.
func (mm *MemoryManager) windowFor(page memmap.AddrRange) memmap.AddrRange {
	switch w := mm.window.Get(); w {
	case memmap.PageSize:
		return page
	case WindowAuto:
		return mm.auto.next(page)
	default:
		return around(page, w)
	}
}

// reach returns how much of the pages that are there already a fault at page may
// map at once: the whole window, since that takes no memory.
func (mm *MemoryManager) reach(page memmap.AddrRange) memmap.AddrRange {
	w := mm.window.Get()
	if w == WindowAuto {
		w = autoLast
	}
	return around(page, w)
}

// reachInFile returns how much of a file an access to page may translate at once. To read
// what is there costs nothing; what may be written is dirty, and the host fills its
// page tables for it.
//
// Preconditions: mm.activeMu is held for writing.
func (mm *MemoryManager) reachInFile(page memmap.AddrRange, write bool) memmap.AddrRange {
	switch {
	case write:
		return mm.windowFor(page)
	case mm.window.Get() == WindowAuto:
		return around(page, autoRead)
	}
	return mm.reach(page)
}

// populatesNew reports whether new memory of that length in v is filled at once: it
// is locked, or the window says so. What is locked as it is touched is not.
func (mm *MemoryManager) populatesNew(v *vma, length uint64) bool {
	return v.mlock == memmap.MLockEager || v.mlock == memmap.MLockNone && mm.populateAtOnce(length)
}

// populateAtOnce reports whether a new private anonymous mapping of that length
// is filled when it is made.
func (mm *MemoryManager) populateAtOnce(length uint64) bool {
	switch w := mm.window.Get(); w {
	case memmap.PageSize:
		return false
	case WindowAuto:
		return length <= autoPopulate
	default:
		return length <= w
	}
}
