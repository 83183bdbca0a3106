package sentry

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/platform"
)

// TestFailedForkLeavesNothing: whatever of a fork fails, the caller has its errno
// and goes on, and nothing is left.
func TestFailedForkLeavesNothing(t *testing.T) {
	for name, fail := range map[string]func(w *world){
		"address space": func(w *world) { w.fake.failAS.Store(1) },
		"context":       func(w *world) { w.fake.failCtx.Store(1) },
		"processes":     func(w *world) { w.cfg.MaxProcs = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{}, call(nrLog, 1), call(nrExit, 0))
			task, h := w.blank()
			fail(w)
			_, err := task.Fork(h)
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOMEM) {
				t.Errorf("fork: %v", err)
			}
			if n := len(w.Processes()); n != 1 {
				t.Errorf("%d processes", n)
			}
			if n := w.fake.threads.Load(); n != 1 {
				t.Errorf("%d contexts", n)
			}
			if n := w.fake.spaces.Load(); n != 1 {
				t.Errorf("%d address spaces", n)
			}
			h.Release()
			w.wait(task)
			w.expect("2:1")
		})
	}
}

// TestFailedLoadLeavesNothing: as for forks.
func TestFailedLoadLeavesNothing(t *testing.T) {
	for _, fail := range []func(w *world){
		func(w *world) { w.fake.failAS.Store(1) },
		func(w *world) { w.fake.failCtx.Store(1) },
	} {
		w := newWorld(t, Config{})
		fail(w)
		h := w.Hold("test")
		if _, err := w.LoadBlank(h); !errors.Is(err, unix.ENOMEM) {
			t.Errorf("LoadBlank: %v", err)
		}
		if n := w.fake.threads.Load() + w.fake.spaces.Load(); n != 0 || len(w.Processes()) != 0 || w.NumProcesses() != 0 {
			t.Errorf("%d contexts and spaces, %d processes are left", n, len(w.Processes()))
		}
		h.Release()
	}
}

// TestCloneFlagsOfThreads: what issue A does not know is EINVAL with a reason.
func TestCloneFlagsOfThreads(t *testing.T) {
	w := newWorld(t, Config{}, call(nrExit, 0))
	task, h := w.blank()
	defer h.Release()
	for _, o := range []CloneOptions{
		{Flags: unix.CLONE_VM, ExitSignal: int32(unix.SIGCHLD)},
		{Flags: unix.CLONE_VFORK | unix.CLONE_VM, ExitSignal: int32(unix.SIGCHLD)},
		{},
	} {
		if err := h.Do(task, func(platform.Context) {
			if _, err := task.Clone(o); !errors.Is(err, unix.EINVAL) {
				t.Errorf("%+v: %v", o, err)
			}
		}); err != nil {
			t.Error(err)
		}
	}
}

// TestForkReportHoldsBoth: at a fork's stop parent and child can both be asked, and
// neither has gone on.
func TestForkReportHoldsBoth(t *testing.T) {
	for _, s := range bothSchedulers {
		w := newWorld(t, Config{Sched: s, Observer: observing(func(r *Report) bool { return r.Reason == ReasonFork })},
			call(nrFork), call(nrLog, 1), call(nrExit, 0))
		task, h := w.blank()
		h.Release()
		r := w.stop()
		child := w.Process(int32(r.Number)).Tasks()[0]
		for _, t2 := range []*Task{task, child} {
			if err := r.Hold.Do(t2, func(c platform.Context) { _, _ = c.FPState() }); err != nil {
				t.Error(err)
			}
		}
		if len(w.said()) != 0 {
			t.Error("somebody went on")
		}
		r.Hold.Release()
		w.wait(task)
		w.wait(child)
	}
}
