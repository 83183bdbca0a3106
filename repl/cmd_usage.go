package repl

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

func usageViews() []*Command {
	return []*Command{
		{
			Name: "smaps", Group: "see mappings", Synopsis: "[RANGE]", Summary: "/proc/PID/smaps, byte for byte Linux's: who shares what",
			Help:     "With RANGE the entries of the mappings in it. Pss divides each page by the mappings that have it, in all processes.",
			Examples: []Example{{Setup: "mmap 64k rw; let a = $_; touch $a,16k w; fork", Line: "smaps $a,64k", Shows: "four pages, shared by two"}},
			Data:     []view.Value{view.Smaps{}}, Complete: []hint{hintAddr}, See: true, Run: runSmaps,
		},
		{
			Name: "refs", Group: "see mappings", Synopsis: "[RANGE]", Summary: "page reference counts",
			Help:     "Pages of the memory file only: the zero page is not counted.",
			Examples: []Example{{Setup: "mmap 64k rw; let a = $_; touch $a,16k w; fork; cow break $a,4k", Line: "refs $a,64k", Shows: "one page owned, three shared"}},
			Data:     []view.Value{view.RefCounts{}}, Complete: []hint{hintAddr}, See: true, Run: runRefs,
		},
		{
			Name: "memfile", Group: "see mappings", Summary: "the guests' physical memory: pages by kind",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,64k w", Line: "memfile", Shows: "16 anonymous pages, and the vdso"}},
			Data:     []view.Value{view.MemFile{}}, See: true, Run: runMemFile,
		},
		{
			Name: "limits", Group: "see mappings", Summary: "resource limits, and how much of them the memory uses",
			Examples: []Example{{Line: "limits", Shows: "a login's defaults"}},
			Data:     []view.Value{view.Limits{}}, See: true, Run: runLimits,
		},
		{
			Name: "rss", Group: "see mappings", Summary: "what is resident, by kind, and the peaks",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,16k w", Line: "rss", Shows: "four pages"}},
			Data:     []view.Value{view.RSS{}}, See: true, Run: runRSS,
		},
	}
}

func runSmaps(c *call) (view.Value, error) {
	t, within, err := c.rangeOrAll("smaps")
	if err != nil {
		return nil, err
	}
	m, err := t.memory()
	if err != nil {
		return nil, err
	}
	v := view.Smaps{PID: t.pid, Rows: []view.SmapsRow{}}
	var text []byte
	for _, s := range m.Smaps(within) {
		text = mm.AppendSmaps(text, &s)
		v.Rows = append(v.Rows, smapsRow(&s))
	}
	v.Smaps = string(text)
	if len(c.args) == 0 { // with what is no mapping of the process
		var whole strings.Builder
		err = m.WriteSmaps(&whole)
		v.Smaps = whole.String()
	}
	return v, err
}

func smapsRow(s *mm.SmapsInfo) view.SmapsRow {
	n := &s.Sums
	return view.SmapsRow{
		Start: view.Addr(s.VMA.AR.Start), End: view.Addr(s.VMA.AR.End), Name: s.VMA.Name,
		RSS: n.RSS, PSS: n.PSS, PSSDirty: n.PSSDirty,
		SharedClean: n.SharedClean, SharedDirty: n.SharedDirty, PrivateClean: n.PrivateClean, PrivateDirty: n.PrivateDirty,
		Anonymous: n.Anonymous, Locked: n.Locked, Flags: s.Flags,
	}
}

func runRefs(c *call) (view.Value, error) {
	t, within, err := c.rangeOrAll("refs")
	if err != nil {
		return nil, err
	}
	m, err := t.memory()
	if err != nil {
		return nil, err
	}
	v := view.RefCounts{PID: t.pid, Rows: []view.RefRun{}}
	for _, vma := range m.VMAs(within) {
		for _, a := range m.PMAs(vma.AR.Intersect(within)) {
			v.Rows = appendRefs(v.Rows, vma, a)
		}
	}
	return v, nil
}

// appendRefs appends the runs of a, a pma of vma.
func appendRefs(rows []view.RefRun, vma mm.VMAInfo, a mm.PMAInfo) []view.RefRun {
	at, off := a.AR.Start, a.Offset
	for _, r := range a.Refs {
		end := at + memmap.Addr(r.Bytes)
		rows = append(rows, view.RefRun{
			Start: view.Addr(at), End: view.Addr(end), Offset: view.Addr(off), Pages: r.Bytes / memmap.PageSize, Refs: r.Refs,
			COW: waits(vma, a), Name: vma.Name,
		})
		at, off = end, off+memmap.FileOffset(r.Bytes)
	}
	return rows
}

