package ipc

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// mayControl is EPERM unless who owns or made s. s.mu is held.
func (s *Segment) mayControl(who Caller, privileged bool) error {
	if who.UID == s.stat.UID || who.UID == s.stat.CUID || privileged {
		return nil
	}
	return memmap.Refuse("shmctl", unix.EPERM, "segment %d belongs to user %d", s.id, s.stat.UID)
}

// Remove is IPC_RMID: the key is free at once, the memory goes with the last
// attachment. EINVAL, EPERM.
func (t *Table) Remove(who Caller, id int32) error {
	s, err := t.ByID(id)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.mu.Lock()
	err = s.mayControl(who, who.Admin)
	s.mu.Unlock()
	if err == nil {
		t.condemn(s)
	}
	return err
}

// Set is IPC_SET: owner and permissions. EINVAL, EPERM.
func (t *Table) Set(who Caller, id int32, uid, gid, mode uint32) error {
	const nobody = ^uint32(0)
	s, err := t.ByID(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayControl(who, who.Admin); err != nil {
		return err
	}
	if uid == nobody || gid == nobody {
		return memmap.Refuse("shmctl", unix.EINVAL, "user %d, group %d", int32(uid), int32(gid))
	}
	s.stat.UID, s.stat.GID = uid, gid
	s.stat.Mode = s.stat.Mode&^0o777 | mode&0o777
	s.stat.CTime = t.now().Unix()
	return nil
}

// Lock is SHM_LOCK and SHM_UNLOCK: memory of the sandbox is never swapped out, so what
// changes is what IPC_STAT says. mayLock says that the caller's RLIMIT_MEMLOCK is not
// 0. EINVAL, EPERM.
func (t *Table) Lock(who Caller, id int32, lock, mayLock bool) error {
	s, err := t.ByID(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayControl(who, who.Lock); err != nil {
		return err
	}
	if lock && !mayLock && !who.Lock {
		return memmap.Refuse("shmctl", unix.EPERM, "RLIMIT_MEMLOCK is 0")
	}
	s.stat.Mode &^= modeLocked
	if lock {
		s.stat.Mode |= modeLocked
	}
	return nil
}
