package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// Advices that package unix does not name.
const (
	madvHWPoison    = 100
	madvSoftOffline = 101
)

// advice is what madvise does to one vma's part of the range.
type advice func(t *sentry.Task, v mm.VMAInfo, ar memmap.AddrRange) error

// advices are those that are answered; all others are EINVAL, as from a kernel
// built without them. Some say nothing that changes what a program can see: they
// are checked and forgotten.
var advices = map[int32]advice{
	unix.MADV_NORMAL:          forget,
	unix.MADV_RANDOM:          forget,
	unix.MADV_SEQUENTIAL:      forget,
	unix.MADV_WILLNEED:        forget,
	unix.MADV_DONTNEED:        decommit,
	unix.MADV_DONTNEED_LOCKED: decommit,
	unix.MADV_FREE:            free,
	unix.MADV_COLD:            reclaim,
	unix.MADV_PAGEOUT:         reclaim,
	unix.MADV_DOFORK:          forget,
	unix.MADV_KEEPONFORK:      forget,
	unix.MADV_MERGEABLE:       forget,
	unix.MADV_UNMERGEABLE:     forget,
	unix.MADV_HUGEPAGE:        forget,
	unix.MADV_NOHUGEPAGE:      forget,
	unix.MADV_DONTDUMP:        forget,
	unix.MADV_DODUMP:          forget,
	unix.MADV_POPULATE_READ:   populateRead,
	unix.MADV_POPULATE_WRITE:  populateWrite,
}

// madvise(addr, length, advice). Linux: madvise_should_skip, then every vma; a
// hole is ENOMEM, but only after the rest was done.
func madvise(t *sentry.Task, a sentry.Args) (uintptr, error) {
	at, length, which := addr(a[0]), a[1], i32(a[2])
	if which == madvHWPoison || which == madvSoftOffline {
		return 0, memmap.Refuse("madvise", unix.EPERM, "memory failures cannot be made here")
	}
	do, ok := advices[which]
	if !ok {
		return 0, invalid("madvise", "advice %d is not known", which)
	}
	if !at.IsPageAligned() {
		return 0, invalid("madvise", "%v is not page-aligned", at)
	}
	rounded, ok := memmap.PageRoundUp(length)
	ar, inRange := at.ToRange(rounded)
	if !ok || !inRange {
		return 0, invalid("madvise", "%v and length %#x overflow", at, length)
	}
	if ar.IsEmpty() {
		return 0, nil
	}
	vmas := t.MM().VMAs(ar)
	stopAtHole := which == unix.MADV_POPULATE_READ || which == unix.MADV_POPULATE_WRITE
	next := ar.Start
	for _, v := range vmas {
		if stopAtHole && v.AR.Start > next {
			break
		}
		if err := do(t, v, v.AR.Intersect(ar)); err != nil {
			return 0, err
		}
		next = v.AR.End
	}
	return 0, checkMapped("madvise", ar, vmas)
}

// forget is an advice without visible effect.
func forget(*sentry.Task, mm.VMAInfo, memmap.AddrRange) error { return nil }

// decommit is MADV_DONTNEED.
func decommit(t *sentry.Task, _ mm.VMAInfo, ar memmap.AddrRange) error {
	return t.MM().Decommit(t.Actor("madvise"), ar.Start, uint64(ar.Length()))
}

// free is MADV_FREE: the kernel may take the pages some time; we never have to.
func free(_ *sentry.Task, v mm.VMAInfo, _ memmap.AddrRange) error {
	if !v.Anonymous || v.MLock != memmap.MLockNone {
		return invalid("madvise", "MADV_FREE is for private anonymous memory that is not locked, not %v", v.AR)
	}
	return nil
}

// reclaim is MADV_COLD and MADV_PAGEOUT: there is nothing to page out to.
func reclaim(_ *sentry.Task, v mm.VMAInfo, _ memmap.AddrRange) error {
	if v.MLock != memmap.MLockNone {
		return invalid("madvise", "%v is locked", v.AR)
	}
	return nil
}

func populateRead(t *sentry.Task, v mm.VMAInfo, ar memmap.AddrRange) error {
	return populate(t, v, ar, memmap.Read)
}

func populateWrite(t *sentry.Task, v mm.VMAInfo, ar memmap.AddrRange) error {
	return populate(t, v, ar, memmap.Write)
}

// populate makes the accesses that would bring ar in: EINVAL where v forbids them,
// EFAULT where they would meet SIGBUS.
func populate(t *sentry.Task, v mm.VMAInfo, ar memmap.AddrRange, at memmap.AccessType) error {
	if !v.Perms.SupersetOf(at) {
		return invalid("madvise", "%v may not be accessed so (%v)", v.AR, v.Perms)
	}
	_, err := t.MM().Touch(t.Actor("madvise"), ar, at)
	var bus *memmap.BusError
	if errors.As(err, &bus) {
		return memmap.Refuse("madvise", unix.EFAULT, "%v", bus)
	}
	return err
}
