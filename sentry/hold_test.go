package sentry

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

var bothSchedulers = []Sched{SchedDet, SchedFree}

// TestHoldInterruptsASpinningGuest: a guest that never stops by itself is held, run
// on, and killed.
func TestHoldInterruptsASpinningGuest(t *testing.T) {
	for _, s := range bothSchedulers {
		w := newWorld(t, Config{Sched: s}, spin())
		task, h := w.blank()
		h.Release()
		for range 50 {
			outer := w.Hold("outer")
			inner := w.Hold("inner")
			if state, _ := task.State(); state != Runnable {
				t.Fatalf("held task is %v", state)
			}
			outer.Release()
			if err := inner.Do(task, func(c platform.Context) { task.Regs().Rbx++ }); err != nil {
				t.Fatal(err)
			}
			inner.Release()
			inner.Release() // once is enough
		}
		h = w.Hold("end")
		if task.Regs().Rbx != 50 {
			t.Errorf("rbx = %d", task.Regs().Rbx)
		}
		w.Kill(h, task.Process())
		h.Release()
		w.wait(task)
	}
}

// TestHoldDuringBlockedCall: a blocked task is parked where it is, commands reach it,
// and what it waits for is not acted on before the release.
func TestHoldDuringBlockedCall(t *testing.T) {
	for _, s := range bothSchedulers {
		w := newWorld(t, Config{Sched: s}, call(nrExternal, 0), call(nrLog, 1), call(nrExit, 0))
		task, h := w.blank()
		h.Release()
		for {
			h = w.Hold("look")
			if state, name := task.State(); state == Blocked {
				if name != "external" {
					t.Errorf("blocked in %q", name)
				}
				break
			}
			h.Release()
		}
		ran := false
		if err := h.Do(task, func(platform.Context) { ran = true }); err != nil || !ran {
			t.Errorf("Do: %v, ran %v", err, ran)
		}
		if _, err := h.Step(task); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("Step of a blocked task: %v", err)
		}
		close(w.gates[0])
		if err := h.Do(task, func(platform.Context) {}); err != nil {
			t.Error(err)
		}
		if len(w.said()) != 0 {
			t.Error("the task went on while the world was held")
		}
		h.Release()
		w.wait(task)
		w.expect("2:1")
	}
}

// TestHoldReachesACallThatNeverWaits: a call that asks Block again and again for what
// is ready already can be held, and killed.
func TestHoldReachesACallThatNeverWaits(t *testing.T) {
	for _, s := range bothSchedulers {
		w := newWorld(t, Config{Sched: s}, call(nrBusy))
		close(w.gates[0])
		task, h := w.blank()
		h.Release()
		for range 20 {
			w.Hold("busy").Release()
		}
		h = w.Hold("kill")
		w.Kill(h, task.Process())
		h.Release()
		w.wait(task)
	}
}

// TestHoldsFromManyGoroutines: holds race with forks and exits and each other.
func TestHoldsFromManyGoroutines(t *testing.T) {
	for _, s := range bothSchedulers {
		w := newWorld(t, Config{Sched: s},
			call(nrFork), child(9), call(nrFork), child(9), call(nrFork), child(9), // 0-5
			call(nrWait, ^uint64(0)), jump(0), nop(), // 6 7 8
			call(nrYield), call(nrExit, 0)) // 9 10
		task, h := w.blank()
		h.Release()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 100 {
					h := w.Hold("many")
					for _, p := range w.Processes() {
						for _, task := range p.Tasks() {
							_ = h.Do(task, func(c platform.Context) { _, _ = c.FPState() })
						}
					}
					h.Release()
				}
			})
		}
		wg.Wait()
		h = w.Hold("end")
		for _, p := range w.Processes() {
			w.Kill(h, p)
		}
		h.Release()
		w.wait(task)
	}
}

