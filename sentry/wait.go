package sentry

import (
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// CLD_* codes: what happened to a child.
const (
	cldExited    = 1
	cldKilled    = 2
	cldDumped    = 3
	cldStopped   = 5
	cldContinued = 6
)

const (
	coreBit         = 0x80
	statusContinued = 0xffff
	statusStopped   = 0x7f
)

// childNews is what a parent can wait for besides a child's end.
type childNews struct {
	code   int32 // cldStopped or cldContinued, 0: nothing
	status int32 // the signal
}

// WaitResult is a child that ended, or that job control stopped or continued.
type WaitResult struct {
	PID          int32
	Status       uint32
	User, System time.Duration
	MaxRSS       uint64 // bytes
	UID          uint32
	Code         int32 // CLD_*
	Value        int32 // exit status or signal, as waitid's si_status
}

// Usage is what a process has used.
type Usage struct {
	User, System             time.Duration
	MaxRSS                   uint64 // bytes
	MinorFaults, MajorFaults uint64
}

func (u *Usage) add(o Usage) {
	u.User += o.User
	u.System += o.System
	u.MaxRSS = max(u.MaxRSS, o.MaxRSS)
	u.MinorFaults += o.MinorFaults
	u.MajorFaults += o.MajorFaults
}

// Usage returns what p has used; all time counts as the program's own.
func (p *Process) Usage() Usage {
	m := p.MM()
	if m == nil {
		p.k.mu.Lock()
		defer p.k.mu.Unlock()
		return p.usage
	}
	s := m.Stats()
	return Usage{User: p.k.clock.ProcessCPU(p), MaxRSS: s.MaxRSS, MinorFaults: s.MinorFaults, MajorFaults: s.MajorFaults}
}

// ChildUsage returns the sums of p's children that were waited for.
func (p *Process) ChildUsage() Usage {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.waitedFor
}

// Wait is wait4: which children pid means, and options, are wait4's. With WNOHANG
// and nothing to tell the result's PID is 0. ECHILD if there is none to wait for.
func (t *Task) Wait(pid int32, options int) (WaitResult, error) {
	const known = unix.WNOHANG | unix.WUNTRACED | unix.WCONTINUED | unix.WNOTHREAD | unix.WCLONE | unix.WALL
	switch {
	case options&^known != 0:
		return WaitResult{}, fmt.Errorf("wait4: %w: unknown options %#x", unix.EINVAL, options)
	case pid == math.MinInt32:
		return WaitResult{}, fmt.Errorf("wait4: %w: no group %d", unix.ESRCH, pid)
	case pid == -1:
		return t.wait(unix.P_ALL, 0, options|unix.WEXITED)
	case pid > 0:
		return t.wait(unix.P_PID, pid, options|unix.WEXITED)
	case pid == 0:
		return t.wait(unix.P_PGID, t.p.PGID(), options|unix.WEXITED)
	}
	return t.wait(unix.P_PGID, -pid, options|unix.WEXITED)
}

// WaitID is waitid(2): kind is P_PID, P_PGID or P_ALL.
func (t *Task) WaitID(kind int, id int32, options int) (WaitResult, error) {
	const events = unix.WEXITED | unix.WSTOPPED | unix.WCONTINUED
	const known = events | unix.WNOHANG | unix.WNOWAIT | unix.WNOTHREAD | unix.WCLONE | unix.WALL
	switch {
	case options&^known != 0, options&events == 0:
		return WaitResult{}, fmt.Errorf("waitid: %w: options %#x", unix.EINVAL, options)
	case kind == unix.P_PID && id <= 0, kind == unix.P_PGID && id < 0, kind < unix.P_ALL, kind > unix.P_PGID:
		return WaitResult{}, fmt.Errorf("waitid: %w: kind %d, id %d", unix.EINVAL, kind, id)
	case kind == unix.P_PGID && id == 0:
		id = t.p.PGID()
	}
	return t.wait(kind, id, options)
}

// wait returns the first news of a child of t's process that kind and id mean.
func (t *Task) wait(kind int, id int32, options int) (WaitResult, error) {
	for {
		result, any, news := t.look(kind, id, options)
		switch {
		case result.PID != 0:
			return result, nil
		case !any:
			return WaitResult{}, fmt.Errorf("wait: %w: there is no such child", unix.ECHILD)
		case options&unix.WNOHANG != 0:
			return WaitResult{}, nil
		}
		if err := t.Block(news, 0); err != nil {
			return WaitResult{}, err
		}
	}
}

// look finds news without waiting; any says whether there are children to wait
// for, and news is closed when there may be some.
func (t *Task) look(kind int, id int32, options int) (r WaitResult, any bool, news <-chan struct{}) {
	k := t.k
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range t.p.children {
		if kind == unix.P_PID && c.pid != id || kind == unix.P_PGID && c.pgid != id ||
			options&(unix.WCLONE|unix.WALL) == unix.WCLONE { // all children send SIGCHLD
			continue
		}
		any = true
		if k.newsLocked(c, options, &r) {
			return r, any, nil
		}
	}
	if t.p.stirred == nil {
		t.p.stirred = make(chan struct{})
	}
	return WaitResult{}, any, t.p.stirred
}

// newsLocked fills in r if options ask for what happened to c, which then counts
// as told, unless WNOWAIT.
//
// Preconditions: k.mu is held.
func (k *Kernel) newsLocked(c *Process, options int, r *WaitResult) bool {
	switch {
	case c.state == Zombie && options&unix.WEXITED != 0:
		_, status := c.ending()
		*r = c.result(status)
		if options&unix.WNOWAIT == 0 {
			c.parent.waitedFor.add(c.usage)
			c.parent.waitedFor.add(c.waitedFor)
			k.forgetLocked(c)
		}
		return true
	case c.state == Alive:
		return c.jobNews(options, r)
	}
	return false
}

// jobNews is newsLocked for stops and continuations.
func (p *Process) jobNews(options int, r *WaitResult) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.news.code == cldStopped && options&unix.WSTOPPED != 0:
		*r = p.result(uint32(p.news.status)<<8 | statusStopped)
	case p.news.code == cldContinued && options&unix.WCONTINUED != 0:
		*r = p.result(statusContinued)
	default:
		return false
	}
	r.Code, r.Value = p.news.code, p.news.status
	if options&unix.WNOWAIT == 0 {
		p.news = childNews{}
	}
	return true
}

