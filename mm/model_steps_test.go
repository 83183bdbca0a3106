package mm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
)

// operations are what a step can do, and how often it does.
var operations = []struct {
	name  string
	often int
	do    func(*player, [6]int)
	dies  bool // whether the host may fail for good meanwhile
}{
	{"mmap", 14, (*player).mmap, false},
	{"munmap", 4, (*player).munmap, true},
	{"mprotect", 8, (*player).mprotect, true},
	{"mremap", 12, (*player).mremap, false},
	{"brk", 4, (*player).brk, false},
	{"dontneed", 4, (*player).dontneed, true},
	{"fork", 4, (*player).fork, true},
	{"exit", 3, func(pl *player, _ [6]int) { pl.exit() }, false},
	{"guest", 30, (*player).guest, true},
	{"copyout", 8, (*player).copyOut, true},
	{"copyin", 6, (*player).copyIn, true},
	{"vector", 5, (*player).vector, true},
	{"word", 4, (*player).word, true},
	{"breakcow", 3, (*player).breakCOW, false},
	{"touch", 4, (*player).touch, true},
	{"trap", 3, (*player).trap, true},
	{"invalidate", 3, (*player).invalidate, true},
	{"truncate", 2, (*player).truncate, true},
	{"ioerror", 2, (*player).ioError, true},
}

func randomStep(rnd *rand.Rand) step {
	total := 0
	for _, o := range operations {
		total += o.often
	}
	s := step{proc: rnd.IntN(8)}
	for i := range s.arg {
		s.arg[i] = rnd.IntN(10000)
	}
	n := rnd.IntN(total)
	for _, o := range operations {
		if n -= o.often; n < 0 {
			s.op = o.name
			break
		}
	}
	return s
}

// failure is the argument that says what fails meanwhile.
const failure = 5

// step does one step, with a failure if it says so.
func (pl *player) step(s step) {
	i := slices.IndexFunc(operations, func(o struct {
		name  string
		often int
		do    func(*player, [6]int)
		dies  bool
	}) bool {
		return o.name == s.op
	})
	pl.p = pl.procs[s.proc%len(pl.procs)]
	as := pl.p.as
	as.hit, as.fatal = nil, false
	switch s.arg[failure] % 24 {
	case 1:
		as.fail = []error{unix.ENOMEM}
	case 2:
		if operations[i].dies {
			as.fail = []error{unix.ENOMEM, nil, unix.ENOMEM}
		}
	case 3:
		if operations[i].dies {
			as.fail = []error{platform.ErrDied}
		}
	}
	pl.scarcity, pl.failing = s.arg[failure]%24 == 4, 0
	if s.arg[failure]%24 == 5 {
		pl.failing = 1 + s.arg[failure]/24%4
	}
	operations[i].do(pl, s.arg)
	as.fail = nil
}

// span returns the pages that two arguments choose.
func span(a, b int) (first, n int) {
	first = a % busy
	if a%7 == 6 {
		first = farFirst + a/7%(arenaLen-farFirst)
	}
	return first, min(1+b%10, arenaLen-first)
}

var rights = []memmap.AccessType{
	memmap.ReadWrite, memmap.ReadWrite, memmap.ReadWrite, memmap.Read, memmap.NoAccess, memmap.AnyAccess, memmap.Write, memmap.ReadExecute,
}

var accesses = []memmap.AccessType{memmap.Read, memmap.Write, memmap.Write, memmap.Execute}

// scarce runs f while there is no memory for another page, or while one allocation
// fails, if the step is to fail so and pages of shared memory, which are made as they
// are needed, are not concerned.
func (pl *player) scarce(first, n int, f func()) {
	p := pl.p
	p.full = pl.scarcity || pl.failing > 0
	for i := max(first, 0); i < min(first+n, arenaLen); i++ {
		if q := p.pages[i]; q != nil && q.src != nil && q.src.file == nil {
			p.full = false
		}
	}
	if p.full {
		if pl.mem.FailAfter(pl.failing); pl.scarcity {
			pl.mem.SetLimit(max(pl.mem.Stats().Total, 1))
		}
	}
	pl.loose = p.full && (pl.failing > 0 || !pl.exact)
	f()
	pl.mem.FailAfter(0)
	pl.mem.SetLimit(0)
	pl.loose, p.full = false, false
}

