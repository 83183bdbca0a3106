package sentry

import (
	"math/bits"
	"slices"

	"golang.org/x/sys/unix"
)

// maxQueued bounds the realtime signals that wait in one queue, as RLIMIT_SIGPENDING
// would; what comes above it is lost, which Linux allows for kill(2).
const maxQueued = 4096

// sigQueue holds signals that wait: a standard one once, realtime ones in order.
type sigQueue struct {
	set   SigSet
	infos []SigInfo // oldest first
}

// add queues info, unless it is a standard signal that waits already.
func (q *sigQueue) add(info SigInfo) {
	if q.set.Has(info.Signal) && (info.Signal < firstRealtime || len(q.infos) >= maxQueued) {
		return
	}
	q.set |= bit(info.Signal)
	q.infos = append(q.infos, info)
}

// discard forgets all signals of s.
func (q *sigQueue) discard(s SigSet) {
	q.infos = slices.DeleteFunc(q.infos, func(i SigInfo) bool { return s.Has(i.Signal) })
	q.set &^= s
}

// take removes and returns the oldest info of sig, which waits.
func (q *sigQueue) take(sig int32) SigInfo {
	same := func(i SigInfo) bool { return i.Signal == sig }
	at := slices.IndexFunc(q.infos, same)
	info := q.infos[at]
	q.infos = slices.Delete(q.infos, at, at+1)
	if !slices.ContainsFunc(q.infos, same) {
		q.set &^= bit(sig)
	}
	return info
}

// next returns the signal of s that goes first, 0 if s is empty: SIGKILL, then
// synchronous ones, then by number.
func (s SigSet) next() int32 {
	for _, prior := range [...]SigSet{bit(int32(unix.SIGKILL)), synchronous, ^SigSet(0)} {
		if s&prior != 0 {
			return int32(bits.TrailingZeros64(uint64(s&prior))) + 1
		}
	}
	return 0
}

// dequeue takes the next signal of allowed that waits for t; ok is false if none does.
func (t *Task) dequeue(allowed SigSet) (info SigInfo, ok bool) {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	defer t.lookLocked()
	sig := (t.pending.set & allowed).next()
	if sig != 0 {
		return t.pending.take(sig), true
	}
	if sig = (p.pending.set & allowed).next(); sig != 0 {
		return p.pending.take(sig), true
	}
	return SigInfo{}, false
}

// discardLocked forgets the waiting signals of s, the threads' included.
//
// Preconditions: p.mu is held. Only t itself may hold p's single thread.
func (p *Process) discardLocked(s SigSet) {
	p.pending.discard(s)
	for _, t := range p.threads {
		t.pending.discard(s)
	}
}
