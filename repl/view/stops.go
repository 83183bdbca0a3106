package view

import (
	"fmt"
	"strings"
)

// Stop is why and where the guests stand still.
type Stop struct {
	Reason string   `json:"reason"`
	PID    int32    `json:"pid"`
	TID    int32    `json:"tid"`
	Addr   Addr     `json:"addr"`
	Symbol string   `json:"symbol"`
	Event  uint64   `json:"event"`
	Signal string   `json:"signal,omitempty"`
	Code   string   `json:"code,omitempty"`
	Fault  *Addr    `json:"fault,omitempty"`
	Access string   `json:"access,omitempty"`
	Cause  string   `json:"cause,omitempty"`
	Why    string   `json:"why,omitempty"`
	Exit   *int     `json:"exit,omitempty"`
	Call   *Call    `json:"call,omitempty"`
	Detail string   `json:"detail,omitempty"`
	Where  *Context `json:"-"` // drawn at a terminal
}

// Call is a system call that was made.
type Call struct {
	Name   string `json:"name"`
	Number uint64 `json:"number"`
	Args   []Addr `json:"args"`
	Result Addr   `json:"result"`
	Errno  string `json:"errno,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// String prints brk(0x0) = 0x555555559000.
func (c Call) String() string {
	var args []string
	for _, a := range c.Args {
		args = append(args, value(a))
	}
	result := value(c.Result)
	if c.Errno != "" {
		result = "-1 " + c.Errno
	}
	return fmt.Sprintf("%s(%s) = %s", c.Name, strings.Join(args, ", "), result)
}

// value prints an argument or result: what may be an address as one, all else as
// a number.
func value(a Addr) string {
	if n := int64(a); n > -4096 && n < 1<<16 {
		return fmt.Sprint(n)
	}
	return a.String()
}

// Text prints the call.
func (c Call) Text(p *Printer) { p.Line("%s", c) }

// Text prints `stopped: REASON · pid 2 tid 2 · main+0x4 · @42`.
func (s Stop) Text(p *Printer) {
	where := s.Symbol
	if where == "" {
		where = s.Addr.String()
	}
	p.Line("stopped: %s · pid %d tid %d · %s · @%d", p.Paint(Title, s.reason()), s.PID, s.TID, where, s.Event)
	if s.Why != "" {
		p.Line("  %s", s.Why)
	}
	if s.Detail != "" {
		p.Line("  %s", s.Detail)
	}
	if s.Where != nil {
		s.Where.Text(p)
	}
}

func (s Stop) reason() string {
	switch {
	case s.Exit != nil:
		return fmt.Sprintf("exited with status %d", *s.Exit)
	case s.Reason == "killed":
		return "killed by " + s.Signal
	case s.Fault != nil:
		return fmt.Sprintf("%s %s: %s at %v refused, %s", s.Signal, s.Code, s.Access, *s.Fault, s.Cause)
	case s.Reason == "signal" || s.Reason == "trap":
		return s.Signal + " " + s.Code
	case s.Call != nil:
		return s.Call.String()
	case s.Reason == "died":
		return "the stub process died"
	case s.Reason == "start":
		return "loaded, at its first instruction"
	}
	return s.Reason
}

// Context is what a person sees at a stop.
type Context struct {
	Regs  []Reg    `json:"regs"`
	Code  []string `json:"code"`
	Stack []Unit   `json:"stack"`
}

// Text prints changed registers, the next instructions and the top of the stack.
func (c Context) Text(p *Printer) {
	for _, r := range c.Regs {
		if r.Changed {
			p.Line("  %-6s %s", r.Name, p.Paint(Changed, r.Value.String())+gap(r.Points))
		}
	}
	for i, line := range c.Code {
		p.Line("%s %s", pick(i == 0, "►", " "), line)
	}
	for _, u := range c.Stack {
		p.Line("  %v  %s%s", u.Addr, strings.Join(u.Values, " "), p.Paint(Quiet, gap(u.Symbol)))
	}
}

// gap puts two blanks before a text that is not empty.
func gap(text string) string {
	if text == "" {
		return ""
	}
	return "  " + text
}

// Process is a row of ps.
type Process struct {
	PID     int32    `json:"pid"`
	PPID    int32    `json:"ppid"`
	Name    string   `json:"name"`
	State   string   `json:"state"` // running, stopped, blocked, zombie, dead
	In      string   `json:"in,omitempty"`
	Exit    *int     `json:"exit,omitempty"`
	Signal  string   `json:"signal,omitempty"`
	Threads int      `json:"threads"`
	VMAs    int      `json:"vmas"`
	Virtual uint64   `json:"virtual"`
	RSS     uint64   `json:"rss"`
	COW     uint64   `json:"cow"`
	HostPID int      `json:"host_pid,omitempty"`
	Current bool     `json:"current"`
	Path    string   `json:"path,omitempty"`
	Addr    *Addr    `json:"addr,omitempty"` // where its first thread stands
	Symbol  string   `json:"symbol,omitempty"`
	Args    []string `json:"args,omitempty"`
}

// Processes are all of them.
type Processes struct {
	Rows []Process `json:"processes"`
}

// Text prints the table; ► is the current process.
func (v Processes) Text(p *Printer) {
	t := newTable(" PID", " PPID", "STATE", " VMAS", " SIZE", " RSS", " COW", "NAME", "AT")
	for _, r := range v.Rows {
		pid := fmt.Sprint(r.PID)
		if r.Current {
			pid = "►" + pid
		}
		t.add(plain(pid), plain(fmt.Sprint(r.PPID)), plain(r.state()), plain(fmt.Sprint(r.VMAs)), plain(Size(r.Virtual)),
			plain(Size(r.RSS)), plain(pick(r.COW == 0, "-", fmt.Sprintf("%dp", r.COW/4096))), plain(r.Name), plain(r.at()))
	}
	t.print(p)
}

func (r Process) state() string {
	switch {
	case r.Exit != nil:
		return fmt.Sprintf("%s, exited %d", r.State, *r.Exit)
	case r.Signal != "":
		return fmt.Sprintf("%s, %s", r.State, r.Signal)
	case r.In != "":
		return r.State + " in " + r.In
	}
	return r.State
}

func (r Process) at() string {
	switch {
	case r.Symbol != "":
		return r.Symbol
	case r.Addr != nil:
		return r.Addr.String()
	}
	return "-"
}

// Text prints the process alone.
func (r Process) Text(p *Printer) {
	p.Line("process %d (%s), %s, parent %d", r.PID, r.Name, r.state(), r.PPID)
	p.Line("  %s, %s virtual, %s resident, at %s", plural(r.VMAs, "mapping"), Size(r.Virtual), Size(r.RSS), r.at())
	if r.HostPID != 0 && p.Width != 0 { // it differs from run to run: only for people, on a terminal
		p.Line("  stub: host process %d", r.HostPID)
	}
}

// Forked is a new child.
type Forked struct {
	PID    int32  `json:"pid"`
	Parent int32  `json:"parent"`
	COW    uint64 `json:"cow"` // bytes that parent and child now share until one writes
}

// Text prints its pid.
func (v Forked) Text(p *Printer) {
	p.Line("process %d is a copy of %d, %s shared until one of them writes", v.PID, v.Parent, Size(v.COW))
}
