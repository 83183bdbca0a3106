package repl

import (
	"fmt"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/debugger"
	"mmsh.dev/mmsh/sentry/journal"
)

func historyCommands() []*Command {
	return []*Command{
		{
			Name: "events", Group: "history", Synopsis: "[FILTER]", Summary: "what happened, one event a line",
			Help: "FILTER is words that must all hold: a kind (fault cow map unmap protect fork exec exit signal syscall writeback), a cause (cow-copy, zero-fill, …), in RANGE|NAME, pid P, " +
				"by SYMBOL|shell|elf, perms ?w?, NAME behind `syscall`, since @A, until @B, if E with $seq $pid $addr $pages $pc.",
			Examples: []Example{
				{Setup: "mmap 64k rw; touch $_,8k w", Line: "events fault", Shows: "the faults"},
				{Setup: "mmap 64k rw", Line: "events by shell", Shows: "what the shell did"},
			},
			Data: []view.Value{view.Events{}}, Complete: []hint{hintFilter}, See: true, Run: runEvents,
		},
		{
			Name: "origin", Group: "history", Synopsis: "ADDR", Summary: "who made the mapping at an address, and what has happened to its page",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,8k w; fork", Line: "origin $_@2", Shows: ""}},
			Data:     []view.Value{view.OriginOfAddr{}}, Complete: []hint{hintAddr}, See: true, Run: runOrigin,
		},
		{
			Name: "stats", Group: "history", Synopsis: "[by cause|vma|function|pid|syscall] [FILTER] | reset", Summary: "events counted",
			Help:     "By cause counts the faults. `stats reset` makes counting begin anew.",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,8k w", Line: "stats", Shows: "faults by cause"}, {Line: "stats by pid", Shows: "all events by process"}},
			Data:     []view.Value{view.Stats{}, view.Text{}}, Complete: []hint{hintStats, hintFilter}, Run: runStats,
		},
	}
}

// processOf returns the process of an event as far as it is known.
func (s *Session) processOf(pid int32) *sentry.Process {
	p, err := s.d.Process(pid)
	if err != nil || pid == 0 {
		return nil
	}
	return p
}

func (s *Session) viewEvent(e *mm.Event) view.Event {
	p := s.processOf(e.PID)
	v := view.Event{Seq: e.Seq, Kind: e.Kind.String(), PID: e.PID, Origin: s.viewOrigin(p, e.Origin), Number: e.Number, Note: e.Note}
	v.Origin.Event = 0
	if e.Cause != memmap.NoCause {
		v.Cause = e.Cause.String()
	}
	if e.Errno != 0 {
		v.Errno = unix.ErrnoName(e.Errno)
	}
	if !e.Range.IsEmpty() {
		r := view.RangeOf(e.Range)
		v.Range = &r
	}
	s.addDetails(p, e, &v)
	return v
}

// addDetails adds what only events of a kind have.
func (s *Session) addDetails(p *sentry.Process, e *mm.Event, v *view.Event) {
	switch e.Kind {
	case mm.EventFault:
		v.Access = accessLetters(e.Access)
		addr := view.Addr(e.Addr)
		v.Addr = &addr
		if p != nil {
			v.Place = s.d.Place(p, e.Addr)
		}
	case mm.EventMap, mm.EventProtect:
		v.Access = e.Access.String()
	case mm.EventPin: // whose end has none
		if e.Access.Any() {
			v.Access = accessLetters(e.Access)
		}
	case mm.EventSignal:
		v.Name = signalName(unix.Signal(e.Number))
		v.Code = debugger.SignalCode(unix.Signal(e.Number), e.Code)
		if e.Addr != 0 {
			addr := view.Addr(e.Addr)
			v.Addr = &addr
		}
	case mm.EventExit:
		v.Name = statusName(uint32(e.Number))
	case mm.EventSyscall:
		s.addCall(e, v)
	}
}

func (s *Session) addCall(e *mm.Event, v *view.Event) {
	calls := s.d.Kernel().Config().Calls
	v.Name = syscallName(calls, uint64(e.Number))
	n := len(e.Args)
	if uint64(e.Number) < uint64(len(calls)) {
		n = min(n, calls[e.Number].NArgs)
	}
	for _, a := range e.Args[:n] {
		v.Args = append(v.Args, view.Addr(a))
	}
	result := view.Addr(e.Result)
	v.Result = &result
}

// accessLetters prints an access without the dashes: w.
func accessLetters(at memmap.AccessType) string {
	letters := ""
	for _, c := range at.String() {
		if c != '-' {
			letters += string(c)
		}
	}
	return letters
}

// statusName says how a process ended.
func statusName(status uint32) string {
	w := unix.WaitStatus(status)
	if w.Signaled() {
		return "killed by " + signalName(w.Signal())
	}
	return fmt.Sprintf("status %d", w.ExitStatus())
}

