// Package debugger owns the motion of a world of guests: it loads programs, lets
// them run, stops them, and says why they stopped. Between two motions the world
// stands still, and everything may be looked at and changed.
//
// Read debugger.go (worlds and the current process), motion.go (running and
// stopping), observe.go (what stops a guest), stop.go (what is told of it), then
// act.go (a person's hands on the memory), peek.go (looking without touching),
// state.go (also of the dead), symbols.go, reap.go and sink.go (the guests' output).
package debugger

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"mmsh.dev/mmsh/loader"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/journal"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/pty"
)

// Config is what a Debugger is made of.
type Config struct {
	// Kernel is the template of every world's kernel. Events and Observer are set by
	// the Debugger.
	Kernel sentry.Config
	// NewWorld makes what a new kernel's guests find; Tree is put into Kernel.
	NewWorld  func() (*World, error)
	Env       []string // of loaded programs
	Cwd       string
	MaxEvents int // that the journal holds; 0: its default, below 0: no journal is kept
	// RunToEnd makes nothing stop the guests but their end and an Interrupt:
	// `mmsh run`.
	RunToEnd bool
	// Full, if not nil, stops the guests with each value that comes from it, as an
	// interrupt does: they have written all they may.
	Full <-chan struct{}
}

// World is what the guests of one kernel find: files, and a way to give them a
// program that is no file.
type World struct {
	Tree *vfs.Tree
	// Cache holds the pages of the files in Tree; it is put into Kernel as well. May
	// be nil.
	Cache *pagecache.Cache
	// Terminals is the devpts in Tree; it is put into Kernel as well. May be nil.
	Terminals *pty.FS
	// Mount completes Tree with what shows the kernel itself: /proc. May be nil.
	Mount func(*sentry.Kernel) error
	// Embed makes a program of an ELF file's content.
	Embed func(name string, content []byte) loader.File
	// Close gives all back, after the kernel's Shutdown. May be nil.
	Close func()
}

// Program is something that can be loaded.
type Program struct {
	Path    string   // in the guests' tree, or a name for Content
	Content []byte   // nil: Path is opened
	Args    []string // argv, Args[0] included
}

// The errors of motions that cannot begin.
var (
	ErrNoProcess = errors.New("there is no process: `load`, `demo` or `run` makes one")
	ErrNoProgram = errors.New("no program is loaded: `load FILE` or `demo` does")
	ErrBlank     = errors.New("a blank process has no code to run: `load FILE` or `demo`")
	ErrEnded     = errors.New("the program has ended: `run` starts it again")
)

// Debugger drives one world of guests at a time. It is not safe for concurrent
// use, but for Interrupt and Shutdown.
type Debugger struct {
	config  Config
	observe observer

	kernel  *sentry.Kernel
	world   *World
	hold    *sentry.Hold // held between motions
	journal *journal.Journal
	program *Program
	moved   bool // the program has left its first instruction

	pid, tid int32 // the current process and thread
	child    int32 // the newest child, 0 if none
	aborts   atomic.Pointer[sentry.Kernel]
	lost     []error // what worlds that ended could not write
	stop     *Stop   // the last one
}

// New returns a Debugger with no world yet: Blank or Load makes one.
func New(c Config) *Debugger {
	c.Kernel.KeepDead = true
	return &Debugger{config: c}
}

// Blank makes a new world with a blank process.
func (d *Debugger) Blank() error {
	if err := d.newWorld(); err != nil {
		return err
	}
	p, err := d.kernel.LoadBlank(d.hold)
	if err != nil {
		return fmt.Errorf("blank process: %w", err)
	}
	d.program, d.stop = nil, nil
	d.enter(p)
	return nil
}

// Load makes a new world with a program that stands before its first
// instruction. If that fails there is a blank process.
func (d *Debugger) Load(prog Program) (*Stop, error) {
	if err := d.newWorld(); err != nil {
		return nil, err
	}
	p, err := d.start(prog)
	if err != nil {
		return nil, errors.Join(err, d.Blank())
	}
	d.program, d.moved = &prog, false
	d.enter(p)
	return d.stopped(&Stop{Reason: Start}), nil
}

func (d *Debugger) start(prog Program) (*sentry.Process, error) {
	o := sentry.LoadOptions{Path: prog.Path, Args: prog.Args, Env: d.config.Env, Cwd: d.config.Cwd}
	if prog.Content != nil {
		return d.kernel.LoadFile(d.hold, d.world.Embed(prog.Path, prog.Content), o)
	}
	return d.kernel.Load(d.hold, o)
}

