package syscalls

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
)

const (
	waitNoThread = 0x20000000 // __WNOTHREAD
	waitAll      = 0x40000000 // __WALL
	waitClone    = 0x80000000 // __WCLONE
)

// wait4(pid, status, options, rusage).
func wait4(t *sentry.Task, a sentry.Args) (uintptr, error) {
	pid, options := i32(a[0]), uint32(a[2])
	if options&^(unix.WNOHANG|unix.WUNTRACED|unix.WCONTINUED|waitNoThread|waitAll|waitClone) != 0 {
		return 0, invalid("wait4", "unknown options %#x", options)
	}
	if pid == math.MinInt32 {
		return 0, unix.ESRCH
	}
	r, err := t.Wait(pid, int(options))
	if err != nil || r.PID == 0 {
		return 0, err
	}
	if err := copyOutUnlessNull(t, addr(a[1]), r.Status); err != nil {
		return 0, err
	}
	return uintptr(r.PID), copyOutUnlessNull(t, addr(a[3]), waitUsage(r))
}

func waitUsage(r sentry.WaitResult) unix.Rusage {
	return unix.Rusage{Utime: timeval(r.User), Stime: timeval(r.System), Maxrss: int64(r.MaxRSS >> 10)}
}

func timeval(d time.Duration) unix.Timeval { return unix.NsecToTimeval(int64(d)) }

// waitid(kind, id, siginfo, options, rusage).
func waitid(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const what = unix.WEXITED | unix.WSTOPPED | unix.WCONTINUED
	kind, id, options := i32(a[0]), i32(a[1]), uint32(a[3])
	if options&^(unix.WNOHANG|unix.WNOWAIT|what|waitNoThread|waitAll|waitClone) != 0 || options&what == 0 {
		return 0, invalid("waitid", "options %#x", options)
	}
	switch {
	case kind == unix.P_PID && id <= 0, kind == unix.P_PGID && id < 0,
		kind != unix.P_PID && kind != unix.P_PGID && kind != unix.P_ALL:
		return 0, invalid("waitid", "kind %d, id %d", kind, id)
	}
	r, err := t.WaitID(int(kind), id, int(options))
	if err != nil {
		return 0, err
	}
	if r.PID != 0 {
		if err := copyOutUnlessNull(t, addr(a[4]), waitUsage(r)); err != nil {
			return 0, err
		}
	}
	if a[2] == 0 {
		return 0, nil
	}
	return 0, t.CopyOut(addr(a[2]), childInfo(r))
}

// childInfo is the part of siginfo_t that waitid writes: all zero if there is
// nothing to tell.
func childInfo(r sentry.WaitResult) []byte {
	b := make([]byte, 28)
	if r.PID == 0 {
		return b
	}
	put := binary.LittleEndian.PutUint32
	put(b, uint32(unix.SIGCHLD))
	put(b[8:], uint32(r.Code))
	put(b[16:], uint32(r.PID))
	put(b[20:], r.UID)
	put(b[24:], uint32(r.Value))
	return b
}