func (pl *player) mmap(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	q := modelPage{perms: rights[a[2]%len(rights)], max: memmap.AnyAccess, private: true, locked: a[3]%32 == 5}
	o := memmap.MMapOpts{Addr: addrOf(first), Length: uint64(n)*page - uint64(a[1]%3), Populate: a[3]%11 == 7}
	switch a[3] % 8 {
	case 0, 1, 2:
		q.src, q.private = pl.sources[a[4]%len(pl.sources)], a[3]%3 == 0
		q.off = a[4] / 8 % 10
		if !q.private && a[4]%3 == 0 {
			q.max = memmap.ReadExecute
		}
		o.Mappable = q.src.mappable
		o.Identity = q.src.identities[a[4]/4%len(q.src.identities)]
		o.Offset = mappableOffset(q.off)
	case 3:
		q.growsDown = true
		o.Stack = a[4]%2 == 0
	}
	var want error
	switch a[4] / 80 % 16 {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		o.Fixed, o.Unmap = true, true
	case 8:
		o.Fixed, o.NoReplace = true, true
	case 9:
		o.Fixed = true
	case 10:
		o.Map32Bit = true
	case 11:
		o.Addr = 0
	case 12:
		o.Map32Bit, o.Addr = true, 0
	case 13:
		o.Addr += memmap.Addr(a[1] % page) // a hint is rounded
	case 14:
		want = oddMap(&o, a[2]%9)
	}
	o.Perms, o.MaxPerms, o.Private, o.GrowsDown = q.perms, q.max, q.private, q.growsDown
	if q.locked {
		o.MLock = memmap.MLockLazy
	}
	pl.refusals(q.src, a[2])
	defer pl.refusals(nil, 0)
	if want == nil && !q.max.SupersetOf(q.perms) {
		want = unix.EACCES
	} else if want != nil {
		o.MaxPerms = memmap.AnyAccess // one thing wrong at a time
	}
	var at int
	if want == nil {
		place, errno := p.place(&o, n)
		if at = place; errno != 0 {
			want = errno
		}
		room, err := p.mm.FindRoom(pl.by, o)
		if pl.errno("FindRoom", err, want); err == nil && room != addrOf(at) {
			wrong("FindRoom is %v, page %d, want page %d", room, indexOf(room), at)
		}
	}
	if want == nil {
		p.unmap(at, n)
		want = q.src.add()
	}
	got, err := p.mm.MMap(pl.by, o)
	if pl.errno("mmap", err, want); err != nil {
		return
	}
	if got != addrOf(at) {
		wrong("mmap is at %v, page %d, want page %d", got, indexOf(got), at)
	}
	p.mapPages(at, n, q)
	if o.Populate {
		p.populate(at, n)
	}
}

// mapPages puts n pages like q at i.
func (m *modelProcess) mapPages(i, n int, q modelPage) {
	for j := range n {
		c := q
		c.off += j
		c.frame, c.here = nil, absent
		m.pages[i+j] = &c
	}
}

func (m *modelProcess) populate(first, n int) {
	q := m.pages[first]
	at := memmap.Read
	if q.private && q.perms.Write {
		at = memmap.Write
	}
	if !q.perms.Any() || q.locked { // locked lazily: Linux's populate_vma_page_range leaves it
		return
	}
	for i := first; i < first+n; i++ {
		if m.traps[i].At.Intersect(at).Any() || m.bring(m.pages[i], at) != fine {
			return
		}
	}
}

// oddMap makes o what no guest should ask for, and says how it is refused.
func oddMap(o *memmap.MMapOpts, how int) error {
	switch how {
	case 0:
		o.Length = 0
		return unix.EINVAL
	case 1:
		o.Length = ^uint64(0) - 5
		return unix.ENOMEM
	case 2:
		o.Fixed, o.Addr = true, o.Addr+1
		return unix.EINVAL
	case 3:
		o.Unmap = true
		return unix.EINVAL
	case 4:
		o.NoReplace = true
		return unix.EINVAL
	case 5:
		if o.Mappable != nil {
			o.Offset++
			return unix.EINVAL
		}
	case 6:
		if o.Mappable != nil {
			o.Offset = ^memmap.MappableOffset(page - 1)
			return unix.EOVERFLOW
		}
	case 7:
		o.Fixed, o.Unmap, o.Addr = true, true, addrOf(arenaLen)-page
		if o.Length > page {
			return unix.ENOMEM
		}
	case 8:
		o.Fixed, o.Addr = true, arena-page
		return unix.EPERM
	}
	return nil
}

