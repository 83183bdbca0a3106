package ptrace

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// supervisor is the thread that traces the zygotes and the keepers. Its thread
// must not end before them: they die with it.
//
// It works on the CPU of whoever waits for it, and so do its tracees.
type supervisor struct {
	place *placer
	jobs  chan job
	done  chan struct{}
	self  follower
}

type job struct {
	f     func() error
	reply chan error
	cpu   int // where the one who asks is
}

func newSupervisor(place *placer) *supervisor {
	s := &supervisor{place: place, jobs: make(chan job), done: make(chan struct{})}
	go s.loop()
	return s
}

func (s *supervisor) loop() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	defer close(s.done)
	s.self = follower{tid: unix.Gettid(), cpu: anyCPU}
	for j := range s.jobs {
		s.place.follow(&s.self, j.cpu)
		j.reply <- j.f()
	}
}

// do runs f on the supervisor's thread and returns its error.
func (s *supervisor) do(f func() error) error {
	reply := make(chan error, 1)
	s.jobs <- job{f, reply, currentCPU()}
	return <-reply
}

// bring takes a tracee of the supervisor's to where it works.
func (s *supervisor) bring(t *tracee) { s.place.follow(&t.place, s.self.cpu) }

// stop ends the thread. do must not be called any more.
func (s *supervisor) stop() {
	close(s.jobs)
	<-s.done
}
