package mm

import "sync"

// mappingMutex and activeMutex are a MemoryManager's two locks, as types of
// their own so that the order in which a goroutine takes them can be read off
// the package comment.
type (
	mappingMutex struct{ sync.RWMutex }
	activeMutex  struct{ sync.RWMutex }
)