// newWorld ends the world there is and makes a held, empty one.
func (d *Debugger) newWorld() error {
	d.endWorld()
	w, err := d.config.NewWorld()
	if err != nil {
		return err
	}
	c := d.config.Kernel
	ring := d.newRing()
	c.Tree, c.Cache, c.Terminals, c.Events, c.Observer = w.Tree, w.Cache, w.Terminals, ring, &d.observe
	k, err := sentry.New(c)
	if err != nil {
		w.close()
		return fmt.Errorf("kernel: %w", err)
	}
	if w.Mount != nil {
		if err := w.Mount(k); err != nil {
			k.Shutdown()
			w.close()
			return err
		}
	}
	d.observe.reset(k, d.config.RunToEnd)
	d.kernel, d.world, d.journal = k, w, journal.New(ring, d.config.MaxEvents)
	d.aborts.Store(k)
	d.hold = k.Hold("new world")
	return nil
}

func (d *Debugger) newRing() *mm.Ring {
	switch n := d.config.MaxEvents; {
	case n < 0:
		return nil
	case n == 0:
		return mm.NewRing(journal.DefaultCap)
	default:
		return mm.NewRing(n)
	}
}

func (d *Debugger) endWorld() {
	if d.kernel == nil {
		return
	}
	k, w := d.kernel, d.world
	d.kernel, d.world, d.hold = nil, nil, nil
	d.aborts.Store(nil)
	d.pid, d.tid, d.child, d.stop = 0, 0, 0, nil
	k.Shutdown()
	d.lost = append(d.lost, writeOut(w.Cache, true)...)
	w.close()
}

// Lost returns what worlds that have ended could not write to the host, nil if all
// was written: an error for each file.
func (d *Debugger) Lost() error { return errors.Join(d.lost...) }

// writeOut writes all files out as their world ends, and says what could not be
// written; giveUp says that it never will be.
func writeOut(cache *pagecache.Cache, giveUp bool) (lost []error) {
	if cache == nil {
		return nil
	}
	_ = cache.Flush() // each file tells its own failure
	for _, f := range cache.Unwritten() {
		lost = append(lost, fmt.Errorf("%s: %d bytes are not written: %w", f.Name(), f.Dirty(), f.LastError()))
		if giveUp {
			_, _ = f.Abandon() // nobody uses it: the world is at its end
		}
	}
	return lost
}

func (w *World) close() {
	if w.Close != nil {
		w.Close()
	}
}

// Abort kills every process of the world, whatever state it is in, from any goroutine:
// the last resort before an exit. It returns what could not be written to the host.
func (d *Debugger) Abort() error {
	k := d.aborts.Load()
	if k == nil {
		return nil
	}
	k.Shutdown()
	return errors.Join(writeOut(k.Config().Cache, false)...)
}

// Close ends the world and every stub in it.
func (d *Debugger) Close() { d.endWorld() }

// Kill ends the world: every process dies and its memory is given back. The
// program stays known to Run.
func (d *Debugger) Kill() error {
	if d.kernel == nil {
		return ErrNoProcess
	}
	d.endWorld()
	return nil
}

// Program returns what was loaded last, nil for a blank process.
func (d *Debugger) Program() *Program { return d.program }

// Kernel returns the world, nil if there is none.
func (d *Debugger) Kernel() *sentry.Kernel { return d.kernel }

// Cache returns the pages of the world's files, nil if there is no world.
func (d *Debugger) Cache() *pagecache.Cache {
	if d.world == nil {
		return nil
	}
	return d.world.Cache
}

// Journal returns the world's history, nil if there never was a world.
func (d *Debugger) Journal() *journal.Journal { return d.journal }

// LastStop returns the newest stop of this world, nil if there was none.
func (d *Debugger) LastStop() *Stop { return d.stop }

// Alive reports whether a program is loaded and a process of it lives.
func (d *Debugger) Alive() bool { return d.program != nil && d.anyAlive() }

func (d *Debugger) anyAlive() bool { return d.kernel != nil && countAlive(d.kernel, 0) > 0 }

// Run starts the loaded program from its first instruction and lets it run until
// it stops.
func (d *Debugger) Run(ctx context.Context) (*Stop, error) {
	if d.program == nil {
		return nil, ErrNoProgram
	}
	if d.kernel == nil || d.moved {
		if _, err := d.Load(*d.program); err != nil {
			return nil, err
		}
	}
	return d.Continue(ctx)
}
