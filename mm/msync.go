package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// MSyncOpts are the flags of msync(2).
type MSyncOpts struct{ Sync, Async, Invalidate bool }

// MSync is msync(2): with Sync, files that are mapped shared in [addr, addr+length)
// write their dirty pages of it to where they live.
//
// Errors: EINVAL addr not page-aligned, Sync together with Async; ENOMEM an
// overflow; EBUSY with Invalidate, a locked mapping; what a file says; ENOMEM a
// hole, all the rest is done.
func (mm *MemoryManager) MSync(by *Actor, addr memmap.Addr, length uint64, o MSyncOpts) error {
	const op = "msync"
	switch {
	case !addr.IsPageAligned():
		return unaligned(op, addr)
	case o.Sync && o.Async:
		return memmap.Refuse(op, unix.EINVAL, "MS_ASYNC and MS_SYNC together")
	}
	length, _ = memmap.PageRoundUp(length) // as in Linux an overflow is 0
	ar, ok := addr.ToRange(length)
	if !ok {
		return memmap.Refuse(op, unix.ENOMEM, "%v+%#x ends above all addresses", addr, length)
	}
	c := mm.begin(by)
	defer c.end()
	var holes error
	for pos := ar.Start; pos < ar.End; {
		end, hole, err := mm.syncOne(c, memmap.AddrRange{Start: pos, End: ar.End}, o)
		if err != nil {
			return err
		}
		if hole != nil {
			holes = hole
		}
		pos = end
	}
	return holes
}

// syncOne syncs the first mapping in ar and returns where it ends. A hole before it,
// or where none is, is told separately. The file writes with no lock held: what is
// mapped may be another thing when it has.
func (mm *MemoryManager) syncOne(c *change, ar memmap.AddrRange, o MSyncOpts) (end memmap.Addr, hole, err error) {
	const op = "msync"
	mm.mappingMu.RLock()
	seg, ok := mm.vmas.LowerBound(ar.Start)
	if !ok || seg.Start >= ar.End {
		hole = mm.holeRefused(op, ar.Start)
		mm.mappingMu.RUnlock()
		return ar.End, hole, nil
	}
	if seg.Start > ar.Start {
		hole = mm.holeRefused(op, ar.Start)
	}
	v := seg.Value
	if o.Invalidate && v.mlock != memmap.MLockNone {
		mm.mappingMu.RUnlock()
		return ar.End, hole, memmap.Refuse(op, unix.EBUSY, "%v is locked", seg.Range)
	}
	part := seg.Intersect(ar)
	if !o.Sync || v.private || v.id == nil {
		mm.mappingMu.RUnlock()
		return part.End, hole, nil
	}
	v.id.IncRef()
	mm.mappingMu.RUnlock()
	c.dropIdentity(v.id)
	return part.End, hole, v.id.Msync(mappableRange(seg, part))
}
