package sentry

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Credentials are who a process is to the rest of its world. Programs see the
// host user's, so that their output is what it is natively.
type Credentials struct {
	UID, EUID, SUID, FSUID uint32
	GID, EGID, SGID, FSGID uint32
	Groups                 []uint32
	Capabilities
}

// hostCredentials returns those of the user who runs us.
func hostCredentials() Credentials {
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	c := Credentials{UID: uid, EUID: uid, SUID: uid, FSUID: uid, GID: gid, EGID: gid, SGID: gid, FSGID: gid}
	c.Capabilities = hostCapabilities()
	groups, err := os.Getgroups()
	if err != nil {
		return c // none then
	}
	for _, g := range groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// Credentials returns who p is.
func (p *Process) Credentials() Credentials { return *p.creds.Load() }

// SetCredentials changes who p is, as far as guests can tell.
// As in Linux, who becomes somebody else is not dumpable until it says so.
func (p *Process) SetCredentials(c Credentials) {
	old := p.creds.Swap(&c)
	same := old.EUID == c.EUID && old.EGID == c.EGID && old.FSUID == c.FSUID && old.FSGID == c.FSGID
	if !same || !old.Permitted.Has(c.Permitted) {
		p.SetDumpable(0)
	}
}

// PGID returns the process group.
func (p *Process) PGID() int32 {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.pgid
}

// SID returns the session.
func (p *Process) SID() int32 {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.sid
}

// SetPGID is setpgid(2): 0 is the caller's own process, and its own id as the group.
func (t *Task) SetPGID(pid, pgid int32) error {
	k := t.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if pid == 0 {
		pid = t.p.pid
	}
	if pgid == 0 {
		pgid = pid
	}
	p := k.procs[pid]
	switch {
	case pgid < 0:
		return fmt.Errorf("setpgid: %w: a group is not negative", unix.EINVAL)
	case p == nil || p.state == Dead || p != t.p && p.parent != t.p:
		return fmt.Errorf("setpgid: %w: %d is neither the caller nor its child", unix.ESRCH, pid)
	case p.sid == p.pid:
		return fmt.Errorf("setpgid: %w: %d leads a session", unix.EPERM, pid)
	case p.sid != t.p.sid:
		return fmt.Errorf("setpgid: %w: %d is of another session", unix.EPERM, pid)
	case pgid != pid && !k.groupInSessionLocked(pgid, t.p.sid):
		return fmt.Errorf("setpgid: %w: there is no group %d in the session", unix.EPERM, pgid)
	}
	p.pgid = pgid
	return nil
}

func (k *Kernel) groupInSessionLocked(pgid, sid int32) bool {
	for _, p := range k.procs {
		if p != nil && p.pgid == pgid && p.sid == sid && p.state != Dead {
			return true
		}
	}
	return false
}

// SetSID is setsid(2): EPERM for one who leads a group.
func (t *Task) SetSID() (int32, error) {
	k := t.k
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.procs {
		if p != nil && p.pgid == t.p.pid && p.state != Dead {
			return 0, fmt.Errorf("setsid: %w: %d leads a group", unix.EPERM, t.p.pid)
		}
	}
	t.p.sid, t.p.pgid = t.p.pid, t.p.pid
	t.p.tty, t.p.lostGroup = nil, 0
	return t.p.pid, nil
}

// Task returns the live thread tid, nil if there is none.
func (k *Kernel) Task(tid int32) *Task {
	k.sched.mu.Lock()
	defer k.sched.mu.Unlock()
	i := slices.IndexFunc(k.sched.tasks, func(t *Task) bool { return t.tid == tid })
	if i < 0 {
		return nil
	}
	return k.sched.tasks[i]
}

// Name returns the thread's name (PR_GET_NAME); a process has one thread, whose
// name is its own.
func (t *Task) Name() string { return t.p.Name() }

// SetName changes it.
func (t *Task) SetName(s string) { t.p.SetName(s) }

// Personality returns what personality(2) set.
func (p *Process) Personality() uint32 { return p.personality.Load() }

// SetPersonality changes it.
func (p *Process) SetPersonality(v uint32) { p.personality.Store(v) }

// Dumpable returns PR_GET_DUMPABLE's value, 1 at first.
func (p *Process) Dumpable() int { return int(p.dumpable.Load()) }

// SetDumpable changes it.
func (p *Process) SetDumpable(v int) { p.dumpable.Store(int32(v)) }

// ParentDeathSignal returns what PR_SET_PDEATHSIG set, 0 at first and in children.
func (t *Task) ParentDeathSignal() int32 { return t.p.deathSignal.Load() }

// SetParentDeathSignal changes it.
func (t *Task) SetParentDeathSignal(sig int32) { t.p.deathSignal.Store(sig) }

// MayTrace reports whether p may look into and change other: Linux's ptrace_may_access for
// an attachment, by the real ids. The same user may, unless other has capabilities that p
// has not, or wants not to be dumped; CAP_SYS_PTRACE may always.
func (p *Process) MayTrace(other *Process) bool {
	if p == other {
		return true
	}
	who, whose := p.Credentials(), other.Credentials()
	if who.Effective.Has(CapSysPtrace) {
		return true
	}
	sameUser := who.UID == whose.EUID && who.UID == whose.SUID && who.UID == whose.UID
	sameGroup := who.GID == whose.EGID && who.GID == whose.SGID && who.GID == whose.GID
	return sameUser && sameGroup && other.Dumpable() == 1 && who.Permitted.Has(whose.Permitted)
}
