package ptrace

import (
	"encoding/binary"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/platform"
)

// socketFD is the stubs' end of the socket through which they get descriptors.
const socketFD = 0

// zygote is the process that all keepers are cloned from. Its descriptor table is
// that of all stubs. It is itself a clone of first, which was made by exec of an
// image of one page, so that no stub ever held anything of ours.
//
// First is init of the stubs' PID namespace, if they have one, and does nothing
// but be there: when it is killed, all go with it, but its own end can only be
// waited for when all the others' have been. Nothing may ever have to wait for it.
type zygote struct {
	*parked
	first   *tracee // of the supervisor
	at      *layout
	scratch area // request slots, writable to zygote and first; for who holds the zygote
	socket  int  // our end
	fds     descriptors
	slotsFD int // the slots' file, as the stubs know it
	ns      namespaces

	// users is held for reading by whoever uses the fields above.
	users  sync.RWMutex
	closed bool
}

// use calls f, while which the zygote is not closed. The zygote may be dead.
func (z *zygote) use(f func() error) error {
	z.users.RLock()
	defer z.users.RUnlock()
	if z.closed {
		return fmt.Errorf("%w: the zygote was killed", platform.ErrDied)
	}
	return f()
}

// work calls f with the zygote held.
func (z *zygote) work(f func(t *tracee) error) error {
	return z.use(func() error { return z.hold(f) })
}

// newZygote makes a zygote with the first of isolations that the host allows. To be
// called on the supervisor's thread.
func newZygote(at *layout, slots *slotFile, place *placer, isolations []uintptr) (*zygote, error) {
	var first error
	for _, flags := range isolations {
		z, err := startZygote(at, slots, place, flags)
		if err == nil {
			return z, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("start the stub zygote: %w", first)
}

func startZygote(at *layout, slots *slotFile, place *placer, flags uintptr) (*zygote, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pair[1])
	scratch, err := slots.take()
	if err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	z := &zygote{at: at, scratch: scratch, socket: pair[0]}
	if err := z.start(pair[1], slots, place, flags); err != nil {
		z.close(slots)()
		return nil, err
	}
	return z, nil
}

func (z *zygote) start(socket int, slots *slotFile, place *placer, flags uintptr) error {
	if err := z.exec(socket, flags); err != nil {
		return err
	}
	if err := z.harden(slots); err != nil {
		return err
	}
	t, nspid, err := z.spawn(z.first, cloneSpace, z.ns.self(z.first.pid))
	if err != nil {
		return err
	}
	if err := t.seize(); err != nil {
		return err
	}
	if err := t.ignore(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)); err != nil {
		return err
	}
	if z.parked, err = newParked(t, nspid, place); err != nil {
		return err
	}
	return t.park()
}

// exec starts the first process. It stops before its first instruction.
func (z *zygote) exec(socket int, flags uintptr) error {
	image, err := z.at.elfFile()
	if err != nil {
		return err
	}
	defer image.Close()
	attr := &syscall.ProcAttr{
		Dir:   "/", // or a stub would keep ours from being unmounted
		Env:   []string{},
		Files: []uintptr{uintptr(socket)},
		Sys:   z.ns.attr(flags),
	}
	pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", image.Fd()), []string{"mmsh-stub"}, attr)
	if err != nil {
		return err
	}
	z.first = newTracee(pid, z.at)
	if _, err := z.first.wait(); err != nil {
		return err
	}
	if err := ptrace(unix.PTRACE_SETOPTIONS, pid, 0, tracerOptions); err != nil {
		return z.first.failed("setoptions", err)
	}
	return z.ns.open(pid, flags)
}

// close ends the zygote and the first process, and with it what else is left. What
// it returns waits for that; it need not be called, but if so, when all stubs
// have been waited for by their tracers.
func (z *zygote) close(slots *slotFile) (wait func()) {
	z.users.Lock()
	defer z.users.Unlock()
	z.closed = true
	if z.parked != nil {
		z.end()
	}
	gone := make(chan struct{})
	go func() {
		if z.first != nil {
			z.first.end()
		}
		close(gone)
	}()
	z.ns.close()
	unix.Close(z.socket)
	slots.give(z.scratch)
	return func() { <-gone }
}

// mapSlots is the call that makes a stub see a as its request slots.
func (z *zygote) mapSlots(a area, prot uint64) slot {
	return slot{nr: unix.SYS_MMAP, args: [6]uint64{
		uint64(z.at.slots), slotsSize, prot, unix.MAP_SHARED | unix.MAP_FIXED, uint64(z.slotsFD), uint64(a.offset),
	}}
}

// spawn makes t clone itself; self is what t takes for its own number, nspid what
// its child does. The child is not traced yet.
func (z *zygote) spawn(t *tracee, flags uint32, self int) (child *tracee, nspid int, err error) {
	n, err := t.call(unix.SYS_CLONE, uintptr(flags), 0, 0, 0, 0, uintptr(self))
	if err != nil {
		return nil, 0, err
	}
	pid, err := z.ns.hostPID(int(n))
	if err != nil {
		return nil, 0, err
	}
	return newTracee(pid, z.at), int(n), nil
}

// newKeeper makes a keeper, which sees a as its request slots.
func (z *zygote) newKeeper(a area) (k *parked, err error) {
	err = z.work(func(t *tracee) error {
		child, nspid, err := z.spawn(t, cloneSpace, z.nspid)
		if err != nil {
			return err
		}
		if err := child.seize(); err != nil {
			child.end()
			return err
		}
		if err := z.settle(child, a); err != nil {
			child.end()
			return err
		}
		if k, err = newParked(child, nspid, z.place); err != nil {
			child.end()
			return err
		}
		return child.park()
	})
	return k, err
}

// settle makes a new keeper die with the zygote and see its own request slots. It
// was stopped before its own code could see to the former; and as the zygote
// is stopped, it cannot have died unseen before.
func (z *zygote) settle(keeper *tracee, a area) error {
	slots := z.scratch.slots()
	slots[0] = slot{nr: unix.SYS_PRCTL, args: [6]uint64{unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL)}}
	slots[1] = z.mapSlots(a, unix.PROT_READ) // the last: it takes these slots away
	if _, err := keeper.batch(2); err != nil {
		return err
	}
	if !z.alive() {
		return fmt.Errorf("%w: the zygote was killed", platform.ErrDied)
	}
	return nil
}

// ignore is call for a result of no interest.
func (t *tracee) ignore(nr uintptr, args ...uintptr) error {
	_, err := t.call(nr, args...)
	return err
}

// put64 writes words to the scratch slots, for calls that want a structure.
func (z *zygote) put64(words ...uint64) {
	for i, w := range words {
		binary.LittleEndian.PutUint64(z.scratch.bytes[8*i:], w)
	}
}
