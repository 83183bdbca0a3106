//go:build !mmlocks

package mm

import "sync"

// mappingMutex and activeMutex are a MemoryManager's two locks. Built with the tag
// mmlocks they check on every use that a goroutine takes them in the order of the
// package comment; else they are plain.
type (
	mappingMutex struct{ sync.RWMutex }
	activeMutex  struct{ sync.RWMutex }
)

// lockChild locks the lock of a child that Fork makes, with the parent's held.
func (m *activeMutex) lockChild() { m.Lock() }

// AssertUnlocked panics, in builds with the tag mmlocks, if the calling goroutine
// holds a lock of any MemoryManager: who is about to wait for a guest calls it.
func AssertUnlocked() {}
