// Package safemem copies bytes in the sandbox's own address space where a copy
// may fault: a host file mapped into us can be truncated under our feet.
//
// A Seq is a list of such stretches of memory. Copy, Zero and the 4-byte atomics
// report a fault as an error and say how far they came, byte for byte.
//
// seq.go is the list; copy.go what is done with memory; fault.go how a fault
// becomes an error.
package safemem

import "slices"

// Seq is an immutable list of non-empty blocks of memory. The zero Seq is empty;
// a Seq of one block needs no allocation.
type Seq struct {
	head []byte
	tail [][]byte
}

// Of returns the Seq whose only block is b, or which is empty if b is.
func Of(b []byte) Seq {
	if len(b) == 0 {
		return Seq{}
	}
	return Seq{head: b}
}

// Append returns s followed by b. s stays valid; like append, the result may
// share its memory, so only the newest result may be appended to.
func (s Seq) Append(b []byte) Seq {
	switch {
	case len(b) == 0:
		return s
	case s.IsEmpty():
		return Of(b)
	}
	return Seq{s.head, append(s.tail, b)}
}

// IsEmpty reports whether s has no bytes.
func (s Seq) IsEmpty() bool { return len(s.head) == 0 }

// NumBytes returns the bytes of all blocks together.
func (s Seq) NumBytes() uint64 {
	n := uint64(len(s.head))
	for _, b := range s.tail {
		n += uint64(len(b))
	}
	return n
}

// Head returns the first block; s must not be empty.
func (s Seq) Head() []byte {
	if s.IsEmpty() {
		panic("safemem: head of an empty Seq")
	}
	return s.head
}

// next returns s without its first block.
func (s Seq) next() Seq {
	if len(s.tail) == 0 {
		return Seq{}
	}
	return Seq{s.tail[0], s.tail[1:]}
}

// DropFirst returns s without its first n bytes, or nothing if it has fewer.
func (s Seq) DropFirst(n uint64) Seq {
	for n >= uint64(len(s.head)) && !s.IsEmpty() {
		n -= uint64(len(s.head))
		s = s.next()
	}
	if !s.IsEmpty() {
		s.head = s.head[n:]
	}
	return s
}

// TakeFirst returns the first n bytes of s, or all if it has fewer.
func (s Seq) TakeFirst(n uint64) Seq {
	if n <= uint64(len(s.head)) {
		return Of(s.head[:n])
	}
	n -= uint64(len(s.head))
	for i, b := range s.tail {
		if n < uint64(len(b)) {
			s.tail = slices.Clip(s.tail[:i])
			return s.Append(b[:n])
		}
		n -= uint64(len(b))
	}
	return s
}
