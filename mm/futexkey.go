package mm

import "mmsh.dev/mmsh/memmap"

// FutexKey names a word of memory: two addresses that are one word, in whichever
// processes, have equal keys. It holds no reference.
type FutexKey struct {
	space    *MemoryManager  // of private memory
	mappable memmap.Mappable // of shared memory
	offset   uint64          // the address, or the offset in mappable
}

// FutexKey returns the key of the word at addr. private says that the caller knows
// that no other process shares it (FUTEX_PRIVATE_FLAG). EFAULT: nothing readable
// is mapped there.
func (mm *MemoryManager) FutexKey(by *Actor, addr memmap.Addr, private bool) (FutexKey, error) {
	if _, err := mm.checkIORange(addr, 4); err != nil {
		return FutexKey{}, err
	}
	key := FutexKey{space: mm, offset: uint64(addr)}
	if private {
		return key, nil
	}
	mm.mappingMu.RLock()
	defer mm.mappingMu.RUnlock()
	seg, err := mm.vmaFor(addr, memmap.Read, IOOpts{})
	if err != nil {
		return FutexKey{}, ioError(err)
	}
	if v := &seg.Value; !v.private && v.mappable != nil {
		return FutexKey{mappable: v.mappable, offset: uint64(offsetOf(seg, addr))}, nil
	}
	return key, nil
}
