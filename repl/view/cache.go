package view

import (
	"fmt"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// CachedFile is a file whose pages are in guest memory. Sizes are in bytes.
type CachedFile struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // "file": it has a place; "memory": its pages are all there is of it; "host": its pages are the host's, mapped directly
	Dev      string `json:"dev"`  // MAJOR:MINOR in hexadecimal, as in maps
	Inode    uint64 `json:"inode"`
	Size     uint64 `json:"size"`
	Cached   uint64 `json:"cached"`
	Dirty    uint64 `json:"dirty"`    // not written back yet
	Mappings int    `json:"mappings"` // in all processes, of cached pages
	Reads    uint64 `json:"reads"`    // of what is behind it, to fill pages
	Error    string `json:"error,omitempty"`
}

// Cache is all files whose pages are in guest memory.
type Cache struct {
	Rows []CachedFile `json:"files"`
}

// Text prints the table and the sums.
func (v Cache) Text(p *Printer) {
	t := newTable("NAME", "KIND", " SIZE", " CACHED", " DIRTY", " MAPPINGS", " READS")
	var cached, dirty uint64
	for _, r := range v.Rows {
		t.add(plain(r.Name), plain(r.Kind), plain(Size(r.Size)), plain(Size(r.Cached)), plain(Size(r.Dirty)),
			plain(fmt.Sprint(r.Mappings)), plain(fmt.Sprint(r.Reads)))
		cached, dirty = cached+r.Cached, dirty+r.Dirty
	}
	t.print(p)
	p.Note("%s · %s cached · %s dirty", plural(len(v.Rows), "file"), Size(cached), Size(dirty))
}

// Mapper is who maps cached pages.
type Mapper struct {
	PID      int32  `json:"pid"`
	Addr     Addr   `json:"addr"`   // of the first page of Offset
	Offset   Addr   `json:"offset"` // in the file
	Length   uint64 `json:"length"`
	Writable bool   `json:"writable"` // shared, and may be written
}

// CachedRun is cached pages that are alike and lie next to each other in the memory
// file.
type CachedRun struct {
	Offset Addr     `json:"offset"` // in the file
	Length uint64   `json:"length"`
	Memory *Addr    `json:"memory_offset,omitempty"` // none: they are the host's own
	Dirty  bool     `json:"dirty"`
	Kept   bool     `json:"kept_dirty"` // a mapping may be writing it: it stays dirty when written back
	Refs   []Refs   `json:"refs"`
	Maps   []Mapper `json:"mapped_by"`
}

// CachedPages is one file's pages.
type CachedPages struct {
	File CachedFile  `json:"file"`
	Runs []CachedRun `json:"runs"`
}

// Text prints a line a run.
func (v CachedPages) Text(p *Printer) {
	f := &v.File
	p.Line("%s: %s of %s cached, %s dirty, %s, %s", f.Name, Size(f.Cached), Size(f.Size), Size(f.Dirty),
		plural(f.Mappings, "mapping"), plural(f.Reads, "read"))
	if f.Error != "" {
		p.Line("last write failed: %s", f.Error)
	}
	if len(v.Runs) == 0 {
		return
	}
	t := newTable(" OFFSET", " END", " PAGES", "STATE", " MEMFILE", "REFS", "MAPPED BY")
	for _, r := range v.Runs {
		t.add(plain(r.Offset.String()), plain((r.Offset + Addr(r.Length)).String()), plain(fmt.Sprint(r.Length/memmap.PageSize)),
			plain(r.state()), plain(r.memory()), plain(refs(r.Refs)), plain(mappers(r.Maps)))
	}
	t.print(p)
}

func (r *CachedRun) memory() string {
	if r.Memory == nil {
		return "-"
	}
	return r.Memory.String()
}

func (r *CachedRun) state() string {
	switch {
	case r.Memory == nil:
		return "the host's"
	case r.Kept:
		return "dirty, kept"
	case r.Dirty:
		return "dirty"
	}
	return "clean"
}

// mappers prints pid:address of each; w marks who may write.
func mappers(all []Mapper) string {
	if len(all) == 0 {
		return "-"
	}
	const most = 4
	var parts []string
	for i, m := range all {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%d:%v%s", m.PID, m.Addr, pick(m.Writable, " w", "")))
	}
	return strings.Join(parts, ", ")
}

// Unwritten is what of a file is not written back yet.
type Unwritten struct {
	Name   string `json:"name"`
	Dirty  uint64 `json:"dirty"`      // bytes
	Kept   uint64 `json:"kept_dirty"` // of those, that a mapping may be writing
	Unused bool   `json:"unused"`     // nobody has it open or mapped any more
	Error  string `json:"error,omitempty"`
	Tries  int    `json:"tries,omitempty"` // how often that was met, one after the other
	Ranges []Span `json:"ranges"`
}

// Span is a part of a file.
type Span struct {
	Offset Addr   `json:"offset"`
	Length uint64 `json:"length"`
}

// Dirty is all that is not written back yet.
type Dirty struct {
	Rows []Unwritten `json:"files"`
}

// Text prints a line a file.
func (v Dirty) Text(p *Printer) {
	if len(v.Rows) == 0 {
		p.Line("everything is written")
		return
	}
	t := newTable("NAME", " DIRTY", " KEPT", "RANGES", "LAST ERROR")
	total := uint64(0)
	for _, r := range v.Rows {
		reason := r.Error
		if reason == "" {
			reason = "-"
		}
		if r.Tries > 1 {
			reason += fmt.Sprintf(" (%d times)", r.Tries)
		}
		name := r.Name
		if r.Unused {
			name += " (closed)"
		}
		t.add(plain(name), plain(Size(r.Dirty)), plain(Size(r.Kept)), plain(spans(r.Ranges)), plain(reason))
		total += r.Dirty
	}
	t.print(p)
	p.Note("%s not written in %s; KEPT is what a mapping may be writing", Size(total), plural(len(v.Rows), "file"))
}

func spans(all []Span) string {
	const most = 4
	var parts []string
	for i, s := range all {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%v,%s", s.Offset, Size(s.Length)))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, " ")
}

// FileChange is what a command did to a file's pages.
type FileChange struct {
	Name   string `json:"name"`
	Did    string `json:"did"`   // synced, wrote back, evicted, truncated
	Bytes  uint64 `json:"bytes"` // that were written or dropped; the new size of a truncation
	Cached uint64 `json:"cached"`
	Dirty  uint64 `json:"dirty"` // afterwards
	Detail string `json:"detail,omitempty"`
}

// FileChanges is what a command did to several files.
type FileChanges struct {
	Rows []FileChange `json:"files"`

	None string `json:"-"` // what an empty answer means
}

// Text prints a line a file.
func (v FileChanges) Text(p *Printer) {
	if len(v.Rows) == 0 {
		p.Line("%s", v.None)
	}
	for _, r := range v.Rows {
		detail := ""
		if r.Detail != "" {
			detail = " (" + r.Detail + ")"
		}
		p.Line("%s %s: %s%s; %s cached, %s dirty", r.Did, r.Name, Size(r.Bytes), detail, Size(r.Cached), Size(r.Dirty))
	}
}
