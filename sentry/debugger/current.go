package debugger

import (
	"fmt"

	"mmsh.dev/mmsh/sentry"
)

// enter makes p and its first thread current.
func (d *Debugger) enter(p *sentry.Process) {
	d.pid, d.tid = p.PID(), 0
	if tasks := p.Tasks(); len(tasks) > 0 {
		d.tid = tasks[0].TID()
	}
}

// Select makes the process pid current, which may be a dead one that is kept.
func (d *Debugger) Select(pid int32) error {
	p, err := d.Process(pid)
	if err != nil {
		return err
	}
	d.enter(p)
	return nil
}

// PID returns the current process's id, 0 if there is none.
func (d *Debugger) PID() int32 { return d.pid }

// Child returns the newest child that fork, by guest or shell, has made; 0 if none.
func (d *Debugger) Child() int32 { return max(d.child, d.observe.newestChild()) }

// Process returns the process pid; 0 is the current one.
func (d *Debugger) Process(pid int32) (*sentry.Process, error) {
	if d.kernel == nil {
		return nil, ErrNoProcess
	}
	if pid == 0 {
		pid = d.pid
	}
	if p := d.kernel.Process(pid); p != nil && p.PID() != 1 {
		return p, nil
	}
	return nil, fmt.Errorf("there is no process %d: `ps` lists them", pid)
}

// Task returns the thread that speaks for process pid: the current one, or the
// first that lives.
func (d *Debugger) Task(pid int32) (*sentry.Task, error) {
	p, err := d.Process(pid)
	if err != nil {
		return nil, err
	}
	tasks := p.Tasks()
	if len(tasks) == 0 {
		return nil, fmt.Errorf("process %d has ended: it has no thread", p.PID())
	}
	for _, t := range tasks {
		if t.TID() == d.tid {
			return t, nil
		}
	}
	return tasks[0], nil
}

// countAlive counts the processes that live, except pid.
func countAlive(k *sentry.Kernel, except int32) int {
	n := 0
	for _, p := range k.Processes() {
		if state, _ := p.State(); state == sentry.Alive && p.PID() != except {
			n++
		}
	}
	return n
}
