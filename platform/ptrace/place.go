package ptrace

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A tracer and its tracee take turns: one sleeps while the other runs. On one CPU
// a turn is a switch; on two it is a wake-up of an idle CPU, which costs ten times
// as much. So while a guest stops often, it and its tracing thread are kept on
// one CPU. A guest that computes for a while is let go where the host likes, and
// two that compete for one CPU while another has none are parted. But guests of
// which never two run at a time take turns as well, and so do all the other
// threads of ours that pass the turn on: they are brought together (crowd.go).

// How the watcher judges.
const (
	lookEvery = 5 * time.Millisecond
	restAfter = 40 // looks at which nothing moved
	alone     = 6  // looks in a row at which at most one guest ran: by chance that is rare
	quickStop = time.Millisecond
	burst     = 3 // quick stops in a row
)

// anyCPU is the cpu of a pair, or of a stub, that may run anywhere.
const anyCPU = -1

// placer decides on which CPUs contexts run.
type placer struct {
	allowed unix.CPUSet
	many    bool // more than one is allowed

	mu    sync.Mutex
	pairs map[*pair]struct{}
	turns int // looks in a row at which at most one guest ran, and some had
	crowd int // where all our threads are bound, or anyCPU

	awake  atomic.Bool // a watcher runs
	closed atomic.Bool
}

// pair is a tracing thread and its tracee.
type pair struct {
	p            *placer
	thread, stub int // stub is 0 until there is one

	// turns is odd while the guest runs. Every stop and every start counts.
	turns atomic.Uint64
	cpu   atomic.Int32 // where both are bound, or anyCPU

	started time.Time // of a run with cpu == anyCPU; the tracing thread's
	quick   int       // quick stops in a row

	seen uint64 // turns at the watcher's last look
}

func newPlacer() *placer {
	p := &placer{pairs: map[*pair]struct{}{}, allowed: allowedCPUs(), crowd: anyCPU}
	p.many = p.allowed.Count() > 1
	// Said explicitly, the number no longer follows the affinity of whatever thread
	// the runtime looks at.
	runtime.GOMAXPROCS(parallel())
	return p
}

// close lets everything run anywhere.
func (p *placer) close() {
	p.closed.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disperse()
}

// join binds the calling thread, which is about to have a tracee, to cpu, or to
// where it is if that is anyCPU.
func (p *placer) join(cpu int) *pair {
	pr := &pair{p: p, thread: unix.Gettid()}
	pr.cpu.Store(anyCPU)
	if cpu == anyCPU {
		cpu = currentCPU()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pairs[pr] = struct{}{}
	p.bind(pr, cpu)
	return pr
}

// adopt makes stub pr's tracee.
func (p *placer) adopt(pr *pair, stub int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pr.stub = stub
	if cpu := int(pr.cpu.Load()); cpu != anyCPU {
		p.bind(pr, cpu)
	}
}

// leave lets the thread run anywhere again; the stub is gone.
func (p *placer) leave(pr *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, pr)
	p.free(pr)
}

// start says that the guest is about to run.
func (pr *pair) start() {
	pr.turns.Add(1)
	if pr.cpu.Load() == anyCPU {
		pr.started = time.Now()
	} else if !pr.p.awake.Load() {
		pr.p.wake()
	}
}

// stop says that the guest has stopped.
func (pr *pair) stop() {
	pr.turns.Add(1)
	if pr.cpu.Load() == anyCPU {
		pr.ran(time.Since(pr.started))
	}
}

// ran says how long the guest, which was bound nowhere, has run.
func (pr *pair) ran(d time.Duration) {
	if d > quickStop {
		pr.quick = 0
		return
	}
	if pr.quick++; pr.quick < burst {
		return
	}
	pr.quick = 0
	pr.p.mu.Lock()
	defer pr.p.mu.Unlock()
	pr.p.bind(pr, currentCPU())
}

// running reports whether the guest runs.
func (pr *pair) running() bool { return pr.turns.Load()&1 == 1 }

