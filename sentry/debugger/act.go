package debugger

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// Memory returns the memory of process pid (0: the current one). A process that
// has given its memory back is an error.
func (d *Debugger) Memory(pid int32) (*mm.MemoryManager, error) {
	p, err := d.Process(pid)
	if err != nil {
		return nil, err
	}
	if m := p.MM(); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("process %d has ended and holds no memory", p.PID())
}

// Actor returns the person at the prompt as who asks the engine for op in
// process p, bound by p's limits as p itself would be.
func Actor(p *sentry.Process, op string) *mm.Actor {
	a := &mm.Actor{Limits: mm.NoLimits(), Origin: memmap.Origin{By: memmap.ByShell, Op: op}}
	if l := p.Limits(); l != nil {
		a.Limits = &mm.Limits{
			AS:      l[unix.RLIMIT_AS].Cur,
			Data:    l[unix.RLIMIT_DATA].Cur,
			Stack:   l[unix.RLIMIT_STACK].Cur,
			MemLock: l[unix.RLIMIT_MEMLOCK].Cur,
		}
	}
	return a
}

// Fork makes a copy of process pid that stands where its thread stands. The
// current process stays.
func (d *Debugger) Fork(pid int32) (*sentry.Process, error) {
	t, err := d.Task(pid)
	if err != nil {
		return nil, err
	}
	if err := d.notEnding(t.Process()); err != nil {
		return nil, err
	}
	child, err := t.Fork(d.hold)
	if err != nil {
		return nil, err
	}
	d.child = child.PID()
	return child, nil
}

// Call makes system call nr as the current thread would.
func (d *Debugger) Call(nr uint64, args sentry.Args) (uintptr, error) {
	t, err := d.Task(0)
	if err != nil {
		return 0, err
	}
	if err := d.notEnding(t.Process()); err != nil {
		return 0, err
	}
	return t.Call(d.hold, nr, args)
}

// notEnding refuses what makes no sense for a process that is at its end.
func (d *Debugger) notEnding(p *sentry.Process) error {
	if d.stop != nil && d.stop.ended && d.stop.PID == p.PID() {
		return fmt.Errorf("process %d is at its end", p.PID())
	}
	return nil
}

// StackPointer returns the stack pointer that process pid's faults are judged
// by; 0 if it has no thread.
func (d *Debugger) StackPointer(pid int32) memmap.Addr {
	t, err := d.Task(pid)
	if err != nil {
		return 0
	}
	return memmap.Addr(t.Regs().Rsp)
}

// Explain says what an access of process pid would meet; nothing is touched.
func (d *Debugger) Explain(pid int32, addr memmap.Addr, at memmap.AccessType) (mm.Explanation, error) {
	p, err := d.Process(pid)
	if err != nil {
		return mm.Explanation{}, err
	}
	m, err := d.Memory(pid)
	if err != nil {
		return mm.Explanation{}, err
	}
	return m.Explain(Actor(p, "why"), addr, at, d.StackPointer(pid)), nil
}

// Owner is a process that has a page.
type Owner struct {
	PID  int32
	Addr memmap.Addr
	COW  bool // it must copy the page before it writes
}

// Owners returns every process that has the page of process pid at addr, with
// the page's reference count. ok is false if no page is held there.
func (d *Debugger) Owners(pid int32, addr memmap.Addr) (owners []Owner, refs uint32, ok bool, err error) {
	m, err := d.Memory(pid)
	if err != nil {
		return nil, 0, false, err
	}
	w := m.Walk(addr)
	if w.PMA == nil || w.PMA.Zero {
		return nil, 0, false, nil
	}
	off := w.MemOffset &^ (memmap.PageSize - 1)
	for _, p := range d.kernel.Processes() {
		other := p.MM()
		if other == nil {
			continue
		}
		for _, o := range other.OwnersOf(w.PMA.File, off) {
			owners = append(owners, Owner{PID: p.PID(), Addr: o.Addr, COW: o.Cow})
		}
	}
	return owners, w.Refs, true, nil
}
