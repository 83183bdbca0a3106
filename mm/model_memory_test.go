package mm_test

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// The model knows no vmas and no pmas: a process is a row of pages, each with its
// rights and where its bytes are. Where mappings begin and end, which mremap asks
// for, it takes from the engine; every mapping's pages are compared.

// The guest's memory is small, so that random operations meet. The low part is busy,
// the high part is for stacks; guard gaps are 256 pages. MAP_32BIT starts at page 8.
const (
	arena     = memmap.Addr(0x40000000 - 8*page)
	arenaLen  = 448
	busy      = 56 // pages of the low part that operations choose from
	mmapBase  = 72
	farFirst  = 400
	guardGap  = 256
	stackMost = 24 // RLIMIT_STACK, pages
	heapStart = arena + 30*page + 0x10
)

func addrOf(i int) memmap.Addr { return arena + memmap.Addr(i)*page }

func indexOf(a memmap.Addr) int { return int(int64(a-arena) >> 12) }

// frame is private memory: of one page, or after forks of several.
type frame struct {
	data []byte
	refs int
	pins int
}

// presence says whether the engine holds a page that is no frame: a file's, or the
// zero page.
type presence int

const (
	absent presence = iota
	present
	unknown // a fork may have copied it or not
)

// modelPage is one page of a process.
type modelPage struct {
	perms, max memmap.AccessType
	private    bool
	growsDown  bool
	lock       memmap.MLockMode
	advice     mm.VMAAdvice // those of shownAdvice
	name       string       // "" or what was given to it
	policy     *mm.Policy
	guard      bool
	watch      mm.UserfaultMode // what the userfaultfd is told of
	protected  bool             // by it
	dirty      bool             // must be soft-dirty: made, moved or written since clear_refs
	src        *source          // nil: anonymous
	off        int              // page of src
	frame      *frame           // nil: what src holds, or zeroes
	here       presence
}

// bytes returns what p holds.
func (p *modelPage) bytes() []byte {
	switch {
	case p.frame != nil:
		return p.frame.data
	case p.src == nil:
		return zeroes
	case p.off < len(p.src.data):
		return p.src.data[p.off]
	}
	return nil
}

var zeroes = make([]byte, page)

// drop lets go of what p holds; its mapping stays.
func (p *modelPage) drop() {
	if p.frame != nil {
		p.frame.refs--
		p.frame = nil
	}
	p.here, p.dirty, p.protected = absent, false, false
}

// outcome is how an access ends.
type outcome string

const (
	fine      outcome = "fine"
	notMapped outcome = "SEGV_MAPERR"
	denied    outcome = "SEGV_ACCERR"
	trapped   outcome = "trap"
	busError  outcome = "SIGBUS"
	waits     outcome = "a userfaultfd is told"
)

// modelProcess is a process of the model.
type modelProcess struct {
	pages [arenaLen]*modelPage
	traps map[int]mm.Trap
	pins  []pin
	brk   memmap.Addr
	// future is how new mappings are locked.
	future memmap.MLockMode
	// lazy says that MADV_FREE was used: with little memory, contents may go.
	lazy bool
	// full says that there is no memory for new frames.
	full bool
	// start and end are where the mappings begin and end, by page.
	start, end [arenaLen]int
}

// access does to page i what a copy of kind at does, and says how it ends.
func (m *modelProcess) access(i int, at memmap.AccessType, anyway bool) outcome {
	return m.accessFelt(i, at, at, anyway)
}

// guestAccess is the guest's own access. What must not be read, the processor cannot
// let be written or executed either.
func (m *modelProcess) guestAccess(i int, at memmap.AccessType) outcome {
	return m.accessFelt(i, at, at.Effective(), false)
}

func (m *modelProcess) accessFelt(i int, at, felt memmap.AccessType, anyway bool) outcome {
	if i < 0 || i >= arenaLen {
		return notMapped
	}
	if m.pages[i] == nil && !m.grow(i) {
		return notMapped
	}
	p := m.pages[i]
	rights := p.perms.Effective()
	if anyway {
		rights = p.max
	}
	switch {
	case !rights.SupersetOf(at):
		return denied
	case p.guard:
		return trapped
	case !anyway && m.traps[i].At.Intersect(felt).Any():
		return trapped
	}
	return m.bring(p, at)
}

func (m *modelProcess) bring(p *modelPage, at memmap.AccessType) outcome {
	own := at.Write && p.private
	switch {
	case p.frame == nil && p.here == absent && p.watch&mm.ModeMissing != 0, at.Write && p.protected:
		return waits
	case p.frame != nil:
		if own && p.frame.refs > 1 {
			return m.newFrame(p)
		}
		return fine
	case p.src != nil && p.src.fails(p.off):
		return busError
	}
	if own || p.src == nil && at.Execute {
		if p.src != nil {
			p.here = present // it is read before it is copied
		}
		return m.newFrame(p)
	}
	p.here = present
	return fine
}

