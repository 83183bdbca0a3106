package sentry_test

import (
	"strconv"
	"testing"

	"mmsh.dev/mmsh/sentry"
)

// benchmarkGuest runs a guest that does the measured thing per times a round.
func benchmarkGuest(b *testing.B, name string, per int) {
	program := compile(b, name)
	for name, s := range map[string]sentry.Sched{"det": sentry.SchedDet, "free": sentry.SchedFree} {
		b.Run(name, func(b *testing.B) {
			w := newRealWorld(b, sentry.Config{Sched: s})
			task, h := w.load(program, strconv.Itoa((b.N+per-1)/per))
			b.ResetTimer()
			h.Release()
			w.wait(task)
		})
	}
}

// BenchmarkGetppid is a guest's cheapest system call, the whole way.
func BenchmarkGetppid(b *testing.B) { benchmarkGuest(b, "getppid", 1) }

// BenchmarkSignal is a kill, the handler's frame, and sigreturn.
func BenchmarkSignal(b *testing.B) { benchmarkGuest(b, "signalloop", 1) }

// BenchmarkForkExitWait is a guest's fork, its child's exit, and its wait; half of
// the children first write to 16 pages.
func BenchmarkForkExitWait(b *testing.B) { benchmarkGuest(b, "storm", 8) }
