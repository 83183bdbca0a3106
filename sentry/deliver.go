package sentry

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// takeSignal delivers the next signal that waits for t, if there is one.
func (t *Task) takeSignal() {
	info, ok := t.dequeue(^t.SigMask())
	if !ok {
		return
	}
	t.report(&Report{
		Reason:  ReasonSignal,
		Signal:  info.Signal,
		Code:    info.Code,
		Addr:    info.Addr,
		Handled: t.survives(info.Signal),
	})
	if t.ending() {
		return
	}
	t.deliver(&info)
}

// action returns what is to be done about sig.
func (t *Task) action(sig int32) SigAction {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	return t.p.actions[sig]
}

// survives reports whether the process lives on after sig is delivered.
func (t *Task) survives(sig int32) bool {
	act := t.action(sig)
	return act.Handler != sigDefault || (ignoredByDefault | stopsByDefault).Has(sig)
}

// deliver does what the action for info's signal says.
func (t *Task) deliver(info *SigInfo) {
	sig := info.Signal
	act := t.action(sig)
	if act.Handler == sigIgnore || act.Handler == sigDefault && ignoredByDefault.Has(sig) {
		return
	}
	t.logSignal(info)
	switch {
	case act.Handler != sigDefault:
		t.handler(info, act)
	case stopsByDefault.Has(sig):
		t.stopJob(sig)
	default:
		t.p.end(uint32(sig))
	}
	t.stepped("step")
}

func (t *Task) logSignal(info *SigInfo) {
	t.k.cfg.Events.Append(mm.Event{
		Kind:   mm.EventSignal,
		PID:    t.p.pid,
		Addr:   info.Addr,
		Number: int64(info.Signal),
		Code:   info.Code,
		Origin: memmap.Origin{By: memmap.ByKernel, Op: "signal", PC: memmap.Addr(t.regs.Rip), TID: t.tid},
	})
}

// handler makes t go on in its handler for info.
func (t *Task) handler(info *SigInfo, act SigAction) {
	t.settleRestart(act.Flags)
	if act.Flags&saResetHand != 0 {
		t.resetAction(info.Signal)
	}
	if err := t.pushFrame(info, act); err != nil {
		t.badStack(info.Signal)
		return
	}
	mask := t.SigMask() | act.Mask
	if act.Flags&saNoDefer == 0 {
		mask |= bit(info.Signal)
	}
	t.restoring = false
	t.SetSigMask(mask)
}

func (t *Task) resetAction(sig int32) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.p.actions[sig].Handler = sigDefault
}

// badStack answers memory that the kernel itself found unusable, a frame that could
// not be written or read back, while sig (or nothing: 0) was to be handled: a SIGSEGV,
// which kills if it was SIGSEGV's own.
func (t *Task) badStack(sig int32) {
	segv := int32(unix.SIGSEGV)
	if sig == segv {
		t.resetAction(segv)
	}
	t.force(&SigInfo{Signal: segv, Code: siKernel}, &Report{})
}

// force delivers a signal that the guest's own instruction caused: it cannot be
// blocked or ignored, that kills. r, filled in but for what info says, asks the
// Observer first. If the world stood still and the engine would now allow
// the access, the access is tried again instead.
func (t *Task) force(info *SigInfo, r *Report) {
	sig := info.Signal
	r.Reason, r.Signal, r.Code = ReasonSignal, sig, info.Code
	r.Handled = t.handles(sig)
	t.report(r)
	if t.ending() || r.Err != nil && t.allowedNow(r) {
		return
	}
	if !t.handles(sig) {
		t.logSignal(info)
		t.p.end(uint32(sig))
		return
	}
	t.deliver(info)
}

// handles reports whether a synchronous sig would reach a handler.
func (t *Task) handles(sig int32) bool {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	h := t.p.actions[sig].Handler
	return h != sigDefault && h != sigIgnore && !t.mask.Has(sig)
}

// allowedNow reports whether the access that was refused would be made now: a
// person may have changed the memory while the world stood still.
func (t *Task) allowedNow(r *Report) bool {
	if !r.held {
		return false
	}
	e := t.mm.Explain(t.Actor("fault"), r.Addr, r.Access, memmap.Addr(t.regs.Rsp))
	return e.Signal == 0
}

// stopJob stops the process until SIGCONT, or its end.
func (t *Task) stopJob(sig int32) {
	p := t.p
	p.mu.Lock()
	if p.goOn == nil {
		p.goOn = make(chan struct{})
	}
	goOn := p.goOn
	p.news = childNews{cldStopped, sig}
	p.mu.Unlock()

	p.tellParent(cldStopped, sig)
	t.stepped("stopped")
	_ = t.k.sched.block(t, waits{ready: goOn, breaks: attnExit}) // ends by SIGCONT or the process's end
}

// goOnLocked lets a stopped process go on.
//
// Preconditions: p.mu is held.
func (p *Process) goOnLocked() {
	if p.goOn == nil {
		return
	}
	close(p.goOn)
	p.goOn = nil
}
