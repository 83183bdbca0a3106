package sentry

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// futexAny is the bitset that every other one meets.
const futexAny = ^uint32(0)

// futexTable holds the threads that wait on words of memory. Its lock is held
// while the word is compared, so that no wake-up between comparison and wait is lost.
type futexTable struct {
	mu      sync.Mutex
	waiting map[mm.FutexKey][]*futexWaiter // in order of coming
}

type futexWaiter struct {
	bitset uint32
	woken  chan struct{} // closed by the wake-up
}

// FutexWait waits until the word at addr is woken, if it holds val: else EAGAIN.
// ETIMEDOUT at deadline on Clock.Monotonic (0: none); EFAULT, EINVAL for a bad or
// unaligned address; ErrRestart if a signal came.
func (t *Task) FutexWait(addr memmap.Addr, private bool, val, bitset uint32, deadline time.Duration) error {
	key, err := t.futexKey(addr, private, bitset)
	if err != nil {
		return err
	}
	var w *futexWaiter
	err = t.AwaitUserfaults(func() error {
		var err error
		w, err = t.enqueue(key, addr, val, bitset)
		return err
	})
	if err != nil {
		return err
	}
	err = t.Block(w.woken, deadline)
	if err == nil || !t.k.futexes.drop(key, w) { // woken in the same moment: that counts
		return nil
	}
	if err == ErrTimedOut {
		return unix.ETIMEDOUT
	}
	return err
}

// FutexWake wakes at most n threads that wait on the word at addr with a bit of
// bitset, first come first, and returns how many it woke.
func (t *Task) FutexWake(addr memmap.Addr, private bool, n int, bitset uint32) (int, error) {
	key, err := t.futexKey(addr, private, bitset)
	if err != nil {
		return 0, err
	}
	return t.k.futexes.wake(key, n, bitset), nil
}

func (t *Task) futexKey(addr memmap.Addr, private bool, bitset uint32) (mm.FutexKey, error) {
	switch {
	case addr%4 != 0:
		return mm.FutexKey{}, fmt.Errorf("futex: %w: %v is not a multiple of 4", unix.EINVAL, addr)
	case bitset == 0:
		return mm.FutexKey{}, fmt.Errorf("futex: %w: the bitset is empty", unix.EINVAL)
	}
	return t.mm.FutexKey(t.Actor("futex"), addr, private)
}

// enqueue makes t's place among those who wait on key if the word at addr holds val.
func (t *Task) enqueue(key mm.FutexKey, addr memmap.Addr, val, bitset uint32) (*futexWaiter, error) {
	f := &t.k.futexes
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := t.mm.LoadUint32(t.Actor("futex"), addr, mm.IOOpts{})
	if err != nil {
		return nil, err
	}
	if now != val {
		return nil, fmt.Errorf("futex: %w: %v holds %d, not %d", unix.EAGAIN, addr, now, val)
	}
	if f.waiting == nil {
		f.waiting = make(map[mm.FutexKey][]*futexWaiter)
	}
	w := &futexWaiter{bitset: bitset, woken: make(chan struct{})}
	f.waiting[key] = append(f.waiting[key], w)
	return w, nil
}

// drop takes w out; false if it was woken already.
func (f *futexTable) drop(key mm.FutexKey, w *futexWaiter) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.waiting[key] {
		if o == w {
			f.setLocked(key, append(f.waiting[key][:i:i], f.waiting[key][i+1:]...))
			return true
		}
	}
	return false
}

// wake wakes at most n of those who wait on key and returns how many.
func (f *futexTable) wake(key mm.FutexKey, n int, bitset uint32) (woken int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var stay []*futexWaiter
	for _, w := range f.waiting[key] {
		if woken < n && w.bitset&bitset != 0 {
			close(w.woken)
			woken++
		} else {
			stay = append(stay, w)
		}
	}
	f.setLocked(key, stay)
	return woken
}

func (f *futexTable) setLocked(key mm.FutexKey, ws []*futexWaiter) {
	if len(ws) == 0 {
		delete(f.waiting, key)
		return
	}
	f.waiting[key] = ws
}
