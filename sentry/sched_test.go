package sentry

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func (w *world) expect(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.said()); diff != "" {
		w.t.Errorf("the guests said (-want +got):\n%s", diff)
	}
}

func TestExitStatusAndRelease(t *testing.T) {
	w := newWorld(t, Config{}, call(nrLog, 7), call(nrExit, 3))
	task := w.run()
	w.expect("2:7")
	if state, status := task.Process().State(); state != Dead || status != 3<<8 {
		t.Errorf("state %v, status %#x", state, status)
	}
}

func TestUnknownCallIsENOSYS(t *testing.T) {
	w := newWorld(t, Config{}, call(nrUnknown), call(5000), call(nrExit, 0))
	if got := int64(w.run().Regs().Rdi); got != 0 {
		t.Errorf("rdi = %d", got)
	}
}

// TestDetRunsOneTaskUntilItBlocks: a child made by fork does nothing before its
// parent blocks, and then runs until it ends, every time.
func TestDetRunsOneTaskUntilItBlocks(t *testing.T) {
	for range 20 {
		w := newWorld(t, Config{},
			call(nrFork), child(6), // 0 1
			call(nrLog, 1), call(nrLog, 2), // 2 3
			call(nrWait, ^uint64(0)), call(nrExit, 0), // 4 5
			call(nrLog, 3), call(nrLog, 4), call(nrExit, 5)) // 6 7 8
		w.run()
		w.expect("2:1", "2:2", "3:3", "3:4", "2:wait 3 0x500")
		w.Shutdown()
	}
}

// TestDetYieldsRoundRobin: yields go by tid, wrapping.
func TestDetYieldsRoundRobin(t *testing.T) {
	loop := []fakeInstr{
		call(nrFork), child(6), call(nrFork), child(6), // 0-3
		call(nrYield), nop(), // 4 5
		call(nrLog, 1), call(nrYield), call(nrLog, 2), call(nrYield), call(nrExit, 0), // 6-10
	}
	w := newWorld(t, Config{}, loop...)
	w.run()
	for w.NumProcesses() > 0 {
		for _, p := range w.Processes() {
			for _, c := range p.Tasks() {
				w.wait(c)
			}
		}
	}
	w.expect("3:1", "4:1", "2:1", "3:2", "4:2", "2:2")
}

// TestVirtualClockJumps: sleepers wake in the order of their deadlines, and no
// host time passes for it.
func TestVirtualClockJumps(t *testing.T) {
	hour := uint64(time.Hour)
	w := newWorld(t, Config{},
		call(nrFork), child(5), // 0 1
		restartable(nrSleep, 2*hour), call(nrLog, 1), jump(8), // 2 3 4
		restartable(nrSleep, hour), call(nrLog, 2), jump(8), // 5 6 7
		call(nrWait, ^uint64(0)), call(nrExit, 0)) // 8 9
	task, h := w.blank()
	before := w.Clock().Monotonic()
	h.Release()
	w.wait(task)
	w.expect("3:2", "3:wait ECHILD", "2:1", "2:wait 3 0x0")
	if d := w.Clock().Monotonic() - before; d < 2*time.Hour || d > 2*time.Hour+time.Second {
		t.Errorf("%v of virtual time passed", d)
	}
}

func TestDetDeadlockStopsTheWorld(t *testing.T) {
	w := newWorld(t, Config{}, call(nrBlock, 0))
	task, h := w.blank()
	h.Release()
	r := w.stop()
	if r.Reason != ReasonDeadlock || r.Task != task {
		t.Fatalf("stopped for %v of %v", r.Reason, r.Task)
	}
	r.Hold.Release() // still dead-locked: it stops again
	r = w.stop()
	if r.Reason != ReasonDeadlock {
		t.Fatalf("stopped for %v", r.Reason)
	}
	w.Kill(r.Hold, task.Process())
	r.Hold.Release()
	w.wait(task)
}

// TestExternalWaitIsNoDeadlock: who waits for the host may wait for ever, and others
// run on meanwhile.
func TestExternalWaitIsNoDeadlock(t *testing.T) {
	w := newWorld(t, Config{},
		call(nrFork), child(4), // 0 1
		call(nrExternal, 0), jump(6), // 2 3
		call(nrLog, 1), jump(6), // 4 5
		call(nrLog, 2), call(nrExit, 0)) // 6 7
	task, h := w.blank()
	h.Release()
	for !slices.Contains(w.said(), "3:2") {
		h := w.Hold("look")
		h.Release()
	}
	close(w.gates[0])
	w.wait(task)
	w.expect("3:1", "3:2", "2:2")
}

// TestFreeRunsInParallel: two tasks that each wait for the other one in turn, on
// channels, get done.
func TestFreeRunsInParallel(t *testing.T) {
	w := newWorld(t, Config{Sched: SchedFree},
		call(nrFork), child(5), // 0 1
		call(nrBlock, 0), call(nrWake, 1), jump(7), // 2 3 4
		call(nrWake, 0), call(nrBlock, 1), // 5 6
		call(nrWait, ^uint64(0)), call(nrExit, 0)) // 7 8
	w.run()
	if !slices.Contains(w.said(), "2:wait 3 0x0") {
		t.Errorf("said %q", w.said())
	}
}

// TestFreeSleepEnds: deadlines are the host's in sched free.
func TestFreeSleepEnds(t *testing.T) {
	w := newWorld(t, Config{Sched: SchedFree}, restartable(nrSleep, uint64(2*time.Millisecond)), call(nrExit, 0))
	task, h := w.blank()
	before := time.Now()
	h.Release()
	w.wait(task)
	if d := time.Since(before); d < 2*time.Millisecond {
		t.Errorf("slept %v", d)
	}
}

// TestAlarmGoesOffInVirtualTime: SIGALRM ends a pause; without a handler it kills.
func TestAlarmGoesOffInVirtualTime(t *testing.T) {
	for _, s := range []Sched{SchedDet, SchedFree} {
		w := newWorld(t, Config{Sched: s}, call(nrAlarm, uint64(time.Millisecond)), call(nrPause))
		task := w.run()
		if _, status := task.Process().State(); status != uint32(unix.SIGALRM) {
			t.Errorf("sched %d: status %#x", s, status)
		}
	}
}

// TestPanicKillsOnlyTheGuest: the world lives on after a bug in a call.
func TestPanicKillsOnlyTheGuest(t *testing.T) {
	var reports []Reason
	w := newWorld(t, Config{Observer: observing(func(r *Report) bool { reports = append(reports, r.Reason); return false })},
		call(nrPanic))
	task := w.run()
	if _, status := task.Process().State(); status != uint32(unix.SIGKILL) {
		t.Errorf("status %#x", status)
	}
	if diff := cmp.Diff([]Reason{ReasonDied, ReasonExit}, reports); diff != "" {
		t.Error(diff)
	}
	w.fake.program = []fakeInstr{call(nrLog, 1), call(nrExit, 0)}
	w.run()
	w.expect("3:1")
}
