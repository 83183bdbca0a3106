package sentry

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is the guests' time.
type Clock interface {
	Now() time.Time            // CLOCK_REALTIME
	Monotonic() time.Duration  // CLOCK_MONOTONIC, since boot
	CPU(t *Task) time.Duration // CLOCK_THREAD_CPUTIME_ID
	ProcessCPU(p *Process) time.Duration
}

// clock is a Clock that the run loop and the scheduler drive.
type clock interface {
	Clock
	// tick tells that t made a stop.
	tick(t *Task)
	// ended tells that t will not run any more; its time goes to its process.
	ended(t *Task)
}

func newClock(k *Kernel) clock {
	if k.cfg.Sched == SchedDet {
		c := &virtualClock{}
		c.now.Store(int64(virtualBoot))
		return c
	}
	return hostClock{}
}

// The virtual clock of sched det: it starts at a fixed moment, every stop of a
// guest takes one quantum, and when all tasks wait it jumps to the earliest
// deadline. So the same program sees the same times on every run.
const (
	virtualQuantum = time.Microsecond
	virtualBoot    = 100 * time.Second    // monotonic time at the start
	virtualEpoch   = int64(1_767_225_600) // 2026-01-01T00:00:00Z: realtime at monotonic 0
)

type virtualClock struct {
	now atomic.Int64 // monotonic, nanoseconds
}

func (c *virtualClock) Now() time.Time {
	return time.Unix(virtualEpoch, c.now.Load()).UTC()
}

func (c *virtualClock) Monotonic() time.Duration { return time.Duration(c.now.Load()) }

func (c *virtualClock) CPU(t *Task) time.Duration {
	return time.Duration(t.stops.Load()) * virtualQuantum
}

func (c *virtualClock) ProcessCPU(p *Process) time.Duration { return p.cpuTime(c) }

func (c *virtualClock) tick(t *Task) {
	t.stops.Add(1)
	c.now.Add(int64(virtualQuantum))
}

func (c *virtualClock) ended(t *Task) { t.p.pastCPU.Add(int64(c.CPU(t))) }

// jump moves the clock forward to at; never back.
func (c *virtualClock) jump(at time.Duration) {
	if int64(at) > c.now.Load() {
		c.now.Store(int64(at))
	}
}

// hostClock is the host's own time. A thread's processor time is that of the
// host thread that runs it.
type hostClock struct{}

func (hostClock) Now() time.Time { return time.Now() }

func (hostClock) Monotonic() time.Duration { return hostTime(unix.CLOCK_MONOTONIC) }

func (hostClock) CPU(t *Task) time.Duration {
	tid := t.hostTID.Load()
	if tid == 0 {
		return 0
	}
	return hostTime(int32(^tid)<<3 | 6) // CPUCLOCK_SCHED of one thread, clock_getcpuclockid(3)
}

func (c hostClock) ProcessCPU(p *Process) time.Duration { return p.cpuTime(c) }

func (hostClock) tick(*Task) {}

func (c hostClock) ended(t *Task) { t.p.pastCPU.Add(int64(c.CPU(t))) }

// hostTime returns the host's clock id, 0 if it has none.
func hostTime(id int32) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
