package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// pageTable is an open /proc/PID/pagemap.
type pageTable interface {
	// PageTable returns the memory that it tells of, false if it is another file.
	PageTable() (*mm.MemoryManager, bool)
}

const (
	pagemapScan = 0xc0606610 // PAGEMAP_SCAN

	scanProtect = 1 << 0 // PM_SCAN_WP_MATCHING
	scanCheck   = 1 << 1 // PM_SCAN_CHECK_WPASYNC

	// regionsAtOnce is how many regions Linux, and we, collect before they are copied out.
	regionsAtOnce = 512
)

// pmScanArg is struct pm_scan_arg.
type pmScanArg struct {
	Size, Flags, Start, End, WalkEnd, Vec, VecLen, MaxPages uint64
	Inverted, Mask, AnyOf, Return                           uint64
}

// walkEndAt is where WalkEnd lies.
const walkEndAt = 32

// pageRegion is struct page_region.
type pageRegion struct{ Start, End, Categories uint64 }

const pageRegionLen = 24

// pagemapIoctl is PAGEMAP_SCAN, which is all that a pagemap knows.
func pagemapIoctl(t *sentry.Task, m *mm.MemoryManager, request uint32, arg memmap.Addr) (uintptr, error) {
	if request != pagemapScan {
		return 0, invalid("ioctl", "request %#x is not known", request)
	}
	a, err := copyIn[pmScanArg](t, arg)
	if err != nil {
		return 0, err
	}
	if err := a.check(); err != nil {
		return 0, err
	}
	if m == nil || !m.IncUsers() {
		return 0, unix.ESRCH
	}
	by := *t.Actor("ioctl") // copies change the task's own meanwhile
	defer m.DecUsers(&by)
	n, err := a.scan(t, m, &by)
	if fault := copyOut(t, arg+walkEndAt, a.WalkEnd); fault != nil {
		return 0, fault
	}
	return uintptr(n), err
}

// check is Linux's pagemap_scan_get_args, which also rounds.
func (a *pmScanArg) check() error {
	switch {
	case a.Size != uint64(len(bytesOf(a))):
		return invalid("ioctl", "a scan of %d bytes", a.Size)
	case a.Flags&^(scanProtect|scanCheck) != 0:
		return invalid("ioctl", "flags %#x", a.Flags)
	case (a.Inverted|a.Mask|a.AnyOf|a.Return)&^mm.PageCategories != 0:
		return invalid("ioctl", "categories that are not known")
	case !addr(a.Start).IsPageAligned():
		return invalid("ioctl", "%#x is not page-aligned", a.Start)
	case !accessOK(addr(a.Start), a.End-a.Start):
		return fault("ioctl", addr(a.Start), a.End-a.Start)
	case a.Vec == 0 && a.VecLen != 0:
		return invalid("ioctl", "%d regions have no place", a.VecLen)
	case a.Vec != 0 && (a.VecLen > taskSize/pageRegionLen || !accessOK(addr(a.Vec), a.VecLen*pageRegionLen)):
		return fault("ioctl", addr(a.Vec), a.VecLen)
	}
	a.End, _ = memmap.PageRoundUp(a.End)
	if a.WalkEnd = 0; a.MaxPages == 0 {
		a.MaxPages = ^uint64(0)
	}
	return nil
}

// scan walks piece by piece, copies what is found out, and returns how many regions that
// were.
func (a *pmScanArg) scan(t *sentry.Task, m *mm.MemoryManager, by *mm.Actor) (uint64, error) {
	s := mm.PageScan{
		AR: memmap.AddrRange{Start: addr(a.Start), End: addr(a.End)}, Protect: a.Flags&scanProtect != 0, Check: a.Flags&scanCheck != 0,
		Quiet: a.VecLen == 0, MaxPages: a.MaxPages,
		Inverted: mm.PageCategory(a.Inverted), Mask: mm.PageCategory(a.Mask), AnyOf: mm.PageCategory(a.AnyOf), Return: mm.PageCategory(a.Return),
	}
	told := uint64(0)
	a.WalkEnd = a.End
	for s.AR.Start < s.AR.End {
		s.Regions = int(min(a.VecLen-told, regionsAtOnce))
		r, err := m.ScanPages(by, s)
		regions := make([]pageRegion, len(r.Regions))
		for i, found := range r.Regions {
			regions[i] = pageRegion{uint64(found.AR.Start), uint64(found.AR.End), uint64(found.Categories)}
		}
		if fault := copyOutAll(t, addr(a.Vec+told*pageRegionLen), regions); fault != nil {
			return 0, fault
		}
		told += uint64(len(regions))
		if err != nil {
			return 0, err
		}
		a.WalkEnd = uint64(r.End)
		if s.MaxPages -= r.Pages; !r.Full || told == a.VecLen || s.MaxPages == 0 {
			break
		}
		s.AR.Start = r.End
	}
	return told, nil
}

// copyOutAll writes regions one after the other: EFAULT.
func copyOutAll(t *sentry.Task, at memmap.Addr, regions []pageRegion) error {
	b := make([]byte, 0, len(regions)*pageRegionLen)
	for i := range regions {
		b = append(b, bytesOf(&regions[i])...)
	}
	if len(b) == 0 {
		return nil
	}
	return t.CopyOut(at, b)
}
