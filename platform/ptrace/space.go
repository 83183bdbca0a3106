package ptrace

import (
	"errors"
	"fmt"
	"sync"

	"mmsh.dev/mmsh/platform"
)

// AddressSpace is the memory of one keeper and the contexts beside it.
type AddressSpace struct {
	p      *Platform
	zygote *zygote
	keeper *parked

	// mu is held while the slots are in use.
	mu    sync.Mutex
	slots area
}

var _ platform.AddressSpace = (*AddressSpace)(nil)

// NewAddressSpace implements platform.Platform.
func (p *Platform) NewAddressSpace() (platform.AddressSpace, error) {
	as, err := p.newAddressSpace()
	if errors.Is(err, platform.ErrDied) {
		as, err = p.newAddressSpace() // of another zygote
	}
	if err != nil {
		return nil, fmt.Errorf("new address space: %w", err)
	}
	return as, nil
}

func (p *Platform) newAddressSpace() (*AddressSpace, error) {
	z, err := p.livingZygote()
	if err != nil {
		return nil, err
	}
	slots, err := p.slots.take()
	if err != nil {
		return nil, err
	}
	keeper, err := z.newKeeper(slots)
	if err != nil {
		p.slots.give(slots)
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keepers[keeper] = struct{}{}
	return &AddressSpace{p: p, zygote: z, keeper: keeper, slots: slots}, nil
}

// HostPID implements platform.AddressSpace: it is the keeper's.
func (as *AddressSpace) HostPID() int { return as.keeper.t.pid }

// HostMappings implements platform.AddressSpace.
func (as *AddressSpace) HostMappings() ([]platform.HostMapping, error) {
	all, err := hostMappings(as.HostPID())
	if !as.keeper.alive() { // what was read may be a stranger's
		err = platform.ErrDied
	}
	if err != nil {
		return nil, fmt.Errorf("mappings of stub %d: %w", as.HostPID(), err)
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
	c, err := as.newContext(from)
	if err != nil {
		return nil, fmt.Errorf("new context: %w", err)
	}
	return c, nil
}

func (as *AddressSpace) newContext(from platform.Context) (*Context, error) {
	xstate, err := inherited(from)
	if err != nil {
		return nil, err
	}
	place := as.p.place
	c := &Context{as: as, pair: place.join(home(from))}
	clone := func(t *tracee) error {
		c.tracee, _, err = as.zygote.spawn(t, cloneContext, as.keeper.nspid)
		return err
	}
	if err := as.zygote.use(func() error { return as.keeper.hold(clone) }); err != nil {
		place.leave(c.pair)
		return nil, err
	}
	place.adopt(c.pair, c.pid)
	if err := c.start(xstate); err != nil {
		c.end()
		place.leave(c.pair)
		return nil, err
	}
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	as.p.contexts[c.tracee] = struct{}{}
	return c, nil
}

// home returns the CPU on which from's thread and guest are: a child starts there,
// as the one often waits for the other. If both run, the watcher parts them.
func home(from platform.Context) int {
	if c, ok := from.(*Context); ok {
		return int(c.pair.cpu.Load())
	}
	return anyCPU
}

// Release implements platform.AddressSpace.
func (as *AddressSpace) Release() {
	as.keeper.end()
	as.p.mu.Lock()
	delete(as.p.keepers, as.keeper)
	as.p.mu.Unlock()
	as.p.slots.give(as.slots)
}
