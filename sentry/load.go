package sentry

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/loader"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry/vfs"
)

// LoadOptions say what the first program is given.
type LoadOptions struct {
	Path string   // in the guest's tree
	Args []string // argv, Args[0] included
	Env  []string
	Cwd  string // "" is /
}

// initialFlags is eflags at a program's start: interrupts on, and the bit that is
// always set.
const initialFlags = 0x202

// addrNoRandomize is ADDR_NO_RANDOMIZE of personality(2).
const addrNoRandomize = 0x0040000

// Load makes a process of a program, stopped at its first instruction. All tasks are held:
// the caller holds h.
func (k *Kernel) Load(h *Hold, o LoadOptions) (*Process, error) {
	fs, err := k.newContext(o.Cwd)
	if err != nil {
		return nil, err
	}
	f, err := fs.OpenProgram(vfs.Where{Path: o.Path})
	if err != nil {
		return nil, err
	}
	p, err := k.load(h, f, o, fs)
	return p, errors.Join(err, f.Close())
}

// LoadFile is Load of a program that is not in the tree, e.g. an embedded one.
func (k *Kernel) LoadFile(h *Hold, f loader.File, o LoadOptions) (*Process, error) {
	fs, err := k.newContext(o.Cwd)
	if err != nil {
		return nil, err
	}
	return k.load(h, f, o, fs)
}

// LoadBlank makes a process with no program: an empty address space with one
// thread whose registers are zero.
func (k *Kernel) LoadBlank(h *Hold) (*Process, error) {
	fs, err := k.newContext("")
	if err != nil {
		return nil, err
	}
	return k.newFirst(fs, "blank", func(t *Task) error {
		t.mm.BrkSetup(t.actorBy(memmap.ByKernel, "brk"), blankHeap)
		return nil
	})
}

// blankHeap is where the heap of a process without a program starts: where the programs of a
// host that randomises nothing have theirs.
const blankHeap memmap.Addr = 0x555555555000

func (k *Kernel) newContext(cwd string) (*vfs.Context, error) {
	if k.cfg.Tree == nil {
		return &vfs.Context{}, nil
	}
	if cwd == "" {
		cwd = "/"
	}
	return k.cfg.Tree.NewContext(cwd)
}

func (k *Kernel) load(_ *Hold, f loader.File, o LoadOptions, fs *vfs.Context) (*Process, error) {
	return k.newFirst(fs, path.Base(o.Path), func(t *Task) error {
		lo := loader.Options{
			Path: o.Path, Args: o.Args, Env: o.Env, VDSO: k.vdso,
			MinSigStack: MinSigStackSize(), HWCap: hostAux(atHWCap), HWCap2: hostAux(atHWCap2),
		}
		c := t.p.Credentials()
		lo.UID, lo.EUID, lo.GID, lo.EGID = c.UID, c.EUID, c.GID, c.EGID
		k.Random(lo.Random[:])
		by := t.actorBy(memmap.ByELF, "load")
		image, start, err := loader.Load(by, t.mm, f, lo)
		if err != nil {
			return err
		}
		t.p.image, t.p.exe = image, resolved(f, o.Path)
		t.mm.SetStackPointer(start.SP)
		t.regs.Rip, t.regs.Rsp = uint64(start.Entry), uint64(start.SP)
		k.cfg.Events.Append(mm.Event{
			Kind: mm.EventExec, PID: t.p.pid, Note: o.Path,
			Origin: memmap.Origin{By: memmap.ByKernel, Op: "exec", TID: t.tid},
		})
		return nil
	})
}

// resolved returns where f really is, path if f does not know.
func resolved(f loader.File, path string) string {
	if named, ok := f.(interface{ Path() string }); ok {
		return named.Path()
	}
	return path
}

// newFirst makes a process of no parent but the reaper, whose memory and registers
// setup makes, and lets it wait for its turn.
func (k *Kernel) newFirst(fs *vfs.Context, name string, setup func(*Task) error) (*Process, error) {
	pid, err := k.reservePID()
	if err != nil {
		return nil, err
	}
	p := &Process{k: k, pid: pid, fs: fs, fds: vfs.NewTable(), limits: defaultLimits(k.cfg.MaxProcs)}
	creds := hostCredentials()
	p.creds.Store(&creds)
	p.dumpable.Store(1)
	if k.cfg.Seed == 0 {
		p.personality.Store(addrNoRandomize)
	}
	if err := k.raise(p, setup); err != nil {
		p.fds.CloseAll()
		p.fs.Release()
		p.giveBack()
		k.cancelPID(pid)
		return nil, err
	}
	k.dropKept()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.first = p
	p.name = commName(name)
	return p, nil
}

// raise gives p memory, descriptors and a thread.
func (k *Kernel) raise(p *Process, setup func(*Task) error) error {
	m, err := k.newMemory(p)
	if err != nil {
		return err
	}
	p.mm = m
	if err := k.openStandard(p.fds); err != nil {
		return err
	}
	t := newTask(p, p.pid, m)
	t.regs.Eflags = initialFlags
	t.regs.Cs, t.regs.Ss = userCS, userSS
	if err := setup(t); err != nil {
		return err
	}
	p.leader, p.threads = t, []*Task{t}
	if err := t.start(nil); err != nil {
		return err
	}
	if !k.publish(k.reaper, p) {
		t.abandon()
		return fmt.Errorf("load: %w: the world ends", unix.EAGAIN)
	}
	k.sched.hatch(t)
	return nil
}

// newMemory returns empty memory for p, in an address space of its own.
func (k *Kernel) newMemory(p *Process) (*mm.MemoryManager, error) {
	layout, err := mm.NewLayout(k.cfg.Platform.UserRange(), p.limits[unix.RLIMIT_STACK].Cur, k.cfg.Seed)
	if err != nil {
		return nil, err
	}
	as, err := k.cfg.Platform.NewAddressSpace()
	if err != nil {
		return nil, err
	}
	return mm.New(mm.Config{
		Memory: k.cfg.Memory, AS: as, Layout: layout, Window: k.cfg.Window, ASIO: k.cfg.ASIO, Events: k.cfg.Events, PID: p.pid,
	}), nil
}

// openStandard opens descriptors 0, 1 and 2.
func (k *Kernel) openStandard(fds *vfs.Table) error {
	for fd, f := range k.std {
		path := [...]string{"/dev/stdin", "/dev/stdout", "/dev/stderr"}[fd]
		if named := k.nameOf(f); named != "" {
			path = named
		}
		if err := fds.Set(int32(fd), vfs.NewDescription(f, unix.O_RDWR, path), false, mm.Infinity); err != nil {
			return err
		}
	}
	return nil
}

// dropKept frees what the first process left, before another one is the first.
func (k *Kernel) dropKept() {
	k.mu.Lock()
	old := k.first
	ended := old != nil && old.state != Alive
	k.mu.Unlock()
	if ended {
		old.giveBack()
	}
}

// Call makes system call nr as t would, on t's tracing thread; the world is held.
// Blocking calls return their Restart error at once. For the shell's `call`.
func (t *Task) Call(h *Hold, nr uint64, a Args) (v uintptr, err error) {
	err = t.asPerson(func() error {
		if nr >= uint64(len(t.k.cfg.Calls)) || t.k.cfg.Calls[nr].Fn == nil {
			return fmt.Errorf("%s: %w: this call is not known", t.k.callName(nr), unix.ENOSYS)
		}
		was := t.call.Swap(int64(nr))
		defer t.call.Store(was)
		v, err = t.k.cfg.Calls[nr].Fn(t, a)
		return err
	})
	return v, err
}
