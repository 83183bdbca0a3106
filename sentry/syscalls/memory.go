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
	if prot&unix.PROT_READ != 0 && t.Process().Personality()&readImpliesExec != 0 {
		prot |= unix.PROT_EXEC
	}
	grows := prot & (protGrowsDown | protGrowsUp)
	prot &^= grows
	if grows == protGrowsDown|protGrowsUp {
		return 0, invalid("mprotect", "PROT_GROWSDOWN and PROT_GROWSUP together")
	}
	if !at.IsPageAligned() {
		return 0, invalid("mprotect", "%v is not page-aligned", at)
	}
	if length == 0 {
		return 0, nil
	}
	rounded, _ := memmap.PageRoundUp(length)
	if end := uint64(at) + rounded; end <= uint64(at) {
		return 0, memmap.Refuse("mprotect", unix.ENOMEM, "%v and length %#x overflow", at, length)
	}
	if extra := prot &^ (unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC | protSem); extra != 0 {
		return 0, invalid("mprotect", "unknown protection bits %#x", extra)
	}
	if grows == protGrowsUp {
		// No mapping grows up on x86: the first mapping decides between the errors.
		if _, ok := t.MM().FindVMA(at); !ok {
			return 0, memmap.Refuse("mprotect", unix.ENOMEM, "%v is not mapped", at)
		}
		return 0, invalid("mprotect", "no mapping grows up")
	}
	perms := memmap.AccessFromProt(int(prot))
	return 0, t.MM().MProtect(t.Actor("mprotect"), at, length, perms, grows == protGrowsDown)
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

// msync(addr, length, flags). No file of issue A's world can be written through a
// mapping, so there is never anything to write: what is left are the checks.
func msync(t *sentry.Task, a sentry.Args) (uintptr, error) {
	at, length, flags := addr(a[0]), a[1], i32(a[2])
	switch {
	case flags&^(unix.MS_ASYNC|unix.MS_INVALIDATE|unix.MS_SYNC) != 0:
		return 0, invalid("msync", "unknown flags %#x", flags)
	case !at.IsPageAligned():
		return 0, invalid("msync", "%v is not page-aligned", at)
	case flags&unix.MS_ASYNC != 0 && flags&unix.MS_SYNC != 0:
		return 0, invalid("msync", "MS_ASYNC and MS_SYNC together")
	}
	length, _ = memmap.PageRoundUp(length)
	ar, ok := at.ToRange(length)
	if !ok {
		return 0, memmap.Refuse("msync", unix.ENOMEM, "%v and length %#x overflow", at, a[1])
	}
	if ar.IsEmpty() {
		return 0, nil
	}
	vmas := t.MM().VMAs(ar)
	for _, v := range vmas {
		if flags&unix.MS_INVALIDATE != 0 && v.MLock != memmap.MLockNone {
			return 0, memmap.Refuse("msync", unix.EBUSY, "%v is locked", v.AR)
		}
	}
	return 0, checkMapped("msync", ar, vmas)
}

// checkMapped is ENOMEM if vmas, which are all that overlap ar, leave a hole in it.
func checkMapped(op string, ar memmap.AddrRange, vmas []mm.VMAInfo) error {
	at := ar.Start
	for _, v := range vmas {
		if v.AR.Start > at {
			break
		}
		at = v.AR.End
	}
	if at < ar.End {
		return memmap.Refuse(op, unix.ENOMEM, "%v is not mapped", at)
	}
	return nil
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
		resident, err := residentPages(t.MM(), ar)
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

// residentPages is mincore's vector for ar as far as it is mapped without a hole,
// and ENOMEM if that is not all of it.
func residentPages(m *mm.MemoryManager, ar memmap.AddrRange) ([]byte, error) {
	vmas := m.VMAs(ar)
	pages := m.Pages(ar)
	resident := make([]byte, 0, len(pages))
	at := ar.Start
	for _, v := range vmas {
		if v.AR.Start > at {
			break
		}
		end := min(v.AR.End, ar.End)
		for ; at < end; at += memmap.PageSize {
			resident = append(resident, inCore(pages[(at-ar.Start)/memmap.PageSize], v))
		}
	}
	return resident, checkMapped("mincore", ar, vmas)
}

// inCore is 1 if the page is in memory. A page of a file that no fault has brought
// in yet counts as cached: the file is the host's, and so is its cache.
func inCore(p mm.Page, v mm.VMAInfo) byte {
	const sharedAnonymous = "/dev/zero (deleted)" // mm.NewSharedAnonymous
	fileBacked := !v.Anonymous && v.Inode != 0 && v.Name != sharedAnonymous
	if p == mm.PageNone && !fileBacked || p == mm.PageUnmapped || p == mm.PageGuard {
		return 0
	}
	return 1
}
