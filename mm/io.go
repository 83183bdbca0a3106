package mm

import (
	"bytes"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// IOOpts says how data is accessed. The zero IOOpts is the guest's own rights.
type IOOpts struct {
	// IgnorePermissions uses what mprotect could give instead of what it gave: for
	// the debugger, /proc/PID/mem and the loader. Traps do not mind it either.
	IgnorePermissions bool

	pin bool // see Pin
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
	done := mm.hostOut(addr, src, o)
	if done == len(src) {
		return done, nil
	}
	ar.Start += memmap.Addr(done)
	n, err := mm.copyOut(by, ar, src[done:], o)
	return done + n, err
}

// copyOut is CopyOut through the engine's own mappings. src, not empty, goes to ar.
func (mm *MemoryManager) copyOut(by *Actor, ar memmap.AddrRange, src []byte, o IOOpts) (int, error) {
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
	done := mm.hostIn(addr, dst, o)
	if done == len(dst) {
		return done, nil
	}
	ar.Start += memmap.Addr(done)
	n, err := mm.copyIn(by, ar, dst[done:], o)
	return done + n, err
}

// copyIn is CopyIn through the engine's own mappings. dst is as long as ar, not empty.
func (mm *MemoryManager) copyIn(by *Actor, ar memmap.AddrRange, dst []byte, o IOOpts) (int, error) {
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
