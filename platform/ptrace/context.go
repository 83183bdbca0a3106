package ptrace

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/platform"
)

// kick is the signal that makes a running guest stop for Interrupt. Its coming
// means nothing by itself: asked tells whether anybody did ask.
const kick = unix.SIGURG

// Context is one guest thread.
type Context struct {
	as *AddressSpace
	*tracee

	// hw is what the tracee's registers are, unless stale says that injected
	// code has run since; segment bases and data selectors hold even then.
	hw    Regs
	stale bool

	// ghostTF: the host shows a trap flag that is nobody's. It does from when a
	// guest's own is cleared between two single steps to when the guest runs.
	ghostTF bool

	// Interrupt sets asked, then kicks if the guest runs; Run says so to pair, then
	// looks at asked. So one of the two sees the other.
	asked atomic.Bool
	pair  *pair

	// saved is what FPState returned, for a context that is to inherit it, nil if
	// that was not asked for since the guest ran.
	saved atomic.Pointer[[]byte]
}

var _ platform.Context = (*Context)(nil)

// start takes the cloned stub over and gives it its vector state.
func (c *Context) start(xstate []byte) error {
	if err := c.seize(); err != nil {
		return err
	}
	if err := c.getRegs(&c.hw); err != nil {
		return err
	}
	c.stale = true
	if xstate == nil {
		return nil
	}
	return c.SetFPState(xstate)
}

// HostTID implements platform.Context.
func (c *Context) HostTID() int { return c.pid }

// Interrupt implements platform.Context.
func (c *Context) Interrupt() {
	c.asked.Store(true)
	if c.pair.running() {
		c.signal(kick)
	}
}

// Release implements platform.Context.
func (c *Context) Release() {
	c.end()
	c.as.p.place.leave(c.pair)
	c.as.p.mu.Lock()
	defer c.as.p.mu.Unlock()
	delete(c.as.p.contexts, c.tracee)
}

// Run implements platform.Context.
func (c *Context) Run(regs *platform.Regs) (platform.Stop, error) {
	return c.run(regs, unix.PTRACE_SYSEMU)
}

// Step implements platform.Context.
func (c *Context) Step(regs *platform.Regs) (platform.Stop, error) {
	return c.run(regs, unix.PTRACE_SYSEMU_SINGLESTEP)
}

// run resumes the guest with request until it stops for something that is told.
func (c *Context) run(regs *Regs, request int) (platform.Stop, error) {
	if c.inStub(regs.Rip) {
		return c.stubFault(regs.Rip), nil
	}
	c.ghostTF = request == unix.PTRACE_SYSEMU_SINGLESTEP && regs.Eflags&flagTF == 0 && (c.ghostTF || c.hw.Eflags&flagTF != 0)
	if err := c.load(regs); err != nil {
		return c.ended(err)
	}
	c.saved.Store(nil)
	c.pair.start()
	defer c.pair.stop()
	if c.asked.Swap(false) {
		return platform.Stop{Kind: platform.Interrupted}, nil
	}
	for {
		if err := c.resume(request); err != nil {
			return c.ended(err)
		}
		ws, err := c.wait()
		if err != nil {
			return c.ended(err)
		}
		stop, told, err := c.explain(ws, request)
		if err != nil {
			return c.ended(err)
		}
		if told {
			if c.ghostTF {
				c.hw.Eflags &^= flagTF
				c.stale = true
			}
			*regs = c.hw
			return stop, nil
		}
	}
}

// load makes the tracee's registers regs.
func (c *Context) load(regs *Regs) error {
	if err := c.setSegments(&c.hw, regs); err != nil {
		return err
	}
	want := *regs
	want.Cs, want.Ss, want.Orig_rax = c.hw.Cs, c.hw.Ss, c.hw.Orig_rax
	answered := want
	answered.Rax = c.hw.Rax
	switch {
	case !c.stale && want == c.hw:
	case !c.stale && answered == c.hw && !restarts(want.Rax):
		// The answer of a system call, which is what most stops are.
		if err := ptrace(unix.PTRACE_POKEUSR, c.pid, unsafe.Offsetof(want.Rax), uintptr(want.Rax)); err != nil {
			return c.failed("pokeuser", err)
		}
	default:
		if err := c.setRegs(&want); err != nil {
			return err
		}
	}
	c.hw, c.stale = want, false
	return nil
}

// restarts reports whether the host could take rax, together with an Orig_rax that
// is not -1, for a call of its own to be restarted (ERESTARTSYS and its like).
func restarts(rax uint64) bool { return rax >= ^uint64(1023) && rax < ^uint64(255) }

// ended turns the tracee's death into a stop; other errors stay.
func (c *Context) ended(err error) (platform.Stop, error) {
	if errors.Is(err, platform.ErrDied) {
		return platform.Stop{Kind: platform.Died, Detail: err.Error()}, nil
	}
	return platform.Stop{}, err
}
