package sentry_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/platform/ptrace"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/syscalls"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/hostfs"
)

// compile makes a static program of testdata/name.c.
func compile(t testing.TB, name string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	if len(flags) == 0 {
		flags = []string{"-static"}
	}
	args := append([]string{"-O1", "-mavx2", "-o", out, filepath.Join("testdata", name+".c")}, flags...)
	if b, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, b)
	}
	return out
}

// native runs program on the host's kernel, with randomisation off.
func native(t *testing.T, program string, args ...string) (string, syscall.WaitStatus) {
	t.Helper()
	cmd := exec.Command("setarch", append([]string{"-R", program}, args...)...)
	cmd.Env = []string{"A=1"}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// realWorld is a kernel on real stubs.
type realWorld struct {
	*sentry.Kernel
	t        testing.TB
	platform *ptrace.Platform
	mem      *pgalloc.MemoryFile
	cache    *pagecache.Cache
	out      bytes.Buffer
	events   *mm.Ring
}

func newRealWorld(t testing.TB, c sentry.Config) *realWorld {
	t.Helper()
	w := &realWorld{t: t, events: mm.NewRing(10000)}
	var err error
	if w.platform, err = ptrace.New(); err != nil {
		t.Fatal(err)
	}
	if w.mem, err = pgalloc.New(pgalloc.Options{}); err != nil {
		t.Fatal(err)
	}
	w.cache = pagecache.New(w.mem)
	host, err := hostfs.New("/", w.cache)
	if err != nil {
		t.Fatal(err)
	}
	c.Platform, c.Memory, c.Calls, c.Tree, c.Events = w.platform, w.mem, syscalls.Table(), vfs.NewTree(host), w.events
	c.Stdout, c.Stderr = &w.out, &w.out
	if w.Kernel, err = sentry.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

// close ends the world and sees that nothing is left of it.
func (w *realWorld) close() {
	w.Shutdown()
	if err := w.platform.Close(); err != nil {
		w.t.Error(err)
	}
	w.cache.Evict(1 << 40)
	if err := w.mem.Close(); err != nil {
		w.t.Error(err)
	}
	if w.t.Failed() {
		events, _ := w.events.Since(0)
		for _, e := range events[max(0, len(events)-12):] {
			w.t.Logf("@%d pid %d %v %v %v %d %s %s", e.Seq, e.PID, e.Kind, e.Cause, e.Addr, e.Number, e.Origin, e.Note)
		}
	}
}

// load makes a process of program, held.
func (w *realWorld) load(program string, args ...string) (*sentry.Task, *sentry.Hold) {
	w.t.Helper()
	h := w.Hold("test")
	p, err := w.Load(h, sentry.LoadOptions{Path: program, Args: append([]string{program}, args...), Env: []string{"A=1"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Tasks()[0], h
}

func (w *realWorld) wait(t *sentry.Task) {
	w.t.Helper()
	select {
	case <-t.Done():
	case r := <-w.Stops():
		w.t.Fatalf("the world stopped: %v %s", r.Reason, r.Detail)
	case <-time.After(2 * time.Minute):
		w.t.Fatal("the guest does not end")
	}
}

func (w *realWorld) run(program string, args ...string) uint32 {
	w.t.Helper()
	task, h := w.load(program, args...)
	h.Release()
	w.wait(task)
	_, status := task.Process().State()
	return status
}

// TestNativeOutput: static programs say and return what they do on the host.
func TestNativeOutput(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags []string
		args  []string
	}{
		{"hello", nil, []string{"a", "b"}},
		{"hello", []string{"-static-pie"}, []string{"a"}},
		{"tree", nil, nil},
		{"signals", nil, nil},
		{"restart", nil, nil},
		{"stacks", nil, nil},
	} {
		program := compile(t, test.name, test.flags...)
		want, wantStatus := native(t, program, test.args...)
		for _, s := range []sentry.Sched{sentry.SchedDet, sentry.SchedFree} {
			t.Run(test.name, func(t *testing.T) {
				w := newRealWorld(t, sentry.Config{Sched: s})
				status := w.run(program, test.args...)
				if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(w.out.String(), "\n")); diff != "" {
					t.Errorf("output (-native +guest):\n%s", diff)
				}
				if got := syscall.WaitStatus(status); got != wantStatus&^0x80 {
					t.Errorf("wait status %#x, natively %#x", got, wantStatus)
				}
			})
		}
	}
}

// TestKilledStub: a stub that is killed from outside ends its process, with a
// report, and nothing else.
func TestKilledStub(t *testing.T) {
	program := compile(t, "hello")
	var reasons []sentry.Reason
	w := newRealWorld(t, sentry.Config{Observer: observing(func(r *sentry.Report) bool {
		reasons = append(reasons, r.Reason)
		return false
	})})
	task, h := w.load(program)
	if err := h.Do(task, func(c platform.Context) {
		if err := unix.Kill(c.HostTID(), unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	h.Release()
	w.wait(task)
	if _, status := task.Process().State(); status != uint32(unix.SIGKILL) {
		t.Errorf("status %#x", status)
	}
	if diff := cmp.Diff([]sentry.Reason{sentry.ReasonDied, sentry.ReasonExit}, reasons); diff != "" {
		t.Error(diff)
	}
	if status := w.run(program, "again"); status != 2<<8 {
		t.Errorf("the next guest's status is %#x", status)
	}
}

type observing func(r *sentry.Report) bool

func (o observing) Observe(r *sentry.Report) bool { return o(r) }

// TestNoStubIsLeft runs last in this file: this process has no children then.
func TestNoStubIsLeft(t *testing.T) {
	children, err := os.ReadFile("/proc/self/task/" + filepath.Base(mustReadlink(t, "/proc/thread-self")) + "/children")
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(children)) != 0 {
		t.Errorf("children are left: %s", children)
	}
}

func mustReadlink(t *testing.T, path string) string {
	t.Helper()
	target, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// TestHoldsDuringAForkStorm: a world that forks and ends all the time can be held,
// looked at and gone on with, by several at once, and gets done.
func TestHoldsDuringAForkStorm(t *testing.T) {
	program := compile(t, "storm")
	for _, s := range []sentry.Sched{sentry.SchedDet, sentry.SchedFree} {
		w := newRealWorld(t, sentry.Config{Sched: s})
		task, h := w.load(program, "10")
		h.Release()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 100 {
					h := w.Hold("storm")
					for _, p := range w.Processes() {
						for _, member := range p.Tasks() {
							if err := h.Do(member, func(c platform.Context) { _, _ = c.FPState() }); err != nil {
								t.Error(err)
							}
						}
					}
					h.Release()
				}
			})
		}
		wg.Wait()
		w.wait(task)
		if _, status := task.Process().State(); status != 0 {
			t.Errorf("sched %d: status %#x", s, status)
		}
	}
}

// TestShutdownInAForkStorm: nothing survives it.
func TestShutdownInAForkStorm(t *testing.T) {
	program := compile(t, "storm")
	w := newRealWorld(t, sentry.Config{Sched: sentry.SchedFree, KeepDead: true})
	_, h := w.load(program, "1000000")
	h.Release()
	for len(w.Processes()) < 20 {
		w.Hold("look").Release()
	}
	w.Shutdown()
	if n := w.NumProcesses(); n != 0 {
		t.Errorf("%d processes are alive", n)
	}
}

// TestDetIsTheSameTwice: with the same seed a program of several processes, with
// signals and sleeps, makes the same events in the same order.
func TestDetIsTheSameTwice(t *testing.T) {
	for _, name := range []string{"tree", "restart", "stacks"} {
		program := compile(t, name)
		var runs [2][]mm.Event
		for i := range runs {
			w := newRealWorld(t, sentry.Config{Seed: 7})
			w.LogSyscalls(true)
			w.run(program)
			events, lost := w.events.Since(0)
			if lost != 0 {
				t.Fatalf("%d events are lost", lost)
			}
			runs[i] = events
		}
		if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
			t.Errorf("%s: the second run differs:\n%s", name, diff)
		}
	}
}

// TestOddWaysIn: 32-bit calls are not known, 32-bit mode ends the process with its
// reason, the vsyscall page answers, a guest may unmap all that it can name.
func TestOddWaysIn(t *testing.T) {
	program := compile(t, "odd")
	sysenter, itsReason := uint32(unix.SIGKILL), sentry.ReasonDied
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err != nil {
		t.Fatal(err)
	} else if strings.Contains(string(cpu), "AuthenticAMD") { // whose processors have none in 64-bit mode
		sysenter, itsReason = uint32(unix.SIGILL), 0
	}
	for _, test := range []struct {
		how    string
		status uint32
		out    string
		reason sentry.Reason // a report that must come
	}{
		{how: "int80", out: "-38\n"},
		{how: "sysenter", status: sysenter, reason: itsReason},
		{how: "farret", status: uint32(unix.SIGKILL), reason: sentry.ReasonDied},
		{how: "vsyscall", out: "1 1 0\n"},
		{how: "vsyscall-read", status: uint32(unix.SIGSEGV)},
		{how: "vsyscall-bad", status: uint32(unix.SIGSEGV)},
		{how: "vsyscall-fault", status: uint32(unix.SIGSEGV)},
		{how: "unmap", status: uint32(unix.SIGSEGV)},
	} {
		t.Run(test.how, func(t *testing.T) {
			reasons := map[sentry.Reason]string{}
			w := newRealWorld(t, sentry.Config{Observer: observing(func(r *sentry.Report) bool {
				reasons[r.Reason] = r.Detail
				return false
			})})
			if status := w.run(program, test.how); status != test.status {
				t.Errorf("wait status %#x, not %#x", status, test.status)
			}
			if got := w.out.String(); got != test.out {
				t.Errorf("output %q, not %q", got, test.out)
			}
			if test.reason != 0 && reasons[test.reason] == "" {
				t.Errorf("no report says why: %v", reasons)
			}
		})
	}
}
