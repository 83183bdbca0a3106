package repl

import (
	"context"
	"fmt"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

func faultCommands() []*Command {
	return []*Command{
		{
			Name: "touch", Group: "faults and COW", Synopsis: "RANGE r|w|x", Summary: "bring pages in, as accesses of the guest would",
			Help:     "Each page's fault is answered with its cause; the first refusal ends it. An address alone means its page.",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "touch $_,16k w", Shows: "four pages of zeroes"}, {Setup: "mmap 64k rw", Line: "touch $_ r", Shows: "the zero page"}},
			Data:     []view.Value{view.Touched{}}, Complete: []hint{hintAddr, hintAccess}, Run: runTouch,
		},
		{
			Name: "cow", Group: "faults and COW", Synopsis: "[RANGE] | break RANGE | owners ADDR", Summary: "pages that wait for copy-on-write; break; who has a page",
			Help: "`cow break` gives the process its own copy of exactly those pages; an address alone means its page. `cow owners` lists every process that has the page.",
			Examples: []Example{
				{Setup: "mmap 64k rw; touch $_,16k w; fork", Line: "cow", Shows: "what waits"},
				{Setup: "mmap 64k rw; let a = $_; touch $a,16k w; fork", Line: "cow break $a,4k", Shows: "copy one page"},
				{Setup: "mmap 64k rw; let a = $_; touch $a,16k w; fork", Line: "cow owners $a", Shows: "parent and child"},
			},
			Data: []view.Value{view.COW{}, view.COWBreak{}, view.Owners{}}, Complete: []hint{hintCOW, hintAddr}, Run: runCOW,
		},
		{
			Name: "why", Group: "faults and COW", Synopsis: "ADDR r|w|x", Summary: "what an access would meet, rule by rule; nothing is touched",
			Examples: []Example{{Setup: "mmap 4k r", Line: "why $_ w", Shows: "a refusal, and what would allow it"}},
			Data:     []view.Value{view.Why{}}, Complete: []hint{hintAddr, hintAccess}, See: true, Run: runWhy,
		},
	}
}

func runTouch(c *call) (view.Value, error) {
	sp, rest, err := c.span(0, lang.LonePage)
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, c.usage()
	}
	at, err := accessWord(rest[0])
	if err != nil {
		return nil, err
	}
	ar, err := sp.ends("touch")
	if err != nil {
		return nil, err
	}
	m, by, err := sp.hands("touch")
	if err != nil {
		return nil, err
	}
	causes, err := touch(c.ctx, m, by, ar, at)
	v := view.Touched{PID: sp.pid, Access: accessLetters(at), Start: view.Addr(ar.Start), End: view.Addr(ar.End), Causes: []string{}}
	for _, cause := range causes {
		v.Causes = append(v.Causes, cause.String())
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// touchStep is how many bytes are touched between two looks at the clock.
const touchStep = 16 << 20

// touch is Touch in pieces, so that it can be interrupted.
func touch(ctx context.Context, m *mm.MemoryManager, by *mm.Actor, ar memmap.AddrRange, at memmap.AccessType) ([]memmap.Cause, error) {
	var all []memmap.Cause
	for from := ar.Start; ; {
		if ctx.Err() != nil {
			return all, fmt.Errorf("%w after %d pages", stoppedBy(ctx), len(all))
		}
		part := memmap.AddrRange{Start: from, End: ar.End}
		if part.Length() > touchStep {
			part.End = (from + touchStep).RoundDown()
		}
		causes, err := m.Touch(by, part, at)
		all = append(all, causes...)
		if err != nil || part.End == ar.End {
			return all, err
		}
		from = part.End
	}
}

func runCOW(c *call) (view.Value, error) {
	if len(c.args) > 0 {
		switch c.args[0].Text {
		case "break":
			return c.cowBreak()
		case "owners":
			return c.cowOwners()
		}
	}
	t, within, err := c.rangeOrAll("cow")
	if err != nil {
		return nil, err
	}
	v := view.COW{PID: t.pid, Rows: []view.COWRow{}}
	for _, vma := range debugger.VMAs(t.proc, within) {
		if !vma.MaxPerms.Write || !vma.Private {
			continue
		}
		for _, a := range debugger.PMAs(t.proc, vma.AR.Intersect(within)) {
			if a.NeedCOW && vma.Perms.Write {
				v.Rows = append(v.Rows, c.s.cowRow(t, vma, a))
				v.Pages += a.AR.Length() / memmap.PageSize
			}
		}
	}
	return v, nil
}

func (s *Session) cowRow(t target, vma mm.VMAInfo, a mm.PMAInfo) view.COWRow {
	r := view.COWRow{Start: view.Addr(a.AR.Start), End: view.Addr(a.AR.End), Name: vma.Name, Zero: a.Zero, Event: a.Event, Owners: []int32{}}
	if !a.Private && !a.Zero {
		r.File = a.FileName
	}
	for _, run := range a.Refs {
		r.Refs = append(r.Refs, view.Refs{Pages: run.Bytes / memmap.PageSize, Refs: run.Refs})
	}
	if t.proc.MM() == nil {
		return r
	}
	owners, _, _, err := s.d.Owners(t.pid, a.AR.Start)
	if err != nil {
		return r
	}
	for _, o := range owners {
		r.Owners = append(r.Owners, o.PID)
	}
	return r
}

func (c *call) cowBreak() (view.Value, error) {
	sp, rest, err := c.span(1, lang.LonePage)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, c.usage()
	}
	ar, err := sp.ends("cow break")
	if err != nil {
		return nil, err
	}
	m, by, err := sp.hands("cow break")
	if err != nil {
		return nil, err
	}
	copied, reused, err := m.BreakCOW(by, ar)
	if err != nil {
		return nil, err
	}
	return view.COWBreak{PID: sp.pid, Start: view.Addr(ar.Start), End: view.Addr(ar.End), Copied: copied, Reused: reused}, nil
}

