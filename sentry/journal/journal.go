// Package journal keeps the history of a world of guests: it drains the engine's
// ring of events, finds events again by number, and sums them up.
//
// journal.go holds the log, select.go the selection of events, stats.go the sums,
// moment.go what the past can still answer.
package journal

import (
	"sort"
	"sync"

	"mmsh.dev/mmsh/mm"
)

// DefaultCap is how many events a Journal holds if nobody says otherwise.
const DefaultCap = 100_000

// Journal is the log of a world's events, oldest first. It is safe for concurrent use.
type Journal struct {
	ring *mm.Ring
	cap  int

	mu     sync.Mutex
	events []mm.Event
	seen   uint64 // the newest event that was drained
	lost   uint64 // events that the ring or the log dropped
	reset  uint64 // sums begin after this event
}

// New returns the Journal of ring, which holds at most n events (0: DefaultCap).
func New(ring *mm.Ring, n int) *Journal {
	if n <= 0 {
		n = DefaultCap
	}
	return &Journal{ring: ring, cap: n}
}

// Last returns the number of the newest event, 0 if there is none.
func (j *Journal) Last() uint64 { return j.ring.Last() }

// Lost returns how many events are gone: more happened than the log holds.
func (j *Journal) Lost() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drainLocked()
	return j.lost
}

// Event returns the event numbered seq; false if it has not happened or is gone.
func (j *Journal) Event(seq uint64) (mm.Event, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drainLocked()
	i := j.searchLocked(seq)
	if seq == 0 || i == len(j.events) || j.events[i].Seq != seq {
		return mm.Event{}, false
	}
	return j.events[i], true
}

// After returns a copy of the events numbered above seq that are held.
func (j *Journal) After(seq uint64) []mm.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drainLocked()
	return append([]mm.Event(nil), j.events[j.searchLocked(seq+1):]...)
}

// searchLocked returns the index of the first event that is not older than seq.
func (j *Journal) searchLocked(seq uint64) int {
	return sort.Search(len(j.events), func(i int) bool { return j.events[i].Seq >= seq })
}

// drainLocked takes over what the ring has that the log has not.
func (j *Journal) drainLocked() {
	fresh, lost := j.ring.Since(j.seen)
	j.lost += lost
	if len(fresh) == 0 {
		return
	}
	j.seen = fresh[len(fresh)-1].Seq
	j.events = append(j.events, fresh...)
	if over := len(j.events) - j.cap; over > 0 {
		j.lost += uint64(over)
		j.events = append([]mm.Event(nil), j.events[over:]...)
	}
}
