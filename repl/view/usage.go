package view

import (
	"fmt"

	"mmsh.dev/mmsh/memmap"
)

// SmapsRow is an entry of smaps, in bytes.
type SmapsRow struct {
	Start        Addr     `json:"start"`
	End          Addr     `json:"end"`
	Name         string   `json:"name,omitempty"`
	RSS          uint64   `json:"rss"`
	PSS          uint64   `json:"pss"` // each page divided by the mappings that have it
	PSSDirty     uint64   `json:"pss_dirty"`
	SharedClean  uint64   `json:"shared_clean"`
	SharedDirty  uint64   `json:"shared_dirty"`
	PrivateClean uint64   `json:"private_clean"`
	PrivateDirty uint64   `json:"private_dirty"`
	Anonymous    uint64   `json:"anonymous"`
	Locked       uint64   `json:"locked"`
	Flags        []string `json:"flags"` // of VmFlags
}

// Smaps is /proc/PID/smaps, or the part of it that was asked for.
type Smaps struct {
	PID   int32      `json:"pid"`
	Smaps string     `json:"smaps"`
	Rows  []SmapsRow `json:"entries"`
}

// Text prints it byte for byte.
func (v Smaps) Text(p *Printer) { p.Print(v.Smaps) }

// RefRun is a run of pages with one reference count.
type RefRun struct {
	Start  Addr   `json:"start"`
	End    Addr   `json:"end"`
	Offset Addr   `json:"offset"` // of the first page, in the memory file
	Pages  uint64 `json:"pages"`
	Refs   uint32 `json:"refs"`
	COW    bool   `json:"cow"`
	Name   string `json:"name,omitempty"`
}

// RefCounts are the reference counts of the pages that a process holds.
type RefCounts struct {
	PID  int32    `json:"pid"`
	Rows []RefRun `json:"refs"`
}

// Text prints the table, after what the counts are of.
func (v RefCounts) Text(p *Printer) {
	p.Note("references on pages of the memory file: one for each mapping that has the page, one of its cache if it is no private memory")
	t := newTable("START", "END", " MEMFILE", " PAGES", " REFS", "COW", "NAME")
	for _, r := range v.Rows {
		cow, name := "-", r.Name
		if r.COW {
			cow = "wait"
		}
		if name == "" {
			name = "-"
		}
		t.add(plain(r.Start.String()), plain(r.End.String()), plain(r.Offset.String()), plain(fmt.Sprint(r.Pages)),
			plain(fmt.Sprint(r.Refs)), plain(cow), plain(name))
	}
	t.print(p)
}

// MemFile is the memory file: the guests' physical memory. Sizes are in bytes.
type MemFile struct {
	Anonymous uint64  `json:"anonymous"`
	PageCache uint64  `json:"page_cache"`
	Shmem     uint64  `json:"shmem"`
	System    uint64  `json:"system"` // the sandbox's own: vdso
	Total     uint64  `json:"total"`
	Limit     uint64  `json:"limit,omitempty"` // absent: none
	FileSize  uint64  `json:"file_size"`       // sparse
	Promise   Promise `json:"promise"`
}

// Text prints a line a kind.
func (v MemFile) Text(p *Printer) {
	for _, line := range []struct {
		name  string
		bytes uint64
	}{
		{"anonymous", v.Anonymous}, {"page cache", v.PageCache}, {"shmem", v.Shmem}, {"system", v.System}, {"total", v.Total},
	} {
		p.Line("%-10s %6s  %s", line.name, Size(line.bytes), plural(line.bytes/memmap.PageSize, "page"))
	}
	limit := "no limit"
	if v.Limit > 0 {
		limit = "limit " + Size(v.Limit)
	}
	p.Note("%s · the file has room for %s, sparse", limit, Size(v.FileSize))
	v.Promise.note(p)
}

// Promise is how much memory guests have been promised, touched or not, in bytes.
type Promise struct {
	Committed  uint64  `json:"committed"`
	Limit      *uint64 `json:"commit_limit,omitempty"` // absent: the overcommit mode has none
	Overcommit string  `json:"overcommit"`             // heuristic, always or never
}

func (v Promise) note(p *Printer) {
	limit := ""
	if v.Limit != nil {
		limit = " of " + Size(*v.Limit)
	}
	p.Note("all processes are promised %s%s · overcommit %s", Size(v.Committed), limit, v.Overcommit)
}

// Limit is a resource limit of a process.
type Limit struct {
	Name string  `json:"name"`
	Soft *uint64 `json:"soft,omitempty"` // absent: unlimited
	Hard *uint64 `json:"hard,omitempty"` // absent: unlimited
	Used *uint64 `json:"used,omitempty"` // of those that the memory engine counts
	Unit string  `json:"unit"`           // "bytes" for sizes
}

// Limits are the resource limits of a process.
type Limits struct {
	PID     int32    `json:"pid"`
	Limits  []Limit  `json:"limits"`
	Promise *Promise `json:"promise,omitempty"` // only where all limits are listed
}

// Text prints the table.
func (v Limits) Text(p *Printer) {
	t := newTable("NAME", " SOFT", " HARD", " USED")
	for _, l := range v.Limits {
		t.add(plain(l.Name), plain(l.amount(l.Soft, "unlimited")), plain(l.amount(l.Hard, "unlimited")), plain(l.amount(l.Used, "-")))
	}
	t.print(p)
	if v.Promise != nil {
		v.Promise.note(p)
	}
}

func (l Limit) amount(n *uint64, none string) string {
	switch {
	case n == nil:
		return none
	case l.Unit == "bytes":
		return Size(*n)
	}
	return fmt.Sprint(*n)
}

// RSS is what is resident of a process, in bytes.
type RSS struct {
	PID        int32  `json:"pid"`
	RSS        uint64 `json:"rss"`
	Anonymous  uint64 `json:"anonymous"`
	File       uint64 `json:"file"`
	Shmem      uint64 `json:"shmem"`
	PSS        uint64 `json:"pss"` // each page divided by the mappings that have it
	Peak       uint64 `json:"peak"`
	Virtual    uint64 `json:"virtual"`
	MaxVirtual uint64 `json:"max_virtual"`
	Data       uint64 `json:"data"` // what counts against the limit of that name
	Locked     uint64 `json:"locked"`
	Committed  uint64 `json:"committed"` // promised, touched or not
	Minor      uint64 `json:"minor_faults"`
	Major      uint64 `json:"major_faults"`
}

// Text prints three lines.
func (v RSS) Text(p *Printer) {
	p.Line("resident %s: %s anonymous, %s file, %s shmem · proportional %s · peak %s",
		Size(v.RSS), Size(v.Anonymous), Size(v.File), Size(v.Shmem), Size(v.PSS), Size(v.Peak))
	p.Line("virtual %s · peak %s · data %s · locked %s · committed %s", Size(v.Virtual), Size(v.MaxVirtual), Size(v.Data), Size(v.Locked), Size(v.Committed))
	p.Line("%s · %s", plural(v.Minor, "minor fault"), plural(v.Major, "major fault"))
}
