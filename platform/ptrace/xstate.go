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

// FPState implements platform.Context.
func (c *Context) FPState() ([]byte, error) {
	if saved := c.saved.Load(); saved != nil {
		return slices.Clone(*saved), nil
	}
	size := &c.as.p.xstateSize
	b := make([]byte, cmp.Or(int(size.Load()), maxXState))
	iov := unix.Iovec{Base: &b[0], Len: uint64(len(b))}
	if err := ptracePtr(unix.PTRACE_GETREGSET, c.pid, unix.NT_X86_XSTATE, unsafe.Pointer(&iov)); err != nil {
		return nil, c.failed("getregset", err)
	}
	size.Store(int64(iov.Len))
	b = b[:iov.Len]
	c.saved.Store(&b)
	return slices.Clone(b), nil
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
	c.saved.Store(nil)
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
	if c.saved.Load() == nil && unix.Gettid() != c.owner {
		return nil, fmt.Errorf("%w: the parent's vector state was not fetched since it ran", unix.EINVAL)
	}
	xsave, err := c.FPState()
	if err != nil || binary.LittleEndian.Uint64(xsave[xstateBV:]) == 0 {
		return nil, err
	}
	return xsave, nil
}
