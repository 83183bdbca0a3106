package mm_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
)

// step is one operation on one of the living processes. What the arguments mean is
// the operation's affair; any numbers mean something.
type step struct {
	op   string
	proc int
	arg  [6]int
}

func (s step) String() string {
	return fmt.Sprintf("{%q, %d, [6]int{%s}},", s.op, s.proc, strings.Trim(strings.ReplaceAll(fmt.Sprint(s.arg), " ", ", "), "[]"))
}

// space is a null address space that fails when told, having done a part of what it
// was asked.
type space struct {
	*nullas.AddressSpace
	fail  []error
	full  bool  // its map is, until all of the guest's memory is unmapped
	hit   error // the last failure
	fatal bool  // it was not the kind that is tried again
}

func (s *space) Apply(via platform.Context, ops []platform.MapOp) error {
	if s.full {
		all := memmap.AddrRange{Start: arena, End: addrOf(arenaLen)}
		if s.full = ops[0].File != nil || !ops[0].AR.IsSupersetOf(all); s.full {
			return unix.ENOMEM
		}
	}
	if len(s.fail) == 0 {
		return s.AddressSpace.Apply(via, ops)
	}
	err := s.fail[0]
	s.fail = s.fail[1:]
	switch {
	case errors.Is(err, platform.ErrDied):
		s.hit, s.fatal = err, true
		s.Fail(err)
	case err != nil:
		s.fatal = s.hit != nil
		s.hit = err
		if n := len(ops) / 2; n > 0 {
			_ = s.AddressSpace.Apply(via, ops[:n])
		}
		return err
	}
	return s.AddressSpace.Apply(via, ops)
}

// process is a process and what its memory should be.
type process struct {
	*modelProcess
	mm    *mm.MemoryManager
	as    *space
	depth int

	mappings int // when last counted
	user     *mm.Userfault
}

// player plays steps on the engine and on the model, and compares.
type player struct {
	mem     *pgalloc.MemoryFile
	window  mm.FaultWindow
	exact   bool // the window is a page: what is resident is known
	by      *mm.Actor
	sources []*source
	procs   []*process
	p       *process // whose step it is
	turn    int
	ending  bool

	scarcity bool // the step runs out of memory
	failing  int  // the allocation of the step that fails, 0 for none
	loose    bool // memory is scarce, and the model cannot know where that is met
}

// mismatch is what the engine got wrong.
type mismatch struct{ text string }

func wrong(format string, args ...any) { panic(mismatch{fmt.Sprintf(format, args...)}) }

