package sentry

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/stdio"
)

// A session's terminal: each of its processes knows it (Process.tty), and it knows the
// session and the group in the foreground (vfs.TTY). All of that is guarded by
// Kernel.mu; no terminal is called with it held.

// openTerminals makes the standard streams, and the terminal among them, if one is,
// that of all processes.
func (k *Kernel) openTerminals() {
	k.std = [3]vfs.File{stdio.NewReader(k.cfg.Stdin), stdio.NewWriter(k.cfg.Stdout), stdio.NewWriter(k.cfg.Stderr)}
	if tty := stdio.Join(k.std[:]...); tty != nil {
		k.reaper.tty, tty.Session = tty, reaperPID
	}
	if k.cfg.Terminals != nil {
		k.cfg.Terminals.SetJobs(k)
	}
}

// nameOf returns the path in /dev/pts of a standard stream, "" if it has none.
func (k *Kernel) nameOf(f vfs.File) string {
	if _, ok := f.(vfs.Terminal); !ok || k.cfg.Terminals == nil {
		return ""
	}
	return k.cfg.Terminals.Adopt(f)
}

// SignalForeground implements vfs.Jobs.
func (k *Kernel) SignalForeground(tty *vfs.TTY, sig unix.Signal) {
	k.mu.Lock()
	group := k.groupLocked(tty.Foreground)
	k.mu.Unlock()
	signalAll(group, sig)
}

// groupLocked returns the live processes of a group, by pid; none for group 0.
//
// Preconditions: k.mu is held.
func (k *Kernel) groupLocked(pgid int32) []*Process {
	if pgid == 0 {
		return nil
	}
	return k.sortedLocked(func(p *Process) bool { return p.pgid == pgid && p.state == Alive })
}

// signalAll sends signals of the kernel's to ps.
func signalAll(ps []*Process, signals ...unix.Signal) {
	for _, p := range ps {
		for _, sig := range signals {
			p.Signal(SigInfo{Signal: int32(sig), Code: siKernel})
		}
	}
}

// Hangup implements vfs.Jobs: the session's leader is told, and nobody of it has the
// terminal any more.
func (k *Kernel) Hangup(tty *vfs.TTY) {
	k.mu.Lock()
	var leader []*Process
	if p := k.procs[tty.Session]; p != nil && p.tty == tty && p.state == Alive {
		leader = []*Process{p}
		p.lostGroup = tty.Foreground
	}
	k.clearTTYLocked(tty)
	k.mu.Unlock()
	signalAll(leader, unix.SIGHUP, unix.SIGCONT)
}

// clearTTYLocked makes tty nobody's.
//
// Preconditions: k.mu is held.
func (k *Kernel) clearTTYLocked(tty *vfs.TTY) {
	for _, p := range k.procs {
		if p != nil && p.tty == tty {
			p.tty = nil
		}
	}
	tty.Session, tty.Foreground = 0, 0
}

// Controlling implements vfs.Jobs.
func (k *Kernel) Controlling(pid int32) *vfs.TTY {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.procs[pid]; p != nil {
		return p.tty
	}
	return nil
}

// Terminal returns p's controlling terminal as /proc/PID/stat shows it: its device, 0
// for none, and the group in its foreground, -1 for none.
func (p *Process) Terminal() (device uint64, foreground int32) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if p.tty == nil {
		return 0, -1
	}
	if p.tty.Foreground == 0 {
		return p.tty.Device, -1
	}
	return p.tty.Device, p.tty.Foreground
}

// MayUseTTY refuses t what only the foreground may do with its own terminal: the group
// of a process in the background gets sig (SIGTTIN or SIGTTOU), unless it would not
// heed it.
func (t *Task) MayUseTTY(tty *vfs.TTY, sig unix.Signal) error {
	k, p := t.k, t.p
	k.mu.Lock()
	background := p.tty == tty && tty.Foreground != 0 && p.pgid != tty.Foreground
	var group []*Process
	orphaned := false
	if background {
		group, orphaned = k.groupLocked(p.pgid), k.orphanedLocked(p)
	}
	k.mu.Unlock()
	switch {
	case !background:
		return nil
	case t.blocksOut(int32(sig)):
		if sig == unix.SIGTTIN {
			return fmt.Errorf("%w: group %d is in the background", unix.EIO, p.pgid)
		}
		return nil
	case orphaned:
		return fmt.Errorf("%w: group %d is in the background, and nobody can bring it back", unix.EIO, p.pgid)
	}
	signalAll(group, sig)
	return ErrRestart
}

// blocksOut reports whether sig, sent to t's process, does nothing.
func (t *Task) blocksOut(sig int32) bool {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	return t.mask.Has(sig) || t.p.actions[sig].Handler == sigIgnore
}

// orphanedLocked reports whether no parent outside p's group, but in its session, sees
// to the group.
//
// Preconditions: k.mu is held.
func (k *Kernel) orphanedLocked(p *Process) bool {
	for _, o := range k.procs {
		if o == nil || o.pgid != p.pgid || o.state != Alive || o.parent == nil {
			continue
		}
		if o.parent.pgid != p.pgid && o.parent.sid == o.sid { // of the first session that is the reaper
			return false
		}
	}
	return true
}