func (c *call) cowOwners() (view.Value, error) {
	if err := c.count(2, 2); err != nil {
		return nil, err
	}
	at, err := c.place(1)
	if err != nil {
		return nil, err
	}
	owners, refs, ok, err := c.s.d.Owners(at.pid, at.addr)
	if err != nil {
		return nil, err
	}
	v := view.Owners{PID: at.pid, Addr: view.Addr(at.addr), Refs: refs, Owners: []view.Owner{}}
	if !ok {
		v.None = "no page of its own is held there"
	}
	for _, o := range owners {
		v.Owners = append(v.Owners, view.Owner{PID: o.PID, Addr: view.Addr(o.Addr), COW: o.COW})
	}
	return v, nil
}

func runWhy(c *call) (view.Value, error) {
	if err := c.count(2, 2); err != nil {
		return nil, err
	}
	at, err := c.place(0)
	if err != nil {
		return nil, err
	}
	access, err := accessWord(c.args[1])
	if err != nil {
		return nil, err
	}
	x, err := c.s.d.Explain(at.pid, at.addr, access)
	if err != nil {
		return nil, err
	}
	return c.s.viewWhy(at, x), nil
}

func (s *Session) viewWhy(at place, x mm.Explanation) view.Why {
	v := view.Why{
		PID: at.pid, Addr: view.Addr(x.Addr), Access: accessName(x.At), OK: x.Signal == 0, Mapped: x.Mapped,
		Signal: signalName(x.Signal), Rules: []view.Rule{},
	}
	if x.Cause != memmap.NoCause {
		v.Cause = x.Cause.String()
	}
	if x.Signal != 0 {
		v.Code = debugger.SignalCode(x.Signal, x.Code)
	}
	for _, r := range x.Rules {
		rule := view.Rule{OK: r.OK, Rule: r.Text, Event: r.Event, Fix: r.Fix}
		if e, ok := s.d.Journal().Event(r.Event); ok {
			rule.Made = s.viewEvent(&e).Brief()
		}
		v.Rules = append(v.Rules, rule)
	}
	return v
}

// accessName says what an access is in words.
func accessName(at memmap.AccessType) string {
	switch at {
	case memmap.Read:
		return "read"
	case memmap.Write:
		return "write"
	case memmap.Execute:
		return "execute"
	}
	return at.String()
}
