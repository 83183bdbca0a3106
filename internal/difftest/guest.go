package difftest

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/platform/ptrace"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/procfs"
	"mmsh.dev/mmsh/sentry/syscalls"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/devfs"
	"mmsh.dev/mmsh/sentry/vfs/hostfs"
	"mmsh.dev/mmsh/sentry/vfs/memfs"
	"mmsh.dev/mmsh/sentry/vfs/pty"
)

// world is everything that a guest needs, made for one run.
type world struct {
	platform platform.Platform
	memory   *pgalloc.MemoryFile
	cache    *pagecache.Cache
	host     *hostfs.FS
	private  *memfs.FS  // over host
	scratch  *memfs.FS  // nil: there is none
	written  *hostfs.FS // nil: nothing of the host's is
	events   *mm.Ring
	kernel   *sentry.Kernel

	stdout, stderr output
}

// output is a buffer that tasks may write to at the same time.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func newWorld(o Options) (*world, error) {
	w := &world{events: mm.NewRing(1 << 14)}
	var err error
	if w.memory, err = pgalloc.New(pgalloc.Options{Limit: o.Memory}); err != nil {
		return nil, err
	}
	if w.platform, err = ptrace.New(); err != nil {
		return nil, err
	}
	w.cache = pagecache.New(w.memory)
	if o.HostCache {
		w.cache.MapHost(w.platform.ForgetFD)
	}
	if w.host, err = hostfs.New("/", w.cache); err != nil {
		return nil, err
	}
	if w.private, err = memfs.NewOver(w.host, w.memory, memfs.Options{}); err != nil {
		return nil, err
	}
	window := &mm.FaultWindow{}
	window.Set(memmap.PageSize)
	if o.Auto {
		window.Set(mm.WindowAuto)
	}
	asio := &mm.ASIO{}
	asio.Set(o.ASIO)
	tree := vfs.NewTree(w.private)
	dev, pts := devfs.New(), pty.New(pty.Options{})
	dev.Terminals = pts
	tree.Mount("/dev", dev)
	tree.Mount("/dev/pts", pts)
	if o.Scratch != "" && !o.Private {
		w.scratch = memfs.New(w.memory, memfs.Options{
			At: o.Scratch, Mode: 0o755, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Minor: 41,
		})
		tree.Mount(o.Scratch, w.scratch)
	}
	if o.Written != "" {
		if w.written, err = hostfs.NewWritable(o.Written, w.cache, hostfs.Options{At: o.Written}); err != nil {
			return nil, err
		}
		tree.Mount(o.Written, w.written)
	}
	config := sentry.Config{
		Platform:  w.platform,
		Memory:    w.memory,
		Calls:     syscalls.Table(),
		Tree:      tree,
		Cache:     w.cache,
		Events:    w.events,
		Window:    window,
		ASIO:      asio,
		Sched:     o.Sched,
		Terminals: pts,
		Stdin:     strings.NewReader(o.Stdin),
		Stdout:    &w.stdout,
		Stderr:    &w.stderr,
	}
	if o.Stderr != nil {
		config.Stderr = o.Stderr
	}
	if o.TTY != nil {
		config.Stdin, config.Stdout, config.Stderr = o.TTY, o.TTY, o.TTY
	}
	if w.kernel, err = sentry.New(config); err != nil {
		return nil, err
	}
	dev.Jobs = w.kernel
	if w.written != nil {
		w.written.SetClock(w.kernel.Clock().Now)
	}
	tree.Mount("/proc", procfs.New(w.kernel))
	return w, nil
}

// Run runs prog as a guest, until no process of its world is alive, and then
// checks that nothing is left of it: no page, no stub.
func Run(t testing.TB, prog string, o Options) Result {
	t.Helper()
	o.setDefaults(t)
	w, err := newWorld(o)
	if err != nil {
		t.Fatal(err)
	}
	hold := w.kernel.Hold("load")
	p, err := w.kernel.Load(hold, sentry.LoadOptions{
		Path: prog,
		Args: append([]string{prog}, o.Args...),
		Env:  o.Env,
		Cwd:  o.Cwd,
	})
	hold.Release()
	var ended error
	if err == nil {
		ended = w.wait(time.After(o.Timeout))
	}
	var code uint32
	if p != nil {
		_, code = p.State()
	}
	w.kernel.Shutdown()
	w.checkEmpty(t)
	if err != nil {
		t.Fatalf("loading %s: %v", prog, err)
	}
	if ended != nil {
		t.Errorf("%v\nstdout so far:\n%s\nstderr:\n%s\nnotes:\n%s", ended, w.stdout.String(), w.stderr.String(), w.notes())
	}
	return Result{w.stdout.String(), w.stderr.String(), status(unix.WaitStatus(code)), w.notes()}
}

// wait returns when no process is alive: an error if they can only wait for one
// another, or if that is not before timeout.
func (w *world) wait(timeout <-chan time.Time) error {
	for {
		task := w.anyTask()
		if task == nil {
			return nil
		}
		select {
		case <-task.Done():
		case r := <-w.kernel.Stops():
			r.Hold.Release()
			return fmt.Errorf("the guest's world stopped: %v %s", r.Reason, r.Detail)
		case <-timeout:
			return fmt.Errorf("the guest did not end: %s", w.where())
		}
	}
}

// anyTask returns a live task, nil if there is none.
func (w *world) anyTask() *sentry.Task {
	for _, p := range w.kernel.Processes() {
		if tasks := p.Tasks(); len(tasks) > 0 {
			return tasks[0]
		}
	}
	return nil
}

// where says what every task is doing.
func (w *world) where() string {
	var b strings.Builder
	for _, p := range w.kernel.Processes() {
		for _, t := range p.Tasks() {
			state, call := t.State()
			fmt.Fprintf(&b, "tid %d state %d call %q; ", t.TID(), state, call)
		}
	}
	return b.String()
}

// notes are the events that people should know of.
func (w *world) notes() string {
	var b strings.Builder
	events, _ := w.events.Since(0)
	for _, e := range events {
		if e.Kind == mm.EventNote {
			fmt.Fprintf(&b, "pid %d: %s\n", e.PID, e.Note)
		}
	}
	return b.String()
}

// checkEmpty fails the test if the world left something behind.
func (w *world) checkEmpty(t testing.TB) {
	t.Helper()
	if err := w.platform.Close(); err != nil {
		t.Errorf("closing the platform: %v", err)
	}
	if err := w.cache.Flush(); err != nil {
		t.Errorf("files that were not written: %v", err)
	}
	w.cache.Evict(1 << 62)
	if w.scratch != nil {
		if err := w.scratch.Close(); err != nil {
			t.Errorf("closing the files in memory: %v", err)
		}
	}
	if err := w.private.Close(); err != nil {
		t.Errorf("closing the private files: %v", err)
	}
	if w.written != nil {
		if err := w.written.Close(); err != nil {
			t.Errorf("closing what was written: %v", err)
		}
	}
	if err := w.host.Close(); err != nil {
		t.Errorf("closing the host's tree: %v", err)
	}
	if err := w.memory.Close(); err != nil {
		t.Errorf("memory that nobody gave back: %v", err)
	}
	if pids := children(t); pids != "" {
		t.Errorf("stubs are left: %s", pids)
	}
}

// children are the processes that this test has, of all its threads.
func children(t testing.TB) string {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue // the thread ended; its children are another's now
		}
		all = append(all, strings.Fields(string(b))...)
	}
	return strings.Join(all, " ")
}
