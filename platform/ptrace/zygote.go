package ptrace

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketFD is the zygote's end of the socket through which it gets descriptors.
const socketFD = 0

// zygote is the process that all stubs are cloned from. It never runs guest code,
// and its descriptor table is that of all stubs. It is itself a clone of first,
// which was made by exec of an image of one page, so that neither holds anything
// of ours.
//
// First is init of the stubs' PID namespace, if they have one, and does nothing
// but be there: when it is killed, all go with it, but its own end can only be
// waited for when all the others' have been. Nothing may ever have to wait for it.
//
// The fields belong to the supervisor's thread.
type zygote struct {
	*tracee     // first itself, until it is hardened
	nspid   int // the zygote's own idea of its number
	first   *tracee
	at      *layout
	scratch area // request slots, writable to zygote and first; no keeper keeps them
	socket  int  // our end
	fds     descriptors
	slotsFD int // the slots' file, as the stubs know it
	ns      namespaces
}

// newZygote makes a zygote with the strongest isolation that the host allows.
// To be called on the supervisor's thread.
func newZygote(at *layout, slots *slotFile) (*zygote, error) {
	var first error
	for _, flags := range isolations() {
		z, err := startZygote(at, slots, flags)
		if err == nil {
			return z, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("start the stub zygote: %w", first)
}

func startZygote(at *layout, slots *slotFile, flags uintptr) (*zygote, error) {
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
	if err := z.start(pair[1], flags, slots); err != nil {
		z.close(slots)()
		return nil, err
	}
	return z, nil
}

func (z *zygote) start(socket int, flags uintptr, slots *slotFile) error {
	if err := z.exec(socket, flags); err != nil {
		return err
	}
	z.tracee = z.first
	if err := z.harden(slots); err != nil {
		return err
	}
	t, nspid, err := z.clone(z.first, z.ns.self(z.first.pid))
	if err != nil {
		return err
	}
	z.tracee, z.nspid = t, nspid
	return nil
}

// exec starts the first process. It stops before its first instruction.
func (z *zygote) exec(socket int, flags uintptr) error {
	image, err := z.at.elfFile()
	if err != nil {
		return err
	}
	defer image.Close()
	attr := &syscall.ProcAttr{
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

// close ends the zygote and the first process, and with it what else is left. What it
// returns waits for that; it need not be called, but if so, when all stubs have
// been waited for, by their tracers.
func (z *zygote) close(slots *slotFile) (wait func()) {
	if z.tracee != nil && z.tracee != z.first {
		z.end()
	}
	gone := make(chan struct{})
	if z.first != nil {
		z.first.kill()
		go func() {
			z.first.end()
			close(gone)
		}()
	} else {
		close(gone)
	}
	z.ns.close()
	unix.Close(z.socket)
	slots.give(z.scratch)
	return func() { <-gone }
}

// harden takes from the zygote all that it does not need, for good.
func (z *zygote) harden(slots *slotFile) error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"limits", z.setLimits},
		{"close descriptors", func() error { return z.ignore(unix.SYS_CLOSE_RANGE, socketFD+1, ^uintptr(0)>>32, 0) }},
		{"unmap all else", func() error {
			r := z.at.userRange()
			return z.ignore(unix.SYS_MUNMAP, uintptr(r.Start), uintptr(r.Length()))
		}},
		{"map slots", func() error { return z.mapScratch(slots) }},
		{"name", z.setName},
		{"ignore SIGCHLD", z.ignoreChildren},
		{"drop capabilities", z.dropCapabilities},
		{"filter", z.installFilter},
		{"check", z.checkEmpty},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// ignore is call for a result of no interest.
func (z *zygote) ignore(nr uintptr, args ...uintptr) error {
	_, err := z.call(nr, args...)
	return err
}

// setLimits forbids core files and gives descriptors and addresses all the room
// that the host lets us give.
func (z *zygote) setLimits() error {
	if err := unix.Prlimit(z.pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil); err != nil {
		return err
	}
	for _, what := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_AS, unix.RLIMIT_DATA} {
		var lim unix.Rlimit
		if err := unix.Prlimit(z.pid, what, nil, &lim); err != nil {
			return err
		}
		lim.Cur = lim.Max
		if err := unix.Prlimit(z.pid, what, &lim, nil); err != nil {
			return err
		}
	}
	return nil
}

// setName gives the process its name in ps.
func (z *zygote) setName() error {
	copy(z.scratch.bytes, "mmsh-stub\x00")
	return z.ignore(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(z.at.slots))
}

// mapScratch passes the slots' file to the zygote and maps its own slots, through
// which all later structures go. This first message is put into a page of the
// zygote's own, word by word.
func (z *zygote) mapScratch(slots *slotFile) error {
	at := uintptr(z.at.slots)
	if _, err := z.call(unix.SYS_MMAP, at, slotsSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, ^uintptr(0), 0); err != nil {
		return err
	}
	fd, err := z.receive(slots.fd, pokeMemory{z.tracee})
	if err != nil {
		return err
	}
	z.slotsFD = fd
	return z.mapSlots(z.tracee, z.scratch, unix.PROT_READ|unix.PROT_WRITE)
}

// mapSlots makes t see a as its request slots.
func (z *zygote) mapSlots(t *tracee, a area, prot uintptr) error {
	_, err := t.call(unix.SYS_MMAP, uintptr(z.at.slots), slotsSize, prot,
		unix.MAP_SHARED|unix.MAP_FIXED, uintptr(z.slotsFD), uintptr(a.offset))
	return err
}

// ignoreChildren makes stubs vanish as soon as their tracer has seen them end.
func (z *zygote) ignoreChildren() error {
	act := z.scratch.bytes[:32]
	clear(act)
	binary.LittleEndian.PutUint64(act, sigIgn)
	return z.ignore(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(z.at.slots), 0, 8)
}

const sigIgn = 1

// dropCapabilities empties every set. The bounding set does not matter: nothing
// can exec.
func (z *zygote) dropCapabilities() error {
	const version3 = 0x20080522
	b := z.scratch.bytes[:64]
	clear(b)
	binary.LittleEndian.PutUint32(b, version3)
	return z.ignore(unix.SYS_CAPSET, uintptr(z.at.slots), uintptr(z.at.slots)+16)
}

// checkEmpty verifies that nothing is mapped but the stub's pages.
func (z *zygote) checkEmpty() error {
	maps, err := hostMappings(z.pid)
	if err != nil {
		return err
	}
	for _, m := range maps {
		if !z.at.stubRange().IsSupersetOf(m.AR) {
			return fmt.Errorf("%v %s is still mapped", m.AR, m.Name)
		}
	}
	return nil
}

// clone makes a copy of parent, with memory of its own, and seizes it. self is
// what the parent takes for its own number; nspid is what the child does.
func (z *zygote) clone(parent *tracee, self int) (t *tracee, nspid int, err error) {
	n, err := parent.call(unix.SYS_CLONE, uintptr(cloneSpace), 0, 0, 0, 0, uintptr(self))
	if err != nil {
		return nil, 0, err
	}
	pid, err := z.ns.hostPID(int(n))
	if err != nil {
		return nil, 0, err
	}
	t = newTracee(pid, z.at)
	if err := t.seize(); err != nil {
		t.end()
		return nil, 0, err
	}
	return t, int(n), nil
}

// cloneSpace makes a keeper, which sees a as its request slots.
func (z *zygote) cloneSpace(a area) (t *tracee, nspid int, err error) {
	if t, nspid, err = z.clone(z.tracee, z.nspid); err != nil {
		return nil, 0, err
	}
	if err := z.mapSlots(t, a, unix.PROT_READ); err != nil {
		t.end()
		return nil, 0, err
	}
	return t, nspid, nil
}
