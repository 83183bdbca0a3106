package ptrace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden takes from the first process, and so from all that come of it, whatever
// they do not need, for good.
func (z *zygote) harden(slots *slotFile) error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"limits", z.setLimits},
		{"close descriptors", z.closeInherited},
		{"unmap all else", z.unmapInherited},
		{"map slots", func() error { return z.mapScratch(slots) }},
		{"name", z.setName},
		{"ignore signals", z.ignoreSignals},
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

// setLimits forbids core files and gives descriptors and addresses all the room
// that the host lets us give.
func (z *zygote) setLimits() error {
	pid := z.first.pid
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil); err != nil {
		return err
	}
	for _, what := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_AS, unix.RLIMIT_DATA} {
		var lim unix.Rlimit
		if err := unix.Prlimit(pid, what, nil, &lim); err != nil {
			return err
		}
		lim.Cur = lim.Max
		if err := unix.Prlimit(pid, what, &lim, nil); err != nil {
			return err
		}
		if what == unix.RLIMIT_NOFILE {
			z.fds.most = int(min(lim.Cur/2, mostPassed))
		}
	}
	return nil
}

// closeInherited closes descriptors that we were given without close-on-exec.
func (z *zygote) closeInherited() error {
	const all = 1<<32 - 1
	return z.first.ignore(unix.SYS_CLOSE_RANGE, socketFD+1, all, 0)
}

// unmapInherited unmaps what exec mapped besides the code: stack, vdso, vvar.
func (z *zygote) unmapInherited() error {
	r := z.at.userRange()
	return z.first.ignore(unix.SYS_MUNMAP, uintptr(r.Start), uintptr(r.Length()))
}

// mapScratch passes the slots' file to the stubs and maps the zygote's own slots,
// through which all later structures go. This first message is put into memory
// of the process's own, word by word.
func (z *zygote) mapScratch(slots *slotFile) error {
	const nowhere = ^uintptr(0)
	if err := z.first.ignore(unix.SYS_MMAP, uintptr(z.at.slots), slotsSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, nowhere, 0); err != nil {
		return err
	}
	fd, err := z.receive(z.first, slots.fd, pokeMemory{z.first})
	if err != nil {
		return err
	}
	z.slotsFD = fd
	m := z.mapSlots(z.scratch, unix.PROT_READ|unix.PROT_WRITE)
	_, err = z.first.callSlot(&m)
	return err
}

// setName gives the process its name in ps.
func (z *zygote) setName() error {
	copy(z.scratch.bytes, "mmsh-stub\x00")
	return z.first.ignore(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(z.at.slots))
}

// ignoreSignals makes stubs deaf to what anybody may send them, but for SIGKILL. (A
// tracer still sees what comes to its tracee.) With SIGCHLD ignored, a stub is
// gone as soon as its tracer has seen it end. Signals that the hardware raises
// keep killing.
func (z *zygote) ignoreSignals() error {
	const sigIgn, lastSignal, actionAt = 1, 64, slotsSize - 32
	copy(z.scratch.bytes[actionAt:], []byte{sigIgn})
	n := 0
	for sig := unix.Signal(1); sig <= lastSignal; sig++ {
		if sig == unix.SIGKILL || sig == unix.SIGSTOP || isGuestSignal(sig) {
			continue
		}
		z.scratch.slots()[n] = slot{nr: unix.SYS_RT_SIGACTION, args: [6]uint64{uint64(sig), uint64(z.at.slots) + actionAt, 0, 8}}
		n++
	}
	_, err := z.first.batch(n)
	return err
}

// dropCapabilities empties every set. The bounding set does not matter: nothing
// can exec.
func (z *zygote) dropCapabilities() error {
	const version3 = 0x20080522
	z.put64(version3, 0, 0, 0, 0) // the header, of the process itself, and two sets of three words
	return z.first.ignore(unix.SYS_CAPSET, uintptr(z.at.slots), uintptr(z.at.slots)+8)
}

// checkEmpty verifies that nothing is mapped but the stub's pages.
func (z *zygote) checkEmpty() error {
	maps, err := hostMappings(z.first.pid)
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
