package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Commands of membarrier(2).
const (
	BarrierQuery                    = 0
	BarrierGlobal                   = 1 << 0
	BarrierGlobalExpedited          = 1 << 1
	BarrierRegisterGlobalExpedited  = 1 << 2
	BarrierPrivateExpedited         = 1 << 3
	BarrierRegisterPrivateExpedited = 1 << 4
	BarrierPrivateExpeditedSync     = 1 << 5
	BarrierRegisterPrivateSync      = 1 << 6
	BarrierPrivateExpeditedRseq     = 1 << 7
	BarrierRegisterPrivateRseq      = 1 << 8
	BarrierRegistrations            = 1 << 9
	BarrierAll                      = BarrierRegistrations<<1 - 1
	registerBarriers                = BarrierRegisterGlobalExpedited | privateRegistrations
	privateBarriers                 = BarrierPrivateExpedited | BarrierPrivateExpeditedSync | BarrierPrivateExpeditedRseq
	privateRegistrations            = privateBarriers << 1
	specialRegistrations            = BarrierRegisterPrivateSync | BarrierRegisterPrivateRseq
)

// RegisterBarrier notes that a process will use the barrier that command registers.
// It is kept by the memory, and children inherit it.
func (mm *MemoryManager) RegisterBarrier(command uint32) {
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	mm.barriers |= command & registerBarriers
}

// RegisteredBarriers returns the commands that were registered, as membarrier(2)
// tells them: each private one also counts as the plain one.
func (mm *MemoryManager) RegisteredBarriers() uint32 {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	if mm.barriers&specialRegistrations != 0 {
		return mm.barriers | BarrierRegisterPrivateExpedited
	}
	return mm.barriers
}

// MayBarrier refuses a private barrier that was not registered: EPERM. alone says
// that nobody shares the memory, so that there is nothing to order.
func (mm *MemoryManager) MayBarrier(command uint32) (alone bool, err error) {
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	if command&privateBarriers != 0 && mm.barriers&(command<<1) == 0 {
		return false, memmap.Refuse("membarrier", unix.EPERM, "command %#x was not registered", command)
	}
	return mm.users.Load() == 1, nil
}
