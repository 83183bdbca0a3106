package ptrace

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/platform"
)

// AddressSpace is the memory of one keeper and the contexts beside it.
type AddressSpace struct {
	p      *Platform
	zygote *zygote
	keeper *tracee // the supervisor's
	nspid  int     // the keeper's own idea of its number

	// mu is held while the slots are in use.
	mu    sync.Mutex
	slots area
}

var _ platform.AddressSpace = (*AddressSpace)(nil)

// NewAddressSpace implements platform.Platform.
func (p *Platform) NewAddressSpace() (platform.AddressSpace, error) {
	as := &AddressSpace{p: p}
	if err := p.super.do(as.start); err != nil {
		return nil, fmt.Errorf("new address space: %w", err)
	}
	return as, nil
}

// start makes the keeper, on the supervisor's thread.
func (as *AddressSpace) start() error {
	if err := as.p.needZygote(); err != nil {
		return err
	}
	as.p.super.bring(as.p.zygote.tracee)
	slots, err := as.p.slots.take()
	if err != nil {
		return err
	}
	keeper, nspid, err := as.p.zygote.cloneSpace(slots)
	if err != nil {
		as.p.slots.give(slots)
		return err
	}
	as.zygote, as.keeper, as.nspid, as.slots = as.p.zygote, keeper, nspid, slots
	as.p.add(keeper)
	return nil
}

// HostPID implements platform.AddressSpace: it is the keeper's.
func (as *AddressSpace) HostPID() int { return as.keeper.pid }

// HostMappings implements platform.AddressSpace.
func (as *AddressSpace) HostMappings() ([]platform.HostMapping, error) {
	all, err := hostMappings(as.keeper.pid)
	if err != nil {
		return nil, fmt.Errorf("mappings of stub %d: %w", as.keeper.pid, err)
	}
	stub := as.p.at.stubRange()
	guests := all[:0]
	for _, m := range all {
		if !stub.IsSupersetOf(m.AR) {
			guests = append(guests, m)
		}
	}
	return guests, nil
}

// NewContext implements platform.AddressSpace.
func (as *AddressSpace) NewContext(from platform.Context) (platform.Context, error) {
	xstate, err := inherited(from)
	if err != nil {
		return nil, fmt.Errorf("new context: %w", err)
	}
	var pid int
	if err := as.p.super.do(func() error {
		as.p.super.bring(as.keeper)
		nspid, err := as.keeper.call(unix.SYS_CLONE, uintptr(cloneContext), 0, 0, 0, 0, uintptr(as.nspid))
		if err != nil {
			return err
		}
		pid, err = as.zygote.ns.hostPID(int(nspid))
		return err
	}); err != nil {
		return nil, fmt.Errorf("new context: %w", err)
	}
	c := &Context{as: as, tracee: newTracee(pid, &as.p.at)}
	if err := c.start(xstate); err != nil {
		c.tracee.end()
		return nil, fmt.Errorf("new context: %w", err)
	}
	as.p.add(c.tracee)
	c.pair = as.p.place.join(pid)
	return c, nil
}

// Release implements platform.AddressSpace.
func (as *AddressSpace) Release() {
	_ = as.p.super.do(func() error { as.keeper.end(); return nil })
	as.p.remove(as.keeper)
	as.p.slots.give(as.slots)
}
