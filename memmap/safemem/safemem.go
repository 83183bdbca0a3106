// Package safemem copies bytes in the sandbox's own address space where a copy
// may fault: a host file mapped into us can be truncated under our feet.
//
// A Seq is a list of such stretches of memory. Copy, Zero and the 4-byte atomics
// report a fault as an error and say how far they came, byte for byte.
package safemem

import "errors"

// Seq is an immutable list of non-empty blocks of memory. The zero Seq is empty;
// a Seq of one block needs no allocation.
type Seq struct {
	head []byte
	tail [][]byte
}

// Of returns the Seq whose only block is b.
func Of(b []byte) Seq { panic("safemem: unwritten") }

// Append returns s followed by b. s stays valid; like append, the result may
// share its memory, so only the newest result may be appended to.
func (s Seq) Append(b []byte) Seq { panic("safemem: unwritten") }

// IsEmpty reports whether s has no bytes.
func (s Seq) IsEmpty() bool { panic("safemem: unwritten") }

// NumBytes returns the bytes of all blocks together.
func (s Seq) NumBytes() uint64 { panic("safemem: unwritten") }

// Head returns the first block; s must not be empty.
func (s Seq) Head() []byte { panic("safemem: unwritten") }

// DropFirst returns s without its first n bytes, or nothing if it has fewer.
func (s Seq) DropFirst(n uint64) Seq { panic("safemem: unwritten") }

// TakeFirst returns the first n bytes of s, or all if it has fewer.
func (s Seq) TakeFirst(n uint64) Seq { panic("safemem: unwritten") }

// FaultError says that memory at Addr could not be accessed.
type FaultError struct{ Addr uintptr }

func (e *FaultError) Error() string { panic("safemem: unwritten") }

// ErrUnaligned is returned by the atomics for an address that is no multiple of 4.
var ErrUnaligned = errors.New("address is not 4-byte aligned")

// Copy copies min(dst, src) bytes and returns how many were copied exactly, with
// a *FaultError if that is fewer.
func Copy(dst, src Seq) (uint64, error) { panic("safemem: unwritten") }

// Zero clears dst and returns how many bytes were cleared.
func Zero(dst Seq) (uint64, error) { panic("safemem: unwritten") }

// SwapUint32 stores v in the first four bytes of b and returns what was there.
func SwapUint32(b []byte, v uint32) (uint32, error) { panic("safemem: unwritten") }

// CompareAndSwapUint32 stores v if the first four bytes of b hold old, and returns
// what was there.
func CompareAndSwapUint32(b []byte, old, v uint32) (uint32, error) { panic("safemem: unwritten") }

// LoadUint32 returns the first four bytes of b.
func LoadUint32(b []byte) (uint32, error) { panic("safemem: unwritten") }

// Reader is a source that fills blocks. A short count with a nil error is legal;
// a full read returns no error, not even io.EOF.
type Reader interface {
	ReadToBlocks(dsts Seq) (uint64, error)
}

// Writer is a sink that takes blocks. A short count with a nil error is legal.
type Writer interface {
	WriteFromBlocks(srcs Seq) (uint64, error)
}
