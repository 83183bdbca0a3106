package syscalls

import (
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

const (
	maxOpenFiles = 1 << 20 // fs.nr_open: RLIMIT_NOFILE goes no higher
	clockTick    = 10 * time.Millisecond
)

// prlimit64(pid, resource, new, old).
func prlimit64(t *sentry.Task, a sentry.Args) (uintptr, error) {
	resource := uint32(a[1])
	if resource >= uint32(len(sentry.RLimits{})) {
		return 0, invalid("prlimit64", "there is no resource %d", resource)
	}
	var next *sentry.RLimit
	if a[2] != 0 {
		v, err := copyIn[sentry.RLimit](t, addr(a[2]))
		if err != nil {
			return 0, err
		}
		next = &v
	}
	p, err := processArg(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	old, err := swapLimit(t, p, resource, next)
	if err != nil {
		return 0, err
	}
	return 0, copyOutUnlessNull(t, addr(a[3]), old)
}

// swapLimit sets p's limit if next is not nil, and returns the old one: EINVAL for
// a soft limit above the hard one, EPERM for raising the hard one without privilege.
func swapLimit(t *sentry.Task, p *sentry.Process, resource uint32, next *sentry.RLimit) (sentry.RLimit, error) {
	limit := &p.Limits()[resource]
	old := *limit
	if next == nil {
		return old, nil
	}
	switch {
	case next.Cur > next.Max:
		return old, invalid("prlimit64", "soft limit %d is above hard limit %d", next.Cur, next.Max)
	case resource == unix.RLIMIT_NOFILE && next.Max > maxOpenFiles,
		next.Max > old.Max && !t.Process().Credentials().Effective.Has(sentry.CapSysResource):
		return old, memmap.Refuse("prlimit64", unix.EPERM, "hard limit %d may not be raised to %d", old.Max, next.Max)
	}
	*limit = *next
	return old, nil
}

// getrlimit(resource, limit).
func getrlimit(t *sentry.Task, a sentry.Args) (uintptr, error) {
	resource := uint32(a[0])
	if resource >= uint32(len(sentry.RLimits{})) {
		return 0, invalid("getrlimit", "there is no resource %d", resource)
	}
	return 0, copyOut(t, addr(a[1]), t.Process().Limits()[resource])
}

// setrlimit(resource, limit).
func setrlimit(t *sentry.Task, a sentry.Args) (uintptr, error) {
	next, err := copyIn[sentry.RLimit](t, addr(a[1]))
	if err != nil {
		return 0, err
	}
	resource := uint32(a[0])
	if resource >= uint32(len(sentry.RLimits{})) {
		return 0, invalid("setrlimit", "there is no resource %d", resource)
	}
	_, err = swapLimit(t, t.Process(), resource, &next)
	return 0, err
}

// getrusage(who, usage).
func getrusage(t *sentry.Task, a sentry.Args) (uintptr, error) {
	var u sentry.Usage
	switch who := i32(a[0]); who {
	case unix.RUSAGE_SELF:
		u = t.Process().Usage()
	case unix.RUSAGE_CHILDREN:
		u = t.Process().ChildUsage()
	case unix.RUSAGE_THREAD:
		u = t.Process().Usage()
		u.User = t.Kernel().Clock().CPU(t)
	default:
		return 0, invalid("getrusage", "who is %d", who)
	}
	return 0, copyOut(t, addr(a[1]), unix.Rusage{
		Utime:  timeval(u.User),
		Stime:  timeval(u.System),
		Maxrss: int64(u.MaxRSS >> 10),
		Minflt: int64(u.MinorFaults),
		Majflt: int64(u.MajorFaults),
	})
}

// times(buf): processor times, and the time since boot, in ticks.
func times(t *sentry.Task, a sentry.Args) (uintptr, error) {
	self, children := t.Process().Usage(), t.Process().ChildUsage()
	ticks := func(d time.Duration) int64 { return int64(d / clockTick) }
	err := copyOutUnlessNull(t, addr(a[0]), unix.Tms{
		Utime: ticks(self.User), Stime: ticks(self.System),
		Cutime: ticks(children.User), Cstime: ticks(children.System),
	})
	return uintptr(t.Kernel().Clock().Monotonic() / clockTick), err
}
