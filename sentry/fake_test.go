package sentry

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
)

// A fake guest is a list of instructions, two bytes each, that a fakeContext
// executes: the instruction at rip/2. Forks share the list, so a child goes on
// where its parent was.
type fakeInstr func(c *fakeContext, r *platform.Regs) (platform.Stop, bool)

// fakePlatform makes address spaces without a stub and contexts that play program.
type fakePlatform struct {
	program []fakeInstr
	spaces  atomic.Int32 // that live
	threads atomic.Int32 // contexts that live
	failAS  atomic.Int32 // NewAddressSpace fails when this comes to 0
	failCtx atomic.Int32
}

var errFake = fmt.Errorf("the fake host has no more: %w", unix.ENOMEM)

func (p *fakePlatform) UserRange() memmap.AddrRange {
	return memmap.AddrRange{Start: 0x14000, End: 0x7ffffffff000}
}

func (p *fakePlatform) NewAddressSpace() (platform.AddressSpace, error) {
	if p.failAS.Add(-1) == 0 {
		return nil, errFake
	}
	p.spaces.Add(1)
	return &fakeSpace{AddressSpace: nullas.New(), p: p}, nil
}

func (p *fakePlatform) ForgetFD(int) {}
func (p *fakePlatform) Close() error { return nil }

type fakeSpace struct {
	*nullas.AddressSpace
	p *fakePlatform
}

func (s *fakeSpace) Release() {
	s.AddressSpace.Release()
	s.p.spaces.Add(-1)
}

func (s *fakeSpace) NewContext(from platform.Context) (platform.Context, error) {
	if s.p.failCtx.Add(-1) == 0 {
		return nil, errFake
	}
	s.p.threads.Add(1)
	c := &fakeContext{p: s.p, space: s, owner: unix.Gettid(), kick: make(chan struct{}, 1), xsave: fakeXState()}
	if from != nil {
		c.xsave = slices.Clone(from.(*fakeContext).xsave)
	}
	return c, nil
}

// fakeXState is an initial state of x87, SSE and AVX, as PTRACE_GETREGSET tells it.
func fakeXState() []byte {
	b := initialXState(832)
	binary.LittleEndian.PutUint64(b[softwareArea:], 7)
	return b
}

type fakeContext struct {
	p     *fakePlatform
	space *fakeSpace
	owner int // thread
	kick  chan struct{}
	mu    sync.Mutex
	asked bool
	dead  bool
	xsave []byte
}

func (c *fakeContext) check() {
	if unix.Gettid() != c.owner {
		panic("a context was used off its tracing thread")
	}
	if c.dead {
		panic("a released context was used")
	}
}

func (c *fakeContext) takeAsked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.asked
	c.asked = false
	return was
}

func (c *fakeContext) Run(r *platform.Regs) (platform.Stop, error) {
	for {
		stop, err := c.step(r)
		if err != nil || stop.Kind != platform.Stepped {
			return stop, err
		}
	}
}

func (c *fakeContext) Step(r *platform.Regs) (platform.Stop, error) { return c.step(r) }

func (c *fakeContext) step(r *platform.Regs) (platform.Stop, error) {
	c.check()
	if c.takeAsked() {
		return platform.Stop{Kind: platform.Interrupted}, nil
	}
	at := r.Rip / 2
	if at >= uint64(len(c.p.program)) {
		return platform.Stop{}, fmt.Errorf("fake guest ran off its program to %#x", r.Rip)
	}
	if stop, stops := c.p.program[at](c, r); stops {
		return stop, nil
	}
	return platform.Stop{Kind: platform.Stepped}, nil
}

func (c *fakeContext) Interrupt() {
	c.mu.Lock()
	c.asked = true
	c.mu.Unlock()
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *fakeContext) FPState() ([]byte, error) { c.check(); return slices.Clone(c.xsave), nil }

func (c *fakeContext) SetFPState(b []byte) error {
	c.check()
	features := binary.LittleEndian.Uint64(c.xsave[softwareArea:])
	if len(b) != len(c.xsave) || binary.LittleEndian.Uint64(b[xstateHeader:])&^features != 0 {
		return unix.EINVAL
	}
	c.xsave = slices.Clone(b)
	binary.LittleEndian.PutUint64(c.xsave[softwareArea:], features)
	return nil
}

func (c *fakeContext) HostTID() int { return c.owner }

func (c *fakeContext) Release() {
	c.check()
	c.dead = true
	c.p.threads.Add(-1)
}

// Instructions.

