package mm

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
)

// MaxAnonName is the longest name that SetAnonName takes, in bytes.
const MaxAnonName = 79

// SetAnonName is prctl(PR_SET_VMA_ANON_NAME): the anonymous memory in [addr,
// addr+length) is called [anon:NAME] in maps, or [anon_shmem:NAME] if it is shared.
// With a nil name it loses its name. Memory of other names does not merge.
//
// Errors: EINVAL a name that is too long or has a character that maps cannot show,
// addr not page-aligned, an overflow; EBADF a mapped file, EAGAIN
// vm.max_map_count: what lies before it is done; ENOMEM a hole: all the rest is done.
func (mm *MemoryManager) SetAnonName(by *Actor, addr memmap.Addr, length uint64, name *string) error {
	const op = "prctl"
	stored := ""
	if name != nil {
		if err := checkAnonName(*name); err != nil {
			return err
		}
		stored = "anon:" + *name
	}
	if !addr.IsPageAligned() {
		return unaligned(op, addr)
	}
	ar, err := roundedRange(op, addr, length, ^memmap.Addr(0), unix.EINVAL)
	if err != nil || ar.IsEmpty() {
		return err
	}
	c := mm.begin(by)
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	mm.note(c, Event{Kind: EventName, Range: ar, Addr: ar.Start, Note: stored})
	return mm.eachPart(op, ar, func(seg vmaSeg, part memmap.AddrRange) error {
		if !seg.Value.nameable() {
			return memmap.Refuse(op, unix.EBADF, "%v is not anonymous memory", seg.Range)
		}
		if err := mm.maySplit(op, part); err != nil {
			if errors.Is(err, unix.ENOMEM) {
				err = memmap.Refuse(op, unix.EAGAIN, "%v", err)
			}
			return err
		}
		mm.updateVMAs(part, func(v *vma) { v.anonName = stored })
		return nil
	})
}

func checkAnonName(name string) error {
	const op = "prctl"
	if len(name) > MaxAnonName {
		return memmap.Refuse(op, unix.EINVAL, "a name of %d bytes, %d is the most", len(name), MaxAnonName)
	}
	for _, c := range []byte(name) {
		if c <= 0x1f || c >= 0x7f || strings.IndexByte("\\`$[]", c) >= 0 {
			return memmap.Refuse(op, unix.EINVAL, "character %q cannot be in a name", c)
		}
	}
	return nil
}

// nameable reports whether v may have a name of its own: Linux's test is that there
// is no file, or one that nobody can name.
func (v *vma) nameable() bool {
	_, shared := v.mappable.(*shmem.Anonymous)
	return v.anonymous() || shared || v.special()
}

// shownName returns v's own name as maps shows it.
func (v *vma) shownName() string {
	if v.anonymous() {
		return "[" + v.anonName + "]"
	}
	return "[anon_shmem" + strings.TrimPrefix(v.anonName, "anon") + "]"
}

// eachPart calls f for what is mapped in ar, until it refuses; a hole is ENOMEM in
// the end. f may change the mapping it is given.
//
// Preconditions: mm.mappingMu is held for writing; ar is not empty.
func (mm *MemoryManager) eachPart(op string, ar memmap.AddrRange, f func(seg vmaSeg, part memmap.AddrRange) error) error {
	var holes error
	for at := ar.Start; at < ar.End; {
		seg, ok := mm.vmas.LowerBound(at)
		if !ok || seg.Start >= ar.End {
			if holes == nil {
				holes = mm.holeRefused(op, at)
			}
			break
		}
		if seg.Start > at && holes == nil {
			holes = mm.holeRefused(op, at)
		}
		part := seg.Intersect(ar)
		part.Start = max(part.Start, at)
		if err := f(seg, part); err != nil {
			return err
		}
		at = part.End
	}
	return holes
}
