package sentry

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// CloneOptions are what clone, fork and vfork ask for.
type CloneOptions struct {
	Flags                    uint64 // CLONE_*; issue A answers those of fork, else EINVAL
	ExitSignal               int32
	Stack                    memmap.Addr // 0: the parent's
	ParentTID, ChildTID, TLS memmap.Addr
}

// forkFlags are the CLONE_* flags of a plain fork.
const forkFlags = unix.CLONE_CHILD_SETTID | unix.CLONE_CHILD_CLEARTID | unix.CLONE_PARENT_SETTID

// Clone makes a child, which goes on where t is with 0 in rax, and returns its id.
// EAGAIN: there are too many processes. A Clone that fails leaves nothing behind.
func (t *Task) Clone(o CloneOptions) (int32, error) {
	switch {
	case o.Flags&^forkFlags != 0:
		return 0, fmt.Errorf("clone: %w: flags %#x: only what fork asks for is known", unix.EINVAL, o.Flags&^forkFlags)
	case o.ExitSignal != int32(unix.SIGCHLD):
		return 0, fmt.Errorf("clone: %w: exit signal %d: only SIGCHLD is known", unix.EINVAL, o.ExitSignal)
	}
	p, err := t.fork(func(child *Task) {
		child.regs.Rax = 0
		if o.Stack != 0 {
			child.regs.Rsp = uint64(o.Stack)
		}
		if o.Flags&unix.CLONE_CHILD_CLEARTID != 0 {
			child.clearTID = o.ChildTID
		}
		if o.Flags&unix.CLONE_CHILD_SETTID != 0 {
			child.setTID = o.ChildTID
		}
	})
	if err != nil {
		return 0, err
	}
	if o.Flags&unix.CLONE_PARENT_SETTID != 0 {
		_ = t.CopyOut(o.ParentTID, idBytes(p.pid)) // a bad address is ignored, as Linux does
	}
	t.report(&Report{Reason: ReasonFork, Number: uint64(p.pid)})
	t.k.sched.hatch(p.leader)
	return p.pid, nil
}

func idBytes(id int32) []byte {
	return binary.LittleEndian.AppendUint32(nil, uint32(id))
}

// born does what a child does before its first instruction: CLONE_CHILD_SETTID. It is
// done here because here is the context that the child's memory is mapped with.
func (t *Task) born() {
	if t.setTID != 0 {
		by := t.actorBy(memmap.ByKernel, "clone")
		_, _ = t.mm.CopyOut(by, t.setTID, idBytes(t.tid), mm.IOOpts{}) // a bad address is ignored
	}
}

// Fork makes a copy of t's process that stands where t stands; the world is held.
func (t *Task) Fork(h *Hold) (*Process, error) {
	var p *Process
	err := t.asPerson(func() error {
		child, err := t.fork(func(*Task) {})
		if err != nil {
			return err
		}
		p = child
		t.k.sched.hatch(p.leader)
		return nil
	})
	return p, err
}

// fork makes a child process whose thread, after setup, is to be hatched. It runs
// on t's tracing thread.
func (t *Task) fork(setup func(child *Task)) (p *Process, err error) {
	k := t.k
	pid, err := k.reservePID()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			k.cancelPID(pid)
		}
	}()
	if _, err := t.ctx.FPState(); err != nil { // what NewContext will copy
		return nil, again("clone", err)
	}
	m, err := t.forkMemory(pid)
	if err != nil {
		return nil, again("clone", err)
	}
	p = t.p.copyFor(pid, m)
	child := t.copyFor(p, m)
	setup(child)
	if err := child.start(t.ctx); err != nil {
		p.fds.CloseAll()
		p.fs.Release()
		p.giveBack()
		return nil, again("clone", err)
	}
	if !k.publish(t.p, p) {
		child.abandon()
		return nil, fmt.Errorf("clone: %w: the world ends", unix.EAGAIN)
	}
	return p, nil
}

func (t *Task) forkMemory(pid int32) (*mm.MemoryManager, error) {
	as, err := t.k.cfg.Platform.NewAddressSpace()
	if err != nil {
		return nil, err
	}
	return t.mm.Fork(t.Actor("fork"), as, pid)
}

// again makes err, a failure of the sandbox, one of the errors that fork has.
func again(op string, err error) error {
	if errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("%s: %w", op, err)
	}
	return fmt.Errorf("%s: %w: %w", op, unix.EAGAIN, err)
}

// reservePID returns an id for a new process, which counts as alive from now on:
// EAGAIN if there are too many.
func (k *Kernel) reservePID() (int32, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.live >= k.cfg.MaxProcs {
		return 0, fmt.Errorf("%w: there are %d processes, the most that may be", unix.EAGAIN, k.live)
	}
	pid := k.newPIDLocked()
	if pid == 0 {
		return 0, fmt.Errorf("%w: no process id is free", unix.EAGAIN)
	}
	k.live++
	k.procs[pid] = nil // taken
	return pid, nil
}

// cancelPID undoes reservePID.
func (k *Kernel) cancelPID(pid int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.live--
	delete(k.procs, pid)
}

// abandon ends t, which was never published.
func (t *Task) abandon() {
	t.p.quiet.Store(true)
	t.attn.Or(attnExit)
	t.k.sched.let(t)
	<-t.done
}

// publish makes p, with a reserved id, known as a child of parent. It returns false
// if the world ends.
func (k *Kernel) publish(parent, p *Process) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		p.state = Dead
		return false
	}
	p.pgid, p.sid, p.name, p.tty = parent.pgid, parent.sid, parent.name, parent.tty
	if parent == k.reaper {
		p.pgid = p.pid
		if p.tty != nil { // as a shell does with what it starts
			p.tty.Foreground = p.pgid
		}
	}
	k.procs[p.pid] = p
	k.adoptLocked(parent, p)
	return true
}

// copyFor returns the process pid that a fork of p makes.
func (p *Process) copyFor(pid int32, m *mm.MemoryManager) *Process {
	c := &Process{k: p.k, pid: pid, image: p.image, exe: p.exe, fds: p.fds.Fork(), fs: p.fs.Fork(), limits: p.limits, mm: m}
	c.creds.Store(p.creds.Load())
	c.personality.Store(p.personality.Load())
	c.dumpable.Store(p.dumpable.Load())
	p.mu.Lock()
	defer p.mu.Unlock()
	c.actions = p.actions
	return c
}

// copyFor returns the thread of p, a fork of t's process.
func (t *Task) copyFor(p *Process, m *mm.MemoryManager) *Task {
	c := newTask(p, p.pid, m)
	c.regs = t.regs
	c.alt = t.alt
	c.policy = t.policy
	c.mask = t.SigMask()
	c.trapNo, c.trapErr, c.cr2 = t.trapNo, t.trapErr, t.cr2
	p.leader, p.threads = c, []*Task{c}
	return c
}
