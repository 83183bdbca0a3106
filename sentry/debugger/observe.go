package debugger

import (
	"sync"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
)

// observer implements sentry.Observer: it decides what stops the world. It is
// called on the tasks' tracing threads.
type observer struct {
	mu       sync.Mutex
	kernel   *sentry.Kernel
	runToEnd bool
	sysretOf int32 // stop when this thread has left a system call; 0: never
	child    int32 // newest child
}

func (o *observer) reset(k *sentry.Kernel, runToEnd bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kernel, o.runToEnd, o.sysretOf, o.child = k, runToEnd, 0, 0
}

func (o *observer) stopAtSysret(tid int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sysretOf = tid
}

func (o *observer) newestChild() int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.child
}

// Observe implements sentry.Observer.
func (o *observer) Observe(r *sentry.Report) bool {
	o.mu.Lock()
	kernel, runToEnd, sysretOf := o.kernel, o.runToEnd, o.sysretOf
	o.mu.Unlock()
	if kernel == nil {
		return false
	}
	switch r.Reason {
	case sentry.ReasonExit:
		return stopsAtExit(kernel, r.Task.Process())
	case sentry.ReasonDied:
		return !runToEnd || r.Task.Process() == kernel.First()
	case sentry.ReasonFork:
		o.noteChild(r.Task)
		return false
	case sentry.ReasonSignal:
		return !runToEnd && stopsAtSignal(kernel, r)
	case sentry.ReasonSysret:
		return sysretOf != 0 && r.Task.TID() == sysretOf && returns(r.Number)
	}
	return false
}

// returns reports whether a system call returns: the end of a thread is not the
// end of its exit.
func returns(number uint64) bool { return number != unix.SYS_EXIT && number != unix.SYS_EXIT_GROUP }

func (o *observer) noteChild(parent *sentry.Task) {
	var newest int32
	for _, c := range parent.Process().Children() {
		newest = max(newest, c.PID())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.child = max(o.child, newest)
}

// stopsAtExit: the first program stops before its memory is given back; other
// processes end as under Linux, but for the last one, after which nothing would
// ever stop.
func stopsAtExit(k *sentry.Kernel, p *sentry.Process) bool {
	return p == k.First() || countAlive(k, p.PID()) == 0
}

// stopsAtSignal: a refused access stops any process that has no handler for it;
// other deadly signals stop the first program only, and SIGKILL none.
func stopsAtSignal(k *sentry.Kernel, r *sentry.Report) bool {
	if r.Handled || r.Signal == int32(unix.SIGKILL) {
		return false
	}
	return isFault(r) || r.Task.Process() == k.First()
}

// isFault reports whether r is an access or instruction that the processor or the
// engine refused.
func isFault(r *sentry.Report) bool {
	switch unix.Signal(r.Signal) {
	case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP:
		return r.Code > 0 // sent by kill: SI_USER 0 or less
	}
	return false
}