// call makes system call nr.
func call(nr uint64, args ...uint64) fakeInstr {
	return func(_ *fakeContext, r *platform.Regs) (platform.Stop, bool) {
		r.Orig_rax, r.Rax = nr, errnoValue(unix.ENOSYS)
		for i, to := range []*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9} {
			if i < len(args) {
				*to = args[i]
			}
		}
		r.Rip += 2
		return platform.Stop{Kind: platform.Syscall}, true
	}
}

// restartable is call, or restart_syscall if rax says so when it is made once more.
func restartable(nr uint64, args ...uint64) fakeInstr {
	return func(c *fakeContext, r *platform.Regs) (platform.Stop, bool) {
		if r.Rax == sysRestart {
			return call(sysRestart)(c, r)
		}
		return call(nr, args...)(c, r)
	}
}

// jump goes to instruction to.
func jump(to int) fakeInstr {
	return func(_ *fakeContext, r *platform.Regs) (platform.Stop, bool) {
		r.Rip = uint64(to) * 2
		return platform.Stop{}, false
	}
}

// child goes to instruction to if rax is 0.
func child(to int) fakeInstr {
	return func(_ *fakeContext, r *platform.Regs) (platform.Stop, bool) {
		r.Rip += 2
		if r.Rax == 0 {
			r.Rip = uint64(to) * 2
		}
		return platform.Stop{}, false
	}
}

// spin runs until it is interrupted, and goes on spinning.
func spin() fakeInstr {
	return func(c *fakeContext, _ *platform.Regs) (platform.Stop, bool) {
		for !c.takeAsked() {
			<-c.kick
		}
		return platform.Stop{Kind: platform.Interrupted}, true
	}
}

// nop does nothing.
func nop() fakeInstr {
	return func(_ *fakeContext, r *platform.Regs) (platform.Stop, bool) {
		r.Rip += 2
		return platform.Stop{}, false
	}
}

// store writes to the word at addr, or faults.
func store(addr memmap.Addr) fakeInstr {
	return func(c *fakeContext, r *platform.Regs) (platform.Stop, bool) {
		if !c.space.Allows(addr, memmap.Write) {
			return platform.Stop{Kind: platform.Fault, Addr: addr, Access: memmap.Write, Signal: unix.SIGSEGV, Code: segvMapErr}, true
		}
		r.Rip += 2
		return platform.Stop{}, false
	}
}

// stops ends in stop; the instruction is not passed.
func stops(stop platform.Stop) fakeInstr {
	return func(*fakeContext, *platform.Regs) (platform.Stop, bool) { return stop, true }
}

// Calls of the fake world, by number.
const (
	nrLog = iota
	nrFork
	nrExit
	nrWait
	nrBlock
	nrWake
	nrSleep
	nrKill
	nrYield
	nrPanic
	nrAction
	nrMask
	nrPause
	nrSigreturn
	nrGetppid
	nrUnknown
	nrExternal
	nrAlarm
	nrBusy
	nrNext = sysRestart + 1
)

