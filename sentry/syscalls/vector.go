package syscalls

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// vector is the guest memory of a transfer, in order.
type vector []memmap.AddrRange

// total is the number of bytes.
func (v vector) total() (n uint64) {
	for _, ar := range v {
		n += uint64(ar.Length())
	}
	return n
}

// dropFirst returns v without its first n bytes.
func (v vector) dropFirst(n uint64) vector {
	for len(v) > 0 && n >= uint64(v[0].Length()) {
		n -= uint64(v[0].Length())
		v = v[1:]
	}
	if n == 0 || len(v) == 0 {
		return v
	}
	rest := append(vector(nil), v...)
	rest[0].Start += memmap.Addr(n)
	return rest
}

// first returns the first n bytes of v.
func (v vector) first(n uint64) vector {
	for i, ar := range v {
		if n <= ar.Length() {
			head := append(vector(nil), v[:i+1]...)
			head[i].End = ar.Start + memmap.Addr(n)
			return head
		}
		n -= ar.Length()
	}
	return v
}

// scatter writes p over v, as by asks, and returns how many bytes memory took.
func (v vector) scatter(t *sentry.Task, by *mm.Actor, p []byte) (done int, err error) {
	for _, ar := range v {
		n := min(len(p)-done, int(ar.Length()))
		if n == 0 {
			continue
		}
		k, err := t.MM().CopyOut(by, ar.Start, p[done:done+n], mm.IOOpts{})
		done += k
		if err != nil || done == len(p) {
			return done, err
		}
	}
	return done, nil
}

// gather reads v into p and returns how many bytes memory gave.
func (v vector) gather(t *sentry.Task, op string, p []byte) (done int, err error) {
	for _, ar := range v {
		n := min(len(p)-done, int(ar.Length()))
		if n == 0 {
			continue
		}
		k, err := guestRead(t, op, ar.Start, p[done:done+n])
		done += k
		if err != nil || done == len(p) {
			return done, err
		}
	}
	return done, nil
}

// oneRange is the vector of read and write: EFAULT for what is no user memory.
func oneRange(op string, at memmap.Addr, n uint64) (vector, error) {
	if !accessOK(at, n) {
		return nil, fault(op, at, n)
	}
	return vector{{Start: at, End: at + memmap.Addr(min(n, maxRW))}}, nil
}

// iovec is a struct iovec: a range that may be no memory at all.
type iovec struct {
	at memmap.Addr
	n  uint64
}

// readIOVecs reads count struct iovecs: EINVAL for more than 1024 of them and for
// negative lengths, EFAULT.
func readIOVecs(t *sentry.Task, op string, at memmap.Addr, count uint64) ([]iovec, error) {
	if count > maxIOV {
		return nil, invalid(op, "%d ranges are more than %d", count, maxIOV)
	}
	all := make([]iovec, count)
	for i := range all {
		v, err := copyIn[[2]uint64](t, at+memmap.Addr(i*16))
		if err != nil {
			return nil, err
		}
		if int64(v[1]) < 0 {
			return nil, invalid(op, "range %d has a negative length", i)
		}
		all[i] = iovec{addr(v[0]), v[1]}
	}
	return all, nil
}

// importVector reads the ranges of a transfer: what readIOVecs refuses, and EFAULT for
// what is no user memory. The sum is cut at what a call may move; of a single range
// nobody looks at the rest. As in Linux (import_iovec) count is a C unsigned.
func importVector(t *sentry.Task, op string, at memmap.Addr, count uint64) (vector, error) {
	all, err := readIOVecs(t, op, at, uint64(uint32(count)))
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		all[0].n = min(all[0].n, maxRW)
	}
	v := make(vector, 0, len(all))
	left := uint64(maxRW)
	for _, r := range all {
		if !accessOK(r.at, r.n) {
			return nil, fault(op, r.at, r.n)
		}
		n := min(r.n, left)
		left -= n
		v = append(v, memmap.AddrRange{Start: r.at, End: r.at + memmap.Addr(n)})
	}
	return v, nil
}
