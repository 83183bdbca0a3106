package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

const (
	protSem       = 0x8
	protGrowsDown = 0x01000000
	protGrowsUp   = 0x02000000
)

// munmap(addr, length).
func munmap(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, t.MM().MUnmap(t.Actor("munmap"), addr(a[0]), a[1])
}

// mprotect(addr, length, prot). Linux: do_mprotect_pkey.
func mprotect(t *sentry.Task, a sentry.Args) (uintptr, error) {
	at, length, prot := addr(a[0]), a[1], a[2]
	if err := checkMprotect(a); err != nil || length == 0 {
		return 0, err
	}
	grows := prot & (protGrowsDown | protGrowsUp)
	if grows == protGrowsUp {
		// No mapping grows up on x86: the first mapping decides between the errors.
		if _, ok := t.MM().FindVMA(at); !ok {
			return 0, memmap.Refuse("mprotect", unix.ENOMEM, "%v is not mapped", at)
		}
		return 0, invalid("mprotect", "no mapping grows up")
	}
	perms := memmap.AccessFromProt(int(prot &^ grows))
	return 0, t.MM().MProtect(t.Actor("mprotect"), at, length, perms, grows == protGrowsDown)
}

// checkMprotect is what mprotect can say without a look at what is mapped.
func checkMprotect(a sentry.Args) error {
	const known = unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC | protSem | protGrowsDown | protGrowsUp
	at, length, prot := addr(a[0]), a[1], a[2]
	switch {
	case prot&protGrowsDown != 0 && prot&protGrowsUp != 0:
		return invalid("mprotect", "PROT_GROWSDOWN and PROT_GROWSUP together")
	case !at.IsPageAligned():
		return invalid("mprotect", "%v is not page-aligned", at)
	case length == 0:
		return nil
	}
	rounded, _ := memmap.PageRoundUp(length)
	if end := uint64(at) + rounded; end <= uint64(at) {
		return memmap.Refuse("mprotect", unix.ENOMEM, "%v and length %#x overflow", at, length)
	}
	if extra := prot &^ known; extra != 0 {
		return invalid("mprotect", "unknown protection bits %#x", extra)
	}
	return nil
}

// mremap(old, oldSize, newSize, flags, newAddr).
func mremap(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const known = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | unix.MREMAP_DONTUNMAP
	flags := a[3]
	if flags&^known != 0 {
		return 0, invalid("mremap", "unknown flags %#x", flags&^known)
	}
	if flags&(unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP) != 0 && flags&unix.MREMAP_MAYMOVE == 0 {
		return 0, invalid("mremap", "MREMAP_FIXED and MREMAP_DONTUNMAP need MREMAP_MAYMOVE")
	}
	o := mm.MRemapOpts{
		MayMove:   flags&unix.MREMAP_MAYMOVE != 0,
		Fixed:     flags&unix.MREMAP_FIXED != 0,
		DontUnmap: flags&unix.MREMAP_DONTUNMAP != 0,
	}
	if o.Fixed || o.DontUnmap {
		o.NewAddr = addr(a[4]) // else it is whatever was in the register
	}
	at, err := t.MM().MRemap(t.Actor("mremap"), addr(a[0]), a[1], a[2], o)
	return uintptr(at), err
}

// brk(addr): the break is the answer, whatever happened; the C library compares.
func brk(t *sentry.Task, a sentry.Args) (uintptr, error) {
	at, _ := t.MM().Brk(t.Actor("brk"), addr(a[0]))
	return uintptr(at), nil
}

// msync(addr, length, flags).
func msync(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const known = unix.MS_ASYNC | unix.MS_INVALIDATE | unix.MS_SYNC
	flags := i32(a[2])
	if flags&^known != 0 {
		return 0, invalid("msync", "unknown flags %#x", flags)
	}
	return 0, t.MM().MSync(t.Actor("msync"), addr(a[0]), a[1], mm.MSyncOpts{
		Sync:       flags&unix.MS_SYNC != 0,
		Async:      flags&unix.MS_ASYNC != 0,
		Invalidate: flags&unix.MS_INVALIDATE != 0,
	})
}

// mincore(addr, length, vec): one byte a page, 1 if it is in memory.
func mincore(t *sentry.Task, a sentry.Args) (uintptr, error) {
	at, length, vec := addr(a[0]), a[1], addr(a[2])
	if !at.IsPageAligned() {
		return 0, invalid("mincore", "%v is not page-aligned", at)
	}
	if !accessOK(at, length) {
		return 0, memmap.Refuse("mincore", unix.ENOMEM, "%#x bytes at %v reach beyond user addresses", length, at)
	}
	pages := (length + memmap.PageSize - 1) / memmap.PageSize
	if !accessOK(vec, pages) {
		return 0, fault("mincore", vec, pages)
	}
	const step = 1 << 12 // pages at a time
	for pages > 0 {
		n := min(pages, step)
		ar, _ := at.ToRange(n * memmap.PageSize)
		resident, err := t.MM().InCore(ar)
		if len(resident) > 0 {
			if err := t.CopyOut(vec, resident); err != nil {
				return 0, err
			}
		}
		if err != nil {
			return 0, err
		}
		at, vec, pages = ar.End, vec+memmap.Addr(n), pages-n
	}
	return 0, nil
}
