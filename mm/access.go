package mm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// checkIORange is access_ok: [addr, addr+n) must not end above guest memory, even if
// n is 0.
func (mm *MemoryManager) checkIORange(addr memmap.Addr, n uint64) (memmap.AddrRange, error) {
	ar, ok := addr.ToRange(n)
	if !ok || ar.End > mm.layout.Max {
		return ar, &memmap.Refusal{
			Op: "copy", Errno: unix.EFAULT, Why: memmap.NoMapping,
			Reason: fmt.Sprintf("%v+%#x ends above guest memory %v", addr, n, mm.All()),
		}
	}
	return ar, nil
}

// checkIORanges checks all, the empty ones too, before anything is done.
func (mm *MemoryManager) checkIORanges(ars []memmap.AddrRange) error {
	for _, ar := range ars {
		if !ar.WellFormed() {
			return memmap.Refuse("copy", unix.EFAULT, "%v ends before it starts", ar)
		}
		if _, err := mm.checkIORange(ar.Start, ar.Length()); err != nil {
			return err
		}
	}
	return nil
}

// ready returns the memory behind ar if pmas alone can tell that all of it may be
// accessed so; false sends the caller to access.
//
// Preconditions: mm.activeMu is held.
func (mm *MemoryManager) ready(ar memmap.AddrRange, at memmap.AccessType, o IOOpts) (safemem.Seq, bool) {
	if !mm.traps.IsEmpty() && !o.IgnorePermissions {
		return safemem.Seq{}, false
	}
	if at.Write && mm.marks.Overlaps(ar) {
		return safemem.Seq{}, false
	}
	r, p, ok := mm.pmas.Peek(ar.Start)
	if !ok || r.Start > ar.Start || !mm.grants(p, o.IgnorePermissions).SupersetOf(at) {
		return safemem.Seq{}, false
	}
	if r.End < ar.End {
		return mm.readyMany(ar, at, o)
	}
	seq, err := p.file.MapInternal(p.fileRange(r, ar), at)
	return seq, err == nil
}

func (mm *MemoryManager) readyMany(ar memmap.AddrRange, at memmap.AccessType, o IOOpts) (seq safemem.Seq, ok bool) {
	pos := ar.Start
	for p := range mm.pmas.In(ar) {
		if p.Start > pos || !mm.grants(&p.Value, o.IgnorePermissions).SupersetOf(at) {
			return seq, false
		}
		part := p.Intersect(ar)
		blocks, err := p.Value.file.MapInternal(p.Value.fileRange(p.Range, part), at)
		if err != nil {
			return seq, false
		}
		seq = appendSeq(seq, blocks)
		pos = part.End
	}
	return seq, pos >= ar.End
}

func appendSeq(seq, more safemem.Seq) safemem.Seq {
	if seq.IsEmpty() {
		return more
	}
	for !more.IsEmpty() {
		head := more.Head()
		seq = seq.Append(head)
		more = more.DropFirst(uint64(len(head)))
	}
	return seq
}

// access does f to the memory behind ars, brought in as the guest's accesses would,
// as far as that goes. f's error is returned as it is; else, if memory ended before
// ars did, the reason, as EFAULT.
func (mm *MemoryManager) access(by *Actor, ars []memmap.AddrRange, at memmap.AccessType, o IOOpts, f func(safemem.Seq) (uint64, error)) (uint64, error) {
	seq, short := mm.lockMemory(by, ars, at, o)
	defer mm.activeMu.Unlock()
	if seq.IsEmpty() {
		return 0, ioError(short)
	}
	n, err := f(seq)
	if err == nil && short != nil && n == seq.NumBytes() {
		err = ioError(short)
	}
	return n, err
}

// lockMemory returns the memory behind ars with activeMu held for writing, and why
// it is not all. Stacks are extended for copies as for accesses; that takes other
// locks, so it starts over then. So it does when a userfaultfd had to be waited for,
// and when memory was given back that was short.
func (mm *MemoryManager) lockMemory(by *Actor, ars []memmap.AddrRange, at memmap.AccessType, o IOOpts) (safemem.Seq, error) {
	var cannotGrow error
	mayWait := true
	for tries := 1; ; tries++ {
		c := mm.begin(by)
		mm.mappingMu.RLock()
		mm.activeMu.Lock()
		seq, short := mm.gatherAll(c, ars, at, o)
		mm.remapStale(c)
		_ = c.flush() // the copy is ours to make, whatever became of the stub
		mm.mappingMu.RUnlock()
		if mayWait && by.waitsFor(short, o) {
			mm.activeMu.Unlock()
			mayWait = by.Await(short) == nil
			continue
		}
		if tries <= mostRetries && noRoom(short) {
			mm.activeMu.Unlock()
			if !mm.relieve() {
				tries = mostRetries // once more, to the end
			}
			continue
		}
		below, stack := short.(*belowStack)
		if !stack {
			return seq, short
		}
		if cannotGrow != nil {
			return seq, cannotGrow
		}
		mm.activeMu.Unlock()
		cannotGrow = mm.growStack(by, below.addr, true)
	}
}