// refusals makes a file refuse one of its next mappings, sometimes.
func (pl *player) refusals(s *source, a int) {
	for _, s := range pl.sources {
		if s.file != nil {
			s.refuse, s.file.refuse = 0, 0
		}
	}
	if s != nil && s.file != nil && a%13 == 4 {
		s.refuse = 1 + a/13%3
		s.file.refuse = s.refuse
	}
}

func (pl *player) munmap(a [6]int) {
	first, n := span(a[0], a[1])
	addr, length := addrOf(first), uint64(n)*page-uint64(a[2]%2)
	var want error
	switch a[3] % 24 {
	case 0:
		addr, want = addr+1, unix.EINVAL
	case 1:
		length, want = 0, unix.EINVAL
	case 2:
		length, want = uint64(addrOf(arenaLen)-addr)+1, unix.EINVAL
	case 3:
		length, want = ^uint64(0), unix.EINVAL
	}
	pl.errno("munmap", pl.p.mm.MUnmap(pl.by, addr, length), want)
	if want == nil {
		pl.p.unmap(first, n)
	}
}

func (pl *player) mprotect(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	perms, down := rights[a[2]%len(rights)], a[3]%12 == 0
	addr, length := addrOf(first), uint64(n)*page-uint64(a[2]%2)
	if a[3]%20 == 3 {
		pl.errno("mprotect", p.mm.MProtect(pl.by, addr+1, length, perms, down), unix.EINVAL)
		pl.errno("mprotect", p.mm.MProtect(pl.by, addr, 0, perms, down), nil)
		pl.errno("mprotect", p.mm.MProtect(pl.by, addr, ^uint64(0), perms, down), unix.ENOMEM)
		return
	}
	err := p.mm.MProtect(pl.by, addr, length, perms, down)
	pl.errno("mprotect", err, p.protect(first, first+n, perms, down))
}

func (m *modelProcess) protect(first, end int, perms memmap.AccessType, down bool) error {
	if !m.mapped(first, end-first) {
		return unix.ENOMEM
	}
	if down {
		for m.pages[first] == nil {
			first++
		}
		if !m.pages[first].growsDown {
			return unix.EINVAL
		}
		first = m.start[first]
	}
	for i := first; i < end; i++ {
		q := m.pages[i]
		if q == nil {
			return unix.ENOMEM
		}
		if !q.max.SupersetOf(perms) {
			return unix.EACCES
		}
		q.perms = perms
	}
	return nil
}

func (pl *player) brk(a [6]int) {
	p := pl.p
	addr := heapStart + memmap.Addr(a[0]%14)*page + memmap.Addr(a[1]%3*100)
	switch a[2] % 16 {
	case 0:
		addr = heapStart - 1
	case 1:
		addr = ^memmap.Addr(0)
	}
	want, ok := p.moveBreak(addr)
	got, err := p.mm.Brk(pl.by, addr)
	if got != want || (err == nil) != ok {
		wrong("brk(%v) is %v (%v), want %v, %v", addr, got, err, want, ok)
	}
}

// moveBreak is brk(2), whose errno nobody sees. As on Linux a shrinking heap must
// still have something mapped where it shrinks.
func (m *modelProcess) moveBreak(addr memmap.Addr) (now memmap.Addr, ok bool) {
	up, fits := addr.RoundUp()
	if addr < heapStart || !fits {
		return m.brk, false
	}
	oldUp, _ := m.brk.RoundUp()
	from, to := indexOf(oldUp), indexOf(up)
	switch {
	case to > from:
		if to+1 > m.limitAt(from) && m.limitAt(from) != arenaLen || to > arenaLen || m.mapped(from, to-from) {
			return m.brk, false
		}
		m.mapPages(from, to-from, modelPage{perms: memmap.ReadWrite, max: memmap.AnyAccess, private: true})
	case to < from:
		if !m.mapped(to, from-to) {
			return m.brk, false
		}
		m.unmap(to, from-to)
	}
	m.brk = addr
	return addr, true
}

