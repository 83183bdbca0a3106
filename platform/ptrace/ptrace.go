// Package ptrace runs guests in stub processes under PTRACE_SYSEMU: it keeps the
// contract of package platform.
//
//	zygote    a process of one page, made by exec: holds no memory and no
//	          descriptor of ours; every stub is cloned from it        zygote.go
//	keeper    one a address space, cloned from the zygote; parked; makes
//	          mappings when no thread of the guest stands still       space.go
//	context   one a guest thread, cloned from the keeper with its
//	          memory; the only process that runs guest code           context.go
//
// One supervisor thread traces zygote and keepers. Each context is traced by the
// thread that made it: the clone happens untraced and waits to be seized.
//
// A change of mappings is a system call that we make a stopped stub execute
// (inject.go): its registers are set, its own code (stub_amd64.s) makes the call
// and stops at an int3. Batches go through request slots, which the stub reads
// and the guest cannot write (apply.go, slots.go). What a stop means is told in
// stop.go; which access a fault was in access.go; where threads run in place.go.
//
// Locks: AddressSpace.mu → slotFile.mu; none is taken on the way from a stop to
// Run's return.
package ptrace

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// Platform makes address spaces of stub processes.
type Platform struct {
	at    layout
	slots *slotFile
	super *supervisor
	place *placer

	zygote *zygote // the supervisor's

	mu    sync.Mutex
	stubs map[*tracee]struct{} // all that are not known to be gone
}

var _ platform.Platform = (*Platform)(nil)

// New starts the first process. The host must have 64-bit x86 and allow ptrace
// of one's own children.
func New() (*Platform, error) {
	slots, err := newSlotFile()
	if err != nil {
		return nil, fmt.Errorf("memory for request slots: %w", err)
	}
	if err := quietChildren(); err != nil {
		slots.close()
		return nil, err
	}
	place := newPlacer()
	p := &Platform{at: newLayout(), slots: slots, super: newSupervisor(place), place: place, stubs: map[*tracee]struct{}{}}
	if err := p.super.do(p.needZygote); err != nil {
		p.super.stop()
		slots.close()
		return nil, err
	}
	return p, nil
}

// needZygote makes a zygote if there is none that lives.
func (p *Platform) needZygote() error {
	if p.zygote != nil {
		if p.zygote.alive() {
			return nil
		}
		p.zygote.close(p.slots) // its stubs are waited for by whoever has them
		p.zygote = nil
	}
	z, err := newZygote(&p.at, p.slots)
	if err != nil {
		return err
	}
	p.zygote = z
	return nil
}

// UserRange implements platform.Platform.
func (p *Platform) UserRange() memmap.AddrRange { return p.at.userRange() }

// Isolation names the namespaces that stubs are in, apart from everybody else:
// of user, pid, net, mount, ipc, or "none". Where the host forbids them, the
// seccomp filter, which every stub has, still lets no stub do anything.
func (p *Platform) Isolation() string {
	var s string
	_ = p.super.do(func() error { s = p.zygote.ns.String(); return nil })
	return s
}

// ForgetFD implements platform.Platform.
func (p *Platform) ForgetFD(fd int) {
	// An error is a dead zygote: its descriptors are gone with it.
	_ = p.super.do(func() error { return p.zygote.forget(fd) })
}

// Stubs returns the host's numbers of the stubs that have not been released, the
// zygote not among them. For leak checks.
func (p *Platform) Stubs() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pids []int
	for t := range p.stubs {
		pids = append(pids, t.pid)
	}
	return pids
}

func (p *Platform) add(t *tracee) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stubs[t] = struct{}{}
}

func (p *Platform) remove(t *tracee) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stubs, t)
}

// Close implements platform.Platform. It is an error to close a platform whose
// address spaces have not all been released; their stubs are killed.
func (p *Platform) Close() error {
	left := p.Stubs()
	_ = p.super.do(func() error {
		for t := range p.stubs {
			t.kill()
			var status unix.WaitStatus
			_, _ = unix.Wait4(t.pid, &status, unix.WALL, nil) // ECHILD: its tracer was faster
		}
		p.zygote.close(p.slots)()
		return nil
	})
	p.super.stop()
	p.place.close()
	p.slots.close()
	if left != nil {
		return fmt.Errorf("close: stubs %v were not released", left)
	}
	return nil
}

// errWrongContext is a misuse: the contract asks for a context of this platform.
var errWrongContext = errors.New("not a context of this address space")

// hostMappings reads /proc/PID/maps, the vsyscall page left out.
func hostMappings(pid int) ([]platform.HostMapping, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	return parseMaps(string(text))
}
