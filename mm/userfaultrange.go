package mm

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// UserfaultMode says which faults a userfaultfd is told of: UFFDIO_REGISTER_MODE_*.
type UserfaultMode uint64

// The modes.
const (
	ModeMissing UserfaultMode = 1 << 0
	ModeWP      UserfaultMode = 1 << 1
	ModeMinor   UserfaultMode = 1 << 2
)

// Calls of a userfaultfd on a range, as bits in what UFFDIO_REGISTER answers.
const (
	userfaultWake         = 1 << 2
	userfaultCopy         = 1 << 3
	userfaultZero         = 1 << 4
	userfaultMove         = 1 << 5
	userfaultWriteProtect = 1 << 6
	userfaultContinue     = 1 << 7
	userfaultPoison       = 1 << 8
)

// checkRange is Linux's validate_range.
func (u *Userfault) checkRange(ar memmap.AddrRange) error {
	if !ar.Start.IsPageAligned() || !ar.End.IsPageAligned() || ar.IsEmpty() || !u.mm.All().IsSupersetOf(ar) {
		return memmap.Refuse("userfaultfd", unix.EINVAL, "%v is empty, not page-aligned, or leaves guest memory %v", ar, u.mm.All())
	}
	return nil
}

// Check refuses a range that no call can be about, with EINVAL.
func (u *Userfault) Check(ar memmap.AddrRange) error { return u.checkRange(ar) }

// Register is UFFDIO_REGISTER: faults in the mappings of ar are u's from now on, as mode
// says. It returns the calls that the range can be answered with.
//
// Errors: EINVAL a mode or range that cannot be, nothing mapped, a mapping that cannot be
// watched so; ENOMEM no memory is left, vm.max_map_count; EPERM what may never be
// written; EBUSY another userfaultfd's.
func (u *Userfault) Register(by *Actor, ar memmap.AddrRange, mode UserfaultMode) (calls uint64, err error) {
	if mode == 0 || mode&^(ModeMissing|ModeWP|ModeMinor) != 0 {
		return 0, memmap.Refuse("userfaultfd", unix.EINVAL, "mode %#x", uint64(mode))
	}
	if err := u.checkRange(ar); err != nil {
		return 0, err
	}
	var flags vmaFlags
	calls = userfaultWake | userfaultCopy | userfaultZero | userfaultMove | userfaultPoison
	if mode&ModeMissing != 0 {
		flags |= flagMissing
	}
	if mode&ModeWP != 0 {
		flags |= flagProtected
		calls |= userfaultWriteProtect
	}
	if mode&ModeMinor != 0 {
		flags |= flagMinor
		calls |= userfaultContinue
	}
	return calls, u.locked(by, func(c *change) error {
		if err := u.mayRegister(ar, flags); err != nil {
			return err
		}
		u.mm.watched.Store(true)
		u.narrow(ar)
		if flags&flagMissing != 0 && u.mm.window.Get() != memmap.PageSize {
			if err := u.mm.forgetUntouched(c, ar); err != nil {
				return err
			}
		}
		return u.change(c, ar, func(v *vma) bool {
			if v.uffd == u && v.flags&flags == flags {
				return false
			}
			v.uffd = u
			v.flags = v.flags&^(flagMissing|flagProtected|flagMinor) | flags
			return true
		})
	})
}

// locked calls f with mappingMu held for writing, while the memory has users. ENOMEM if
// it has none, as Linux answers.
func (u *Userfault) locked(by *Actor, f func(*change) error) error {
	mm := u.mm
	if !mm.IncUsers() {
		return memmap.Refuse("userfaultfd", unix.ENOMEM, "the memory is gone")
	}
	defer mm.DecUsers(by)
	c := mm.begin(by)
	defer c.end()
	mm.mappingMu.Lock()
	defer mm.mappingMu.Unlock()
	return f(c)
}

func (u *Userfault) mayRegister(ar memmap.AddrRange, flags vmaFlags) error {
	const op = "userfaultfd"
	if !u.mm.vmas.Overlaps(ar) {
		return memmap.Refuse(op, unix.EINVAL, "nothing is mapped in %v", ar)
	}
	for seg := range u.mm.vmas.In(ar) {
		switch v := &seg.Value; {
		case !u.canWatch(v, flags):
			return memmap.Refuse(op, unix.EINVAL, "%v cannot be watched so", seg.Range)
		case !v.maxPerms.Write:
			return memmap.Refuse(op, unix.EPERM, "%v may never be written", seg.Range)
		case v.uffd != nil && v.uffd != u:
			return memmap.Refuse(op, unix.EBUSY, "%v is another userfaultfd's", seg.Range)
		}
	}
	return nil
}