func (pl *player) dontneed(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	if a[2]%20 == 3 {
		pl.errno("madvise", p.mm.Decommit(pl.by, addrOf(first)+1, page), unix.EINVAL)
		pl.errno("madvise", p.mm.Decommit(pl.by, addrOf(first), ^uint64(0)), unix.EINVAL)
		pl.errno("madvise", p.mm.Decommit(pl.by, addrOf(first), 0), nil)
		return
	}
	var want error
	for i := first; i < first+n; i++ {
		q := p.pages[i]
		if q == nil {
			want = unix.ENOMEM
			continue
		}
		if q.locked {
			want = unix.EINVAL
			break
		}
		q.drop()
	}
	pl.errno("madvise", p.mm.Decommit(pl.by, addrOf(first), uint64(n)*page), want)
}

// deepest is how long a line of forks may be, mostProcesses how many live at once.
const (
	deepest       = 5
	mostProcesses = 6
)

func (pl *player) fork(a [6]int) {
	p := pl.p
	if p.depth == deepest || len(pl.procs) == mostProcesses {
		return
	}
	s := pl.sources[a[0]%2]
	pl.refusals(s, a[1])
	defer pl.refusals(nil, 0)
	var want error
	for i := 0; i < arenaLen && want == nil; i++ {
		if q := p.pages[i]; q != nil && p.start[i] == i {
			want = q.src.add()
		}
	}
	as := &space{AddressSpace: nullas.New()}
	child, err := p.mm.Fork(pl.by, as, int32(len(pl.procs)+2))
	if pl.errno("fork", err, want); err != nil {
		if !as.Released() {
			wrong("a fork failed and kept the address space")
		}
		return
	}
	pl.procs = append(pl.procs, &process{modelProcess: p.modelProcess.fork(), mm: child, as: as, depth: p.depth + 1})
}

// exit ends the process. The last one goes only at the end of the world.
func (pl *player) exit() {
	if len(pl.procs) == 1 && !pl.ending {
		return
	}
	p := pl.p
	p.mm.DecUsers(pl.by)
	if !p.as.Released() {
		wrong("the process is gone, its address space is not")
	}
	p.unmap(0, arenaLen)
	pl.procs = slices.DeleteFunc(pl.procs, func(q *process) bool { return q == p })
}

// guest is an access by the guest, which faults until the host allows it.
func (pl *player) guest(a [6]int) {
	p := pl.p
	i, _ := span(a[0], 0)
	at := accesses[a[1]%len(accesses)]
	offset := a[2] % page
	addr := addrOf(i) + memmap.Addr(offset)
	pl.scarce(i, 1, func() {
		if p.as.Allows(addr, at) {
			p.full = p.full && !pl.loose // such an access takes no memory
			if got := p.guestAccess(i, at); got != fine {
				wrong("%v of page %d needs no fault, want %v", at, i, got)
			}
			pl.guestDoes(i, offset, at, byte(a[3]))
			return
		}
		_, err := p.mm.HandleUserFault(pl.by, addr, at, 0)
		if p.as.fatal && errors.Is(err, p.as.hit) {
			p.full = false
			err = nil
		}
		got := outcomeOf(err)
		want := pl.accessed(i, at, got)
		if got != want {
			wrong("%v of page %d: %v (%v), want %v", at, i, got, err, want)
		}
		if got == fine && !p.as.fatal {
			pl.guestDoes(i, offset, at, byte(a[3]))
		}
	})
}

// accessed is the model's access. What could fail for want of memory need not where
// the window is wide and pages are there that the model does not know of, or where
// only one allocation fails and the engine tries another: then its word counts.
func (pl *player) accessed(i int, at memmap.AccessType, got outcome) outcome {
	p := pl.p
	if !pl.loose {
		return p.guestAccess(i, at)
	}
	full := p.full
	defer func() { p.full = full }()
	if got == busError && p.guestAccess(i, at) == busError { // with no memory, a stack may have grown
		return busError
	}
	p.full = false
	return p.guestAccess(i, at)
}

// guestDoes makes the access that the host now allows.
func (pl *player) guestDoes(i, offset int, at memmap.AccessType, v byte) {
	p := pl.p
	addr := addrOf(i) + memmap.Addr(offset)
	switch {
	case !p.as.Allows(addr, at):
		wrong("%v of page %d is fine, and the host does not allow it", at, i)
	case at.Write:
		if err := p.as.Store(addr, v); err != nil {
			wrong("store to page %d: %v", i, err)
		}
		pl.materialise(i)
		p.write(i, offset, []byte{v})
	default:
		if got, err := p.as.Load(addr); err != nil || got != p.pages[i].bytes()[offset] {
			wrong("load from page %d is %#x (%v), want %#x", i, got, err, p.pages[i].bytes()[offset])
		}
	}
}

