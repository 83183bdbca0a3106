package syscalls

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
)

// uname(buf): the host's names, our version.
func uname(t *sentry.Task, a sentry.Args) (uintptr, error) {
	var host, u unix.Utsname
	if err := unix.Uname(&host); err != nil {
		return 0, err
	}
	u.Nodename, u.Domainname = host.Nodename, host.Domainname
	copy(u.Sysname[:], "Linux")
	copy(u.Release[:], sentry.Release)
	copy(u.Version[:], sentry.Version)
	copy(u.Machine[:], "x86_64")
	return 0, copyOut(t, addr(a[0]), u)
}

// sysinfo(buf): the sandbox's memory, in bytes; without a limit, the host's total.
func sysinfo(t *sentry.Task, a sentry.Args) (uintptr, error) {
	k := t.Kernel()
	memory := k.Config().Memory.Stats()
	return 0, copyOut(t, addr(a[0]), unix.Sysinfo_t{
		Uptime:   int64(k.Clock().Monotonic().Seconds()),
		Totalram: memory.RAM,
		Freeram:  memory.RAM - min(memory.RAM, memory.Total),
		Procs:    uint16(k.NumProcesses()),
		Unit:     1,
	})
}

// getrandom(buf, length, flags).
func getrandom(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const known = unix.GRND_NONBLOCK | unix.GRND_RANDOM | unix.GRND_INSECURE
	flags := uint32(a[2])
	if flags&^known != 0 || flags&(unix.GRND_RANDOM|unix.GRND_INSECURE) == unix.GRND_RANDOM|unix.GRND_INSECURE {
		return 0, invalid("getrandom", "flags %#x", flags)
	}
	v, err := oneRange("getrandom", addr(a[0]), min(a[1], maxRW))
	if err != nil {
		return 0, err
	}
	at, left, done := v[0].Start, v.total(), uint64(0)
	buf := make([]byte, min(left, maxChunk))
	for left > 0 {
		p := buf[:min(left, maxChunk)]
		t.Kernel().Random(p)
		n, err := guestWrite(t, "getrandom", at, p)
		at, left, done = at+addr(uint64(n)), left-uint64(n), done+uint64(n)
		if err != nil {
			return orError(done, err)
		}
	}
	return uintptr(done), nil
}

// sched_yield().
func schedYield(t *sentry.Task, _ sentry.Args) (uintptr, error) {
	t.Yield()
	return 0, nil
}

// sched_getaffinity(tid, size, mask): all of the host's processors; the value is
// the size of the kernel's mask.
func schedGetaffinity(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const word = 8
	cpus, size := uint64(runtime.NumCPU()), uint64(uint32(a[1]))
	if size*8 < cpus || size%word != 0 {
		return 0, invalid("sched_getaffinity", "%d processors do not fit into %d bytes", cpus, size)
	}
	if tid := i32(a[0]); tid < 0 || tid != 0 && t.Kernel().Task(tid) == nil {
		return 0, unix.ESRCH
	}
	mask := make([]byte, min(size, hostMaskLen()))
	for cpu := range cpus {
		mask[cpu/8] |= 1 << (cpu % 8)
	}
	return uintptr(len(mask)), t.CopyOut(addr(a[2]), mask)
}

// hostMaskLen is the size of the host kernel's mask of processors, in bytes.
func hostMaskLen() uint64 {
	var mask [1024]byte
	n, _, errno := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, 0, uintptr(len(mask)), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		return uint64(len(mask))
	}
	return uint64(n)
}

// getcpu(cpu, node): tasks are not told where they run.
func getcpu(t *sentry.Task, a sentry.Args) (uintptr, error) {
	if err := copyOutUnlessNull(t, addr(a[0]), uint32(0)); err != nil {
		return 0, err
	}
	return 0, copyOutUnlessNull(t, addr(a[1]), uint32(0))
}
