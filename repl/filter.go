package repl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/sentry/journal"
)

// groups are the %names of system calls.
var groups = map[string][]string{
	"memory": {"mmap", "munmap", "mprotect", "mremap", "brk", "madvise", "mlock", "mlock2", "munlock", "mlockall", "munlockall",
		"msync", "mincore", "mbind", "get_mempolicy", "set_mempolicy", "mseal", "membarrier", "pkey_mprotect", "remap_file_pages", "process_madvise"},
	"process": {"fork", "vfork", "clone", "clone3", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "kill", "tkill", "tgkill"},
	"signal": {"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "kill",
		"tkill", "tgkill", "pause"},
	"file": {"open", "openat", "openat2", "creat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "readlink", "readlinkat", "unlink", "rename", "mkdir"},
	"desc": {"read", "write", "readv", "writev", "pread64", "pwrite64", "close", "dup", "dup2", "dup3", "fstat", "lseek", "ioctl", "fcntl", "pipe", "pipe2"},
}

// matcher returns f as a function on events. Moments are resolved now.
func (s *Session) matcher(f *lang.Filter) (journal.Match, error) {
	since, err := s.momentSeq(f.Since, 0)
	if err != nil {
		return nil, err
	}
	until, err := s.momentSeq(f.Until, ^uint64(0))
	if err != nil {
		return nil, err
	}
	calls, err := syscallNames(f.Syscalls)
	if err != nil {
		return nil, err
	}
	return func(e *mm.Event) (bool, error) {
		if e.Seq <= since || e.Seq > until || !s.matches(f, calls, e) {
			return false, nil
		}
		return s.holdsFor(f.If, e)
	}, nil
}

func (s *Session) matches(f *lang.Filter, calls []string, e *mm.Event) bool {
	for _, kind := range f.Kinds {
		if !journal.IsKind(e, kind) {
			return false
		}
	}
	for _, cause := range f.Causes {
		if e.Cause != cause {
			return false
		}
	}
	return (f.PID == 0 || e.PID == int32(f.PID)) &&
		(f.Perms == nil || f.Perms.Match(e.Access, false)) &&
		(f.By == "" || s.askedBy(e, f.By)) &&
		(f.In == nil || within(e, f.In)) &&
		(len(calls) == 0 || slices.Contains(calls, s.syscallOfEvent(e)))
}

// within reports whether an event touches a range. A range of another process is
// that process's alone.
func within(e *mm.Event, r *lang.Range) bool {
	if r.PID != 0 && e.PID != int32(r.PID) {
		return false
	}
	ar, ok := r.AddrRange()
	if !ok {
		ar.End = ^memmap.Addr(0)
	}
	return e.Range.Overlaps(ar) && !e.Range.IsEmpty() || e.Addr != 0 && ar.Contains(e.Addr)
}

func (s *Session) askedBy(e *mm.Event, by string) bool {
	if e.Origin.By.String() == by {
		return true
	}
	return s.functionOfEvent(e) == by
}

// syscallNames spells groups and numbers out.
func syscallNames(words []string) ([]string, error) {
	var names []string
	for _, w := range words {
		group, isGroup := strings.CutPrefix(w, "%")
		switch {
		case isGroup && groups[group] == nil:
			return nil, fmt.Errorf("there is no group %%%s of system calls: %%memory %%process %%signal %%file %%desc", group)
		case isGroup:
			names = append(names, groups[group]...)
		default:
			if nr, err := strconv.Atoi(w); err == nil {
				w = fmt.Sprintf("syscall_%d", nr)
			}
			names = append(names, w)
		}
	}
	return names, nil
}

// momentSeq returns the event that a moment stands behind.
func (s *Session) momentSeq(m *lang.Moment, otherwise uint64) (uint64, error) {
	if m == nil {
		return otherwise, nil
	}
	j := s.d.Journal()
	switch m.Kind {
	case lang.MomentEvent:
		return m.N, nil
	case lang.MomentAgo:
		return j.Last() - min(j.Last(), m.N), nil
	}
	events := j.After(0)
	for i := len(events) - 1; i >= 0; i-- {
		if journal.IsKind(&events[i], m.Name) {
			return events[i].Seq, nil
		}
	}
	return 0, fmt.Errorf("%v: there is no mark and no event of that name", *m)
}

// eventEnv is an env in which an event's numbers are variables.
type eventEnv struct {
	*env
	e *mm.Event
}

// Variable implements lang.Env.
func (v *eventEnv) Variable(name string) (lang.Number, bool) {
	e := v.e
	switch name {
	case "seq":
		return lang.Int(int64(e.Seq)), true
	case "pid":
		return lang.Int(int64(e.PID)), true
	case "tid":
		return lang.Int(int64(e.Origin.TID)), true
	case "addr":
		if e.Addr == 0 {
			return lang.At(e.Range.Start), true
		}
		return lang.At(e.Addr), true
	case "start":
		return lang.At(e.Range.Start), true
	case "end":
		return lang.At(e.Range.End), true
	case "pages":
		return lang.Int(int64(journal.PagesOf(e))), true
	case "pc":
		return lang.At(e.Origin.PC), true
	case "number":
		return lang.Int(e.Number), true
	case "result":
		return lang.Int(int64(e.Result)), true
	}
	return v.env.Variable(name)
}

// Register implements lang.Env: $pc is the event's.
func (v *eventEnv) Register(name string) (lang.Number, bool, error) {
	if name == "pc" {
		return lang.Number{}, false, nil
	}
	return v.env.Register(name)
}

func (s *Session) holdsFor(cond *lang.Expr, e *mm.Event) (bool, error) {
	if cond == nil {
		return true, nil
	}
	n, err := cond.Eval(&eventEnv{s.env(0), e})
	return n.True(), err
}
