package sentry

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Flags of sigaltstack(2).
const (
	ssOnStack    = 1
	ssDisable    = 2
	ssAutoDisarm = -1 << 31
	minSigStack  = 2048 // MINSIGSTKSZ
)

// contains reports whether sp lies on s. One that disarms itself is never stood on.
func (s *SigStack) contains(sp memmap.Addr) bool {
	return s.Flags&ssAutoDisarm == 0 && sp > s.SP && uint64(sp-s.SP) <= s.Size
}

// AltStack returns the stack for SA_ONSTACK handlers as sigaltstack(2) tells it,
// SS_ONSTACK or SS_DISABLE among the flags.
func (t *Task) AltStack() SigStack {
	s := t.alt
	s.Flags &= ssAutoDisarm
	switch {
	case s.Size == 0:
		s.Flags |= ssDisable
	case s.contains(memmap.Addr(t.regs.Rsp)):
		s.Flags |= ssOnStack
	}
	return s
}

// SetAltStack sets the stack for SA_ONSTACK handlers: EPERM while on it, EINVAL
// for unknown flags, ENOMEM if it is too small.
func (t *Task) SetAltStack(s SigStack) error {
	if t.alt.Size != 0 && t.alt.contains(memmap.Addr(t.regs.Rsp)) {
		return fmt.Errorf("sigaltstack: %w: a handler runs on it", unix.EPERM)
	}
	switch mode := s.Flags &^ ssAutoDisarm; {
	case mode == ssDisable:
		s.SP, s.Size = 0, 0
	case mode != 0 && mode != ssOnStack:
		return fmt.Errorf("sigaltstack: %w: unknown flags %#x", unix.EINVAL, uint32(s.Flags))
	case s.Size < minSigStack:
		return fmt.Errorf("sigaltstack: %w: %d bytes, at least %d are needed", unix.ENOMEM, s.Size, minSigStack)
	}
	t.alt = s
	return nil
}