// canWatch is Linux's vma_can_userfault: private anonymous and shared memory, of which
// only the latter has minor faults; with WP_ASYNC and nothing but protection any.
func (u *Userfault) canWatch(v *vma, flags vmaFlags) bool {
	switch {
	case v.flags&flagDroppable != 0:
		return false
	case flags&flagMinor != 0:
		return v.sparse() != nil
	case flags == flagProtected && u.has(FeatureWPAsync):
		return true
	}
	return v.anonymous() || v.sparse() != nil
}

// narrow has shared memory in ar make its pages one by one from now on, so that none is
// there that nobody has touched.
func (u *Userfault) narrow(ar memmap.AddrRange) {
	for seg := range u.mm.vmas.In(ar) {
		if s := seg.Value.sparse(); s != nil {
			s.Narrow()
		}
	}
}

// change calls f for the mappings of ar; where it says so its change of what is in ar
// stays.
//
// Preconditions: mm.mappingMu is held for writing.
func (u *Userfault) change(c *change, ar memmap.AddrRange, f func(*vma) bool) error {
	mm := u.mm
	for pos := ar.Start; pos < ar.End; {
		seg, ok := mm.vmas.LowerBound(pos)
		if !ok || seg.Start >= ar.End {
			break
		}
		part := seg.Intersect(memmap.AddrRange{Start: pos, End: ar.End})
		pos = part.End
		v := seg.Value
		if !f(&v) {
			continue
		}
		if err := mm.maySplit("userfaultfd", part); err != nil {
			return err
		}
		mm.updateVMAs(part, func(old *vma) { old.uffd, old.flags = v.uffd, v.flags })
		if v.flags&flagProtected == 0 {
			mm.unprotect(part)
		}
	}
	return nil
}

// unprotect takes a userfaultfd's protection from ar; the host hears of it at the next
// write.
func (mm *MemoryManager) unprotect(ar memmap.AddrRange) {
	mm.activeMu.Lock()
	defer mm.activeMu.Unlock()
	mm.remark(ar, 0, markProtected)
}

// Unregister is UFFDIO_UNREGISTER: the faults of ar are nobody's, and who waits there
// goes on.
//
// Errors: EINVAL a range that cannot be, nothing mapped, a mapping that cannot be watched
// or is another userfaultfd's; ENOMEM as for Register.
func (u *Userfault) Unregister(by *Actor, ar memmap.AddrRange) error {
	const op = "userfaultfd"
	if err := u.checkRange(ar); err != nil {
		return err
	}
	return u.locked(by, func(c *change) error {
		if !u.mm.vmas.Overlaps(ar) {
			return memmap.Refuse(op, unix.EINVAL, "nothing is mapped in %v", ar)
		}
		for seg := range u.mm.vmas.In(ar) {
			switch v := &seg.Value; {
			case v.uffd != nil && v.uffd != u:
				return memmap.Refuse(op, unix.EINVAL, "%v is another userfaultfd's", seg.Range)
			case !u.canWatch(v, v.flags&(flagMissing|flagProtected|flagMinor)):
				return memmap.Refuse(op, unix.EINVAL, "%v cannot be watched", seg.Range)
			}
		}
		err := u.change(c, ar, func(v *vma) bool {
			was := v.uffd == u
			v.unwatch()
			return was
		})
		u.wake(ar)
		return err
	})
}

// unwatch ends v's registration.
func (v *vma) unwatch() {
	v.uffd = nil
	v.flags &^= flagMissing | flagProtected | flagMinor
}

// unwatchAll ends all registrations with u.
func (mm *MemoryManager) unwatchAll(by *Actor, u *Userfault) {
	_ = u.locked(by, func(c *change) error {
		var all []memmap.AddrRange
		for seg := range mm.vmas.All() {
			if seg.Value.uffd == u {
				all = append(all, seg.Range)
			}
		}
		for _, ar := range all {
			mm.updateVMAs(ar, (*vma).unwatch)
			mm.unprotect(ar)
		}
		return nil
	})
}
