package sentry

import (
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// alarm is a process's ITIMER_REAL. With SchedDet it goes off where the virtual
// clock reaches it, which is at a stop or when everybody waits; with SchedFree a
// host timer sets it off.
type alarm struct {
	at       time.Duration // on Clock.Monotonic; 0: not set
	interval time.Duration // 0: once
	host     *time.Timer   // SchedFree
}

// alarms are the processes whose alarms the virtual clock sets off.
type alarms struct {
	set  []*Process   // by pid
	next atomic.Int64 // the earliest alarm's at, 0: none
}

// RealTimer returns how long it is until p's ITIMER_REAL goes off (0: it is not
// set), and its interval.
func (p *Process) RealTimer() (left, interval time.Duration) {
	s := &p.k.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.alarm.left(p.k.clock.Monotonic()), p.alarm.interval
}

// left is never 0 for an alarm that is set: that would say that it is not.
func (a *alarm) left(now time.Duration) time.Duration {
	if a.at == 0 {
		return 0
	}
	return max(a.at-now, time.Microsecond)
}

// SetRealTimer makes p get SIGALRM after left (0: never), and again every
// interval; it returns what was set before.
func (p *Process) SetRealTimer(left, interval time.Duration) (oldLeft, oldInterval time.Duration) {
	s := &p.k.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	now := p.k.clock.Monotonic()
	oldLeft, oldInterval = p.alarm.left(now), p.alarm.interval
	if p.alarm.host != nil {
		p.alarm.host.Stop()
	}
	p.alarm = alarm{}
	if left > 0 {
		p.alarm = alarm{at: now + left, interval: interval}
	}
	s.armLocked(p)
	return oldLeft, oldInterval
}

// armLocked makes p.alarm, just changed, effective.
//
// Preconditions: s.mu is held.
func (s *sched) armLocked(p *Process) {
	if s.free {
		if p.alarm.at != 0 {
			p.alarm.host = time.AfterFunc(p.alarm.at-s.k.clock.Monotonic(), p.ring)
		}
		return
	}
	i, found := slices.BinarySearchFunc(s.alarms.set, p.pid, func(o *Process, pid int32) int { return int(o.pid - pid) })
	switch {
	case p.alarm.at != 0 && !found:
		s.alarms.set = slices.Insert(s.alarms.set, i, p)
	case p.alarm.at == 0 && found:
		s.alarms.set = slices.Delete(s.alarms.set, i, i+1)
	}
	var next time.Duration
	for _, o := range s.alarms.set {
		if next == 0 || o.alarm.at < next {
			next = o.alarm.at
		}
	}
	s.alarms.next.Store(int64(next))
}

// ring is a host timer's function.
func (p *Process) ring() {
	s := &p.k.sched
	s.mu.Lock()
	set := p.alarm.at != 0
	if set {
		p.alarm.againAfter(s.k.clock.Monotonic())
		s.armLocked(p)
	}
	s.mu.Unlock()
	if set {
		p.Signal(SigInfo{Signal: int32(unix.SIGALRM), Code: siKernel})
	}
}

// againAfter sets an alarm that went off to its next time after now, if it has one.
func (a *alarm) againAfter(now time.Duration) {
	if a.interval == 0 {
		*a = alarm{}
		return
	}
	missed := (now - a.at) / a.interval
	a.at += (missed + 1) * a.interval
}

// ringLocked sets those alarms off that the virtual clock has reached. The signals
// are sent by the processes' own threads, which hold no lock then.
//
// Preconditions: s.mu is held.
func (s *sched) ringLocked() {
	now := s.k.clock.Monotonic()
	for _, p := range slices.Clone(s.alarms.set) {
		if p.alarm.at > now {
			continue
		}
		p.alarm.againAfter(now)
		s.armLocked(p)
		for _, t := range s.tasks {
			if t.p == p {
				t.attn.Or(attnAlarm)
			}
		}
	}
}

// checkAlarms is ringLocked where it costs nothing if no alarm is due.
func (s *sched) checkAlarms() {
	next := s.alarms.next.Load()
	if next == 0 || int64(s.k.clock.Monotonic()) < next {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ringLocked()
}
