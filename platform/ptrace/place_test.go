package ptrace

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// quietPlacer is a placer that looks only when the test says so.
func quietPlacer() *placer {
	p := newPlacer()
	p.awake.Store(true)
	return p
}

// cpusOf returns on how many CPUs a thread may run.
func cpusOf(t *testing.T, tid int) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		t.Fatal(err)
	}
	return set.Count()
}

func (pr *pair) expectBound(t *testing.T, bound bool) {
	t.Helper()
	want := 1
	if !bound {
		want = pr.p.allowed.Count()
	}
	for _, tid := range []int{pr.thread, pr.stub} {
		if got := cpusOf(t, tid); got != want {
			t.Errorf("thread %d may run on %d CPUs, want %d", tid, got, want)
		}
	}
}

func TestAGuestThatComputesIsLetGoAndOneThatStopsOftenIsBound(t *testing.T) {
	g := newGuest(t, testPlatform(t))
	p := quietPlacer()
	pr := p.join(anyCPU)
	p.adopt(pr, g.HostTID())
	pr.expectBound(t, true)

	pr.start()
	if !p.look() {
		t.Error("a guest that has just started does not count as moving")
	}
	pr.expectBound(t, true) // it may have started a moment ago
	p.look()
	pr.expectBound(t, !p.many) // a whole look without a stop
	if p.look() {
		t.Error("a guest that is free counts as moving")
	}
	pr.stop()
	pr.ran(quickStop)
	pr.ran(2 * quickStop)
	for range burst {
		pr.expectBound(t, !p.many)
		pr.ran(quickStop)
	}
	pr.expectBound(t, true)
	p.leave(pr)
	if got := cpusOf(t, pr.thread); got != p.allowed.Count() {
		t.Errorf("the thread may run on %d CPUs when the guest is gone", got)
	}
}

func TestGuestsThatTakeTurnsShareOneCPUWithAllOfUs(t *testing.T) {
	g := newGuest(t, testPlatform(t))
	p := quietPlacer()
	pr := p.join(anyCPU)
	p.adopt(pr, g.HostTID())
	defer p.leave(pr)
	crowd := func() (bound, free int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, tid := range threads() {
			var set unix.CPUSet
			if err := unix.SchedGetaffinity(tid, &set); err == nil && set.Count() == 1 {
				bound++
			} else if err == nil {
				free++
			}
		}
		return bound, free
	}
	for range alone {
		pr.start()
		pr.stop()
		p.look()
	}
	if _, free := crowd(); p.many && (free > 0 || runtime.GOMAXPROCS(0) != 1) {
		t.Errorf("%d threads are free, %d may run Go code, after %d looks", free, runtime.GOMAXPROCS(0), alone)
	}
	pr.start() // and goes on
	p.look()
	p.look()
	if bound, _ := crowd(); p.many && (bound > 0 || runtime.GOMAXPROCS(0) != parallel()) {
		t.Errorf("%d threads are bound though a guest computes", bound)
	}
	pr.stop()
}

func TestGuestsThatCompeteAreParted(t *testing.T) {
	g := newGuest(t, testPlatform(t))
	p := quietPlacer()
	one := p.join(anyCPU)
	p.adopt(one, g.HostTID())
	defer p.leave(one)
	joined, done := make(chan *pair), make(chan struct{})
	go func() { // another thread
		runtime.LockOSThread()
		c, err := g.as.NewContext(nil)
		if err != nil {
			t.Error(err)
		}
		pr := p.join(anyCPU)
		p.adopt(pr, c.HostTID())
		joined <- pr
		<-done
		c.Release()
		close(joined)
	}()
	two := <-joined
	p.mu.Lock()
	p.bind(two, int(one.cpu.Load()))
	p.mu.Unlock()
	p.look()
	if one.cpu.Load() != two.cpu.Load() {
		t.Error("parted while they stand")
	}
	one.start()
	two.start()
	p.look()
	if p.many && one.cpu.Load() == two.cpu.Load() {
		t.Error("two that run share a CPU while another has none")
	}
	close(done)
	<-joined
}

func TestChildrensStopsAreQuietAndTheirEndsAreNot(t *testing.T) {
	testPlatform(t)
	var act sigaction
	if err := rtSigaction(unix.SIGCHLD, nil, &act); err != nil {
		t.Fatal(err)
	}
	const dfl, ign = 0, 1
	if act.flags&saNoCldStop == 0 || act.handler == dfl || act.handler == ign {
		t.Errorf("flags %#x, handler %#x", act.flags, act.handler)
	}
}