// belowStack says that a stack may have to grow to addr.
type belowStack struct{ addr memmap.Addr }

func (e *belowStack) Error() string { return fmt.Sprintf("%v lies below a stack", e.addr) }

func (mm *MemoryManager) gatherAll(c *change, ars []memmap.AddrRange, at memmap.AccessType, o IOOpts) (seq safemem.Seq, err error) {
	for _, ar := range ars {
		if seq, err = mm.gather(c, seq, ar, at, o); err != nil {
			break
		}
	}
	return seq, err
}

// gather appends the memory behind ar to seq, and says why if that is not all.
func (mm *MemoryManager) gather(c *change, seq safemem.Seq, ar memmap.AddrRange, at memmap.AccessType, o IOOpts) (safemem.Seq, error) {
	for ar.Start < ar.End {
		vseg, err := mm.vmaFor(ar.Start, at, o)
		if err != nil {
			return seq, err
		}
		part := vseg.Intersect(ar)
		stops := mm.untrapped
		if o.IgnorePermissions {
			stops = mm.unguarded // which no permission opens
		}
		part, short := stops(part, at)
		if !part.IsEmpty() {
			pages := memmap.AddrRange{Start: part.Start.RoundDown(), End: pageUp(part.End)}
			end, err := mm.bringInFor(c, vseg, pages, at, o)
			if end < part.End {
				part.End = max(end, part.Start)
				short = err
			}
			var mapped error
			if seq, mapped = mm.appendMemory(seq, part, at); mapped != nil {
				return seq, mapped
			}
		}
		if short != nil {
			return seq, short
		}
		ar.Start = part.End
	}
	return seq, nil
}

// bringInFor is bringIn for a copy, or for a pin, which private memory must not share.
func (mm *MemoryManager) bringInFor(c *change, seg vmaSeg, pages memmap.AddrRange, at memmap.AccessType, o IOOpts) (memmap.Addr, error) {
	if o.pin && seg.Value.pageless() {
		return pages.Start, memmap.Refuse("pin", unix.EFAULT, "%v is no memory", seg.Range)
	}
	end, err := mm.bringIn(c, seg, pages, at)
	if err != nil || !o.pin || !seg.Value.private {
		return end, err
	}
	return mm.own(c, seg, pages)
}

// appendMemory appends what pmas have at ar.
func (mm *MemoryManager) appendMemory(seq safemem.Seq, ar memmap.AddrRange, at memmap.AccessType) (safemem.Seq, error) {
	for p := range mm.pmas.In(ar) {
		if at.Write && mm.needCOW(&p.Value) { // never: others would see what is written
			panic(fmt.Sprintf("mm: a copy to %v would write pages that %v shares", ar, p.Range))
		}
		blocks, err := p.Value.file.MapInternal(p.Value.fileRange(p.Range, p.Intersect(ar)), at)
		if err != nil {
			return seq, err
		}
		seq = appendSeq(seq, blocks)
	}
	return seq, nil
}

// vmaFor returns the vma at addr if it allows at.
//
// Preconditions: mm.mappingMu is held.
func (mm *MemoryManager) vmaFor(addr memmap.Addr, at memmap.AccessType, o IOOpts) (vmaSeg, error) {
	seg, ok := mm.vmas.Find(addr)
	if !ok && mm.mayGrow(addr) {
		return seg, &belowStack{addr}
	}
	if !ok {
		return seg, mm.notMapped("copy", addr)
	}
	if !seg.Value.rights(o).SupersetOf(at) {
		return seg, &memmap.Refusal{
			Op: "copy", Errno: unix.EFAULT, Why: memmap.Permission,
			Reason: fmt.Sprintf("%v allows %v, not %v, at %v", seg.Range, seg.Value.perms, at, addr),
		}
	}
	return seg, nil
}

// ioError makes err, which stopped a copy, EFAULT to the guest.
func ioError(err error) error {
	if err == nil {
		return nil
	}
	return asEFAULT(err)
}

// asEFAULT wraps err so that the first errno that errors.As finds is EFAULT.
func asEFAULT(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) && errno == unix.EFAULT {
		return err
	}
	return fmt.Errorf("%w: %w", unix.EFAULT, err)
}
