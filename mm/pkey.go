package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// AllocKey is pkey_alloc(2) on a processor without protection keys. Linux has one
// key there, gives it out and then finds that it cannot be used: EINVAL. It does not
// take it back, so that from then on, in children too, there is none: ENOSPC.
func (mm *MemoryManager) AllocKey() error {
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	if mm.keyTried {
		return memmap.Refuse("pkey_alloc", unix.ENOSPC, "no protection key is left")
	}
	mm.keyTried = true
	return memmap.Refuse("pkey_alloc", unix.EINVAL, "the processor has no protection keys")
}
