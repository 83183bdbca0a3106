package ptrace

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/platform"
)

// maxXState is more than any processor's vector state.
const maxXState = 64 << 10

// xstateBV is where the XSAVE header's bitmap is: which parts of the state are
// not in their initial configuration.
const xstateBV = 512

// vectors remembers what FPState returned, for contexts that are to inherit it.
type vectors struct {
	saved []byte // nil: not asked for since the guest ran
}

// ran forgets the state: the guest may change it now.
func (v *vectors) ran() { v.saved = nil }

// FPState implements platform.Context.
func (c *Context) FPState() ([]byte, error) {
	if c.vectors.saved == nil {
		size := &c.as.p.xstateSize
		b := make([]byte, cmp.Or(int(size.Load()), maxXState))
		iov := unix.Iovec{Base: &b[0], Len: uint64(len(b))}
		if err := ptracePtr(unix.PTRACE_GETREGSET, c.pid, unix.NT_X86_XSTATE, unsafe.Pointer(&iov)); err != nil {
			return nil, c.failed("getregset", err)
		}
		size.Store(int64(iov.Len))
		c.vectors.saved = b[:iov.Len:iov.Len]
	}
	return slices.Clone(c.vectors.saved), nil
}

// SetFPState implements platform.Context.
func (c *Context) SetFPState(xsave []byte) error {
	now, err := c.FPState()
	if err != nil {
		return err
	}
	if len(xsave) != len(now) {
		return fmt.Errorf("vector state: %w: %d bytes, this processor has %d", unix.EINVAL, len(xsave), len(now))
	}
	c.vectors.saved = nil
	iov := unix.Iovec{Base: &xsave[0], Len: uint64(len(xsave))}
	if err := ptracePtr(unix.PTRACE_SETREGSET, c.pid, unix.NT_X86_XSTATE, unsafe.Pointer(&iov)); err != nil {
		return c.failed("setregset", err)
	}
	return nil
}

// inherited returns the vector state that a new context gets from its parent,
// nil if that is the initial one.
func inherited(from platform.Context) ([]byte, error) {
	if from == nil {
		return nil, nil
	}
	c, ok := from.(*Context)
	if !ok {
		return nil, errWrongContext
	}
	xsave := c.vectors.saved
	if xsave == nil {
		if unix.Gettid() != c.owner {
			return nil, fmt.Errorf("%w: the parent's vector state was not fetched since it ran", unix.EINVAL)
		}
		var err error
		if xsave, err = c.FPState(); err != nil {
			return nil, err
		}
	}
	if binary.LittleEndian.Uint64(xsave[xstateBV:]) == 0 {
		return nil, nil
	}
	return slices.Clone(xsave), nil
}
