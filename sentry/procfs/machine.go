package procfs

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/sentry"
)

// What /proc says of the machine: the guests' world, on the host's processors.

// cpuinfo is the host's: guests run on its processors, and may ask them.
func (fs *FS) cpuinfo() []byte {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil // a host without /proc
	}
	return b
}

// ran returns the processor time of all processes, living or waited for, and their faults.
func (fs *FS) ran() (u sentry.Usage) {
	for _, p := range fs.kernel.Processes() {
		for _, one := range []sentry.Usage{p.Usage(), p.ChildUsage()} {
			u.User += one.User
			u.System += one.System
			u.MinorFaults += one.MinorFaults
			u.MajorFaults += one.MajorFaults
		}
	}
	return u
}

// machineStat is /proc/stat, proc_stat(5). Time that no guest used is idle; which processor
// it was used on is not known, so the first has it.
func (fs *FS) machineStat() []byte {
	u, clock, cpus := fs.ran(), fs.kernel.Clock(), runtime.NumCPU()
	up := clock.Monotonic()
	ticks := func(d time.Duration) int64 { return int64(max(d, 0) / userTick) }
	var b bytes.Buffer
	line := func(name string, user, system, all time.Duration) {
		fmt.Fprintf(&b, "%s %d 0 %d %d 0 0 0 0 0 0\n", name, ticks(user), ticks(system), ticks(all-user-system))
	}
	line("cpu ", u.User, u.System, up*time.Duration(cpus))
	for i := range cpus {
		line(fmt.Sprintf("cpu%d", i), u.User, u.System, up)
		u.User, u.System = 0, 0
	}
	running, blocked := fs.threads()
	fmt.Fprintf(&b, "intr 0\nctxt 0\nbtime %d\nprocesses %d\nprocs_running %d\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
		clock.Now().Add(-up).Unix(), running+blocked, running)
	return b.Bytes()
}

// threads returns how many threads run and how many wait.
func (fs *FS) threads() (running, blocked int) {
	for _, p := range fs.kernel.Processes() {
		for _, t := range p.Tasks() {
			if state, _ := t.State(); state == sentry.Blocked {
				blocked++
			} else {
				running++
			}
		}
	}
	return running, blocked
}

// loadavg is /proc/loadavg. No average is kept: the three are what runs now.
func (fs *FS) loadavg() []byte {
	running, blocked := fs.threads()
	last := int32(0)
	for _, p := range fs.kernel.Processes() {
		last = max(last, p.PID())
	}
	now := float64(running)
	return fmt.Appendf(nil, "%.2f %.2f %.2f %d/%d %d\n", now, now, now, running, running+blocked, last)
}

// uptime is /proc/uptime: since boot, and what all processors were idle of it.
func (fs *FS) uptime() []byte {
	up, u := fs.kernel.Clock().Monotonic(), fs.ran()
	idle := up*time.Duration(runtime.NumCPU()) - u.User - u.System
	return fmt.Appendf(nil, "%.2f %.2f\n", up.Seconds(), max(idle, 0).Seconds())
}

// version is /proc/version.
func (fs *FS) version() []byte {
	return fmt.Appendf(nil, "Linux version %s (mmsh) (%s) %s\n", sentry.Release, runtime.Version(), sentry.Version)
}

// vmstat is /proc/vmstat, in pages: those of Linux's lines that are counted here.
func (fs *FS) vmstat() []byte {
	s, u := fs.kernel.Config().Memory.Stats(), fs.ran()
	var b []byte
	for _, line := range []struct {
		name string
		n    uint64
	}{
		{"nr_free_pages", (s.RAM - min(s.RAM, s.Total)) / memmap.PageSize},
		{"nr_anon_pages", s.Allocated[pgalloc.Anonymous] / memmap.PageSize},
		{"nr_file_pages", (s.Allocated[pgalloc.PageCache] + s.Allocated[pgalloc.Shmem]) / memmap.PageSize},
		{"nr_shmem", s.Allocated[pgalloc.Shmem] / memmap.PageSize},
		{"pgfault", u.MinorFaults + u.MajorFaults},
		{"pgmajfault", u.MajorFaults},
	} {
		b = fmt.Appendf(b, "%s %d\n", line.name, line.n)
	}
	return b
}

// swaps is /proc/swaps: its head, as nothing is swapped.
func (fs *FS) swaps() []byte {
	return []byte("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")
}

// hostname is the host's, as uname says.
func (fs *FS) hostname() []byte {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return nil
	}
	return append(u.Nodename[:bytes.IndexByte(u.Nodename[:], 0)], '\n')
}

// uuid is sys/kernel/random/uuid: another one each time, of version 4.
func (fs *FS) uuid() []byte {
	var r [16]byte
	fs.kernel.Random(r[:])
	r[6], r[8] = r[6]&0x0f|0x40, r[8]&0x3f|0x80
	return fmt.Appendf(nil, "%x-%x-%x-%x-%x\n", r[:4], r[4:6], r[6:8], r[8:10], r[10:])
}

// says returns a file that always says v.
func says(v any) func(*FS) []byte {
	return func(*FS) []byte { return fmt.Appendln(nil, v) }
}