// world is a kernel over fakes, with what its guests told.
type world struct {
	*Kernel
	t     *testing.T
	fake  *fakePlatform
	mem   *pgalloc.MemoryFile
	mu    sync.Mutex
	log   []string
	gates [8]chan struct{} // what nrBlock waits for and nrWake closes
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

func (w *world) calls() Table {
	table := make(Table, nrNext)
	set := func(nr int, name string, f Syscall) { table[nr] = Entry{Name: name, Fn: f} }
	set(nrLog, "log", func(t *Task, a Args) (uintptr, error) {
		w.say("%d:%d", t.TID(), a[0])
		return 0, nil
	})
	set(nrFork, "fork", func(t *Task, a Args) (uintptr, error) {
		pid, err := t.Clone(CloneOptions{ExitSignal: int32(unix.SIGCHLD)})
		return uintptr(pid), err
	})
	set(nrExit, "exit", func(t *Task, a Args) (uintptr, error) { t.ExitGroup(int(a[0])); return 0, nil })
	set(nrWait, "wait", func(t *Task, a Args) (uintptr, error) {
		r, err := t.Wait(int32(a[0]), int(a[1]))
		if err == nil {
			w.say("%d:wait %d %#x", t.TID(), r.PID, r.Status)
		} else if !isRestart(err) {
			w.say("%d:wait %v", t.TID(), unix.ErrnoName(errnoOf(err)))
		}
		return uintptr(r.PID), err
	})
	set(nrBlock, "block", func(t *Task, a Args) (uintptr, error) {
		return 0, t.Block(w.gates[a[0]], 0)
	})
	set(nrExternal, "external", func(t *Task, a Args) (uintptr, error) {
		return 0, t.BlockExternal(w.gates[a[0]], 0)
	})
	set(nrBusy, "busy", func(t *Task, a Args) (uintptr, error) {
		for {
			if err := t.Block(w.gates[0], 0); err != nil {
				return 0, err
			}
		}
	})
	set(nrWake, "wake", func(t *Task, a Args) (uintptr, error) { close(w.gates[a[0]]); return 0, nil })
	set(nrSleep, "sleep", func(t *Task, a Args) (uintptr, error) {
		until := t.Kernel().Clock().Monotonic() + time.Duration(a[0])
		return sleepUntil(t, until)
	})
	set(nrKill, "kill", func(t *Task, a Args) (uintptr, error) {
		return 0, t.Kill(int32(a[0]), int32(a[1]))
	})
	set(nrYield, "yield", func(t *Task, a Args) (uintptr, error) { t.Yield(); return 0, nil })
	set(nrPanic, "panic", func(*Task, Args) (uintptr, error) { panic("a bug") })
	set(nrAction, "action", func(t *Task, a Args) (uintptr, error) {
		_, err := t.SetAction(int32(a[0]), &SigAction{Handler: a[1], Flags: a[2], Restorer: 0x1234, Mask: SigSet(a[3])})
		return 0, err
	})
	set(nrMask, "mask", func(t *Task, a Args) (uintptr, error) { t.SetSigMask(SigSet(a[0])); return 0, nil })
	set(nrPause, "pause", func(t *Task, a Args) (uintptr, error) {
		_ = t.Block(nil, 0)
		return 0, ErrRestartNoHand
	})
	set(nrSigreturn, "sigreturn", func(t *Task, a Args) (uintptr, error) { return t.SigReturn() })
	set(nrGetppid, "getppid", func(t *Task, a Args) (uintptr, error) {
		w.say("%d:ppid %d", t.TID(), t.Process().PPID())
		return 0, nil
	})
	set(nrAlarm, "alarm", func(t *Task, a Args) (uintptr, error) {
		t.Process().SetRealTimer(time.Duration(a[0]), time.Duration(a[1]))
		return 0, nil
	})
	set(sysRestart, "restart_syscall", func(t *Task, a Args) (uintptr, error) { return t.RunRestart() })
	return table
}

func sleepUntil(t *Task, until time.Duration) (uintptr, error) {
	err := t.Block(nil, until)
	if err == ErrTimedOut {
		return 0, nil
	}
	return 0, t.RestartBlock(func(t *Task) (uintptr, error) { return sleepUntil(t, until) })
}

// newWorld makes a world whose first process, blank, will play program.
func newWorld(t *testing.T, c Config, program ...fakeInstr) *world {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, fake: &fakePlatform{program: program}, mem: mem}
	for i := range w.gates {
		w.gates[i] = make(chan struct{})
	}
	c.Platform, c.Memory, c.Calls = w.fake, mem, w.calls()
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Kernel = k
	t.Cleanup(w.close)
	return w
}

// close ends the world and sees that nothing is left of it.
func (w *world) close() {
	w.Shutdown()
	if n := w.fake.threads.Load(); n != 0 {
		w.t.Errorf("%d contexts were not released", n)
	}
	if n := w.fake.spaces.Load(); n != 0 {
		w.t.Errorf("%d address spaces were not released", n)
	}
	if n := w.NumProcesses(); n != 0 {
		w.t.Errorf("%d processes count as alive", n)
	}
	if err := w.mem.Close(); err != nil {
		w.t.Error(err)
	}
}

// blank makes the first process, and returns its thread and the hold that keeps it
// from running.
func (w *world) blank() (*Task, *Hold) {
	w.t.Helper()
	h := w.Hold("test")
	p, err := w.LoadBlank(h)
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Tasks()[0], h
}

// run makes the first process, lets it run and waits for its end.
func (w *world) run() *Task {
	w.t.Helper()
	task, h := w.blank()
	h.Release()
	w.wait(task)
	return task
}

// wait waits for the end of task's thread.
func (w *world) wait(task *Task) {
	w.t.Helper()
	select {
	case <-task.Done():
	case r := <-w.Stops():
		w.t.Fatalf("the world stopped: %v %s", r.Reason, r.Detail)
	case <-time.After(2 * time.Minute):
		w.t.Fatal("the guest does not end")
	}
}

// stop waits for the world to stop.
func (w *world) stop() *Report {
	w.t.Helper()
	select {
	case r := <-w.Stops():
		return r
	case <-time.After(2 * time.Minute):
		w.t.Fatal("the world does not stop")
		return nil
	}
}

// observing is an Observer made of a function.
type observing func(r *Report) bool

func (o observing) Observe(r *Report) bool { return o(r) }
