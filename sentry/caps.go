package sentry

import (
	"math/bits"

	"golang.org/x/sys/unix"
)

// Caps is a set of capabilities(7), a bit each.
type Caps uint64

// The capabilities that decide something here.
const (
	CapDacReadSearch Caps = 1 << 2
	CapFowner        Caps = 1 << 3
	CapKill          Caps = 1 << 5
	CapSetGID        Caps = 1 << 6
	CapSetUID        Caps = 1 << 7
	CapSetPCap       Caps = 1 << 8
	CapIPCLock       Caps = 1 << 14
	CapIPCOwner      Caps = 1 << 15
	CapSysRawIO      Caps = 1 << 17
	CapSysChroot     Caps = 1 << 18
	CapSysPtrace     Caps = 1 << 19
	CapSysAdmin      Caps = 1 << 21
	CapSysNice       Caps = 1 << 23
	CapSysResource   Caps = 1 << 24
	CapMknod         Caps = 1 << 27
)

// LastCap is the highest capability's number: CAP_CHECKPOINT_RESTORE.
const LastCap = 40

// Has reports whether all of want are in c.
func (c Caps) Has(want Caps) bool { return c&want == want }

// First returns the number of the lowest capability in c, 64 if there is none.
func (c Caps) First() int { return bits.TrailingZeros64(uint64(c)) }

// Capabilities are the sets that a process has. They decide what guests may ask of
// their world; what the sandbox may do on the host is never more for them.
type Capabilities struct {
	Permitted, Effective, Inheritable, Bounding, Ambient Caps

	Keep bool // PR_SET_KEEPCAPS: losing all root ids leaves Permitted alone
}

// hostCapabilities returns those of the user who runs us, as hostCredentials does:
// a container's root has fewer than all. Ambient ones count as lost.
func hostCapabilities() Capabilities {
	var c Capabilities
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if unix.Capget(&h, &sets[0]) != nil {
		return c // none then
	}
	for i, s := range sets {
		c.Permitted |= Caps(s.Permitted) << (32 * i)
		c.Effective |= Caps(s.Effective) << (32 * i)
		c.Inheritable |= Caps(s.Inheritable) << (32 * i)
	}
	for n := range LastCap + 1 {
		if v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err == nil && v == 1 {
			c.Bounding |= 1 << n
		}
	}
	return c
}

// IDsChanged brings the capabilities in line after user ids were changed from old:
// capabilities(7), "Effect of user ID changes on capabilities".
func (c *Credentials) IDsChanged(old *Credentials) {
	hadRoot := old.UID == 0 || old.EUID == 0 || old.SUID == 0
	hasRoot := c.UID == 0 || c.EUID == 0 || c.SUID == 0
	if hadRoot && !hasRoot {
		if !c.Keep {
			c.Permitted, c.Effective = 0, 0
		}
		c.Ambient = 0
	}
	switch {
	case old.EUID == 0 && c.EUID != 0:
		c.Effective = 0
	case old.EUID != 0 && c.EUID == 0:
		c.Effective = c.Permitted
	}
}

// fileCaps are those that the id for files turns off and on: capabilities(7), rule 4.
const fileCaps Caps = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<9 | 1<<27 | 1<<32

// FSUIDChanged is IDsChanged for setfsuid.
func (c *Credentials) FSUIDChanged(old uint32) {
	switch {
	case old == 0 && c.FSUID != 0:
		c.Effective &^= fileCaps
	case old != 0 && c.FSUID == 0:
		c.Effective |= c.Permitted & fileCaps
	}
}
