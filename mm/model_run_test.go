package mm_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
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
	hit   error // the last failure
	fatal bool  // it was not the kind that is tried again
}

func (s *space) Apply(via platform.Context, ops []platform.MapOp) error {
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

// check compares all that can be seen of every process with the model.
func (pl *player) check() {
	frames := map[*frame]bool{}
	for i, p := range pl.procs {
		for _, err := range p.mm.Check(false) {
			wrong("process %d: check: %v", i, err)
		}
		pl.checkMappings(i, p)
		pl.checkPages(i, p)
		pl.checkHost(i, p)
		for _, mp := range p.pages {
			if mp != nil && mp.frame != nil {
				frames[mp.frame] = true
			}
		}
		if pl.exact {
			p.checkResident(i)
		}
	}
	if have, want := pl.mem.Stats().Allocated[pgalloc.Anonymous], uint64(len(frames))*page; pl.exact && have != want {
		wrong("%#x bytes of private memory are allocated, %#x are in use", have, want)
	}
	for _, s := range pl.sources {
		clear(s.before)
	}
}

// checkMappings compares what is mapped, page by page, and remembers where mappings
// begin and end.
func (pl *player) checkMappings(n int, p *process) {
	mapped := 0
	for _, v := range p.mm.VMAs(p.mm.All()) {
		first, end := indexOf(v.AR.Start), indexOf(v.AR.End)
		mapped += end - first
		for i := first; i < end; i++ {
			p.start[i], p.end[i] = first, end
			q := p.pages[i]
			if q == nil {
				wrong("process %d: page %d is mapped %v", n, i, v.Perms)
			}
			name := ""
			if q.src != nil {
				name = q.src.name
			}
			off := int(v.Offset/page) + i - first
			if v.Perms != q.perms || v.MaxPerms != q.max || v.Private != q.private || v.GrowsDown != q.growsDown ||
				(v.MLock != memmap.MLockNone) != q.locked || v.Anonymous != (q.src == nil) || q.src != nil && off != q.off {
				wrong("process %d: page %d is %+v, offset %d, want %+v of %q", n, i, v, off, *q, name)
			}
		}
	}
	want := 0
	for _, q := range p.pages {
		if q != nil {
			want++
		}
	}
	if mapped != want || p.mm.Virtual() != uint64(want)*page {
		wrong("process %d: %d pages are mapped, %#x bytes, want %d", n, mapped, p.mm.Virtual(), want)
	}
	if brk := p.mm.BrkRange(); brk.End != p.brk || brk.Start != heapStart {
		wrong("process %d: the heap is %v, want its end at %v", n, brk, p.brk)
	}
}

// checkPages compares the bytes of every page that the engine holds.
func (pl *player) checkPages(n int, p *process) {
	for _, info := range p.mm.PMAs(p.mm.All()) {
		if info.Zero {
			for i := indexOf(info.AR.Start); i < indexOf(info.AR.End); i++ {
				if q := p.pages[i]; !bytes.Equal(q.bytes(), zeroes) {
					wrong("process %d: page %d is the zero page", n, i)
				}
			}
			continue
		}
		fr := memmap.FileRange{Start: info.Offset, End: info.Offset + memmap.FileOffset(info.AR.Length())}
		have := make([]byte, fr.Length())
		must(safemem.Copy(safemem.Of(have), must(info.File.MapInternal(fr, memmap.Read))))
		for i := indexOf(info.AR.Start); i < indexOf(info.AR.End); i++ {
			pl.checkPage(n, i, p.pages[i], info.Private, have[:page])
			have = have[page:]
		}
	}
}

func (pl *player) checkPage(n, i int, q *modelPage, own bool, have []byte) {
	if q.src != nil && q.private && q.frame == nil && own && !pl.exact {
		// A wide window has copied it beside another: it holds what the file did then.
		if old, changed := q.src.before[q.off]; !bytes.Equal(have, q.bytes()) && !(changed && bytes.Equal(have, old)) {
			wrong("process %d: page %d was copied and is not what %s has at %d", n, i, q.src.name, q.off)
		}
		q.frame = &frame{data: append([]byte(nil), have...), refs: 1}
	}
	if want := q.bytes(); !bytes.Equal(have, want) {
		wrong("process %d: page %d holds %x..., want %x...", n, i, have[:16], want[:min(16, len(want))])
	}
}

// checkHost checks that the host allows the guest nothing that the model does not.
func (pl *player) checkHost(n int, p *process) {
	host := must(p.as.HostMappings())
	for _, m := range host {
		for a := m.AR.Start; a < m.AR.End; a += page {
			i := indexOf(a)
			if i < 0 || i >= arenaLen || p.pages[i] == nil {
				wrong("process %d: the host has %v mapped", n, a)
			}
			pl.checkHostPage(n, i, p, m.Perms)
			at := i * 37 % page
			v, err := p.as.Load(a + memmap.Addr(at))
			if want := p.pages[i].bytes(); err != nil || want == nil || v != want[at] {
				wrong("process %d: the host has %#x at byte %d of page %d (%v), want %v", n, v, at, i, err, want != nil)
			}
		}
	}
}

func (pl *player) checkHostPage(n, i int, p *process, has memmap.AccessType) {
	q := p.pages[i]
	may := q.perms.Effective()
	switch trap := p.traps[i].At; {
	case trap.Read:
		may = memmap.NoAccess
	default:
		may.Write = may.Write && !trap.Write
		may.Execute = may.Execute && !trap.Execute
	}
	switch {
	case q.private && q.frame != nil && pl.exact:
		may.Write = may.Write && q.frame.refs == 1
	case q.private && pl.exact:
		may.Write = false
	case q.private && has.Write:
		refs := p.mm.PMAs(addrOf(i).Page())[0].Refs
		may.Write = may.Write && len(refs) == 1 && refs[0].Refs == 1
	case !q.private && q.src.file != nil:
		may.Write = may.Write && q.src.file.dirty[mappableOffset(q.off)]
	}
	if !may.SupersetOf(has) {
		wrong("process %d: the host has page %d mapped %v, at most %v is allowed", n, i, has, may)
	}
}

// checkResident compares what the process holds.
func (p *process) checkResident(n int) {
	var anon, least, most uint64
	for _, q := range p.pages {
		switch {
		case q == nil:
		case q.frame != nil:
			anon += page
		case q.src != nil && q.here == present:
			least += page
			most += page
		case q.src != nil && q.here == unknown:
			most += page
		}
	}
	s := p.mm.Stats()
	if mapped := s.RSSFile + s.RSSShmem; s.RSSAnon != anon || mapped < least || mapped > most || s.RSS != s.RSSAnon+mapped {
		wrong("process %d: RSS is %#x, %#x of it private, %#x files; want %#x private, files from %#x to %#x", n, s.RSS, s.RSSAnon, mapped, anon, least, most)
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
	for done := uint64(0); done < ops; done += 2 * runLength { // both windows
		rnd := rand.New(rand.NewPCG(seed, 0))
		steps := make([]step, runLength)
		for i := range steps {
			steps[i] = randomStep(rnd)
		}
		if playBoth(t, steps); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		seed++
	}
}