func (s *Session) needJournal() (*journal.Journal, error) {
	if s.d.Kernel() == nil {
		return nil, debugger.ErrNoProcess
	}
	return s.d.Journal(), nil
}

func runEvents(c *call) (view.Value, error) {
	j, err := c.s.needJournal()
	if err != nil {
		return nil, err
	}
	match, err := c.filter(c.args)
	if err != nil {
		return nil, err
	}
	found, err := j.Select(match)
	if err != nil {
		return nil, err
	}
	v := view.Events{Events: []view.Event{}, Lost: j.Lost()}
	for i := range found {
		v.Events = append(v.Events, c.s.viewEvent(&found[i]))
	}
	return v, nil
}

func runOrigin(c *call) (view.Value, error) {
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	at, err := c.place(0)
	if err != nil {
		return nil, err
	}
	j, err := c.s.needJournal()
	if err != nil {
		return nil, err
	}
	v := view.OriginOfAddr{PID: at.pid, Addr: view.Addr(at.addr), Trail: []view.Event{}}
	if vma, ok := findVMA(at.proc, at.addr); ok {
		out := c.s.viewVMA(at.proc, vma)
		v.VMA = &out
	}
	family := c.s.ancestors(at.proc)
	page := at.addr.Page()
	trail, err := j.Select(func(e *mm.Event) (bool, error) {
		return slices.Contains(family, e.PID) && (e.Range.Overlaps(page) || page.Contains(e.Addr) && e.Addr != 0), nil
	})
	for i := range trail {
		v.Trail = append(v.Trail, c.s.viewEvent(&trail[i]))
	}
	return v, err
}

// ancestors returns p's id and those of its forebears: a page may be as old as they are.
func (s *Session) ancestors(p *sentry.Process) []int32 {
	pids := []int32{p.PID()}
	for p = s.processOf(p.PPID()); p != nil; p = s.processOf(p.PPID()) {
		pids = append(pids, p.PID())
	}
	return pids
}

func runStats(c *call) (view.Value, error) {
	j, err := c.s.needJournal()
	if err != nil {
		return nil, err
	}
	if len(c.args) == 1 && c.args[0].Text == "reset" {
		j.Reset()
		return view.Text{Words: "counting begins anew"}, nil
	}
	by, words := "cause", c.args
	if len(words) > 0 && words[0].Text == "by" {
		if len(words) < 2 {
			return nil, c.usage()
		}
		if c.s.statKey(words[1].Text) != nil {
			by, words = words[1].Text, words[2:]
		}
	}
	match, err := c.filter(words)
	if err != nil {
		return nil, err
	}
	counts, err := j.Stats(match, c.s.statKey(by))
	if err != nil {
		return nil, err
	}
	v := view.Stats{By: by, Rows: []view.Count{}}
	for _, n := range counts {
		v.Rows = append(v.Rows, view.Count(n))
	}
	return v, nil
}

// statKey returns how events are grouped by that word; nil for a word that is none.
func (s *Session) statKey(by string) journal.Key {
	switch by {
	case "cause":
		return func(e *mm.Event) string {
			if e.Kind != mm.EventFault {
				return ""
			}
			return e.Cause.String()
		}
	case "vma":
		return s.vmaOfEvent
	case "function":
		return s.functionOfEvent
	case "pid":
		return func(e *mm.Event) string { return strconv.Itoa(int(e.PID)) }
	case "syscall":
		return s.syscallOfEvent
	}
	return nil
}

func (s *Session) vmaOfEvent(e *mm.Event) string {
	p := s.processOf(e.PID)
	if p == nil || e.Kind != mm.EventFault {
		return ""
	}
	v, ok := findVMA(p, e.Addr)
	switch {
	case !ok:
		return "(not mapped now)"
	case v.Name == "":
		return view.Addr(v.AR.Start).String()
	}
	return path.Base(v.Name)
}

func (s *Session) functionOfEvent(e *mm.Event) string {
	p := s.processOf(e.PID)
	if p == nil || e.Origin.PC == 0 {
		return ""
	}
	if img := p.Image(); img != nil {
		if sym, ok := img.SymbolAt(e.Origin.PC); ok {
			return sym.Name
		}
	}
	return view.Addr(e.Origin.PC).String()
}

// syscallOfEvent names the call that made an event: its own name, or the
// operation that the guest asked for.
func (s *Session) syscallOfEvent(e *mm.Event) string {
	switch {
	case e.Kind == mm.EventSyscall:
		return syscallName(s.d.Kernel().Config().Calls, uint64(e.Number))
	case e.Kind == mm.EventFault || e.Kind == mm.EventSignal || e.Origin.By != memmap.ByGuest:
		return ""
	}
	return e.Origin.Op
}

// filter reads a filter.
func (c *call) filter(words []lang.Word) (journal.Match, error) {
	f, err := lang.ParseFilter(c.env, words)
	if err != nil {
		return nil, err
	}
	return c.s.matcher(f)
}