// result describes p with a wait status.
func (p *Process) result(status uint32) WaitResult {
	code, value := ended(status)
	return WaitResult{
		PID: p.pid, Status: status, User: p.usage.User, System: p.usage.System, MaxRSS: p.usage.MaxRSS,
		UID: p.Credentials().UID, Code: code, Value: value,
	}
}

// ended splits the wait status of a process that has ended.
func ended(status uint32) (code, value int32) {
	switch sig := int32(status & 0x7f); {
	case sig == 0:
		return cldExited, int32(status >> 8 & 0xff)
	case status&coreBit != 0:
		return cldDumped, sig
	default:
		return cldKilled, sig
	}
}

// tellParent wakes p's parent for news of job control.
func (p *Process) tellParent(code, sig int32) {
	k := p.k
	k.mu.Lock()
	defer k.mu.Unlock()
	parent := p.parent
	parent.mu.Lock()
	muted := parent.actions[unix.SIGCHLD].Flags&saNoCldStop != 0
	parent.mu.Unlock()
	k.stirLocked(parent)
	if !muted {
		parent.queue(nil, p.childInfo(code, sig))
	}
}

// tellLocked tells parent that p has ended.
//
// Preconditions: k.mu is held.
func (k *Kernel) tellLocked(parent, p *Process) {
	_, status := p.ending()
	code, value := ended(status)
	k.stirLocked(parent)
	parent.queue(nil, p.childInfo(code, value))
}

// stirLocked wakes those who wait for p's children.
//
// Preconditions: k.mu is held.
func (k *Kernel) stirLocked(p *Process) {
	if p.stirred != nil {
		close(p.stirred)
		p.stirred = nil
	}
	k.sched.poke()
}

func (p *Process) childInfo(code, status int32) SigInfo {
	return SigInfo{Signal: int32(unix.SIGCHLD), Code: code, PID: p.pid, UID: p.Credentials().UID, Status: status}
}

// adoptLocked makes c a child of p.
//
// Preconditions: k.mu is held.
func (k *Kernel) adoptLocked(p, c *Process) {
	c.parent = p
	i, _ := slices.BinarySearchFunc(p.children, c.pid, func(o *Process, pid int32) int { return int(o.pid - pid) })
	p.children = slices.Insert(p.children, i, c)
}
