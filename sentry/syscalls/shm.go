package syscalls

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/ipc"
)

// shmget(key, size, flags).
func shmget(t *sentry.Task, a sentry.Args) (uintptr, error) {
	id, err := t.Kernel().IPC().Get(ipcCaller(t), i32(a[0]), a[1], i32(a[2]))
	return uintptr(id), err
}

// ipcCaller is who t is to System V memory.
func ipcCaller(t *sentry.Task) ipc.Caller {
	who := t.Process().Credentials()
	return ipc.Caller{
		PID: t.Process().PID(), UID: who.EUID, GID: who.EGID, Groups: who.Groups,
		Owner: who.Effective.Has(sentry.CapIPCOwner), Admin: who.Effective.Has(sentry.CapSysAdmin), Lock: who.Effective.Has(sentry.CapIPCLock),
	}
}

// shmat(id, addr, flags): Linux's do_shmat.
func shmat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	id, at, flags := i32(a[0]), addr(a[1]), i32(a[2])
	remap := flags&shmRemap != 0
	if id < 0 {
		return 0, invalid("shmat", "there is no segment %d", id)
	}
	if !at.IsPageAligned() {
		if flags&unix.SHM_RND == 0 {
			return 0, invalid("shmat", "%v is not page-aligned", at)
		}
		at = at.RoundDown()
	}
	fixed := a[1] != 0
	if remap && at == 0 {
		return 0, invalid("shmat", "SHM_REMAP needs an address")
	}
	attached, o, err := t.Kernel().IPC().Attach(ipcCaller(t), id, flags)
	if err != nil {
		return 0, err
	}
	defer attached.DecRef()
	if fixed && at+memmap.Addr(o.Length) < at {
		return 0, invalid("shmat", "%#x bytes at %v wrap around", o.Length, at)
	}
	if o.Perms.Read && t.Process().Personality()&readImpliesExec != 0 {
		o.Perms.Execute = true
	}
	o.Addr, o.Fixed, o.Unmap, o.NoReplace = at, fixed, fixed && remap, fixed && !remap
	got, err := t.MM().MMap(t.Actor("shmat"), o)
	if errors.Is(err, unix.EEXIST) {
		err = invalid("shmat", "something is mapped at %v already, and there is no SHM_REMAP", at)
	}
	return uintptr(got), err
}

// shmdt(addr).
func shmdt(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return 0, t.MM().Detach(t.Actor("shmdt"), addr(a[0]))
}

// shmRemap is SHM_REMAP.
const shmRemap = 0o40000

// Commands of shmctl beside the IPC_ ones.
const (
	shmLock    = 11
	shmUnlock  = 12
	shmStat    = 13
	shmInfo    = 14
	shmStatAny = 15
	ipcInfo    = 3
)

// shmctl(id, command, buf).
func shmctl(t *sentry.Task, a sentry.Args) (uintptr, error) {
	id, command, buf := i32(a[0]), i32(a[1]), addr(a[2])
	table, who := t.Kernel().IPC(), ipcCaller(t)
	if id < 0 || command < 0 {
		return 0, invalid("shmctl", "segment %d, command %d", id, command)
	}
	switch command {
	case ipcInfo:
		return shmLimits(t, buf)
	case shmInfo:
		return shmUsage(t, buf)
	case unix.IPC_STAT, shmStat, shmStatAny:
		return shmStatus(t, id, command, buf)
	case unix.IPC_SET:
		v, err := copyIn[shmidDS](t, buf)
		if err != nil {
			return 0, err
		}
		return 0, table.Set(who, id, v.UID, v.GID, v.Mode)
	case unix.IPC_RMID:
		return 0, table.Remove(who, id)
	case shmLock, shmUnlock:
		mayLock := t.Process().Limits()[unix.RLIMIT_MEMLOCK].Cur != 0
		return 0, table.Lock(who, id, command == shmLock, mayLock)
	}
	return 0, invalid("shmctl", "command %d is not known", command)
}

// shmidDS is struct shmid64_ds.
type shmidDS struct {
	Key, UID, GID, CUID, CGID uint32
	Mode                      uint32
	Seq                       uint16
	_                         [22]byte
	Size                      uint64
	ATime, DTime, CTime       int64
	CPID, LPID                int32
	NAttach                   uint64
	_                         [2]uint64
}

// shmStatus is IPC_STAT, whose id is a segment's, and SHM_STAT, whose id is an index
// and whose value is the segment's id.
func shmStatus(t *sentry.Task, id, command int32, buf memmap.Addr) (uintptr, error) {
	table := t.Kernel().IPC()
	find := table.ByIndex
	if command == unix.IPC_STAT {
		find = table.ByID
	}
	s, err := find(id)
	if err != nil {
		return 0, err
	}
	if command != shmStatAny {
		if err := s.May("shmctl", ipcCaller(t), 0o444); err != nil {
			return 0, err
		}
	}
	st := s.Stat()
	out := shmidDS{
		Key: uint32(st.Key), UID: st.UID, GID: st.GID, CUID: st.CUID, CGID: st.CGID, Mode: st.Mode, Seq: uint16(st.ID >> 15),
		Size: st.Size, ATime: st.ATime, DTime: st.DTime, CTime: st.CTime, CPID: st.CPID, LPID: st.LPID, NAttach: st.NAttach,
	}
	if err := copyOut(t, buf, out); err != nil || command == unix.IPC_STAT {
		return 0, err
	}
	return uintptr(st.ID), nil
}

// shmLimits is IPC_INFO: struct shminfo64. The value is the highest index in use.
func shmLimits(t *sentry.Task, buf memmap.Addr) (uintptr, error) {
	const shmSeg = ipc.MaxSegments // segments of a process, which nobody heeds
	all := t.Kernel().IPC().Segments()
	return lastIndex(all), copyOut(t, buf, [9]uint64{ipc.MaxSize, ipc.MinSize, ipc.MaxSegments, shmSeg, ipc.MaxPages})
}

// shmUsage is SHM_INFO: struct shm_info. The value is the highest index in use.
func shmUsage(t *sentry.Task, buf memmap.Addr) (uintptr, error) {
	all := t.Kernel().IPC().Segments()
	out := [6]uint64{uint64(len(all))}
	for _, s := range all {
		size, resident := s.Usage()
		out[1] += size / memmap.PageSize
		out[2] += resident / memmap.PageSize
	}
	return lastIndex(all), copyOut(t, buf, out)
}

func lastIndex(all []*ipc.Segment) uintptr {
	if len(all) == 0 {
		return 0
	}
	return uintptr(all[len(all)-1].ID() & math.MaxInt16)
}