// materialise is for wide windows: a page that the host lets be written is owned.
func (pl *player) materialise(i int) {
	if q := pl.p.pages[i]; q.private && (q.frame == nil || q.frame.refs > 1) {
		pl.p.full = false
		pl.p.bring(q, memmap.Write)
	}
}

func outcomeOf(err error) outcome {
	var bus *memmap.BusError
	var trap *mm.TrapError
	switch {
	case err == nil:
		return fine
	case errors.As(err, &bus):
		return busError
	case errors.As(err, &trap):
		return trapped
	case errnoOf(err) == unix.EPERM:
		return denied
	case errnoOf(err) == unix.EFAULT:
		return notMapped
	}
	return outcome(err.Error())
}

// pieces calls f for the part of each page that ars touch, in order, until it
// returns false.
func pieces(ars []memmap.AddrRange, f func(i, offset, n int) bool) {
	for _, ar := range ars {
		for ar.Start < ar.End {
			end := min(ar.End, ar.Start.RoundDown()+page)
			if !f(indexOf(ar.Start), int(ar.Start.PageOffset()), int(end-ar.Start)) {
				return
			}
			ar.Start = end
		}
	}
}

// copied does to the model what a copy from or to ars did that the engine says went
// as far as n bytes, and compares. It returns what is there (reading) or writes data.
func (pl *player) copied(ars []memmap.AddrRange, at memmap.AccessType, o mm.IOOpts, n int, err error, data []byte) (read []byte) {
	p := pl.p
	total, want := 0, 0
	for _, ar := range ars {
		total += int(ar.Length())
	}
	p.full = p.full && !pl.loose
	type piece struct{ i, offset, n int }
	var good []piece
	short := false
	pieces(ars, func(i, offset, size int) bool {
		if pl.loose && want >= n && !short { // here memory ran out, but a stack may have grown before
			if short = true; i < arenaLen && p.pages[i] == nil {
				p.grow(i)
			}
		}
		if short = short || p.access(i, at, o.IgnorePermissions) != fine; short {
			p.mayBePresent(i)
			return p.full || pl.loose // a copy looks pages up together before it finds no memory for one
		}
		good = append(good, piece{i, offset, size})
		want += size
		return true
	})
	if n != want || (n < total) != (err != nil) || err != nil && errnoOf(err) != unix.EFAULT {
		wrong("a copy of kind %v is %d of %d bytes (%v), want %d", at, n, total, err, want)
	}
	for _, g := range good {
		if at.Write {
			p.write(g.i, g.offset, data[:g.n])
			data = data[g.n:]
		} else {
			read = append(read, p.pages[g.i].bytes()[g.offset:g.offset+g.n]...)
		}
	}
	return read
}

// mayBePresent says that nobody knows whether page i of a file is there.
func (m *modelProcess) mayBePresent(i int) {
	if i >= arenaLen || m.pages[i] == nil {
		return
	}
	if q := m.pages[i]; q.src != nil && q.frame == nil && q.here == absent {
		q.here = unknown
	}
}

// buffer is the range and the options that arguments choose.
func buffer(a [6]int) (ar memmap.AddrRange, o mm.IOOpts) {
	first, n := span(a[0], a[1])
	start := addrOf(first) + memmap.Addr(a[2]%page)
	end := min(addrOf(first+n)-memmap.Addr(a[2]/2%page), addrOf(arenaLen))
	return memmap.AddrRange{Start: start, End: max(start, end)}, mm.IOOpts{IgnorePermissions: a[3]%6 == 0}
}

func filled(n int, seed int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i*3)
	}
	return b
}

