package mm

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Rule is one question that an access must pass, in the order in which the
// engine asks them.
type Rule struct {
	OK    bool
	Text  string // "a vma maps 0x2000", "the vma allows writing (r--)"
	Event uint64 // the event that made it so, 0 if unknown
	Fix   string // for a failed rule: a shell command that would allow it, if there is one
}

// Explanation is what an access would meet. Nothing is touched.
type Explanation struct {
	Addr   memmap.Addr
	At     memmap.AccessType
	Rules  []Rule
	Cause  memmap.Cause // what the fault would do, or why it would be refused
	Signal unix.Signal  // what the guest would get, 0 if the access is made
	Code   int32        // its si_code
	// Mapped says that the host has it mapped already: no fault would come.
	Mapped bool
}

// The si_codes of refused accesses.
const (
	segvMapErr = 1
	segvAccErr = 2
	busAdrErr  = 2
)

// Explain says what an access of kind at to addr would meet, sp being the stack pointer.
func (mm *MemoryManager) Explain(by *Actor, addr memmap.Addr, at memmap.AccessType, sp memmap.Addr) Explanation {
	if !at.Any() {
		at = memmap.Read
	}
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	mm.activeMu.RLock()
	defer mm.activeMu.RUnlock()
	e := Explanation{Addr: addr, At: at}
	if seg, ok := mm.vmas.Find(addr); ok {
		e.pass(seg.Value.origin.Event, "a vma maps %v: %v", addr, seg.Range)
		mm.explainMapped(&e, seg)
	} else {
		mm.explainHole(&e, by)
	}
	if host, err := mm.hostAt(addr); err == nil && host != nil {
		e.Mapped = host.Perms.SupersetOf(at) && e.Signal == 0
	}
	return e
}

func (e *Explanation) pass(event uint64, format string, args ...any) {
	e.Rules = append(e.Rules, Rule{OK: true, Text: fmt.Sprintf(format, args...), Event: event})
}

// fail ends an explanation: the access is refused.
func (e *Explanation) fail(why memmap.Cause, sig unix.Signal, code int32, r Rule) {
	e.Rules = append(e.Rules, r)
	e.Cause, e.Signal, e.Code = why, sig, code
}

// explainHole explains an access to what is not mapped.
func (mm *MemoryManager) explainHole(e *Explanation, by *Actor) {
	page := e.Addr.RoundDown()
	hole := Rule{Text: fmt.Sprintf("a vma maps %v: none does (%s)", e.Addr, mm.holeAt(e.Addr))}
	if mm.All().Contains(e.Addr) {
		hole.Fix = fmt.Sprintf("mmap %v 4k %s fixed noreplace", page, permsFor(memmap.NoAccess, e.At))
	}
	if !mm.mayGrow(e.Addr) {
		e.fail(memmap.NoMapping, unix.SIGSEGV, segvMapErr, hole)
		return
	}
	seg, _ := mm.vmas.LowerBound(e.Addr)
	if err := mm.checkGrowth(mm.begin(by), seg, memmap.AddrRange{Start: page, End: seg.Start}); causeOf(err) == memmap.NoMapping {
		e.fail(memmap.NoMapping, unix.SIGSEGV, segvMapErr, hole)
		return
	} else if err != nil {
		hole.Text = fmt.Sprintf("the stack %v may grow to %v: %v", seg.Range, page, reasonOf(err))
		e.fail(causeOf(err), unix.SIGSEGV, segvMapErr, hole)
		return
	}
	e.pass(seg.Value.origin.Event, "no vma maps %v, but the stack %v grows down to it", e.Addr, seg.Range)
	if mm.explainRights(e, seg) {
		e.Cause = memmap.StackGrow
	}
}

func reasonOf(err error) string {
	if r, ok := err.(*memmap.Refusal); ok {
		return r.Reason
	}
	return err.Error()
}

// explainMapped explains an access to a vma.
func (mm *MemoryManager) explainMapped(e *Explanation, seg vmaSeg) {
	if !mm.explainRights(e, seg) {
		return
	}
	if mm.guardAt(e.Addr, e.At) != nil {
		e.fail(memmap.GuardPage, unix.SIGSEGV, segvMapErr, Rule{
			Text: fmt.Sprintf("no guard region lies at %v: one does (MADV_GUARD_INSTALL)", e.Addr),
			Fix:  fmt.Sprintf("madvise %v,4k guard_remove", e.Addr.RoundDown()),
		})
		return
	}
	if err := mm.trapped(e.Addr, e.At); err != nil {
		e.fail(causeOf(err), unix.SIGSEGV, segvAccErr, Rule{Text: err.Error()})
		return
	}
	if mm.explainWatched(e, seg) {
		return
	}
	p, ok := mm.pmas.Find(e.Addr)
	if !ok {
		mm.explainMissing(e, seg)
		return
	}
	mm.explainPage(e, seg, p)
}

