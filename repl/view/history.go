package view

import (
	"fmt"
	"strings"
)

// Event is one thing that happened.
type Event struct {
	Seq    uint64   `json:"seq"`
	Kind   string   `json:"kind"`
	PID    int32    `json:"pid"`
	Cause  string   `json:"cause,omitempty"`
	Access string   `json:"access,omitempty"`
	Errno  string   `json:"errno,omitempty"`
	Addr   *Addr    `json:"addr,omitempty"`
	Place  string   `json:"place,omitempty"` // [heap]+0x10
	Range  *Range   `json:"range,omitempty"`
	Origin Origin   `json:"origin"`
	Name   string   `json:"name,omitempty"` // of a system call or signal
	Args   []Addr   `json:"args,omitempty"`
	Result *Addr    `json:"result,omitempty"`
	Number int64    `json:"number,omitempty"`
	Code   string   `json:"code,omitempty"`
	Note   string   `json:"note,omitempty"`
	Tags   []string `json:"-"`
}

// Line prints the event on one line, pid shown if more than one process is about.
func (e Event) Line(withPID bool) string {
	parts := []string{fmt.Sprintf("@%d", e.Seq)}
	if withPID {
		parts = append(parts, fmt.Sprintf("[%d]", e.PID))
	}
	parts = append(parts, e.Kind)
	parts = append(parts, e.what()...)
	if e.Errno != "" {
		parts = append(parts, pick(e.Kind == "writeback", "failed:", "refused:"), e.Errno)
	}
	if e.Note != "" {
		parts = append(parts, e.Note)
	}
	line := strings.Join(parts, " ")
	if from := e.from(); from != "" {
		line += "  " + from
	}
	return line
}

func (e Event) what() []string {
	switch e.Kind {
	case "fault":
		return compact(e.Access, addr(e.Addr), e.Place, e.Cause)
	case "syscall":
		c := Call{Name: e.Name, Args: e.Args, Errno: e.Errno}
		if e.Result != nil {
			c.Result = *e.Result
		}
		return []string{c.String()}
	case "signal":
		return compact(e.Name, e.Code, addr(e.Addr))
	case "fork":
		return []string{fmt.Sprintf("child %d", e.Number)}
	case "exit":
		return []string{e.Name}
	}
	var r string
	if e.Range != nil {
		r = e.Range.String()
	}
	return compact(r, e.Access, e.Place, e.Cause)
}

// from says who asked: the place in the guest's code, the shell, the loader.
func (e Event) from() string {
	switch {
	case e.Kind == "syscall" || e.Kind == "fault" && e.Origin.By == "guest":
		return pick(e.Origin.Symbol != "", e.Origin.Symbol, "")
	case e.Origin.Op == "" || e.Kind == "signal" && e.Origin.By == "kernel":
		return ""
	}
	return e.Origin.String()
}

func addr(a *Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func compact(words ...string) []string {
	var kept []string
	for _, w := range words {
		if w != "" && w != "none" {
			kept = append(kept, w)
		}
	}
	return kept
}

// Events are a selection of the history.
type Events struct {
	Events []Event `json:"events"`
	Lost   uint64  `json:"lost,omitempty"` // older ones that are gone
}

// Text prints one a line.
func (v Events) Text(p *Printer) {
	pids := map[int32]bool{}
	for _, e := range v.Events {
		pids[e.PID] = true
	}
	if v.Lost > 0 {
		p.Note("%d older events are gone (--max-events)", v.Lost)
	}
	for _, e := range v.Events {
		p.Line("%s", e.Line(len(pids) > 1))
	}
	if len(v.Events) == 0 {
		p.Note("no event")
	}
}

// OriginOfAddr is where a mapping and its page come from.
type OriginOfAddr struct {
	PID   int32   `json:"pid"`
	Addr  Addr    `json:"addr"`
	VMA   *VMA    `json:"vma,omitempty"`
	Trail []Event `json:"events"` // of its range, oldest first
}

// Text prints the mapping's origin and what has happened to the page since.
func (v OriginOfAddr) Text(p *Printer) {
	if v.VMA == nil {
		p.Line("%v is not mapped", v.Addr)
	} else {
		p.Line("%v is in %s", v.Addr, describe(v.VMA))
	}
	for _, e := range v.Trail {
		p.Line("  %s", e.Line(e.PID != v.PID))
	}
}

// Count is a group of events.
type Count struct {
	Name   string `json:"name"`
	Events uint64 `json:"events"`
	Pages  uint64 `json:"pages"`
}

// Stats are sums of events.
type Stats struct {
	By   string  `json:"by"`
	Rows []Count `json:"counts"`
}

// Text prints the largest group first.
func (v Stats) Text(p *Printer) {
	t := newTable(strings.ToUpper(v.By), " EVENTS", " PAGES")
	for _, r := range v.Rows {
		t.add(plain(r.Name), plain(fmt.Sprint(r.Events)), plain(fmt.Sprint(r.Pages)))
	}
	if len(v.Rows) == 0 {
		p.Note("no event")
		return
	}
	t.print(p)
}

// Brief prints what happened and who asked, without number, range and address.
func (e Event) Brief() string {
	words := compact(e.Kind, e.Cause)
	if e.Kind == "fork" {
		words = append(words, fmt.Sprintf("of child %d", e.Number))
	}
	if from := e.from(); from != "" {
		words = append(words, from)
	}
	return strings.Join(words, ", ")
}
