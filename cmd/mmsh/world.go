package main

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/loader"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform/ptrace"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/debugger"
	"mmsh.dev/mmsh/sentry/procfs"
	"mmsh.dev/mmsh/sentry/syscalls"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/devfs"
	"mmsh.dev/mmsh/sentry/vfs/hostfs"
	"mmsh.dev/mmsh/sentry/vfs/memfs"
	"mmsh.dev/mmsh/sentry/vfs/pty"
)

// machine is what all worlds of a session stand on.
type machine struct {
	options  *options
	platform *ptrace.Platform
	memory   *pgalloc.MemoryFile
	window   *mm.FaultWindow
	asio     *mm.ASIO
}

func newMachine(o *options) (*machine, error) {
	memory, err := pgalloc.New(pgalloc.Options{Limit: o.mem})
	if err != nil {
		return nil, fmt.Errorf("guest memory: %w", err)
	}
	p, err := ptrace.New()
	if err != nil {
		_ = memory.Close()
		return nil, fmt.Errorf("stub processes: %w", err)
	}
	m := &machine{options: o, platform: p, memory: memory, window: &mm.FaultWindow{}, asio: &mm.ASIO{}}
	m.window.Set(o.window)
	return m, nil
}

// close gives all back; no world may be left. The error names guest memory that
// was not given back.
func (m *machine) close() error {
	err := m.platform.Close()
	if leak := m.memory.Close(); err == nil {
		err = leak
	}
	return err
}

// debugger returns a debugger whose guests have those standard descriptors and are
// stopped when full says so.
func (m *machine) debugger(stdin io.Reader, stdout, stderr io.Writer, full <-chan struct{}, env []string, toEnd bool) *debugger.Debugger {
	return debugger.New(debugger.Config{
		Kernel: sentry.Config{
			Platform: m.platform, Memory: m.memory, Calls: syscalls.Table(), Window: m.window, ASIO: m.asio, Sched: m.options.sched,
			Seed: m.options.seed, MaxProcs: m.options.procs, Stdin: stdin, Stdout: stdout, Stderr: stderr,
		},
		NewWorld: m.newWorld, Env: env, Cwd: m.options.workingDir(), MaxEvents: m.options.maxEvents, RunToEnd: toEnd, Full: full,
	})
}

// newWorld makes the files of one kernel's guests.
func (m *machine) newWorld() (*debugger.World, error) {
	root := m.options.root
	if root == "" {
		root = "/"
	}
	cache := pagecache.New(m.memory)
	if m.options.fileCache == "host" {
		cache.MapHost(m.platform.ForgetFD)
	}
	host, err := hostfs.New(root, cache)
	if err != nil {
		return nil, fmt.Errorf("--root %s: %w", root, err)
	}
	private, err := memfs.NewOver(host, m.memory, memfs.Options{})
	if err != nil {
		_ = host.Close()
		return nil, fmt.Errorf("--root %s: %w", root, err)
	}
	tree, dev, pts := vfs.NewTree(private), devfs.New(), pty.New(pty.Options{})
	dev.Terminals, dev.Places = pts, []string{"pts", "shm"}
	tree.Mount("/dev", dev)
	tree.Mount("/dev/pts", pts)
	shm := memfs.New(m.memory, memfs.Options{At: "/dev/shm", Mode: unix.S_ISVTX | 0o777, Minor: 41})
	tree.Mount("/dev/shm", shm)
	written, err := m.mountWritable(tree, cache)
	if err != nil {
		_ = private.Close()
		_ = host.Close()
		return nil, err
	}
	var embedded []*vfs.Program
	return &debugger.World{
		Tree:      tree,
		Cache:     cache,
		Terminals: pts,
		Mount: func(k *sentry.Kernel) error {
			dev.Random, dev.Jobs = kernelRandom{k}, k
			private.SetClock(k.Clock().Now)
			shm.SetClock(k.Clock().Now)
			written.setClock(k)
			tree.Mount("/proc", procfs.New(k))
			return nil
		},
		Embed: func(name string, content []byte) loader.File {
			p := memfs.NewProgram(cache, name, content)
			embedded = append(embedded, p)
			return p
		},
		Close: func() {
			for _, p := range embedded {
				_ = p.Close() // bytes of our own: nothing is written back
			}
			_ = shm.Close() // files of memory: nothing is written back
			written.close()
			_ = private.Close()
			_ = host.Close()
		},
	}, nil
}

// kernelRandom is /dev/random of a world: the kernel's numbers, which are the same
// in every run of a deterministic one.
type kernelRandom struct{ k *sentry.Kernel }

func (r kernelRandom) Read(p []byte) (int, error) {
	r.k.Random(p)
	return len(p), nil
}