// SetControllingTTY is TIOCSCTTY: the terminal becomes that of t's session, whose
// leader t's process must be. steal takes it from another session, which needs a
// capability. EPERM.
func (t *Task) SetControllingTTY(tty *vfs.TTY, readable, steal bool) error {
	k, p := t.k, t.p
	admin := p.Credentials().Effective.Has(CapSysAdmin)
	k.mu.Lock()
	defer k.mu.Unlock()
	leader := p.sid == p.pid
	switch {
	case leader && tty.Session == p.sid:
		return nil
	case !leader || p.tty != nil:
		return fmt.Errorf("%w: only the leader of a session without a terminal can give it one", unix.EPERM)
	case tty.Session != 0 && !(steal && admin):
		return fmt.Errorf("%w: the terminal is session %d's", unix.EPERM, tty.Session)
	case !readable && !admin:
		return fmt.Errorf("%w: the terminal is not open for reading", unix.EPERM)
	}
	if tty.Session != 0 {
		k.clearTTYLocked(tty)
	}
	k.takeTTYLocked(p, tty)
	return nil
}

// takeTTYLocked makes tty the terminal of p's session, and of p.
//
// Preconditions: k.mu is held.
func (k *Kernel) takeTTYLocked(p *Process, tty *vfs.TTY) {
	tty.Session, tty.Foreground = p.sid, p.pgid
	p.tty, p.lostGroup = tty, 0
}

// OpenedTTY does what opening a terminal without O_NOCTTY does: a leader of a session
// without one has it then, if nobody else does.
func (t *Task) OpenedTTY(tty *vfs.TTY) {
	k, p := t.k, t.p
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.sid == p.pid && p.tty == nil && tty.Session == 0 {
		k.takeTTYLocked(p, tty)
	}
}

// DropTTY is TIOCNOTTY: t's process has no terminal any more; nobody of its session
// has, if it leads that. ENOTTY if it is not tty.
func (t *Task) DropTTY(tty *vfs.TTY) error {
	k, p := t.k, t.p
	k.mu.Lock()
	if p.tty != tty {
		k.mu.Unlock()
		return fmt.Errorf("%w: it is not the controlling terminal", unix.ENOTTY)
	}
	var told []*Process
	if p.sid == p.pid {
		told = k.groupLocked(tty.Foreground)
		k.clearTTYLocked(tty)
	}
	p.tty = nil
	k.mu.Unlock()
	signalAll(told, unix.SIGHUP, unix.SIGCONT)
	return nil
}

// leaveTTY gives the terminal back of a session whose leader ends: who is in the
// foreground, or was when the terminal hung up, is told.
func (k *Kernel) leaveTTY(p *Process) {
	k.mu.Lock()
	if p.sid != p.pid {
		k.mu.Unlock()
		return
	}
	var hup, cont []*Process
	if tty := p.tty; tty != nil {
		hup = k.groupLocked(tty.Foreground)
		k.clearTTYLocked(tty)
	} else if p.lostGroup != 0 {
		hup = k.groupLocked(p.lostGroup)
		cont = hup
	}
	k.mu.Unlock()
	signalAll(hup, unix.SIGHUP)
	signalAll(cont, unix.SIGCONT)
}

// ForegroundGroup is TIOCGPGRP: 0 if there is none. Through a master, any terminal's;
// else that of the own one, ENOTTY for others.
func (t *Task) ForegroundGroup(tty *vfs.TTY, master bool) (int32, error) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	if !master && t.p.tty != tty {
		return 0, fmt.Errorf("%w: it is not the controlling terminal", unix.ENOTTY)
	}
	return tty.Foreground, nil
}

// TTYSession is TIOCGSID, as ForegroundGroup: ENOTTY if it controls none.
func (t *Task) TTYSession(tty *vfs.TTY, master bool) (int32, error) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	if !master && t.p.tty != tty || tty.Session == 0 {
		return 0, fmt.Errorf("%w: it is not the controlling terminal", unix.ENOTTY)
	}
	return tty.Session, nil
}

// SetForegroundGroup is TIOCSPGRP: EINVAL, ENOTTY, ESRCH for no group, EPERM for one
// of another session. MayUseTTY was asked.
func (t *Task) SetForegroundGroup(tty *vfs.TTY, pgid int32) error {
	k, p := t.k, t.p
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case pgid < 0:
		return fmt.Errorf("%w: group %d", unix.EINVAL, pgid)
	case p.tty != tty || tty.Session != p.sid:
		return fmt.Errorf("%w: it is not the controlling terminal", unix.ENOTTY)
	}
	found := pgid == reaperPID
	if found && p.sid != reaperPID {
		return fmt.Errorf("%w: group %d is of another session", unix.EPERM, pgid)
	}
	for _, o := range k.procs {
		if o == nil || o.pgid != pgid || o.state == Dead {
			continue
		}
		if found = true; o.sid != p.sid {
			return fmt.Errorf("%w: group %d is of another session", unix.EPERM, pgid)
		}
	}
	if !found {
		return fmt.Errorf("%w: there is no group %d", unix.ESRCH, pgid)
	}
	tty.Foreground = pgid
	return nil
}