// explainRights asks whether the vma allows the access, and if not whether mprotect
// could make it.
func (mm *MemoryManager) explainRights(e *Explanation, seg vmaSeg) bool {
	v := &seg.Value
	event := v.origin.Event
	if v.protected != 0 {
		event = v.protected
	}
	text := fmt.Sprintf("the vma allows %s (%v)", verb(e.At), v.perms)
	if v.effective().SupersetOf(e.At) {
		e.pass(event, "%s", text)
		return true
	}
	r := Rule{Text: text, Event: event}
	if wish := v.perms.Union(e.At); v.sealed() {
		r.Text += "; it is sealed, and stays so"
	} else if v.maxPerms.SupersetOf(wish.Effective()) {
		r.Fix = fmt.Sprintf("mprotect %v 4k %s", e.Addr.RoundDown(), permsFor(v.perms, e.At))
	} else {
		r.Text += fmt.Sprintf("; what it maps allows %v at most", v.maxPerms)
	}
	e.fail(memmap.Permission, unix.SIGSEGV, segvAccErr, r)
	return false
}

// explainMissing explains an access to a page that is not there yet.
func (mm *MemoryManager) explainMissing(e *Explanation, seg vmaSeg) {
	v := &seg.Value
	switch {
	case !v.anonymous():
		if end, ok := endOf(v.mappable); ok && offsetOf(seg, e.Addr) >= end {
			e.fail(memmap.BeyondEOF, unix.SIGBUS, busAdrErr, Rule{
				Text: fmt.Sprintf("the file reaches to %v: it ends at offset %#x", e.Addr, uint64(end)),
			})
			return
		}
		if err := checkRead(v.mappable, offsetOf(seg, e.Addr)); err != nil {
			e.fail(memmap.IOError, unix.SIGBUS, busAdrErr, Rule{
				Text: fmt.Sprintf("the file's page at offset %#x can be read: %v", uint64(offsetOf(seg, e.Addr.RoundDown())), err),
			})
			return
		}
		if v.private && e.At.Write {
			e.pass(0, "no page is there: the file's is found and copied")
			e.Cause = memmap.COWCopy
			return
		}
		e.pass(0, "no page is there: the file's is mapped")
		e.Cause = memmap.FileMap
	case e.At.Write || e.At.Execute:
		e.pass(0, "no page is there: a fresh one of zeroes is made")
		e.Cause = memmap.ZeroFill
	default:
		e.pass(0, "no page is there: the zero page is mapped")
		e.Cause = memmap.ZeroMap
	}
}

// endOf returns where a Mappable's last page ends, if it says so.
func endOf(m memmap.Mappable) (memmap.MappableOffset, bool) {
	if f, ok := m.(interface {
		MappableEnd() memmap.MappableOffset
	}); ok {
		return f.MappableEnd(), true
	}
	return 0, false
}

// checkRead says why m could not bring a page in, if it knows without doing it.
func checkRead(m memmap.Mappable, off memmap.MappableOffset) error {
	for over, ok := m.(interface{ Unwrap() memmap.Mappable }); ok; over, ok = m.(interface{ Unwrap() memmap.Mappable }) {
		m = over.Unwrap() // of files that lie over others
	}
	if f, ok := m.(interface {
		CheckRead(memmap.MappableOffset) error
	}); ok {
		return f.CheckRead(off)
	}
	return nil
}

// explainPage explains an access to a page that is there.
func (mm *MemoryManager) explainPage(e *Explanation, seg vmaSeg, p pmaSeg) {
	info := mm.pmaInfo(seg, p, e.Addr.Page())
	for _, id := range mm.pinsOf(info.File, info.Offset) {
		e.pass(mm.pinEvent(id), "the page is pinned (pin %d): it stays where it is, and children get copies", id)
	}
	if end, lost := mm.lostBehind(seg, p, e.Addr); lost {
		e.fail(memmap.BeyondEOF, unix.SIGBUS, busAdrErr, Rule{
			Text: fmt.Sprintf("the file still reaches to %v: the host has cut it, it ends at offset %#x", e.Addr, uint64(end)),
		})
		return
	}
	switch {
	case mm.mustOwn(&p.Value, e.At):
		if p.Value.kind == owned && mm.mem.HasUniqueRef(p.Value.fileRange(p.Range, e.Addr.Page())) {
			e.pass(info.Event, "the page waits for copy-on-write, but has no other owner: it is taken over")
			e.Cause = memmap.COWReuse
			return
		}
		e.pass(info.Event, "the page is there (%v) and waits for copy-on-write: it is copied", info.Cause)
		e.Cause = memmap.COWCopy
	case p.Value.kind != owned && !p.Value.translate.SupersetOf(e.At):
		e.pass(info.Event, "the page is there for reading: its file is asked again")
		e.Cause = memmap.Upgrade
	default:
		e.pass(info.Event, "the page is there (%v)", info.Cause)
		e.Cause = memmap.Refault
	}
}

// verb names the strongest thing that at does.
func verb(at memmap.AccessType) string {
	switch {
	case at.Write:
		return "writing"
	case at.Execute:
		return "executing"
	}
	return "reading"
}

// permsFor prints the permissions of a vma that has perms once at is allowed, as the
// shell's commands take them.
func permsFor(perms, at memmap.AccessType) string {
	s := ""
	for _, l := range []struct {
		on   bool
		name string
	}{
		{perms.Read || at.Read || at.Write || at.Execute, "r"},
		{perms.Write || at.Write, "w"},
		{perms.Execute || at.Execute, "x"},
	} {
		if l.on {
			s += l.name
		}
	}
	return s
}
