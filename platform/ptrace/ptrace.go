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
// Each context is traced by the thread that made it: the clone happens untraced
// and waits to be seized. Zygote and keepers are traced by whoever needs them,
// for that moment (parked.go).
//
// A change of mappings is a system call that we make a stopped stub execute
// (inject.go): its registers are set, its own code (stub_amd64.s) makes the call
// and stops at an int3. Batches go through request slots, which the stub reads
// and the guest cannot write (apply.go, slots.go). What a stop means is told in
// stop.go; which access a fault was in access.go; where threads run in place.go;
// what keeps a guest in, and lets no stub outlive us, in harden.go, filter.go
// and namespaces.go.
//
// Locks, outer to inner: Platform.starting; AddressSpace.mu → zygote.users → parked.mu
// of the zygote or a keeper → descriptors.mu, slotFile.mu, placer.mu, Platform.mu. None
// is taken on the way from a stop to Run's return, unless places change.
package ptrace

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// Platform makes address spaces of stub processes.
type Platform struct {
	isolations []uintptr // namespaces to try, in this order
	at         layout
	slots      *slotFile
	super      *supervisor
	place      *placer

	xstateSize atomic.Int64 // bytes of vector state; 0 until somebody asks

	starting sync.Mutex // held while a zygote is made
	ended    []func()   // wait for the first processes of earlier ones
	zygote   atomic.Pointer[zygote]

	mu       sync.Mutex
	contexts map[*tracee]struct{}
	keepers  map[*parked]struct{}
}

var _ platform.Platform = (*Platform)(nil)

// New starts the first processes. The host must have 64-bit x86 and allow ptrace
// of one's own children.
func New() (*Platform, error) { return newPlatform(isolations()) }

func newPlatform(isolations []uintptr) (*Platform, error) {
	slots, err := newSlotFile()
	if err != nil {
		return nil, fmt.Errorf("memory for request slots: %w", err)
	}
	if err := quietChildren(); err != nil {
		slots.close()
		return nil, err
	}
	p := &Platform{
		isolations: isolations,
		at:         newLayout(), slots: slots, super: newSupervisor(), place: newPlacer(),
		contexts: map[*tracee]struct{}{}, keepers: map[*parked]struct{}{},
	}
	if _, err := p.livingZygote(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// livingZygote returns the zygote, a new one if somebody killed the last.
func (p *Platform) livingZygote() (*zygote, error) {
	p.starting.Lock()
	defer p.starting.Unlock()
	z := p.zygote.Load()
	if z != nil && z.use(z.checkAlive) == nil {
		return z, nil
	}
	err := p.super.do(func() (err error) {
		if z != nil {
			p.ended = append(p.ended, z.close(p.slots))
		}
		z, err = newZygote(&p.at, p.slots, p.place, p.isolations)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.zygote.Store(z)
	return z, nil
}

// UserRange implements platform.Platform.
func (p *Platform) UserRange() memmap.AddrRange { return p.at.userRange() }

// Isolation names the namespaces that stubs are in, apart from everybody else:
// of user, pid, net, mount, ipc, or "none". Where the host forbids them, the
// seccomp filter, which every stub has, still lets no stub do anything.
func (p *Platform) Isolation() string { return p.zygote.Load().ns.String() }

// ForgetFD implements platform.Platform.
func (p *Platform) ForgetFD(fd int) {
	z := p.zygote.Load()
	if !z.fds.has(fd) {
		return
	}
	// An error is a dead zygote: its descriptors are gone with it.
	_ = z.work(func(t *tracee) error { return z.forget(t, fd) })
}

// Stubs returns the host's numbers of the stubs that have not been released. For
// leak checks.
func (p *Platform) Stubs() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pids []int
	for t := range p.contexts {
		pids = append(pids, t.pid)
	}
	for k := range p.keepers {
		pids = append(pids, k.t.pid)
	}
	return pids
}

// Close implements platform.Platform. It is an error to close a platform whose
// address spaces have not all been released; their stubs are killed.
func (p *Platform) Close() error {
	left := p.Stubs()
	p.killLeft()
	p.ended = append(p.ended, p.zygote.Load().close(p.slots))
	for _, wait := range p.ended {
		wait()
	}
	p.stop()
	if left != nil {
		return fmt.Errorf("close: stubs %v were not released", left)
	}
	return nil
}

// killLeft ends what should have been released.
func (p *Platform) killLeft() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.contexts {
		t.kill()
		var status unix.WaitStatus
		_, _ = unix.Wait4(t.pid, &status, unix.WALL, nil) // ECHILD: its tracer was faster
	}
	for k := range p.keepers {
		k.end()
	}
}

// stop ends our own part.
func (p *Platform) stop() {
	p.super.stop()
	p.place.close()
	p.slots.close()
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
