package sentry_test

import (
	"strconv"
	"testing"

	"mmsh.dev/mmsh/sentry"
)

// BenchmarkGetppid is a guest's cheapest system call, the whole way.
func BenchmarkGetppid(b *testing.B) {
	program := compile(b, "getppid")
	for name, s := range map[string]sentry.Sched{"det": sentry.SchedDet, "free": sentry.SchedFree} {
		b.Run(name, func(b *testing.B) {
			w := newRealWorld(b, sentry.Config{Sched: s})
			task, h := w.load(program, strconv.Itoa(b.N))
			b.ResetTimer()
			h.Release()
			w.wait(task)
		})
	}
}

// BenchmarkForkExitWait is a guest's fork, its child's exit, and its wait.
func BenchmarkForkExitWait(b *testing.B) {
	program := compile(b, "storm")
	for name, s := range map[string]sentry.Sched{"det": sentry.SchedDet, "free": sentry.SchedFree} {
		b.Run(name, func(b *testing.B) {
			w := newRealWorld(b, sentry.Config{Sched: s})
			task, h := w.load(program, strconv.Itoa((b.N+7)/8))
			b.ResetTimer()
			h.Release()
			w.wait(task)
		})
	}
}