func newPlayer(window uint64) *player {
	pl := &player{exact: window == page, by: &mm.Actor{Limits: mm.NoLimits(), Origin: memmap.Origin{By: memmap.ByGuest, Op: "model"}}}
	pl.by.Limits.Stack = stackMost * page
	pl.window.Set(window)
	pl.mem = must(pgalloc.New(pgalloc.Options{}))
	pl.sources = []*source{
		must(newFile(pl.mem, "short", 6)), must(newFile(pl.mem, "long", 24)),
		must(newShared(pl.mem, "shared", 12)), must(newShared(pl.mem, "more", 4)),
	}
	as := &space{AddressSpace: nullas.New()}
	m := mm.New(mm.Config{Memory: pl.mem, AS: as, Window: &pl.window, PID: 2, Layout: mm.Layout{
		Min: arena, Max: addrOf(arenaLen), TopDown: true,
		TopDownBase: addrOf(mmapBase), BottomUp: addrOf(mmapBase), StackTop: addrOf(arenaLen),
	}})
	m.BrkSetup(pl.by, heapStart)
	pl.procs = []*process{{modelProcess: &modelProcess{traps: map[int]mm.Trap{}, brk: heapStart}, mm: m, as: as}}
	return pl
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// play plays all steps in a new world and returns what went wrong, and at which.
func play(steps []step, window uint64) (at int, err error) {
	pl := newPlayer(window)
	defer func() {
		switch r := recover().(type) {
		case nil:
			return
		case mismatch:
			err = errors.New(r.text)
		default:
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		_ = pl.mem.Close() // the rest is in disorder
	}()
	for i, s := range steps {
		at = i
		pl.step(s)
		pl.check()
	}
	at = len(steps)
	pl.checkReferences()
	pl.close()
	return at, nil
}

// close ends all and checks that nothing is left.
func (pl *player) close() {
	pl.ending = true
	for len(pl.procs) > 0 {
		pl.p = pl.procs[0]
		pl.exit()
	}
	for _, s := range pl.sources {
		if err := s.close(); err != nil {
			wrong("at the end %v", err)
		}
	}
	if err := pl.mem.CheckInvariants(); err != nil {
		wrong("at the end: %v", err)
	}
	if err := pl.mem.Close(); err != nil {
		wrong("at the end memory is left: %v", err)
	}
}

// errno compares how a call ended. A failure of the host's is excused.
func (pl *player) errno(what string, err error, want error) {
	as := pl.p.as
	if as.fatal && errors.Is(err, as.hit) {
		return
	}
	if have, want := errnoOf(err), errnoOf(want); have != want {
		wrong("%s: %v (%s), want %s", what, err, unix.ErrnoName(have), unix.ErrnoName(want))
	}
}

func errnoOf(err error) (e unix.Errno) {
	if err != nil && !errors.As(err, &e) {
		return ^unix.Errno(0)
	}
	return e
}

// shrink returns a shortest sequence it finds that still fails.
func shrink(steps []step, window uint64) []step {
	fails := func(s []step) bool {
		_, err := play(s, window)
		return err != nil
	}
	for size := len(steps) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(steps); {
			shorter := append(append([]step(nil), steps[:i]...), steps[i+size:]...)
			if fails(shorter) {
				steps = shorter
			} else {
				i += size
			}
		}
	}
	for i := range steps { // which arguments matter
		for j := range steps[i].arg {
			simpler := append([]step(nil), steps...)
			simpler[i].arg[j] = 0
			if steps[i].arg[j] != 0 && fails(simpler) {
				steps = simpler
			}
		}
	}
	return steps
}

// playBoth plays steps with both fault windows.
func playBoth(t *testing.T, steps []step) {
	t.Helper()
	for _, window := range []uint64{page, mm.WindowAuto} {
		at, err := play(steps, window)
		if err == nil {
			continue
		}
		t.Errorf("window %#x, step %d: %v", window, at, err)
		least := shrink(steps[:min(at+1, len(steps))], window)
		_, err = play(least, window)
		list := ""
		for _, s := range least {
			list += "\t" + s.String() + "\n"
		}
		t.Fatalf("shrunk to:\n%sit fails with: %v", list, err)
	}
}

// runLength is how many steps are played in one world.
const runLength = 250

// Random operations of a family of processes, with files that fail, hosts that fail
// and memory that runs out, end as a model says that knows pages only.
//
// MMSH_MODEL_OPS sets the number of operations, MMSH_MODEL_SEED the first seed.
func TestModel(t *testing.T) {
	ops, seed := uint64(modelOps), uint64(1)
	for name, v := range map[string]*uint64{"MMSH_MODEL_OPS": &ops, "MMSH_MODEL_SEED": &seed} {
		if s := os.Getenv(name); s != "" {
			n, err := strconv.ParseUint(s, 0, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			*v = n
		}
	}
	t.Logf("seeds from %d on", seed)
	before := debug.SetGCPercent(1000) // each world is small, and there are thousands
	t.Cleanup(func() { debug.SetGCPercent(before) })
	end := seed + (ops+2*runLength-1)/(2*runLength) // both windows
	workers := uint64(runtime.GOMAXPROCS(0))
	for w := range workers {
		t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
			t.Parallel()
			for s := seed + w; s < end; s += workers {
				playSeed(t, s)
			}
		})
	}
}

// playSeed plays the world that seed makes up.
func playSeed(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	steps := make([]step, runLength)
	for i := range steps {
		steps[i] = randomStep(rnd)
	}
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	playBoth(t, steps)
}
