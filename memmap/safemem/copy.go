package safemem

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// ErrUnaligned is returned by the atomics for an address that is no multiple of 4.
var ErrUnaligned = errors.New("address is not 4-byte aligned")

// Reader is a source that fills blocks. A short count with a nil error is legal;
// a full read returns no error, not even io.EOF.
type Reader interface {
	ReadToBlocks(dsts Seq) (uint64, error)
}

// Writer is a sink that takes blocks. A short count with a nil error is legal.
type Writer interface {
	WriteFromBlocks(srcs Seq) (uint64, error)
}

// Copy copies min(dst, src) bytes and returns how many were copied exactly, with
// a *FaultError if that is fewer. A block of dst must not overlap one of src
// other than at the same place in both.
func Copy(dst, src Seq) (uint64, error) {
	if len(src.tail) == 0 && len(dst.head) >= len(src.head) { // most copies are short
		n, err := copyBlock(dst.head[:len(src.head)], src.head)
		return uint64(n), err
	}
	done := uint64(0)
	for !dst.IsEmpty() && !src.IsEmpty() {
		n := min(len(dst.head), len(src.head))
		copied, err := copyBlock(dst.head[:n], src.head[:n])
		done += uint64(copied)
		if err != nil {
			return done, err
		}
		dst, src = dst.after(n), src.after(n)
	}
	return done, nil
}

// Zero clears dst and returns how many bytes were cleared.
func Zero(dst Seq) (uint64, error) {
	done := uint64(0)
	for ; !dst.IsEmpty(); dst = dst.next() {
		cleared, err := clearBlock(dst.head)
		done += uint64(cleared)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// after returns s without n bytes of its first block, which has that many.
func (s Seq) after(n int) Seq {
	if n == len(s.head) {
		return s.next()
	}
	s.head = s.head[n:]
	return s
}

// copyBlock copies src to dst, which is as long. A fault tells neither in which
// order the bytes before it were copied nor exactly where it was: so after one the
// copy is done again page by page, as memory faults by the page.
func copyBlock(dst, src []byte) (int, error) {
	if tryCopy(dst, src) == nil {
		return len(dst), nil
	}
	done := 0
	for done < len(dst) {
		n := min(leftOfPage(dst[done:]), leftOfPage(src[done:]))
		if fault := tryCopy(dst[done:done+n], src[done:done+n]); fault != nil {
			return done, fault
		}
		done += n
	}
	return done, nil
}

// clearBlock clears b, as copyBlock copies.
func clearBlock(b []byte) (int, error) {
	if tryClear(b) == nil {
		return len(b), nil
	}
	done := 0
	for done < len(b) {
		n := leftOfPage(b[done:])
		if fault := tryClear(b[done : done+n]); fault != nil {
			return done, fault
		}
		done += n
	}
	return done, nil
}

// leftOfPage returns how many bytes of b, which is not empty, lie in its first page.
func leftOfPage(b []byte) int {
	const pageSize = 4096
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return min(len(b), int(pageSize-start%pageSize))
}

func tryCopy(dst, src []byte) (fault *FaultError) {
	defer catchFaults(allowFaults(), &fault)
	copy(dst, src)
	return nil
}

func tryClear(b []byte) (fault *FaultError) {
	defer catchFaults(allowFaults(), &fault)
	clear(b)
	return nil
}

// word returns the first four bytes of b, which has that many, as one aligned
// word. It does not look at them.
func word(b []byte) (*uint32, error) {
	if len(b) < 4 {
		panic(fmt.Sprintf("safemem: atomic on %d bytes", len(b)))
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%4 != 0 {
		return nil, ErrUnaligned
	}
	return (*uint32)(p), nil
}

// SwapUint32 stores v in the first four bytes of b and returns what was there. It
// is atomic, as are its sisters; they fail with ErrUnaligned or a *FaultError.
func SwapUint32(b []byte, v uint32) (uint32, error) {
	p, err := word(b)
	if err != nil {
		return 0, err
	}
	old, fault := trySwap(p, v)
	return old, asError(fault)
}

// CompareAndSwapUint32 stores v if the first four bytes of b hold old, and returns
// what was there.
func CompareAndSwapUint32(b []byte, old, v uint32) (uint32, error) {
	p, err := word(b)
	if err != nil {
		return 0, err
	}
	was, fault := tryCompareAndSwap(p, old, v)
	return was, asError(fault)
}

// LoadUint32 returns the first four bytes of b.
func LoadUint32(b []byte) (uint32, error) {
	p, err := word(b)
	if err != nil {
		return 0, err
	}
	v, fault := tryLoad(p)
	return v, asError(fault)
}

func trySwap(p *uint32, v uint32) (old uint32, fault *FaultError) {
	defer catchFaults(allowFaults(), &fault)
	return atomic.SwapUint32(p, v), nil
}

func tryCompareAndSwap(p *uint32, old, v uint32) (was uint32, fault *FaultError) {
	defer catchFaults(allowFaults(), &fault)
	for {
		if atomic.CompareAndSwapUint32(p, old, v) {
			return old, nil
		}
		// It held something else; unless it has become old since, that is the answer.
		if was := atomic.LoadUint32(p); was != old {
			return was, nil
		}
	}
}

func tryLoad(p *uint32) (v uint32, fault *FaultError) {
	defer catchFaults(allowFaults(), &fault)
	return atomic.LoadUint32(p), nil
}
