package mm

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// IOOpts says how data is accessed. The zero IOOpts is the guest's own rights.
type IOOpts struct {
	// IgnorePermissions uses what mprotect could give instead of what it gave: for
	// the debugger, /proc/PID/mem and the loader. Traps do not mind it either.
	IgnorePermissions bool
}

// The copies below return the bytes done; fewer than asked comes with an error,
// which is EFAULT to the guest and a *memmap.Refusal or *TrapError with the
// reason inside. They break COW and fill pages as the guest's accesses would.

// CopyOut writes src at addr.
func (mm *MemoryManager) CopyOut(by *Actor, addr memmap.Addr, src []byte, o IOOpts) (int, error) {
	ar, err := mm.checkIORange(addr, uint64(len(src)))
	if err != nil || len(src) == 0 {
		return 0, err
	}
	mm.activeMu.RLock()
	if dst, ok := mm.ready(ar, memmap.Write, o); ok {
		n, err := safemem.Copy(dst, safemem.Of(src))
		mm.activeMu.RUnlock()
		return int(n), ioError(err)
	}
	mm.activeMu.RUnlock()
	n, err := mm.access(by, []memmap.AddrRange{ar}, memmap.Write, o, func(dst safemem.Seq) (uint64, error) {
		n, err := safemem.Copy(dst, safemem.Of(src))
		return n, ioError(err)
	})
	return int(n), err
}

// CopyIn reads len(dst) bytes at addr.
func (mm *MemoryManager) CopyIn(by *Actor, addr memmap.Addr, dst []byte, o IOOpts) (int, error) {
	ar, err := mm.checkIORange(addr, uint64(len(dst)))
	if err != nil || len(dst) == 0 {
		return 0, err
	}
	mm.activeMu.RLock()
	if src, ok := mm.ready(ar, memmap.Read, o); ok {
		n, err := safemem.Copy(safemem.Of(dst), src)
		mm.activeMu.RUnlock()
		return int(n), ioError(err)
	}
	mm.activeMu.RUnlock()
	n, err := mm.access(by, []memmap.AddrRange{ar}, memmap.Read, o, func(src safemem.Seq) (uint64, error) {
		n, err := safemem.Copy(safemem.Of(dst), src)
		return n, ioError(err)
	})
	return int(n), err
}

// ZeroOut clears n bytes at addr.
func (mm *MemoryManager) ZeroOut(by *Actor, addr memmap.Addr, n uint64, o IOOpts) (uint64, error) {
	ar, err := mm.checkIORange(addr, n)
	if err != nil || n == 0 {
		return 0, err
	}
	return mm.access(by, []memmap.AddrRange{ar}, memmap.Write, o, func(dst safemem.Seq) (uint64, error) {
		n, err := safemem.Zero(dst)
		return n, ioError(err)
	})
}

// CopyOutFrom fills the ranges from r, which is asked at most once; a short result
// with a nil error is r's. r is called under the memory's locks: it must not wait
// for the guest, nor touch guest memory.
func (mm *MemoryManager) CopyOutFrom(by *Actor, to []memmap.AddrRange, r safemem.Reader, o IOOpts) (uint64, error) {
	if err := mm.checkIORanges(to); err != nil {
		return 0, err
	}
	return mm.access(by, to, memmap.Write, o, r.ReadToBlocks)
}

// CopyInTo gives the bytes of the ranges to w, which is asked at most once, under
// the memory's locks as CopyOutFrom's reader is.
func (mm *MemoryManager) CopyInTo(by *Actor, from []memmap.AddrRange, w safemem.Writer, o IOOpts) (uint64, error) {
	if err := mm.checkIORanges(from); err != nil {
		return 0, err
	}
	return mm.access(by, from, memmap.Read, o, w.WriteFromBlocks)
}

// stringStep is how much of a string is looked at at once.
const stringStep = 256

