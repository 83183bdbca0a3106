package syscalls

import "sync"

// buffers keeps what calls have moved bytes through for the next ones: a fresh buffer is
// cleared first, which costs about as much as filling it. At most maxChunk each.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// borrow returns n bytes of anything, which nobody else has until they are given back.
// Whoever they are given to reads or fills them before he returns, and keeps nothing.
func borrow(n uint64) *[]byte {
	b := buffers.Get().(*[]byte)
	if uint64(cap(*b)) < n {
		*b = make([]byte, n)
	}
	*b = (*b)[:n]
	return b
}

// giveBack is the end of b's use.
func giveBack(b *[]byte) { buffers.Put(b) }
