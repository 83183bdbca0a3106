package ptrace

import "runtime"

// supervisor is a thread that starts and traces the first processes. When it ends,
// or we do, they are killed, and with them all stubs.
type supervisor struct {
	jobs chan job
	done chan struct{}
}

type job struct {
	f     func() error
	reply chan error
}

func newSupervisor() *supervisor {
	s := &supervisor{jobs: make(chan job), done: make(chan struct{})}
	go s.loop()
	return s
}

func (s *supervisor) loop() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	defer close(s.done)
	for j := range s.jobs {
		j.reply <- j.f()
	}
}

// do runs f on the supervisor's thread and returns its error.
func (s *supervisor) do(f func() error) error {
	reply := make(chan error, 1)
	s.jobs <- job{f, reply}
	return <-reply
}

// stop ends the thread. do must not be called any more.
func (s *supervisor) stop() {
	close(s.jobs)
	<-s.done
}
