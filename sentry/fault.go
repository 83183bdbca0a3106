package sentry

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
)

// si_code values, sigaction(2).
const (
	siUser     = 0
	siKernel   = 0x80
	siTKill    = -6
	segvMapErr = 1
	segvAccErr = 2
	busAdrErr  = 2
)

// Exception numbers and the bits of a page fault's error code, as a signal
// frame shows them.
const (
	trapDivide     = 0
	trapDebug      = 1
	trapBreakpoint = 3
	trapInvalid    = 6
	trapProtection = 13
	trapPage       = 14
	trapFPU        = 16
	trapAlign      = 17
	trapSIMD       = 19

	pfPresent = 1 << 0
	pfWrite   = 1 << 1
	pfUser    = 1 << 2
	pfFetch   = 1 << 4
)

// fault answers an access that the host's mappings did not allow.
func (t *Task) fault(stop *platform.Stop) {
	cause, err := t.mm.HandleUserFault(t.Actor("fault"), stop.Addr, stop.Access, memmap.Addr(t.regs.Rsp))
	if err == nil {
		t.writeDue()
		return
	}
	var trap *mm.TrapError
	var user *mm.UserfaultError
	switch {
	case errors.As(err, &trap) && trap.Trap.Kind == mm.TrapWatch:
		t.watched(stop, trap)
		return
	case errors.As(err, &user):
		t.watchedByUser(user)
		return
	case errors.Is(err, platform.ErrDied):
		t.died("killed from outside: " + err.Error())
		return
	}
	info := faultInfo(stop.Addr, err)
	t.notePageFault(stop, info)
	t.force(info, &Report{Addr: stop.Addr, Access: stop.Access, Cause: cause, Err: err})
}

// writeDue writes files' dirty pages back if there are many by now. No lock is held.
func (t *Task) writeDue() {
	if c := t.k.cfg.Cache; c != nil {
		c.WriteDue()
	}
}

// faultInfo says which signal a refused access is.
func faultInfo(addr memmap.Addr, err error) *SigInfo {
	info := &SigInfo{Signal: int32(unix.SIGSEGV), Code: segvMapErr, Addr: addr}
	var bus *memmap.BusError
	switch {
	case errors.As(err, &bus):
		info.Signal, info.Code = int32(unix.SIGBUS), busAdrErr
	case errnoOf(err) == unix.EPERM, errnoOf(err) == unix.EACCES:
		info.Code = segvAccErr
	case errnoOf(err) != unix.EFAULT: // no memory for the page
		info.Signal, info.Code = int32(unix.SIGBUS), busAdrErr
	}
	return info
}

// notePageFault keeps what the processor would have told of a page fault, for the
// signal frame. The present bit says whether the page is there; as under Linux it is
// set for all addresses beyond the user's, and for a fetch from memory that may be
// read: that fault brings the page in first, and is refused the second time.
func (t *Task) notePageFault(stop *platform.Stop, info *SigInfo) {
	t.trapNo, t.trapErr, t.cr2 = trapPage, pfUser, uint64(stop.Addr)
	if stop.Access.Write {
		t.trapErr |= pfWrite
	}
	if stop.Access.Execute {
		t.trapErr |= pfFetch
	}
	if stop.Addr >= t.k.cfg.Platform.UserRange().End || info.Code == segvAccErr && t.present(stop) {
		t.trapErr |= pfPresent
	}
}

// present reports whether the page of a refused access is there.
func (t *Task) present(stop *platform.Stop) bool {
	if len(t.mm.PMAs(stop.Addr.Page())) > 0 {
		return true
	}
	v, ok := t.mm.FindVMA(stop.Addr)
	return ok && stop.Access.Execute && v.Perms.Any()
}

// lifted is a trap that is off while one instruction runs.
type lifted struct {
	page memmap.AddrRange
	trap mm.Trap
}

// watched reports an access that met a trap of the engine, and makes it when the
// world goes on: the trap is lifted for that one instruction.
func (t *Task) watched(stop *platform.Stop, met *mm.TrapError) {
	r := &Report{Reason: ReasonTrap, Addr: stop.Addr, Access: stop.Access, Err: met, Handled: true}
	t.report(r)
	if t.ending() || r.held && !t.meets(stop, met.Trap) {
		return
	}
	l := lifted{stop.Addr.Page(), met.Trap}
	if err := t.mm.SetTrap(t.actorBy(memmap.ByKernel, "watch"), l.page, mm.Trap{}); err != nil {
		t.died(err.Error())
		return
	}
	t.lifted = append(t.lifted, l)
}

// meets reports whether the access still meets trap, which a person may have taken
// off while the world stood still.
func (t *Task) meets(stop *platform.Stop, trap mm.Trap) bool {
	_, err := t.mm.HandleUserFault(t.Actor("fault"), stop.Addr, stop.Access, memmap.Addr(t.regs.Rsp))
	var met *mm.TrapError
	return errors.As(err, &met) && met.Trap == trap
}

// lower puts lifted traps back, after the instruction.
func (t *Task) lower() {
	for _, l := range t.lifted {
		if err := t.mm.SetTrap(t.actorBy(memmap.ByKernel, "watch"), l.page, l.trap); err != nil {
			t.died(err.Error())
		}
	}
	t.lifted = nil
}

// lostPage answers an access to a page that is mapped and that the host could not
// bring in.
func (t *Task) lostPage(stop *platform.Stop) {
	cause, err := t.mm.HandleLostPage(t.Actor("fault"), stop.Addr, stop.Access)
	info := faultInfo(stop.Addr, err)
	t.notePageFault(stop, info)
	t.force(info, &Report{Addr: stop.Addr, Access: stop.Access, Cause: cause, Err: err})
}

// exception passes a hardware exception on, unchanged.
func (t *Task) exception(stop *platform.Stop) {
	if stop.Signal == unix.SIGBUS && stop.Code == busAdrErr {
		t.lostPage(stop)
		return
	}
	info := &SigInfo{Signal: int32(stop.Signal), Code: stop.Code, Addr: stop.Addr}
	t.noteException(stop)
	if stop.Signal == unix.SIGTRAP {
		r := &Report{Reason: ReasonTrap, Addr: memmap.Addr(t.regs.Rip), Signal: info.Signal, Code: info.Code}
		t.report(r)
		if r.Handled || t.ending() {
			return
		}
	}
	t.force(info, &Report{Addr: stop.Addr})
}

// noteException keeps an exception's number for the signal frame. A stop tells
// the signal only; no signal has two exceptions with the same code.
func (t *Task) noteException(stop *platform.Stop) {
	t.trapErr = 0
	switch stop.Signal {
	case unix.SIGFPE:
		t.trapNo = trapDivide
		if stop.Code > 2 { // FPE_INTDIV 1, FPE_INTOVF 2: integers; above: vector unit
			t.trapNo = trapSIMD
		}
	case unix.SIGILL:
		t.trapNo = trapInvalid
	case unix.SIGTRAP:
		t.trapNo = trapDebug
		if stop.Code == siKernel {
			t.trapNo = trapBreakpoint
		}
	case unix.SIGBUS:
		t.trapNo = trapAlign
	default:
		t.trapNo = trapProtection
	}
}
