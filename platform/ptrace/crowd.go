package ptrace

import (
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// The crowd is every thread of ours. When one guest thread wakes another (a
// child that exits, a byte in a pipe), the turn goes from a tracing thread
// through threads of the Go runtime to the other tracing thread: each step wakes
// an idle CPU, unless all are on one.

// allowedCPUs returns the CPUs that any thread of ours may run on, as it was at
// first: later threads may be bound. If the host does not say, it is empty, and
// nothing is ever bound.
var allowedCPUs = sync.OnceValue(func() unix.CPUSet {
	var all unix.CPUSet
	for _, tid := range threads() {
		var set unix.CPUSet
		if unix.SchedGetaffinity(tid, &set) != nil {
			continue // it has ended
		}
		for i := range all {
			all[i] |= set[i]
		}
	}
	return all
})

// parallel returns how many threads run Go code at once while no crowd is bound.
var parallel = sync.OnceValue(func() int { return runtime.GOMAXPROCS(0) })

// threads returns our threads. New ones may start meanwhile, bound as the one is
// that starts them.
func threads() []int {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what was read is good
	var tids []int
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}

// unite brings pairs and the crowd to the CPU of one of pairs.
//
// Preconditions: p.mu is held; pairs are bound.
func (p *placer) unite(pairs []*pair) {
	if !p.many {
		return
	}
	cpu := p.crowd
	if cpu == anyCPU {
		cpu = int(pairs[0].cpu.Load())
	}
	for _, pr := range pairs {
		if int(pr.cpu.Load()) != cpu {
			p.bind(pr, cpu)
		}
	}
	if p.crowd == cpu {
		return
	}
	var one unix.CPUSet
	one.Set(cpu)
	p.moveCrowd(&one)
	p.crowd = cpu
	runtime.GOMAXPROCS(1) // a second would only look for work on the same CPU
}

// disperse lets the crowd run anywhere; bound pairs stay where they are.
//
// Preconditions: p.mu is held.
func (p *placer) disperse() {
	if p.crowd != anyCPU {
		p.moveCrowd(&p.allowed)
		p.crowd = anyCPU
		runtime.GOMAXPROCS(parallel())
	}
}

// moveCrowd binds all threads but those of bound pairs to set.
//
// Preconditions: p.mu is held.
func (p *placer) moveCrowd(set *unix.CPUSet) {
	bound := map[int]bool{}
	for pr := range p.pairs {
		bound[pr.thread] = bound[pr.thread] || pr.cpu.Load() != anyCPU
	}
	done := map[int]bool{}
	for more := true; more; { // until no new ones have come
		more = false
		for _, tid := range threads() {
			if !bound[tid] && !done[tid] {
				setAffinity(tid, set)
				done[tid], more = true, true
			}
		}
	}
}