func (pl *player) copyOut(a [6]int) {
	ar, o := buffer(a)
	src := filled(int(ar.Length()), a[4])
	if a[4]%40 == 7 {
		beyond := addrOf(arenaLen) - memmap.Addr(len(src)) + 1
		if n, err := pl.p.mm.CopyOut(pl.by, beyond, src, o); n != 0 || errnoOf(err) != unix.EFAULT {
			wrong("a copy that ends above all memory is %d, %v", n, err)
		}
		return
	}
	pl.scarce(indexOf(ar.Start), int(ar.Length()/page)+2, func() {
		if a[4]%4 == 1 {
			clear(src)
			n, err := pl.p.mm.ZeroOut(pl.by, ar.Start, ar.Length(), o)
			pl.copied([]memmap.AddrRange{ar}, memmap.Write, o, int(n), err, src)
			return
		}
		n, err := pl.p.mm.CopyOut(pl.by, ar.Start, src, o)
		pl.copied([]memmap.AddrRange{ar}, memmap.Write, o, n, err, src)
	})
}

func (pl *player) copyIn(a [6]int) {
	ar, o := buffer(a)
	dst := make([]byte, ar.Length())
	n, err := pl.p.mm.CopyIn(pl.by, ar.Start, dst, o)
	if want := pl.copied([]memmap.AddrRange{ar}, memmap.Read, o, n, err, nil); !bytes.Equal(dst[:n], want) {
		wrong("a copy from %v is not what is there", ar)
	}
}

// source and sink of vectors.
type bytesReader struct{ b []byte }

func (r *bytesReader) ReadToBlocks(dst safemem.Seq) (uint64, error) {
	return safemem.Copy(dst, safemem.Of(r.b))
}

type bytesWriter struct{ b []byte }

func (w *bytesWriter) WriteFromBlocks(src safemem.Seq) (uint64, error) {
	w.b = make([]byte, src.NumBytes())
	return safemem.Copy(safemem.Of(w.b), src)
}

// vector copies to or from several places.
func (pl *player) vector(a [6]int) {
	var ars []memmap.AddrRange
	total := 0
	first, o := buffer(a)
	for i := range 1 + a[4]%3 {
		b := a
		b[0], b[1] = a[0]+i*a[1], a[1]%4
		ar, _ := buffer(b)
		if a[4]%9 == 3 && i == 0 {
			ar = memmap.AddrRange{Start: first.Start, End: first.Start}
		}
		if slices.ContainsFunc(ars, ar.Overlaps) {
			continue
		}
		ars = append(ars, ar)
		total += int(ar.Length())
	}
	if a[4]%2 == 0 {
		src := filled(total, a[4])
		n, err := pl.p.mm.CopyOutFrom(pl.by, ars, &bytesReader{src}, o)
		pl.copied(ars, memmap.Write, o, int(n), err, src)
		return
	}
	var w bytesWriter
	n, err := pl.p.mm.CopyInTo(pl.by, ars, &w, o)
	if want := pl.copied(ars, memmap.Read, o, int(n), err, nil); !bytes.Equal(w.b, want) {
		wrong("a gathered read is not what is there")
	}
}

// word is an atomic access to four bytes.
func (pl *player) word(a [6]int) {
	p := pl.p
	i, _ := span(a[0], 0)
	offset := a[1] % (page - 4) &^ 3
	addr := addrOf(i) + memmap.Addr(offset)
	if a[2]%12 == 5 {
		if _, err := p.mm.SwapUint32(pl.by, addr+2, 1, mm.IOOpts{}); errnoOf(err) != unix.EFAULT {
			wrong("swap at %v: %v", addr+2, err)
		}
		return
	}
	at := memmap.ReadWrite
	if a[2]%3 == 0 {
		at = memmap.Read
	}
	// What is there must be known before, to know what a compare finds.
	got := p.access(i, at, false)
	old, next := uint32(0), uint32(a[3])
	if got == fine {
		old = binary.LittleEndian.Uint32(p.pages[i].bytes()[offset:])
	}
	var have uint32
	var err error
	switch a[2] % 3 {
	case 0:
		have, err = p.mm.LoadUint32(pl.by, addr, mm.IOOpts{})
	case 1:
		have, err = p.mm.SwapUint32(pl.by, addr, next, mm.IOOpts{})
	default:
		expected := old + uint32(a[4]%2)
		have, err = p.mm.CompareAndSwapUint32(pl.by, addr, expected, next, mm.IOOpts{})
		if expected != old {
			next = old
		}
	}
	if (err == nil) != (got == fine) || err != nil && errnoOf(err) != unix.EFAULT || have != old {
		wrong("the word at %v is %#x (%v), want %#x, %v", addr, have, err, old, got)
	}
	if got == fine && at.Write {
		p.write(i, offset, binary.LittleEndian.AppendUint32(nil, next))
	}
}

