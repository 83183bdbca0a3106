//go:build mmlocks

package mm

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync"
)

// mappingMutex and activeMutex check their order. Both know of all managers: one
// goroutine holds locks of one manager only, but for Fork.
type (
	mappingMutex struct{ mu sync.RWMutex }
	activeMutex  struct{ mu sync.RWMutex }
)

// holds is what a goroutine holds: so many locks of each class.
type holds struct{ mapping, active int }

var held = struct {
	sync.Mutex
	by map[uint64]holds
}{by: make(map[uint64]holds)}

// goroutine returns the number of the calling goroutine, as its stack trace has it.
func goroutine() uint64 {
	var buf [64]byte
	field := bytes.Fields(buf[:runtime.Stack(buf[:], false)])[1]
	n, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// take notes that the calling goroutine is about to take more; most is what it may
// hold already.
func take(more, most holds) {
	g := goroutine()
	held.Lock()
	defer held.Unlock()
	now := held.by[g]
	if now.mapping > most.mapping || now.active > most.active {
		panic(fmt.Sprintf("mm: locks out of order: %+v held, %+v to be taken", now, more))
	}
	held.by[g] = holds{now.mapping + more.mapping, now.active + more.active}
}

// give notes that the calling goroutine has released less.
func give(less holds) {
	g := goroutine()
	held.Lock()
	defer held.Unlock()
	now := held.by[g]
	now = holds{now.mapping - less.mapping, now.active - less.active}
	held.by[g] = now
	if now == (holds{}) {
		delete(held.by, g)
	}
}

var (
	aMapping = holds{mapping: 1}
	anActive = holds{active: 1}
	nothing  = holds{}
)

func (m *mappingMutex) Lock()    { take(aMapping, nothing); m.mu.Lock() }
func (m *mappingMutex) RLock()   { take(aMapping, nothing); m.mu.RLock() }
func (m *mappingMutex) Unlock()  { m.mu.Unlock(); give(aMapping) }
func (m *mappingMutex) RUnlock() { m.mu.RUnlock(); give(aMapping) }
func (m *activeMutex) Lock()     { take(anActive, aMapping); m.mu.Lock() }
func (m *activeMutex) RLock()    { take(anActive, aMapping); m.mu.RLock() }
func (m *activeMutex) Unlock()   { m.mu.Unlock(); give(anActive) }
func (m *activeMutex) RUnlock()  { m.mu.RUnlock(); give(anActive) }

// lockChild locks the lock of a child that Fork makes, with the parent's held.
func (m *activeMutex) lockChild() { take(anActive, holds{1, 1}); m.mu.Lock() }

// AssertUnlocked panics if the calling goroutine holds a lock of any MemoryManager.
func AssertUnlocked() {
	g := goroutine()
	held.Lock()
	defer held.Unlock()
	if now, ok := held.by[g]; ok {
		panic(fmt.Sprintf("mm: about to wait with locks held: %+v", now))
	}
}
