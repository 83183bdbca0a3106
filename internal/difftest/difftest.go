// Package difftest runs one program twice, on the host's kernel and as a guest of
// ours, and compares what it says: the host is the judge.
//
// Guests are C programs in testdata, compiled by the test run with gcc. They print
// everything they learn: values, errnos, bytes, their own maps. Natively they run
// with address randomisation off, so that addresses agree as well.
package difftest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// Options say how a program is run.
type Options struct {
	Args      []string // behind argv[0], which is the program's path
	Env       []string // nil: a small fixed environment
	Stdin     string
	TTY       *os.File      // descriptors 0, 1 and 2, if not nil; Result has no output then
	Cwd       string        // "": Scratch or testdata
	Scratch   string        // an empty directory of the host's; a guest finds files in memory there
	Written   string        // a directory of the host's that a guest changes as it would natively
	Private   bool          // Scratch is the host's own for the guest too, under the private layer
	Sched     sentry.Sched  // of the guest
	ASIO      mm.ASIOMode   // copies by way of the guest's own mappings; see mm.ASIO
	Auto      bool          // the guest's fault window is mm.WindowAuto instead of 4 KiB
	HostCache bool          // files of the host are mapped directly; see pagecache.Cache.MapHost
	Stderr    io.Writer     // a guest's, instead of Result's; called in the guest's own write
	Memory    uint64        // most that a guest's world may hold, in bytes; 0: any
	Timeout   time.Duration // 0: five minutes
}

func (o *Options) setDefaults(t testing.TB) {
	if o.Env == nil {
		o.Env = []string{"PATH=/usr/bin:/bin", "LANG=C"}
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.Cwd == "" {
		o.Cwd = o.Scratch
	}
	if o.Cwd == "" {
		o.Cwd = o.Written
	}
	if o.Cwd == "" {
		o.Cwd = testdata(t)
	}
}

// testdata is where the sources are, whatever test's working directory is.
func testdata(t testing.TB) string {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Result is what a run left.
type Result struct {
	Stdout, Stderr string
	Status         string // "exit 0", "SIGSEGV"
	Notes          string // of a guest: what the kernel wants people to know
}

func (r Result) String() string {
	return fmt.Sprintf("%s\n--- stderr\n%s--- %s\n", r.Stdout, r.Stderr, r.Status)
}

// status words a wait status. Whether a core was dumped is the host's business.
func status(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return unix.SignalName(ws.Signal())
	}
	return fmt.Sprintf("exit %d", ws.ExitStatus())
}

// builds are the programs that this test run has compiled, by source and flags.
var builds struct {
	sync.Mutex
	dir  string
	done map[string]string
}

// Build compiles testdata/NAME.c with gcc and flags (e.g. "-static") once per test
// run, and returns the program's path. Cleanup removes them all.
func Build(t testing.TB, name string, flags ...string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	key := name + strings.Join(flags, "")
	if path, ok := builds.done[key]; ok {
		return path
	}
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "difftest")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir, builds.done = dir, make(map[string]string)
	}
	path := filepath.Join(builds.dir, key)
	args := append([]string{"-O1", "-g", "-Wall", "-o", path, filepath.Join(testdata(t), name+".c")}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	builds.done[key] = path
	return path
}

// Cleanup removes what Build made. TestMain calls it at the end.
func Cleanup() {
	builds.Lock()
	defer builds.Unlock()
	if builds.dir != "" {
		_ = os.RemoveAll(builds.dir) // in the system's place for such things in any case
		builds.dir, builds.done = "", nil
	}
}

// Compare runs prog both ways and fails the test where the results differ once
// masks have been applied to both.
func Compare(t *testing.T, prog string, o Options, masks ...Mask) {
	t.Helper()
	same(t, Native(t, prog, o), Run(t, prog, o), masks...)
}

// paces are what SETTLE may be: how long a guest waits for the host kernel's own threads
// to have passed on what it wrote, in milliseconds.
var paces = []string{"5", "20", "80", "320"}

// ComparePaced is Compare for a guest that on the host has to wait for threads of the kernel,
// as terminals do, with no way to ask whether they are done. It waits for SETTLE, which
// is tried longer where the host said something else: it is the busy host that is late, never ours.
func ComparePaced(t *testing.T, prog string, o Options, masks ...Mask) {
	t.Helper()
	o.setDefaults(t)
	env := o.Env
	at := func(pace string) Options {
		o.Env = append(env[:len(env):len(env)], "SETTLE="+pace)
		return o
	}
	got := Run(t, prog, at(paces[0]))
	var want Result
	for _, pace := range paces {
		want = Native(t, prog, at(pace))
		if agree(want, got, masks) {
			return
		}
	}
	same(t, want, got, masks...)
}

// agree reports whether same would find nothing.
func agree(want, got Result, masks []Mask) bool {
	for _, mask := range masks {
		want.Stdout, got.Stdout = mask(want.Stdout), mask(got.Stdout)
		want.Stderr, got.Stderr = mask(want.Stderr), mask(got.Stderr)
	}
	return want.Status == got.Status && want.Stdout == got.Stdout && want.Stderr == got.Stderr
}

// same fails the test where two results differ once masks have been applied.
func same(t *testing.T, want, got Result, masks ...Mask) {
	t.Helper()
	for _, mask := range masks {
		want.Stdout, got.Stdout = mask(want.Stdout), mask(got.Stdout)
		want.Stderr, got.Stderr = mask(want.Stderr), mask(got.Stderr)
	}
	if want.Status != got.Status {
		t.Errorf("the guest ended with %s, natively with %s", got.Status, want.Status)
	}
	diff(t, "stdout", want.Stdout, got.Stdout)
	diff(t, "stderr", want.Stderr, got.Stderr)
	if t.Failed() && got.Notes != "" {
		t.Logf("the guest's kernel notes:\n%s", got.Notes)
	}
}

// diff reports the lines that differ, the first of them at least.
func diff(t *testing.T, what, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	const most = 25
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	shown := 0
	for i := 0; i < max(len(w), len(g)) && shown < most; i++ {
		a, b := line(w, i), line(g, i)
		if a != b {
			t.Errorf("%s line %d:\n  native %s\n  guest  %s", what, i+1, a, b)
			shown++
		}
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}