// breakCOW makes pages the process's own. They are brought in first: which are there
// depends on the window.
func (pl *player) breakCOW(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	pl.scarcity, pl.failing = pl.scarcity && pl.exact, 0
	for i := first; i < first+n; i++ {
		if q := p.pages[i]; q != nil && q.private {
			var b [1]byte
			_, err := p.mm.CopyIn(pl.by, addrOf(i), b[:], mm.IOOpts{IgnorePermissions: true})
			if got := p.access(i, memmap.Read, true); (got == fine) != (err == nil) {
				wrong("page %d cannot be read: %v, want %v", i, err, got)
			}
		}
	}
	pl.scarce(first, n, func() {
		_, _, err := p.mm.BreakCOW(pl.by, memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)})
		want := fine
		for i := first; i < first+n && want == fine; i++ {
			if q := p.pages[i]; q != nil && q.private && (q.frame != nil || q.here == present) {
				want = p.bring(q, memmap.Write)
			}
		}
		if got := outcomeOf(err); got != want {
			wrong("BreakCOW: %v (%v), want %v", got, err, want)
		}
	})
}

// touch brings pages in one by one until one is refused.
func (pl *player) touch(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	at := accesses[a[2]%len(accesses)]
	pl.scarce(first, n, func() {
		causes, err := p.mm.Touch(pl.by, memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)}, at)
		died := p.as.fatal && errors.Is(err, p.as.hit)
		for k := range causes {
			got := fine
			if k == len(causes)-1 && !died {
				got = outcomeOf(err)
			}
			if want := pl.accessed(first+k, at, got); got != want {
				wrong("touch of page %d: %v (%v), want %v", first+k, got, err, want)
			}
		}
		if len(causes) < n && err == nil {
			wrong("touch ends after %d of %d pages", len(causes), n)
		}
	})
}

// trap sets a watchpoint, or a guard on what is mapped, or takes traps away.
func (pl *player) trap(a [6]int) {
	p := pl.p
	first, n := span(a[0], a[1])
	t := mm.Trap{Kind: mm.TrapWatch, At: accesses[a[2]%len(accesses)], ID: int64(a[3] % 3)}
	if a[4]%4 == 0 {
		t = mm.Trap{Kind: mm.TrapGuard, At: memmap.AnyAccess}
		for i := first; i < first+n; i++ {
			if p.pages[i] == nil {
				return
			}
		}
	} else if a[4]%2 == 0 {
		t = mm.Trap{}
	}
	err := p.mm.SetTrap(pl.by, memmap.AddrRange{Start: addrOf(first), End: addrOf(first + n)}, t)
	pl.errno("SetTrap", err, nil)
	for i := first; i < first+n; i++ {
		if delete(p.traps, i); t != (mm.Trap{}) {
			p.traps[i] = t
		}
	}
}

// each calls f for every page of every process that maps s in [first, end).
func (pl *player) each(s *source, first, end int, f func(*modelPage)) {
	for _, p := range pl.procs {
		for _, q := range p.pages {
			if q != nil && q.src == s && q.off >= first && q.off < end {
				f(q)
			}
		}
	}
}

// invalidate has a file take its pages back.
func (pl *player) invalidate(a [6]int) {
	s := pl.sources[a[0]%2]
	first := a[1] % 24
	end := first + 1 + a[2]%6
	private := a[3]%3 == 0
	s.file.invalidate(first, end, private)
	pl.each(s, first, end, func(q *modelPage) {
		if q.frame == nil || private {
			q.drop()
		}
	})
}

// truncate makes a file shorter or longer.
func (pl *player) truncate(a [6]int) {
	s := pl.sources[a[0]%2]
	n, now := a[1]%26, len(s.data)
	if n > now {
		if err := s.extend(n); err != nil {
			panic(err)
		}
		return
	}
	pl.each(s, n, now, (*modelPage).drop)
	s.truncate(n)
}

// ioError makes a file's page unreadable, or readable again.
func (pl *player) ioError(a [6]int) {
	s := pl.sources[a[0]%2]
	i := a[1] % 10
	if s.bad[i] {
		delete(s.bad, i)
		return
	}
	s.bad[i] = true
	s.file.invalidate(i, i+1, false)
	pl.each(s, i, i+1, func(q *modelPage) {
		if q.frame == nil {
			q.drop()
		}
	})
}
