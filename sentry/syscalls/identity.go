package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

func getuid(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	return uintptr(t.Process().Credentials().UID), nil
}

func geteuid(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	return uintptr(t.Process().Credentials().EUID), nil
}

func getgid(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	return uintptr(t.Process().Credentials().GID), nil
}

func getegid(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	return uintptr(t.Process().Credentials().EGID), nil
}

// getresuid(real, effective, saved).
func getresuid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	c := t.Process().Credentials()
	return 0, copyOutIDs(t, a, [3]uint32{c.UID, c.EUID, c.SUID})
}

// getresgid(real, effective, saved).
func getresgid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	c := t.Process().Credentials()
	return 0, copyOutIDs(t, a, [3]uint32{c.GID, c.EGID, c.SGID})
}

func copyOutIDs(t *sentry.Task, a sentry.Args, ids [3]uint32) error {
	for i, id := range ids {
		if err := copyOut(t, addr(a[i]), id); err != nil {
			return err
		}
	}
	return nil
}

// getgroups(size, list): how many there are.
func getgroups(t *sentry.Task, a sentry.Args) (uintptr, error) {
	size, groups := i32(a[0]), t.Process().Credentials().Groups
	if size < 0 || size > 0 && int(size) < len(groups) {
		return 0, invalid("getgroups", "%d groups do not fit into %d", len(groups), size)
	}
	if size > 0 {
		for i, g := range groups {
			if err := copyOut(t, addr(a[1])+memmap.Addr(i)*4, g); err != nil {
				return 0, err
			}
		}
	}
	return uintptr(len(groups)), nil
}

// An ids is the real, effective and saved id that a call would set.
type ids struct{ real, effective, saved *uint32 }

const keepID = 0xffffffff // "leave it as it is"

// set changes what is not keepID. Without privilege each must become one of those
// that there are: EPERM.
func (i ids) set(privileged bool, real, effective, saved uint32) error {
	old := [3]uint32{*i.real, *i.effective, *i.saved}
	for _, id := range [3]uint32{real, effective, saved} {
		if id != keepID && !privileged && id != old[0] && id != old[1] && id != old[2] {
			return memmap.Refuse("setresuid", unix.EPERM, "id %d is none of %v", id, old)
		}
	}
	for j, id := range [3]uint32{real, effective, saved} {
		if id != keepID {
			*[3]*uint32{i.real, i.effective, i.saved}[j] = id
		}
	}
	return nil
}

func userIDs(c *sentry.Credentials) ids  { return ids{&c.UID, &c.EUID, &c.SUID} }
func groupIDs(c *sentry.Credentials) ids { return ids{&c.GID, &c.EGID, &c.SGID} }

// setOne is setuid and setgid: all three for root, else the effective one.
func setOne(i ids, privileged bool, id uint32) error {
	if id == keepID {
		return invalid("setuid", "-1 is no id")
	}
	if privileged {
		return i.set(true, id, id, id)
	}
	if id != *i.real && id != *i.saved {
		return memmap.Refuse("setuid", unix.EPERM, "id %d is neither the real nor the saved one", id)
	}
	return i.set(false, keepID, id, keepID)
}

// setTwo is setreuid and setregid: the real one may become the real or effective,
// the effective any of the three; if the real one is set, or the effective to what
// the real one is not, it is saved as well.
func setTwo(i ids, privileged bool, real, effective uint32) error {
	oldReal := *i.real
	if real != keepID && !privileged && real != oldReal && real != *i.effective {
		return memmap.Refuse("setreuid", unix.EPERM, "id %d is neither the real nor the effective one", real)
	}
	if err := i.set(privileged, real, effective, keepID); err != nil {
		return err
	}
	if real != keepID || effective != keepID && effective != oldReal {
		*i.saved = *i.effective
	}
	return nil
}

// changeIDs applies set to the caller's credentials: all of it or nothing. The ids
// for files follow the effective ones, and so do capabilities. With need it may
// become anybody.
func changeIDs(t *sentry.Task, need sentry.Caps, set func(c *sentry.Credentials, privileged bool) error) (uintptr, error) {
	old := t.Process().Credentials()
	c := old
	if err := set(&c, c.Effective.Has(need)); err != nil {
		return 0, err
	}
	c.FSUID, c.FSGID = c.EUID, c.EGID
	c.IDsChanged(&old)
	t.Process().SetCredentials(c)
	return 0, nil
}

func setuid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return changeIDs(t, sentry.CapSetUID, func(c *sentry.Credentials, privileged bool) error {
		return setOne(userIDs(c), privileged, uint32(a[0]))
	})
}

func setgid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return changeIDs(t, sentry.CapSetGID, func(c *sentry.Credentials, privileged bool) error {
		return setOne(groupIDs(c), privileged, uint32(a[0]))
	})
}

func setreuid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return changeIDs(t, sentry.CapSetUID, func(c *sentry.Credentials, privileged bool) error {
		return setTwo(userIDs(c), privileged, uint32(a[0]), uint32(a[1]))
	})
}

func setregid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return changeIDs(t, sentry.CapSetGID, func(c *sentry.Credentials, privileged bool) error {
		return setTwo(groupIDs(c), privileged, uint32(a[0]), uint32(a[1]))
	})
}

func setresuid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return changeIDs(t, sentry.CapSetUID, func(c *sentry.Credentials, privileged bool) error {
		return userIDs(c).set(privileged, uint32(a[0]), uint32(a[1]), uint32(a[2]))
	})
}

func setresgid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return changeIDs(t, sentry.CapSetGID, func(c *sentry.Credentials, privileged bool) error {
		return groupIDs(c).set(privileged, uint32(a[0]), uint32(a[1]), uint32(a[2]))
	})
}

// setfsuid(id) and setfsgid(id): the old one, also if nothing changes. The ids for
// files mean nothing more here: the sandbox opens all files as itself.
func setfsuid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	c := t.Process().Credentials()
	old, id := c.FSUID, uint32(a[0])
	if c.Effective.Has(sentry.CapSetUID) || id == c.UID || id == c.EUID || id == c.SUID || id == c.FSUID {
		if id != keepID {
			c.FSUID = id
			c.FSUIDChanged(old)
			t.Process().SetCredentials(c)
		}
	}
	return uintptr(old), nil
}

func setfsgid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	c := t.Process().Credentials()
	old, id := c.FSGID, uint32(a[0])
	if c.Effective.Has(sentry.CapSetGID) || id == c.GID || id == c.EGID || id == c.SGID || id == c.FSGID {
		if id != keepID {
			c.FSGID = id
			t.Process().SetCredentials(c)
		}
	}
	return uintptr(old), nil
}