func runMemFile(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	s := c.s.config.Memory.Stats()
	return view.MemFile{
		Anonymous: s.Allocated[pgalloc.Anonymous], PageCache: s.Allocated[pgalloc.PageCache],
		Shmem: s.Allocated[pgalloc.Shmem], System: s.Allocated[pgalloc.System],
		Total: s.Total, Limit: s.Limit, FileSize: s.FileSize, Promise: c.promise(),
	}, nil
}

func runRSS(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	s := debugger.Stats(t.proc)
	v := view.RSS{
		PID: t.pid, RSS: s.RSS, Anonymous: s.RSSAnon, File: s.RSSFile, Shmem: s.RSSShmem, Peak: s.MaxRSS,
		Virtual: s.Virtual, MaxVirtual: s.MaxVirtual, Data: s.Data, Locked: s.Locked, Committed: s.Committed, Minor: s.MinorFaults, Major: s.MajorFaults,
	}
	if m := t.proc.MM(); m != nil {
		v.PSS = m.Rollup().PSS
	}
	return v, nil
}

// limitWords are the resource limits as commands name them, by RLIMIT_* number:
// those of setrlimit(2) without RLIMIT_.
var limitWords = [...]struct{ name, unit string }{
	unix.RLIMIT_CPU:     {"cpu", "seconds"},
	unix.RLIMIT_FSIZE:   {"fsize", "bytes"},
	unix.RLIMIT_DATA:    {"data", "bytes"},
	unix.RLIMIT_STACK:   {"stack", "bytes"},
	unix.RLIMIT_CORE:    {"core", "bytes"},
	unix.RLIMIT_RSS:     {"rss", "bytes"},
	unix.RLIMIT_NPROC:   {"nproc", "processes"},
	unix.RLIMIT_NOFILE:  {"nofile", "files"},
	unix.RLIMIT_MEMLOCK: {"memlock", "bytes"},
	unix.RLIMIT_AS:      {"as", "bytes"},
	unix.RLIMIT_LOCKS:   {"locks", "locks"},
	11:                  {"sigpending", "signals"},
	12:                  {"msgqueue", "bytes"},
	13:                  {"nice", "priority"},
	14:                  {"rtprio", "priority"},
	15:                  {"rttime", "microseconds"},
}

func runLimits(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	s := debugger.Stats(t.proc)
	used := map[int]uint64{unix.RLIMIT_AS: s.Virtual, unix.RLIMIT_DATA: s.Data, unix.RLIMIT_MEMLOCK: s.Locked}
	promise := c.promise()
	v := view.Limits{PID: t.pid, Promise: &promise}
	for i, l := range t.proc.Limits() {
		row := view.Limit{Name: limitWords[i].name, Unit: limitWords[i].unit, Soft: finite(l.Cur), Hard: finite(l.Max)}
		if n, ok := used[i]; ok {
			row.Used = &n
		}
		v.Limits = append(v.Limits, row)
	}
	return v, nil
}

// promise is how much memory all processes together were promised.
func (c *call) promise() view.Promise {
	mem := c.s.config.Memory
	p := view.Promise{Committed: mem.Committed(), Overcommit: mem.Overcommit().Mode.String()}
	if mem.Overcommit().Mode == pgalloc.OvercommitNever {
		limit := mem.CommitLimit()
		p.Limit = &limit
	}
	return p
}

// finite returns n, nil if it is no limit.
func finite(n uint64) *uint64 {
	if n == mm.Infinity {
		return nil
	}
	return &n
}

// runLimit sets a soft limit, and the hard one with it where that is lower: who
// sits at the prompt has the privilege.
func runLimit(c *call) (view.Value, error) {
	if err := c.count(2, 2); err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	i, err := limitNumber(c.args[0].Text)
	if err != nil {
		return nil, err
	}
	value := uint64(mm.Infinity)
	if c.args[1].Text != "unlimited" {
		n, err := c.number(1)
		if err != nil {
			return nil, err
		}
		value = n.Bits
	}
	l := &t.proc.Limits()[i]
	l.Cur, l.Max = value, max(l.Max, value)
	row := view.Limit{Name: limitWords[i].name, Unit: limitWords[i].unit, Soft: finite(l.Cur), Hard: finite(l.Max)}
	return view.Limits{PID: t.pid, Limits: []view.Limit{row}}, nil
}

func limitNumber(word string) (int, error) {
	name := strings.ToLower(strings.TrimPrefix(word, "RLIMIT_"))
	var names []string
	for i, l := range limitWords {
		if l.name == name {
			return i, nil
		}
		names = append(names, l.name)
	}
	return 0, fmt.Errorf("%q is no limit: %s", word, strings.Join(names, " "))
}
