package sentry

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// end makes the process end with a wait status, the first one that is given; its
// thread sees to the rest in exit.
func (p *Process) end(status uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.exiting {
		p.exiting, p.status = true, status
	}
	p.goOnLocked()
	for _, t := range p.threads {
		p.k.sched.attend(t, attnExit)
	}
}

// exit ends the process: it is reported while everything is still there, then
// the memory goes, the descriptors, and the parent is told. It may be called again
// if it panicked.
func (t *Task) exit() {
	p := t.p
	_, status := p.ending()
	t.report(&Report{Reason: ReasonExit, Status: status})
	t.inCommand = true // from here on nothing may stop it
	t.clearChildTID()
	t.k.cfg.Events.Append(mm.Event{
		Kind:   mm.EventExit,
		PID:    p.pid,
		Number: int64(status),
		Origin: memmap.Origin{By: memmap.ByGuest, Op: "exit", PC: memmap.Addr(t.regs.Rip), TID: t.tid},
	})
	p.SetRealTimer(0, 0)
	t.measure()
	t.dropContext()
	p.mu.Lock()
	p.threads = slices.DeleteFunc(p.threads, func(o *Task) bool { return o == t })
	p.mu.Unlock()
	if !p.keepsMemory() {
		t.giveBack()
	}
	p.fds.CloseAll()
	p.fs.Release()
	p.k.leaveTTY(p)
	p.k.bury(p)
}

// ending returns whether p ends, and with which wait status.
func (p *Process) ending() (bool, uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exiting, p.status
}

// clearChildTID tells a thread library that t's memory is free, at the address
// that set_tid_address or clone named.
func (t *Task) clearChildTID() {
	if t.clearTID == 0 || t.p.lost.Load() {
		return
	}
	addr := t.clearTID
	t.clearTID = 0
	by := t.actorBy(memmap.ByKernel, "clear_child_tid")
	if _, err := t.mm.CopyOut(by, addr, make([]byte, 4), mm.IOOpts{}); err == nil {
		_, _ = t.FutexWake(addr, false, 1, futexAny) // nobody waits at a bad address
	}
}

// measure keeps what the process has used, for wait4.
func (t *Task) measure() {
	u := t.p.Usage()
	t.k.clock.ended(t)
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.p.usage = u
}

// dropContext ends the stub.
func (t *Task) dropContext() {
	if t.hostTID.Swap(0) != 0 {
		t.ctx.Release() // t.ctx stays: an interrupt may be on its way to it
	}
}

// keepsMemory reports whether the memory of p, which ends, stays for people to see.
func (p *Process) keepsMemory() bool {
	k := p.k
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cfg.KeepDead && k.first == p && !k.closed && !p.quiet.Load() && !p.lost.Load()
}

// salvageTime is how long the memory of a process is waited for after a panic, which
// may have left a lock locked. It is given up then.
const salvageTime = 2 * time.Second

// giveBack frees the memory of t's process.
func (t *Task) giveBack() {
	if t.panicked == "" {
		t.p.giveBack()
		return
	}
	freed := make(chan struct{})
	go func() {
		defer close(freed)
		t.survive(t.p.giveBack)
	}()
	timer := time.NewTimer(salvageTime)
	defer timer.Stop()
	select {
	case <-freed:
	case <-timer.C:
		t.k.note(t.p.pid, "memory is lost: a panic left it locked")
	}
}

// giveBack frees p's memory, if it has not been yet. All contexts are gone.
func (p *Process) giveBack() {
	k := p.k
	m := p.MM()
	if m == nil {
		return
	}
	var last *LastState
	if k.cfg.KeepDead {
		last = lastState(m)
	}
	k.mu.Lock()
	taken := p.mm != nil
	p.mm = nil
	if taken {
		p.last = last
	}
	k.mu.Unlock()
	if taken {
		m.DecUsers(&mm.Actor{
			Limits: mm.NoLimits(),
			Origin: memmap.Origin{By: memmap.ByKernel, Op: "exit", TID: p.pid},
		})
	}
}

// lastState describes m.
func lastState(m *mm.MemoryManager) *LastState {
	var maps strings.Builder
	_ = m.WriteMaps(&maps) // a Builder takes everything
	l := &LastState{VMAs: m.VMAs(m.All()), PMAs: m.PMAs(m.All()), Stats: m.Stats(), Maps: maps.String()}
	for i := range l.PMAs {
		l.PMAs[i].File = nil // holds no page, and must not be asked for one
	}
	return l
}

// bury makes p, whose memory and descriptors are dealt with, a zombie; its children
// go to the reaper, and its parent is told.
func (k *Kernel) bury(p *Process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.state != Alive {
		return
	}
	p.state = Zombie
	k.live--
	for _, c := range p.children {
		c.parent = k.reaper
		if sig := c.deathSignal.Load(); sig != 0 {
			c.queue(nil, SigInfo{Signal: sig, Code: siUser, PID: p.pid})
		}
		if c.state == Zombie {
			k.forgetLocked(c)
		}
	}
	p.children = nil
	if p.parent == k.reaper || p.parent.autoReaps() {
		parent := p.parent
		k.forgetLocked(p)
		k.tellLocked(parent, p)
		return
	}
	k.tellLocked(p.parent, p)
}

// forgetLocked makes the zombie p Dead: it was waited for, or nobody will.
//
// Preconditions: k.mu is held.
func (k *Kernel) forgetLocked(p *Process) {
	p.state = Dead
	p.parent.children = slices.DeleteFunc(p.parent.children, func(c *Process) bool { return c == p })
	if !k.cfg.KeepDead {
		delete(k.procs, p.pid)
		return
	}
	k.dead = append(k.dead, p)
	if len(k.dead) > maxKeptDead {
		i := 0
		if k.dead[i] == k.first {
			i = 1
		}
		delete(k.procs, k.dead[i].pid)
		k.dead = slices.Delete(k.dead, i, i+1)
	}
}

// autoReaps reports whether p's children leave no zombies: p ignores SIGCHLD.
func (p *Process) autoReaps() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &p.actions[unix.SIGCHLD]
	return a.Handler == sigIgnore || a.Flags&saNoCldWait != 0
}

// Kill ends p now, though the world is held, as SIGKILL would, without asking the
// Observer, and frees its memory also if it has ended already.
func (k *Kernel) Kill(h *Hold, p *Process) {
	k.kill(p)
	p.giveBack()
}

// kill ends p and returns when its thread is gone.
func (k *Kernel) kill(p *Process) {
	p.quiet.Store(true)
	p.end(uint32(unix.SIGKILL))
	k.sched.let(p.leader)
	<-p.leader.done
}

// Shutdown kills every process, waits for their stubs to be gone and frees their
// memory. It works whatever state the world is in.
func (k *Kernel) Shutdown() {
	k.mu.Lock()
	wasClosed := k.closed
	k.closed = true
	k.mu.Unlock()
	for _, p := range k.Processes() {
		k.kill(p)
	}
	for _, p := range k.Processes() {
		p.giveBack()
	}
	if !wasClosed && k.vdso != nil {
		k.ipc.Close()
		k.vdso.Release()
		if k.cfg.Cache != nil {
			k.cfg.Memory.RemoveGiver(k.cfg.Cache)
		}
	}
}