// TestObserverHoldsTheWorld: a report that is answered true parks the task right
// there, the Report comes out of Stops with its hold, and Release goes on.
func TestObserverHoldsTheWorld(t *testing.T) {
	for _, s := range bothSchedulers {
		w := newWorld(t, Config{Sched: s, Observer: observing(func(r *Report) bool { return r.Reason == ReasonExit })},
			call(nrExit, 4))
		task, h := w.blank()
		h.Release()
		r := w.stop()
		if r.Reason != ReasonExit || r.Status != 4<<8 || r.Task != task {
			t.Fatalf("stopped for %+v", r)
		}
		if task.Process().MM() == nil {
			t.Error("the memory is gone before the exit went on")
		}
		if err := r.Hold.Do(task, func(c platform.Context) {
			if _, err := c.FPState(); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Error(err)
		}
		r.Hold.Release()
		w.wait(task)
		if err := r.Hold.Do(task, func(platform.Context) {}); !errors.Is(err, ErrDead) {
			t.Errorf("Do on a dead task: %v", err)
		}
	}
}

// TestStepsOneInstruction: steps are one instruction each, a call whole; others
// stand still; an exit ends the step and the next one ends the task.
func TestStepsOneInstruction(t *testing.T) {
	w := newWorld(t, Config{}, nop(), call(nrLog, 1), nop(), call(nrBlock, 0), call(nrExit, 1))
	task, h := w.blank()
	step := func(wantRip uint64, want Reason, detail string) *Report {
		t.Helper()
		r, err := h.Step(task)
		if err != nil {
			t.Fatal(err)
		}
		if r.Reason != want || r.Detail != detail || task.Regs().Rip != wantRip {
			t.Fatalf("step: %v %q, rip %#x; want %v %q, rip %#x", r.Reason, r.Detail, task.Regs().Rip, want, detail, wantRip)
		}
		return r
	}
	step(2, ReasonTrap, "step")
	step(4, ReasonTrap, "step")
	w.expect("2:1")
	step(6, ReasonTrap, "step")
	step(6, ReasonTrap, "the call would block")
	close(w.gates[0])
	step(8, ReasonTrap, "step")
	if r := step(10, ReasonExit, ""); r.Status != 1<<8 {
		t.Errorf("status %#x", r.Status)
	}
	if _, err := h.Step(task); !errors.Is(err, ErrDead) {
		t.Errorf("step past the exit: %v", err)
	}
	w.wait(task)
	h.Release()
}

// TestCallAndForkByTheShell: a person's call does not block, and a fork stands
// where its parent does.
func TestCallAndForkByTheShell(t *testing.T) {
	w := newWorld(t, Config{}, call(nrLog, 1), call(nrExit, 0))
	task, h := w.blank()
	task.Regs().Rax = 77
	if _, err := task.Call(h, nrBlock, Args{0}); !isRestart(err) {
		t.Errorf("blocking call: %v", err)
	}
	if _, err := task.Call(h, nrUnknown, Args{}); !errors.Is(err, unix.ENOSYS) {
		t.Errorf("unknown call: %v", err)
	}
	if _, err := task.Call(h, nrPanic, Args{}); err == nil {
		t.Error("a panicking call has no error")
	}
	p, err := task.Fork(h)
	if err != nil {
		t.Fatal(err)
	}
	if by := task.actor.Origin.By; by != memmap.ByShell || task.Actor("x").Origin.By != memmap.ByGuest {
		t.Errorf("the fork was asked for by %v", by)
	}
	c := p.Tasks()[0]
	if state, _ := c.State(); state != Runnable || *c.Regs() != *task.Regs() || p.PPID() != task.Process().PID() {
		t.Errorf("the child is %v, ppid %d, regs %+v", state, p.PPID(), c.Regs())
	}
	h.Release()
	w.wait(task)
	w.wait(c)
	w.expect("2:1", "3:1")
}

// TestKeepDead: the first process's memory stays, others leave a description.
func TestKeepDead(t *testing.T) {
	w := newWorld(t, Config{KeepDead: true},
		call(nrFork), child(4), call(nrWait, ^uint64(0)), call(nrExit, 0), call(nrExit, 1))
	w.run()
	first, second := w.Process(2), w.Process(3)
	if first.MM() == nil || first.LastState() != nil {
		t.Error("the first process's memory was not kept")
	}
	if second == nil || second.MM() != nil || second.LastState() == nil {
		t.Error("the second process's state was not kept")
	}
	if diff := cmp.Diff([]int32{2, 3}, pids(w.Processes())); diff != "" {
		t.Error(diff)
	}
	w.fake.program = []fakeInstr{call(nrExit, 0)}
	_, h := w.blank()
	if first.MM() != nil || first.LastState() == nil {
		t.Error("a new first process did not replace the old one's memory")
	}
	h.Release()
	third := w.First()
	w.wait(third.leader)
	if third.MM() == nil {
		t.Error("its memory was not kept")
	}
	h = w.Hold("kill")
	w.Kill(h, third)
	h.Release()
	if third.MM() != nil || third.LastState() == nil {
		t.Error("Kill left the memory of a process that had ended")
	}
}

func pids(ps []*Process) (ids []int32) {
	for _, p := range ps {
		ids = append(ids, p.PID())
	}
	return ids
}

// TestShutdownWhateverTheState: blocked, spinning, stopped, held and stepping
// worlds all end.
func TestShutdownWhateverTheState(t *testing.T) {
	for name, program := range map[string][]fakeInstr{
		"spinning": {spin()},
		"external": {call(nrExternal, 0)},
		"blocked":  {call(nrBlock, 0)},
		"stopped":  {call(nrKill, 0, uint64(unix.SIGSTOP)), spin()},
		"exiting":  {call(nrExit, 0)},
		"forking":  {call(nrFork), jump(0)},
	} {
		for _, s := range bothSchedulers {
			w := newWorld(t, Config{Sched: s, MaxProcs: 20, Observer: observing(func(r *Report) bool { return r.Reason == ReasonExit })}, program...)
			_, h := w.blank()
			h.Release()
			if name == "exiting" {
				w.stop()
			}
			w.Shutdown()
			w.Shutdown()
			if n := w.NumProcesses(); n != 0 {
				t.Errorf("%s, sched %d: %d processes are left", name, s, n)
			}
		}
	}
}
