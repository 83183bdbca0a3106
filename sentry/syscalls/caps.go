package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// Versions of the capability structures; the first has one word, the others two.
const (
	capVersion1 = 0x19980330
	capVersion2 = 0x20071026
	capVersion3 = 0x20080522
)

// capHeader is struct __user_cap_header_struct.
type capHeader struct {
	version uint32
	pid     int32
	words   int // of each set
}

// capHeaderArg reads the header at a. What is no version is answered with the one
// that is preferred: EINVAL.
func capHeaderArg(t *sentry.Task, op string, at memmap.Addr) (capHeader, error) {
	raw, err := copyIn[[2]uint32](t, at)
	if err != nil {
		return capHeader{}, err
	}
	h := capHeader{version: raw[0], pid: int32(raw[1]), words: 2}
	switch h.version {
	case capVersion1:
		h.words = 1
	case capVersion2, capVersion3:
	default:
		if err := copyOut(t, at, uint32(capVersion3)); err != nil {
			return capHeader{}, err
		}
		return capHeader{}, invalid(op, "version %#x is not known", h.version)
	}
	return h, nil
}

// capget({version, pid}, {effective, permitted, inheritable}…).
func capget(t *sentry.Task, a sentry.Args) (uintptr, error) {
	h, err := capHeaderArg(t, "capget", addr(a[0]))
	if err != nil {
		if a[1] == 0 && errors.Is(err, unix.EINVAL) { // who asks for the version only
			return 0, nil
		}
		return 0, err
	}
	if h.pid < 0 {
		return 0, invalid("capget", "pid %d is negative", h.pid)
	}
	p, err := processArg(t, h.pid)
	if err != nil || a[1] == 0 {
		return 0, err
	}
	c := p.Credentials()
	for i := range h.words {
		word := func(set sentry.Caps) uint32 { return uint32(set >> (32 * i)) }
		sets := [3]uint32{word(c.Effective), word(c.Permitted), word(c.Inheritable)}
		if err := copyOut(t, addr(a[1])+memmap.Addr(i)*12, sets); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// capset({version, pid}, {effective, permitted, inheritable}…): the caller's own only.
func capset(t *sentry.Task, a sentry.Args) (uintptr, error) {
	h, err := capHeaderArg(t, "capset", addr(a[0]))
	if err != nil {
		return 0, err
	}
	if h.pid != 0 && h.pid != t.TID() {
		return 0, memmap.Refuse("capset", unix.EPERM, "the capabilities of %d are not the caller's", h.pid)
	}
	var effective, permitted, inheritable sentry.Caps
	for i := range h.words {
		word, err := copyIn[[3]uint32](t, addr(a[1])+memmap.Addr(i)*12)
		if err != nil {
			return 0, err
		}
		effective |= sentry.Caps(word[0]) << (32 * i)
		permitted |= sentry.Caps(word[1]) << (32 * i)
		inheritable |= sentry.Caps(word[2]) << (32 * i)
	}
	const known = sentry.Caps(1)<<(sentry.LastCap+1) - 1
	c := t.Process().Credentials()
	if err := setCaps(&c, effective&known, permitted&known, inheritable&known); err != nil {
		return 0, err
	}
	t.Process().SetCredentials(c)
	return 0, nil
}

// setCaps is capset's rules: nothing is gained but what may be inherited.
func setCaps(c *sentry.Credentials, effective, permitted, inheritable sentry.Caps) error {
	for _, rule := range []struct {
		excess sentry.Caps
		why    string
	}{
		{excessInheritable(c, inheritable), "is neither inheritable nor permitted"},
		{inheritable &^ (c.Inheritable | c.Bounding), "is beyond the bounding set"},
		{permitted &^ c.Permitted, "is not permitted"},
		{effective &^ permitted, "would be effective, but not permitted"},
	} {
		if rule.excess != 0 {
			return memmap.Refuse("capset", unix.EPERM, "capability %d %s", rule.excess.First(), rule.why)
		}
	}
	c.Effective, c.Permitted, c.Inheritable = effective, permitted, inheritable
	c.Ambient &= permitted & inheritable
	return nil
}

// excessInheritable is what of want only who has CAP_SETPCAP may make inheritable.
func excessInheritable(c *sentry.Credentials, want sentry.Caps) sentry.Caps {
	if c.Effective.Has(sentry.CapSetPCap) {
		return 0
	}
	return want &^ (c.Inheritable | c.Permitted)
}

// capable is EPERM unless the caller has want.
func capable(t *sentry.Task, op string, want sentry.Caps) error {
	c := t.Process().Credentials()
	if !c.Effective.Has(want) {
		return memmap.Refuse(op, unix.EPERM, "it takes capability %d", want.First())
	}
	return nil
}

// prctlCaps are the options of prctl(2) that look at and change capabilities; ok is
// false for others.
func prctlCaps(t *sentry.Task, a sentry.Args) (v uintptr, ok bool, err error) {
	c := t.Process().Credentials()
	switch i32(a[0]) {
	case unix.PR_CAPBSET_READ, unix.PR_CAPBSET_DROP:
		if a[1] > sentry.LastCap {
			return 0, true, invalid("prctl", "there is no capability %d", a[1])
		}
		one := sentry.Caps(1) << a[1]
		if i32(a[0]) == unix.PR_CAPBSET_READ {
			return one01(c.Bounding.Has(one)), true, nil
		}
		if err := capable(t, "prctl", sentry.CapSetPCap); err != nil {
			return 0, true, err
		}
		c.Bounding &^= one
	case unix.PR_CAP_AMBIENT:
		v, err := ambient(&c, a)
		if err != nil || v != 0 {
			return v, true, err
		}
	case unix.PR_GET_KEEPCAPS:
		return one01(c.Keep), true, nil
	case unix.PR_SET_KEEPCAPS:
		if a[1] > 1 {
			return 0, true, invalid("prctl", "keeping capabilities is 0 or 1, not %d", a[1])
		}
		c.Keep = a[1] == 1
	default:
		return 0, false, nil
	}
	t.Process().SetCredentials(c)
	return 0, true, nil
}

func one01(b bool) uintptr {
	if b {
		return 1
	}
	return 0
}

// ambient is PR_CAP_AMBIENT.
func ambient(c *sentry.Credentials, a sentry.Args) (uintptr, error) {
	if a[1] == unix.PR_CAP_AMBIENT_CLEAR_ALL {
		if a[2]|a[3]|a[4] != 0 {
			return 0, invalid("prctl", "unused arguments %#x %#x %#x", a[2], a[3], a[4])
		}
		c.Ambient = 0
		return 0, nil
	}
	if a[3]|a[4] != 0 || a[2] > sentry.LastCap {
		return 0, invalid("prctl", "capability %d, arguments %#x %#x", a[2], a[3], a[4])
	}
	one := sentry.Caps(1) << a[2]
	switch a[1] {
	case unix.PR_CAP_AMBIENT_IS_SET:
		return one01(c.Ambient.Has(one)), nil
	case unix.PR_CAP_AMBIENT_RAISE:
		if !c.Permitted.Has(one) || !c.Inheritable.Has(one) {
			return 0, memmap.Refuse("prctl", unix.EPERM, "capability %d is not both permitted and inheritable", a[2])
		}
		c.Ambient |= one
	case unix.PR_CAP_AMBIENT_LOWER:
		c.Ambient &^= one
	default:
		return 0, invalid("prctl", "PR_CAP_AMBIENT option %d is not known", a[1])
	}
	return 0, nil
}
