package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// pagesOf returns the pages that ar touches, for calls that no guest makes.
func (mm *MemoryManager) pagesOf(op string, ar memmap.AddrRange) (memmap.AddrRange, error) {
	end, ok := ar.End.RoundUp()
	if !ok || ar.IsEmpty() || !mm.All().IsSupersetOf(ar) {
		return ar, memmap.Refuse(op, unix.EINVAL, "%v is no range of guest memory %v", ar, mm.All())
	}
	return memmap.AddrRange{Start: ar.Start.RoundDown(), End: end}, nil
}

func unaligned(op string, addr memmap.Addr) error {
	return memmap.Refuse(op, unix.EINVAL, "%v is not page-aligned", addr)
}

// roundedRange returns [addr, addr+length) with length rounded up to pages; any
// overflow, or an end above max, is refused with errno.
func roundedRange(op string, addr memmap.Addr, length uint64, max memmap.Addr, errno unix.Errno) (memmap.AddrRange, error) {
	up, ok := memmap.PageRoundUp(length)
	if !ok {
		return memmap.AddrRange{}, memmap.Refuse(op, errno, "length %#x is beyond all addresses", length)
	}
	ar, ok := addr.ToRange(up)
	if !ok || ar.End > max {
		return ar, memmap.Refuse(op, errno, "%v+%#x ends above %v", addr, up, max)
	}
	return ar, nil
}

// mayExpand checks n more bytes, data of them if data is set, against RLIMIT_AS and
// RLIMIT_DATA: Linux's may_expand_vm. minus is what goes away at the same time;
// as in Linux it counts for both, whatever it is.
//
// Preconditions: mm.mappingMu is held.
func (mm *MemoryManager) mayExpand(op string, by *Actor, n, minus uint64, data bool) error {
	l := by.limits()
	if total := mm.vmas.Span() - minus + n; total > l.AS {
		return memmap.Refuse(op, unix.ENOMEM, "%#x bytes would be mapped, RLIMIT_AS is %#x", total, l.AS)
	}
	if !data {
		return nil
	}
	if total := mm.dataAS + n - minus; total > l.Data && mm.dataAS+n > minus {
		return memmap.Refuse(op, unix.ENOMEM, "%#x bytes would be private and writable, RLIMIT_DATA is %#x", total, l.Data)
	}
	return nil
}

// mayLockAtAll reports whether by may lock memory, however little: Linux's
// can_do_mlock.
func mayLockAtAll(by *Actor) bool { return by.LockCap || by.limits().MemLock != 0 }

// mayLock checks n more locked bytes against RLIMIT_MEMLOCK: Linux's mlock_future_ok.
func (mm *MemoryManager) mayLock(op string, by *Actor, n uint64) error {
	if limit := by.limits().MemLock; !by.LockCap && mm.lockedAS+n > limit {
		return memmap.Refuse(op, unix.EAGAIN, "%#x bytes would be locked, RLIMIT_MEMLOCK is %#x", mm.lockedAS+n, limit)
	}
	return nil
}

// mayCount checks that there may be n more vmas than now.
func (mm *MemoryManager) mayCount(op string, n int) error {
	if have := mm.vmas.Len(); have+n > MaxMapCount {
		return memmap.Refuse(op, unix.ENOMEM, "there are %d mappings, vm.max_map_count is %d", have, MaxMapCount)
	}
	return nil
}