// CopyInString reads a NUL-terminated string of at most maxLen bytes, NUL
// excluded: ENAMETOOLONG with the cut string if it is longer, EFAULT with what was
// read if memory ends first.
func (mm *MemoryManager) CopyInString(by *Actor, addr memmap.Addr, maxLen int, o IOOpts) (string, error) {
	var s []byte
	var step [stringStep]byte
	for len(s) <= maxLen {
		// Never across a page: what lies behind the NUL must not be touched.
		n := min(uint64(stringStep), memmap.PageSize-addr.PageOffset(), uint64(maxLen-len(s)+1))
		done, err := mm.CopyIn(by, addr, step[:n], o)
		got := step[:done]
		if i := bytes.IndexByte(got, 0); i >= 0 {
			return string(append(s, got[:i]...)), nil
		}
		s = append(s, got...)
		if err != nil {
			return string(s), err
		}
		next, ok := addr.AddLength(n)
		if !ok {
			return string(s), memmap.Refuse("copy", unix.EFAULT, "the string at %v runs beyond all addresses", addr)
		}
		addr = next
	}
	return string(s[:maxLen]), memmap.Refuse("copy", unix.ENAMETOOLONG, "the string is longer than %d bytes", maxLen)
}

// SwapUint32 stores v at addr atomically and returns what was there.
func (mm *MemoryManager) SwapUint32(by *Actor, addr memmap.Addr, v uint32, o IOOpts) (uint32, error) {
	return mm.word(by, addr, memmap.ReadWrite, o, func(b []byte) (uint32, error) { return safemem.SwapUint32(b, v) })
}

// CompareAndSwapUint32 stores v if old is at addr and returns what was there.
func (mm *MemoryManager) CompareAndSwapUint32(by *Actor, addr memmap.Addr, old, v uint32, o IOOpts) (uint32, error) {
	return mm.word(by, addr, memmap.ReadWrite, o, func(b []byte) (uint32, error) {
		return safemem.CompareAndSwapUint32(b, old, v)
	})
}

// LoadUint32 returns the word at addr.
func (mm *MemoryManager) LoadUint32(by *Actor, addr memmap.Addr, o IOOpts) (uint32, error) {
	return mm.word(by, addr, memmap.Read, o, safemem.LoadUint32)
}

// word does f to the four bytes at addr, which must lie in one page.
func (mm *MemoryManager) word(by *Actor, addr memmap.Addr, at memmap.AccessType, o IOOpts, f func([]byte) (uint32, error)) (uint32, error) {
	ar, err := mm.checkIORange(addr, 4)
	if err != nil {
		return 0, err
	}
	if addr%4 != 0 {
		return 0, memmap.Refuse("copy", unix.EFAULT, "%v is no place for an atomic word", addr)
	}
	mm.activeMu.RLock()
	if seq, ok := mm.ready(ar, at, o); ok {
		v, err := f(seq.Head())
		mm.activeMu.RUnlock()
		return v, ioError(err)
	}
	mm.activeMu.RUnlock()
	var v uint32
	_, err = mm.access(by, []memmap.AddrRange{ar}, at, o, func(seq safemem.Seq) (uint64, error) {
		var err error
		v, err = f(seq.Head())
		return 4, ioError(err)
	})
	return v, err
}

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
	p, ok := mm.pmas.Find(ar.Start)
	if !ok || !mm.grants(&p.Value, o.IgnorePermissions).SupersetOf(at) {
		return safemem.Seq{}, false
	}
	if p.End < ar.End {
		return mm.readyMany(ar, at, o)
	}
	seq, err := p.Value.file.MapInternal(p.Value.fileRange(p.Range, ar), at)
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
// locks, so it starts over then.
func (mm *MemoryManager) lockMemory(by *Actor, ars []memmap.AddrRange, at memmap.AccessType, o IOOpts) (safemem.Seq, error) {
	var cannotGrow error
	for {
		c := mm.begin(by)
		mm.mappingMu.RLock()
		mm.activeMu.Lock()
		seq, short := mm.gatherAll(c, ars, at, o)
		mm.remapStale(c)
		_ = c.flush() // the copy is ours to make, whatever became of the stub
		mm.mappingMu.RUnlock()
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
		var short error
		if !o.IgnorePermissions {
			part, short = mm.untrapped(part, at)
		}
		if !part.IsEmpty() {
			pages := memmap.AddrRange{Start: part.Start.RoundDown(), End: pageUp(part.End)}
			end, err := mm.bringIn(c, vseg, pages, at)
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

// appendMemory appends what pmas have at ar.
func (mm *MemoryManager) appendMemory(seq safemem.Seq, ar memmap.AddrRange, at memmap.AccessType) (safemem.Seq, error) {
	for p := range mm.pmas.In(ar) {
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
