package procfs

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// userTick is what times are shown in: USER_HZ is 100.
const userTick = 10 * time.Millisecond

// signals are the sets of signals that stat and status show.
type signals struct {
	pending, blocked, ignored, caught sentry.SigSet
}

// signals returns those of the thread, or of the process's first one.
func (p *process) signals() (s signals) {
	t := p.thread()
	if t == nil {
		return s
	}
	s.pending, s.blocked = t.Pending(), t.SigMask()
	for sig := int32(1); sig <= 64; sig++ {
		act, err := t.SetAction(sig, nil)
		if err != nil {
			continue // SIGKILL and SIGSTOP have none
		}
		const dfl, ign = 0, 1
		switch bit := sentry.SigSet(1) << (sig - 1); act.Handler {
		case dfl:
		case ign:
			s.ignored |= bit
		default:
			s.caught |= bit
		}
	}
	return s
}

// thread returns the thread that the directory is of, nil if none lives.
func (p *process) thread() *sentry.Task {
	if p.task != nil {
		return p.task
	}
	if all := p.p.Tasks(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// state returns the letter of what the process does and its name.
func (p *process) state() (byte, string) {
	if state, _ := p.p.State(); state != sentry.Alive {
		return 'Z', "zombie"
	}
	if t := p.thread(); t != nil {
		if state, _ := t.State(); state == sentry.Blocked {
			return 'S', "sleeping"
		}
	}
	return 'R', "running"
}

// stat is proc_pid_stat(5), 52 fields.
func (p *process) stat() ([]byte, error) {
	letter, _ := p.state()
	_, status := p.p.State()
	s, l, sig := p.sizes(), p.image(), p.signals()
	used, children := p.p.Usage(), p.p.ChildUsage()
	device, foreground := p.p.Terminal()
	minor := unix.Minor(device)
	terminal := int32(unix.Major(device)<<8 | minor&0xff | minor&^0xff<<12)
	ticks := func(d time.Duration) int64 { return int64(d / userTick) }
	fields := []any{
		p.id(), "(" + p.name() + ")", string(letter), p.p.PPID(), p.p.PGID(), p.p.SID(),
		terminal, foreground, 0, // flags
		used.MinorFaults, children.MinorFaults, used.MajorFaults, children.MajorFaults,
		ticks(used.User), ticks(used.System), ticks(children.User), ticks(children.System),
		20, 0, len(p.p.Tasks()), 0, // priority, nice, threads, itimer
		0, // since boot
		s.Virtual, s.RSS / memmap.PageSize, uint64(p.p.Limits()[unix.RLIMIT_RSS].Cur),
		uint64(l.code.Start), uint64(l.code.End), uint64(l.stackStart), 0, 0,
		uint64(sig.pending) & 0x7fffffff, uint64(sig.blocked) & 0x7fffffff,
		uint64(sig.ignored) & 0x7fffffff, uint64(sig.caught) & 0x7fffffff,
		0, 0, 0, int(unix.SIGCHLD), 0, 0, 0, 0, 0, 0, // wchan, swap, exit signal, processor, policies
		uint64(l.data.Start), uint64(l.data.End), uint64(s.startBrk),
		uint64(l.args.Start), uint64(l.args.End), uint64(l.envs.Start), uint64(l.envs.End),
		status,
	}
	words := make([]string, len(fields))
	for i, f := range fields {
		words[i] = fmt.Sprint(f)
	}
	return []byte(strings.Join(words, " ") + "\n"), nil
}
