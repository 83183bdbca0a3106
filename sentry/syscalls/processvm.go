package syscalls

import (
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// processVMStep is how many bytes process_vm_readv and process_vm_writev hold at once.
const processVMStep = 64 << 10

// process_vm_readv(pid, local, nlocal, remote, nremote, flags).
func processVMReadv(t *sentry.Task, a sentry.Args) (uintptr, error) {
	return betweenProcesses(t, "process_vm_readv", a, func(by *mm.Actor, theirs *mm.MemoryManager, at memmap.Addr, ours vector, p []byte) (int, error) {
		n, short := theirs.CopyIn(by, at, p, mm.IOOpts{})
		done, err := ours.scatter(t, by, p[:n])
		if err == nil && done == n {
			err = short
		}
		return done, err
	})
}

// process_vm_writev(pid, local, nlocal, remote, nremote, flags).
func processVMWritev(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "process_vm_writev"
	return betweenProcesses(t, op, a, func(_ *mm.Actor, theirs *mm.MemoryManager, at memmap.Addr, ours vector, p []byte) (int, error) {
		n, short := ours.gather(t, op, p) // whose reads have an actor of their own: ours is gone
		done, err := theirs.CopyOut(t.Actor(op), at, p[:n], mm.IOOpts{})
		if err == nil && done == n {
			err = short
		}
		return done, err
	})
}

// step moves len(p) bytes between theirs at at and ours, by way of p, and returns how many
// arrived; fewer come with an error.
type step func(by *mm.Actor, theirs *mm.MemoryManager, at memmap.Addr, ours vector, p []byte) (int, error)

// betweenProcesses is Linux's process_vm_rw: the local memory is looked at first, then the
// ranges there, and only then the process. What moved before an error counts.
func betweenProcesses(t *sentry.Task, op string, a sentry.Args, move step) (uintptr, error) {
	if a[5] != 0 {
		return 0, invalid(op, "unknown flags %#x", a[5])
	}
	ours, err := importVector(t, op, addr(a[1]), a[2])
	if err != nil || ours.total() == 0 {
		return 0, err
	}
	there, err := readIOVecs(t, op, addr(a[3]), a[4])
	if err != nil || !slices.ContainsFunc(there, func(r iovec) bool { return r.n > 0 }) {
		return 0, err
	}
	theirs, err := memoryOf(t, op, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer func() { theirs.DecUsers(t.Actor(op)) }()
	buf := make([]byte, min(ours.total(), processVMStep))
	done := uintptr(0)
	for _, r := range there {
		for r.n > 0 && ours.total() > 0 {
			p := buf[:min(r.n, ours.total(), processVMStep)]
			n, err := move(t.Actor(op), theirs, r.at, ours, p)
			done += uintptr(n)
			if err != nil && done == 0 {
				return 0, err
			}
			if err != nil || n < len(p) {
				return done, nil
			}
			ours = ours.dropFirst(uint64(n))
			r.at, r.n = r.at+memmap.Addr(n), r.n-uint64(n)
		}
	}
	return done, nil
}

// memoryOf returns the memory of process or thread pid with a user counted, for a caller
// who may trace it: ESRCH, EPERM.
func memoryOf(t *sentry.Task, op string, pid int32) (*mm.MemoryManager, error) {
	p := t.Kernel().Process(pid)
	if to := t.Kernel().Task(pid); to != nil {
		p = to.Process()
	}
	if p == nil {
		return nil, memmap.Refuse(op, unix.ESRCH, "there is no process %d", pid)
	}
	if !t.Process().MayTrace(p) {
		return nil, memmap.Refuse(op, unix.EPERM, "process %d is not the caller's to look into", pid)
	}
	m := p.MM()
	if m == nil || !m.IncUsers() {
		return nil, memmap.Refuse(op, unix.ESRCH, "process %d has no memory any more", pid)
	}
	return m, nil
}
