package view

import (
	"strconv"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// Change is what a command did to a range.
type Change struct {
	PID    int32  `json:"pid"`
	Did    string `json:"did"` // "mapped", "unmapped", "r--"
	Start  Addr   `json:"start"`
	End    Addr   `json:"end"`
	Length uint64 `json:"length"`
	Detail string `json:"detail,omitempty"`
	From   *Range `json:"from,omitempty"` // where it was before
}

// Text names the range that was used.
func (v Change) Text(p *Printer) {
	detail := ""
	if v.Detail != "" {
		detail = " " + v.Detail
	}
	from := ""
	if v.From != nil && *v.From != (Range{v.Start, v.End}) {
		from = " from " + v.From.String()
	}
	p.Line("%s %v..%v (%s)%s%s", v.Did, v.Start, v.End, Size(v.Length), detail, from)
}

// Break is where the heap ends now.
type Break struct {
	PID   int32 `json:"pid"`
	Start Addr  `json:"start"`
	Break Addr  `json:"break"`
}

// Text prints it.
func (v Break) Text(p *Printer) {
	p.Line("break %v, heap %v..%v (%s)", v.Break, v.Start, v.Break, Size(uint64(v.Break-v.Start)))
}

// Touched is what the faults of touched pages did.
type Touched struct {
	PID    int32    `json:"pid"`
	Access string   `json:"access"`
	Start  Addr     `json:"start"`
	End    Addr     `json:"end"`
	Causes []string `json:"causes"` // one a page
}

// Text prints runs of equal causes.
func (v Touched) Text(p *Printer) {
	if len(v.Causes) == 0 {
		p.Line("touched nothing: %v..%v is empty", v.Start, v.End)
		return
	}
	for i := 0; i < len(v.Causes); {
		k := i
		for k < len(v.Causes) && v.Causes[k] == v.Causes[i] {
			k++
		}
		start := v.Start&^(memmap.PageSize-1) + Addr(i)*memmap.PageSize
		p.Line("%s %v..%v: %s (%s)", v.Access, start, start+Addr(k-i)*memmap.PageSize, outcome(v.Causes[i]), plural(k-i, "page"))
		i = k
	}
}

func outcome(cause string) string {
	if cause == "none" {
		return "no fault"
	}
	return cause
}

// COW is the pages that wait for copy-on-write.
type COW struct {
	PID   int32    `json:"pid"`
	Rows  []COWRow `json:"waiting"`
	Pages uint64   `json:"pages"`
}

// COWRow is a run of them with the same owners.
type COWRow struct {
	Start  Addr    `json:"start"`
	End    Addr    `json:"end"`
	Name   string  `json:"name,omitempty"`
	Refs   []Refs  `json:"refs,omitempty"`
	Owners []int32 `json:"owners"` // processes that have the first page, this one included
	Zero   bool    `json:"zero,omitempty"`
	File   string  `json:"file,omitempty"` // a file's pages: written, they would be copied
	Event  uint64  `json:"event,omitempty"`
}

// Text prints a table.
func (v COW) Text(p *Printer) {
	t := newTable("START", "END", " PAGES", "REFS", "WAITS FOR", "NAME", "SINCE")
	for _, r := range v.Rows {
		t.add(plain(r.Start.Bare()), plain(r.End.Bare()), plain(strconv.FormatUint(uint64(r.End-r.Start)/memmap.PageSize, 10)), plain(refs(r.Refs)),
			plain(r.sharers(v.PID)), plain(pick(r.Name == "", "-", r.Name)), plain(event(r.Event)))
	}
	if len(v.Rows) > 0 {
		t.print(p)
	}
	p.Note("%s for copy-on-write in process %d", waiting(v.Pages*memmap.PageSize), v.PID)
}

func (r COWRow) sharers(self int32) string {
	if r.Zero {
		return "the zero page"
	}
	if r.File != "" {
		return "a page of its file"
	}
	var others []string
	for _, pid := range r.Owners {
		if pid != self {
			others = append(others, strconv.Itoa(int(pid)))
		}
	}
	if len(others) == 0 {
		return "nobody: taken over at the next write"
	}
	return "shared with pid " + strings.Join(others, ", ")
}

// COWBreak is what breaking did.
type COWBreak struct {
	PID    int32  `json:"pid"`
	Start  Addr   `json:"start"`
	End    Addr   `json:"end"`
	Copied uint64 `json:"copied"` // pages
	Reused uint64 `json:"reused"`
}

// Text names the range.
func (v COWBreak) Text(p *Printer) {
	p.Line("broke COW in %v..%v: %s copied, %d taken over", v.Start, v.End, plural(v.Copied, "page"), v.Reused)
}

// Owners is who has a page.
type Owners struct {
	PID    int32   `json:"pid"`
	Addr   Addr    `json:"addr"`
	Refs   uint32  `json:"refs"`
	None   string  `json:"none,omitempty"` // why there is no page
	Owners []Owner `json:"owners"`
}

// Owner is one of them.
type Owner struct {
	PID  int32 `json:"pid"`
	Addr Addr  `json:"addr"`
	COW  bool  `json:"cow"`
}

// Text prints one a line.
func (v Owners) Text(p *Printer) {
	if v.None != "" {
		p.Line("%v: %s", v.Addr, v.None)
		return
	}
	p.Line("%v: %s", v.Addr, plural(v.Refs, "reference"))
	for _, o := range v.Owners {
		p.Line("  pid %d at %v, %s", o.PID, o.Addr, pick(o.COW, "copies before it writes", "may write in place"))
	}
}
