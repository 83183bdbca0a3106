package ptrace

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/platform"
)

// parked is a stub that never runs guest code: the zygote, a keeper. It sleeps in
// its own code, traced by nobody, and whichever thread needs it becomes its
// tracer for a moment. So no thread has to ask another one, which would cost
// several switches between threads.
//
// Untraced, it dies by the chain of parents: each stub dies with the one it was
// cloned from, and the first with us.
type parked struct {
	nspid int // what the stub itself takes for its number
	pidfd int // a hold on the process, once whose number could be another's

	mu sync.Mutex // held while the stub is traced
	t  *tracee

	place *placer
	follower
}

// newParked takes hold of a stub that was just cloned, and which the calling
// thread traces.
func newParked(t *tracee, nspid int, place *placer) (*parked, error) {
	pidfd, err := unix.PidfdOpen(t.pid, 0)
	if err != nil { // not ESRCH: a tracee stays until its tracer has seen it end
		return nil, fmt.Errorf("hold on to stub %d: %w", t.pid, err)
	}
	return &parked{nspid: nspid, pidfd: pidfd, t: t, place: place, follower: follower{t.pid, anyCPU}}, nil
}

// hold makes the calling thread the stub's tracer, calls f with the stub stopped,
// and lets it sleep again.
func (k *parked) hold(f func(t *tracee) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := k.checkAlive(); err != nil {
		return err
	}
	k.place.follow(&k.follower, currentCPU())
	k.t.owner = unix.Gettid()
	if err := k.t.seize(); err != nil {
		return err
	}
	err := f(k.t)
	if k.t.died != nil {
		return err
	}
	return errors.Join(err, k.t.park())
}

// park makes the tracee go to sleep, traced by nobody.
func (t *tracee) park() error {
	if err := t.enter(&Regs{Rbx: doSleep}); err != nil {
		return err
	}
	if err := ptrace(unix.PTRACE_DETACH, t.pid, 0, 0); err != nil {
		return t.failed("detach", err)
	}
	return nil
}

// alive reports whether the stub has not ended.
func (k *parked) alive() bool { return unix.PidfdSendSignal(k.pidfd, 0, nil, 0) == nil }

// checkAlive returns ErrDied, wrapped, if the stub has ended.
func (k *parked) checkAlive() error {
	if !k.alive() {
		return fmt.Errorf("%w: stub %d was killed", platform.ErrDied, k.t.pid)
	}
	return nil
}

// end kills the stub and waits until it, and what only it had, is gone. It cannot
// be held any more.
func (k *parked) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pidfd < 0 {
		return
	}
	_ = unix.PidfdSendSignal(k.pidfd, unix.SIGKILL, nil, 0) // ESRCH: it is gone already
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(k.pidfd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			break
		}
	}
	unix.Close(k.pidfd)
	k.pidfd = -1
}
