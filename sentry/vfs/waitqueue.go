package vfs

import (
	"sync"

	"golang.org/x/sys/unix"
)

// always are the events that are told whether asked for or not.
const always = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL

// WaitQueue is who waits for a File: its owner's Wait and its bell. The zero
// WaitQueue is ready. Its lock is a leaf.
type WaitQueue struct {
	mu      sync.Mutex
	waiting map[*waiting]struct{}
}

type waiting struct {
	events int16
	ready  chan struct{}
}

// Wait is Waiter's: ready says which events hold now, and is asked once the wait
// is on, so that no Notify is missed; no lock that ready takes may be held.
func (q *WaitQueue) Wait(events int16, ready func() int16) (<-chan struct{}, func()) {
	w := &waiting{events | always, make(chan struct{})}
	q.mu.Lock()
	if q.waiting == nil {
		q.waiting = make(map[*waiting]struct{})
	}
	q.waiting[w] = struct{}{}
	q.mu.Unlock()
	if now := ready(); now&w.events != 0 {
		q.Notify(now)
	}
	return w.ready, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.waiting, w)
	}
}

// Notify wakes who waits for any of events.
func (q *WaitQueue) Notify(events int16) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for w := range q.waiting {
		if w.events&events != 0 {
			close(w.ready)
			delete(q.waiting, w)
		}
	}
}