// newFrame gives p a frame of its own with what it holds.
func (m *modelProcess) newFrame(p *modelPage) outcome {
	if m.full {
		return busError
	}
	f, dirty := &frame{data: append([]byte(nil), p.bytes()...), refs: 1}, p.dirty
	p.drop()
	p.frame, p.dirty = f, dirty
	return fine
}

// grow extends the stack above page i, if there is one, down to it.
func (m *modelProcess) grow(i int) bool {
	next := i
	for next < arenaLen && m.pages[next] == nil {
		next++
	}
	if next == arenaLen || !m.pages[next].growsDown || m.end[next]-i > stackMost {
		return false
	}
	for prev := i - 1; prev >= 0 && prev > i-1-guardGap; prev-- {
		if q := m.pages[prev]; q != nil {
			if !q.growsDown && q.perms.Any() {
				return false
			}
			break
		}
	}
	for j := i; j < next; j++ {
		p := *m.pages[next]
		p.frame, p.here, p.guard, p.dirty, p.protected = nil, absent, false, true, false
		m.pages[j] = &p
		m.end[j], m.start[j] = m.end[next], i
	}
	if i > 0 && m.pages[i-1] != nil && m.pages[i-1].alike(m.pages[i]) { // two stacks have met, and are one
		for j := m.start[i-1]; j < i; j++ {
			m.end[j] = m.end[i]
		}
	}
	return true
}

// alike reports whether two pages of anonymous memory differ in nothing that keeps
// mappings apart.
func (p *modelPage) alike(q *modelPage) bool {
	return p.src == nil && q.src == nil && p.growsDown == q.growsDown && p.perms == q.perms && p.max == q.max &&
		p.lock == q.lock && p.advice == q.advice && p.name == q.name && p.policy == q.policy && p.watch == q.watch
}

// write puts b at offset at of page i, which an access for writing found fine.
func (m *modelProcess) write(i, at int, b []byte) {
	p := m.pages[i]
	if p.dirty = true; p.frame != nil {
		copy(p.frame.data[at:], b)
	} else {
		p.src.write(p.off, at, b)
	}
}

func (m *modelProcess) clearPage(i int) {
	if p := m.pages[i]; p != nil {
		p.drop()
		m.pages[i] = nil
		if m.traps[i].Kind != mm.TrapWatch {
			delete(m.traps, i)
		}
	}
}

func (m *modelProcess) unmap(first, n int) {
	for i := first; i < first+n; i++ {
		m.clearPage(i)
	}
}

// mapped reports whether any of n pages is.
func (m *modelProcess) mapped(first, n int) bool {
	for i := first; i < first+n; i++ {
		if m.pages[i] != nil {
			return true
		}
	}
	return false
}

// limitAt returns the first page above i that a mapping may not have: the next one's,
// or that of its guard gap.
func (m *modelProcess) limitAt(i int) int {
	for j := i; j < arenaLen; j++ {
		if p := m.pages[j]; p != nil && p.growsDown {
			return j - guardGap
		} else if p != nil {
			return j
		}
	}
	return arenaLen
}

func (m *modelProcess) fits(i, n int) bool { return i >= 0 && i+n <= m.limitAt(i) }

// place returns where a mapping of n pages goes.
func (m *modelProcess) place(o *memmap.MMapOpts, n int) (int, unix.Errno) {
	i := indexOf(o.Addr)
	if o.Fixed {
		end := o.Addr + memmap.Addr(n)*page
		switch {
		case end < o.Addr || end > addrOf(arenaLen):
			return 0, unix.ENOMEM
		case o.Addr < arena:
			return 0, unix.EPERM
		case o.Unmap || !m.mapped(i, n):
			return i, 0
		case o.NoReplace:
			return 0, unix.EEXIST
		}
		return 0, unix.ENOMEM
	}
	if o.Addr != 0 {
		if i = indexOf(max(o.Addr.RoundDown(), arena)); m.fits(i, n) {
			return i, 0
		}
	}
	first := mmapBase
	if o.Map32Bit {
		first = 8
	} else {
		for i := mmapBase - n; i >= 0; i-- {
			if m.fits(i, n) {
				return i, 0
			}
		}
	}
	for i := first; i < arenaLen; i++ {
		if m.fits(i, n) {
			return i, 0
		}
	}
	return 0, unix.ENOMEM
}

// fork returns the child.
func (m *modelProcess) fork() *modelProcess {
	child := &modelProcess{traps: map[int]mm.Trap{}, brk: m.brk, lazy: m.lazy}
	for i, p := range m.pages {
		if p == nil || p.advice.Has(mm.DontFork) {
			continue
		}
		q := *p
		q.lock, q.watch, q.protected = memmap.MLockNone, 0, false
		switch {
		case p.advice.Has(mm.WipeOnFork):
			q.frame, q.here, q.guard, q.dirty = nil, absent, false, false
		case !p.private:
			q.here = absent
		case p.frame != nil && p.frame.pins > 0: // the child gets a copy at once
			q.frame = &frame{data: append([]byte(nil), p.frame.data...), refs: 1}
		case p.frame != nil:
			p.frame.refs++
		case p.src != nil && p.here != absent:
			q.here = unknown
		}
		child.pages[i] = &q
	}
	return child
}
