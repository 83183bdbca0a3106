package mm_test

import (
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/platform"
)

// operation is what a step can do, and how often it does.
type operation struct {
	name  string
	often int
	do    func(*player, [6]int)
	dies  bool // whether the host may fail for good meanwhile
}

var operations = []operation{
	{"mmap", 14, (*player).mmap, false},
	{"munmap", 4, (*player).munmap, true},
	{"mprotect", 8, (*player).mprotect, true},
	{"mremap", 12, (*player).mremap, false},
	{"brk", 4, (*player).brk, false},
	{"dontneed", 4, (*player).dontneed, true},
	{"advise", 12, (*player).advise, true},
	{"populate", 2, (*player).populateAdvice, false},
	{"seal", 1, (*player).seal, false},
	{"name", 2, (*player).rename, false},
	{"bind", 2, (*player).bind, false},
	{"lock", 5, (*player).lock, false},
	{"lockall", 1, (*player).lockAll, false},
	{"softdirty", 2, (*player).clearSoftDirty, false},
	{"watch", 3, (*player).watch, false},
	{"fill", 3, (*player).fill, false},
	{"protect", 2, (*player).protect, false},
	{"pin", 2, (*player).pin, false},
	{"unpin", 2, (*player).unpin, false},
	{"fork", 4, (*player).fork, true},
	{"exit", 3, func(pl *player, _ [6]int) { pl.exit() }, false},
	{"guest", 30, (*player).guest, true},
	{"copyout", 8, (*player).copyOut, true},
	{"copyin", 6, (*player).copyIn, true},
	{"vector", 5, (*player).vector, true},
	{"word", 4, (*player).word, true},
	{"breakcow", 3, (*player).breakCOW, false},
	{"touch", 4, (*player).touch, true},
	{"trap", 3, (*player).trap, true},
	{"invalidate", 3, (*player).invalidate, true},
	{"truncate", 2, (*player).truncate, true},
	{"ioerror", 2, (*player).ioError, true},
}

func randomStep(rnd *rand.Rand) step {
	total := 0
	for _, o := range operations {
		total += o.often
	}
	s := step{proc: rnd.IntN(8)}
	for i := range s.arg {
		s.arg[i] = rnd.IntN(10000)
	}
	n := rnd.IntN(total)
	for _, o := range operations {
		if n -= o.often; n < 0 {
			s.op = o.name
			break
		}
	}
	return s
}

// failure is the argument that says what fails meanwhile.
const failure = 5

// step does one step, with a failure if it says so.
func (pl *player) step(s step) {
	o := operations[slices.IndexFunc(operations, func(o operation) bool { return o.name == s.op })]
	pl.p = pl.procs[s.proc%len(pl.procs)]
	as := pl.p.as
	as.hit, as.fatal = nil, false
	switch s.arg[failure] % 24 {
	case 1:
		as.full = true
	case 2:
		if o.dies {
			as.fail = []error{unix.ENOMEM, nil, unix.ENOMEM}
		}
	case 3:
		if o.dies {
			as.fail = []error{platform.ErrDied}
		}
	}
	pl.scarcity, pl.failing = s.arg[failure]%24 == 4, 0
	if s.arg[failure]%24 == 5 {
		pl.failing = 1 + s.arg[failure]/24%4
	}
	o.do(pl, s.arg)
	as.fail, as.full = nil, false
}

// span returns the pages that two arguments choose.
func span(a, b int) (first, n int) {
	first = a % busy
	if a%7 == 6 {
		first = farFirst + a/7%(arenaLen-farFirst)
	}
	return first, min(1+b%10, arenaLen-first)
}

var rights = []memmap.AccessType{
	memmap.ReadWrite, memmap.ReadWrite, memmap.ReadWrite, memmap.Read, memmap.NoAccess, memmap.AnyAccess, memmap.Write, memmap.ReadExecute,
}

var accesses = []memmap.AccessType{memmap.Read, memmap.Write, memmap.Write, memmap.Execute}

// scarce runs f while there is no memory for another page, or while one allocation
// fails, if the step is to fail so and pages of shared memory, which are made as they
// are needed, are not concerned.
func (pl *player) scarce(first, n int, f func()) {
	p := pl.p
	lazy := slices.ContainsFunc(pl.procs, func(q *process) bool { return q.lazy }) // who would give back
	p.full = (pl.scarcity || pl.failing > 0) && !lazy
	for i := max(first, 0); i < min(first+n, arenaLen); i++ {
		if q := p.pages[i]; q != nil && q.src != nil && q.src.file == nil {
			p.full = false
		}
	}
	if p.full {
		if pl.mem.FailAfter(pl.failing); pl.scarcity {
			pl.mem.SetLimit(max(pl.mem.Stats().Total, 1))
		}
	}
	pl.loose = p.full && (pl.failing > 0 || !pl.exact)
	f()
	pl.mem.FailAfter(0)
	pl.mem.SetLimit(0)
	pl.loose, p.full = false, false
}

// deepest is how long a line of forks may be, mostProcesses how many live at once.
const (
	deepest       = 5
	mostProcesses = 6
)

func (pl *player) fork(a [6]int) {
	p := pl.p
	if p.depth == deepest || len(pl.procs) == mostProcesses {
		return
	}
	s := pl.sources[a[0]%2]
	pl.refusals(s, a[1])
	defer pl.refusals(nil, 0)
	var want error
	for i := 0; i < arenaLen && want == nil; i++ {
		if q := p.pages[i]; q != nil && p.start[i] == i && !q.advice.Has(mm.DontFork) {
			want = q.src.add()
		}
	}
	as := &space{AddressSpace: nullas.New()}
	child, err := p.mm.Fork(pl.by, as, int32(len(pl.procs)+2))
	if pl.errno("fork", err, want); err != nil {
		if !as.Released() {
			wrong("a fork failed and kept the address space")
		}
		return
	}
	pl.procs = append(pl.procs, &process{modelProcess: p.modelProcess.fork(), mm: child, as: as, depth: p.depth + 1})
}

// exit ends the process. The last one goes only at the end of the world.
func (pl *player) exit() {
	if len(pl.procs) == 1 && !pl.ending {
		return
	}
	p := pl.p
	p.mm.DecUsers(pl.by)
	if !p.as.Released() {
		wrong("the process is gone, its address space is not")
	}
	p.unmap(0, arenaLen)
	p.pins = nil
	pl.procs = slices.DeleteFunc(pl.procs, func(q *process) bool { return q == p })
}
