package mm

import (
	"sync/atomic"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// ASIO says whether small copies in and out go by way of the guest's own mappings
// (platform.AddressSpaceIO) before they are made through the engine's. One setting
// is shared by a world of processes. A nil ASIO is automatic.
//
// What is read, written and refused is the same either way: where the host's
// mappings do not allow an access, which is so wherever a trap minds or a page waits for
// copy-on-write, the copy goes on the engine's way from there.
type ASIO struct{ mode atomic.Uint32 }

// ASIOMode is a way to use AddressSpaceIO.
type ASIOMode uint32

// The modes. Automatic is off: all memory is mapped in the sandbox as well, and a
// copy through that takes no system call.
const (
	ASIOAuto ASIOMode = iota
	ASIOOn
	ASIOOff
)

// Set changes the mode.
func (a *ASIO) Set(m ASIOMode) { a.mode.Store(uint32(m)) }

// Get returns the mode.
func (a *ASIO) Get() ASIOMode {
	if a == nil {
		return ASIOAuto
	}
	return ASIOMode(a.mode.Load())
}

// maxASIO bounds the copies that AddressSpaceIO is asked for, in bytes. Those with a
// Reader or Writer never go that way: it may be asked once only, for no more than
// memory takes.
const maxASIO = 32 << 10

// throughHost has transfer copy n bytes by AddressSpaceIO, if that is to be used, and
// returns how many it did.
func (mm *MemoryManager) throughHost(n int, o IOOpts, transfer func(platform.AddressSpaceIO) int) int {
	if mm.asio.Get() != ASIOOn || n >= maxASIO || o.IgnorePermissions {
		return 0
	}
	mm.activeMu.RLock() // the host's mappings stay what they are
	defer mm.activeMu.RUnlock()
	host, ok := mm.as.(platform.AddressSpaceIO)
	if !ok {
		return 0
	}
	return transfer(host)
}

// hostOut is CopyOut as far as the host's mappings allow.
func (mm *MemoryManager) hostOut(addr memmap.Addr, src []byte, o IOOpts) int {
	return mm.throughHost(len(src), o, func(host platform.AddressSpaceIO) int { return host.CopyOut(addr, src) })
}

// hostIn is CopyIn as far as the host's mappings allow.
func (mm *MemoryManager) hostIn(addr memmap.Addr, dst []byte, o IOOpts) int {
	return mm.throughHost(len(dst), o, func(host platform.AddressSpaceIO) int { return host.CopyIn(addr, dst) })
}
