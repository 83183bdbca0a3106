package sentry

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Signal sends info to the process (any thread may take it).
func (p *Process) Signal(info SigInfo) { p.send(nil, info) }

// SignalThread sends info to t alone.
func (t *Task) SignalThread(info SigInfo) { t.p.send(t, info) }

// send sends info to the whole process, or to t alone. SIGCONT's news is told by the
// sender already, so that who sends it and then waits for it finds it.
func (p *Process) send(t *Task, info SigInfo) {
	if p.queue(t, info) {
		p.tellParent(cldContinued, info.Signal)
	}
}

// queue queues info for the whole process, or for t alone, and wakes who takes it.
// It reports whether a stopped process goes on by it. Kernel.mu may be held.
func (p *Process) queue(t *Task, info SigInfo) (continued bool) {
	if info.Signal < 1 || info.Signal > numSignals {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exiting {
		return false
	}
	continued = p.prepareLocked(info.Signal)
	if p.uselessLocked(t, info.Signal) {
		return continued
	}
	if t != nil {
		t.pending.add(info)
	} else {
		p.pending.add(info)
	}
	for _, thread := range p.threads {
		if thread.deliverableLocked() && (t == nil || t == thread) {
			p.k.sched.attend(thread, attnSignal)
			break
		}
	}
	return continued
}

// prepareLocked does what the sending itself does: SIGCONT and SIGKILL make a
// stopped process go on, SIGCONT and stop signals cancel each other. It reports
// whether SIGCONT made p go on.
//
// Preconditions: p.mu is held.
func (p *Process) prepareLocked(sig int32) (continued bool) {
	switch {
	case sig == int32(unix.SIGCONT):
		p.discardLocked(stopsByDefault)
		if p.goOn != nil {
			p.news = childNews{cldContinued, sig}
			continued = true
		}
		p.goOnLocked()
	case sig == int32(unix.SIGKILL):
		p.goOnLocked()
	case stopsByDefault.Has(sig):
		p.discardLocked(bit(int32(unix.SIGCONT)))
	}
	return continued
}

// uselessLocked reports whether sig would be ignored: it is not queued then. A
// blocked signal waits although its action is to ignore it, as that may change; and
// sigtimedwait takes it.
//
// Preconditions: p.mu is held.
func (p *Process) uselessLocked(t *Task, sig int32) bool {
	if !p.ignoresLocked(sig) {
		return false
	}
	for _, thread := range p.threads {
		if (t == nil || t == thread) && (thread.mask | thread.sigWait).Has(sig) {
			return false
		}
	}
	return true
}

// Kill is kill(2) from t: which processes pid means is kill's. Sig 0 only looks.
func (t *Task) Kill(pid int32, sig int32) error {
	if pid == math.MinInt32 {
		return fmt.Errorf("kill %d: %w", pid, unix.ESRCH)
	}
	targets := t.targets(pid)
	if len(targets) == 0 {
		return fmt.Errorf("kill %d: %w: there is no such process", pid, unix.ESRCH)
	}
	if sig < 0 || sig > numSignals {
		return fmt.Errorf("kill %d: %w: there is no signal %d", pid, unix.EINVAL, sig)
	}
	done := 0
	for _, p := range targets {
		if p.pid == reaperPID && !t.p.creds.Load().Effective.Has(CapKill) {
			continue
		}
		done++
		if sig != 0 && p.pid != reaperPID { // the reaper has no handlers
			p.Signal(t.userInfo(sig, siUser))
		}
	}
	if done == 0 {
		return fmt.Errorf("kill %d: %w: it is not ours", pid, unix.EPERM)
	}
	return nil
}

// TKill is tkill(2) and, with tgid not 0, tgkill(2).
func (t *Task) TKill(tgid, tid, sig int32) error {
	if tid <= 0 || tgid < 0 {
		return fmt.Errorf("tgkill %d %d: %w: ids are positive", tgid, tid, unix.EINVAL)
	}
	to := t.k.Task(tid)
	if to == nil || tgid != 0 && to.p.pid != tgid {
		return fmt.Errorf("tgkill %d %d: %w: there is no such thread", tgid, tid, unix.ESRCH)
	}
	if sig < 0 || sig > numSignals {
		return fmt.Errorf("tgkill %d %d: %w: there is no signal %d", tgid, tid, unix.EINVAL, sig)
	}
	if sig != 0 {
		to.SignalThread(t.userInfo(sig, siTKill))
	}
	return nil
}

// userInfo is what a signal that t's program sends says of its sender.
func (t *Task) userInfo(sig, code int32) SigInfo {
	return SigInfo{Signal: sig, Code: code, PID: t.p.pid, UID: t.p.Credentials().UID}
}

// targets returns the processes that pid means to kill(2), by pid.
func (t *Task) targets(pid int32) []*Process {
	k := t.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if pid == reaperPID {
		return []*Process{k.reaper}
	}
	group := -pid
	if pid == 0 {
		group = t.p.pgid
	}
	return k.sortedLocked(func(p *Process) bool {
		switch {
		case p.state == Dead:
			return false
		case pid > 0:
			return p.pid == pid
		case pid == -1:
			return p != t.p
		}
		return p.pgid == group
	})
}

// SigTimedWait is rt_sigtimedwait(2): it takes a signal of set, waiting until
// deadline on Clock.Monotonic (0: for ever, negative: not at all). EAGAIN if none came.
func (t *Task) SigTimedWait(set SigSet, deadline time.Duration) (SigInfo, error) {
	set &^= unblockable
	if info, ok := t.dequeue(set); ok {
		return info, nil
	}
	if deadline < 0 {
		return SigInfo{}, unix.EAGAIN
	}
	t.waitFor(set)
	err := t.Block(nil, deadline)
	t.waitFor(0)
	if info, ok := t.dequeue(set); ok {
		return info, nil
	}
	if err == ErrTimedOut {
		return SigInfo{}, unix.EAGAIN
	}
	return SigInfo{}, unix.EINTR
}

// waitFor unblocks set while t waits for its signals, and blocks it again after.
func (t *Task) waitFor(set SigSet) {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if set != 0 {
		t.sigWait, t.sigWaitMask = set, t.mask
		t.setMaskLocked(t.mask &^ set)
		return
	}
	t.sigWait = 0
	t.setMaskLocked(t.sigWaitMask)
}