// bind binds pr to cpu. The host may refuse (its set of CPUs can change): then pr
// stays as it is.
//
// Preconditions: p.mu is held.
func (p *placer) bind(pr *pair, cpu int) {
	if !p.many || !p.allowed.IsSet(cpu) {
		return
	}
	var one unix.CPUSet
	one.Set(cpu)
	if setAffinity(pr.thread, &one) && (pr.stub == 0 || setAffinity(pr.stub, &one)) {
		pr.cpu.Store(int32(cpu))
	}
}

// free lets pr run anywhere.
//
// Preconditions: p.mu is held.
func (p *placer) free(pr *pair) {
	if pr.cpu.Swap(anyCPU) == anyCPU {
		return
	}
	setAffinity(pr.thread, &p.allowed)
	if pr.stub != 0 {
		setAffinity(pr.stub, &p.allowed)
	}
}

// wake starts a watcher if there is none.
func (p *placer) wake() {
	if p.awake.CompareAndSwap(false, true) {
		go p.watch()
	}
}

// watch looks at all pairs again and again, until nothing has moved for a while.
func (p *placer) watch() {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for still := 0; ; <-ticker.C {
		if p.closed.Load() {
			return
		}
		if p.look() {
			still = 0
			continue
		}
		if still++; still < restAfter {
			continue
		}
		p.rest()
		p.awake.Store(false)
		// A pair that started before it could see that has not woken anybody.
		if !p.look() || !p.awake.CompareAndSwap(false, true) {
			return
		}
	}
}

// rest is what is done when nothing moves.
func (p *placer) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turns = 0
	p.disperse()
}

// look frees the pairs whose guests have run since the last look without a stop,
// parts those that compete, unites those that take turns, and reports whether
// any bound pair has moved.
func (p *placer) look() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return false
	}
	var moved []*pair
	busy := map[int][]*pair{} // the running, by CPU
	running := 0
	for pr := range p.pairs {
		turns, cpu := pr.turns.Load(), int(pr.cpu.Load())
		runs, still := turns&1 == 1, turns == pr.seen
		pr.seen = turns
		if runs {
			running++
		}
		switch {
		case runs && still:
			p.free(pr)
			running++ // it has the CPU for longer than a turn
		case cpu != anyCPU && !still:
			moved = append(moved, pr)
			if runs {
				busy[cpu] = append(busy[cpu], pr)
			}
		}
	}
	switch {
	case running > 1:
		p.turns = 0
		p.disperse()
		p.part(busy)
	case len(moved) > 0:
		if p.turns++; p.turns >= alone {
			p.unite(moved)
		}
	}
	return len(moved) > 0
}

// part sends all but one of the pairs that run on one CPU to CPUs without any.
//
// Preconditions: p.mu is held.
func (p *placer) part(busy map[int][]*pair) {
	for _, pairs := range busy {
		for _, pr := range pairs[1:] {
			if cpu := p.idle(busy); cpu != anyCPU {
				busy[cpu] = append(busy[cpu], pr)
				p.bind(pr, cpu)
			}
		}
	}
}

// idle returns an allowed CPU that is not in busy.
func (p *placer) idle(busy map[int][]*pair) int {
	for cpu, left := 0, p.allowed.Count(); left > 0; cpu++ {
		if !p.allowed.IsSet(cpu) {
			continue
		}
		left--
		if busy[cpu] == nil {
			return cpu
		}
	}
	return anyCPU
}

// follower is a stub that goes where its tracer of the moment is.
type follower struct {
	tid int
	cpu int // where it was last bound
}

// follow binds f to cpu.
func (p *placer) follow(f *follower, cpu int) {
	if !p.many || f.cpu == cpu || !p.allowed.IsSet(cpu) {
		return
	}
	var one unix.CPUSet
	one.Set(cpu)
	setAffinity(f.tid, &one)
	f.cpu = cpu
}

// currentCPU returns the CPU that the calling thread is on.
func currentCPU() int {
	var cpu uint32
	if _, _, e := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); e != 0 {
		return anyCPU
	}
	return int(cpu)
}

// setAffinity binds a thread of ours or a stub; false if the host refuses.
func setAffinity(tid int, set *unix.CPUSet) bool {
	_, _, e := unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
	return e == 0
}
