package debugger

import (
	"errors"

	"mmsh.dev/mmsh/platform"
	"mmsh.dev/mmsh/sentry"
)

// Reap finds the processes whose stubs somebody else has killed while the world
// stood still, ends them, and gives their memory back. It returns their ids.
func (d *Debugger) Reap() []int32 {
	if d.kernel == nil {
		return nil
	}
	var died []int32
	for _, p := range d.kernel.Processes() {
		state, _ := p.State()
		m := p.MM()
		if state != sentry.Alive || m == nil {
			continue
		}
		if _, err := m.AddressSpace().HostMappings(); errors.Is(err, platform.ErrDied) {
			d.bury(p)
			died = append(died, p.PID())
		}
	}
	return died
}

// bury ends a process whose stub is gone. It is the last stop if it was the
// current process.
func (d *Debugger) bury(p *sentry.Process) {
	if p.PID() == d.pid {
		d.stopped(&Stop{Reason: Died, Detail: "its stub process was killed from outside", ended: true})
	}
	d.kernel.Kill(d.hold, p)
}
