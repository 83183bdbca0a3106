package view

import "fmt"

// File is an open file of a process. Sizes are in bytes.
type File struct {
	FD     int32  `json:"fd"`
	Flags  string `json:"flags"` // as open(2) takes them
	Offset *int64 `json:"offset,omitempty"`
	Kind   string `json:"kind"` // file, directory, pipe, …
	Path   string `json:"path"`
	Dev    string `json:"dev"` // MAJOR:MINOR in hexadecimal, as in maps
	Inode  uint64 `json:"inode"`
	Size   int64  `json:"size"`
	Cached uint64 `json:"cached"` // of its pages, in guest memory
	Dirty  uint64 `json:"dirty"`  // of those, not written back yet
}

// Files are a process's descriptors.
type Files struct {
	PID  int32  `json:"pid"`
	Rows []File `json:"files"`
}

// Text prints the table.
func (v Files) Text(p *Printer) {
	t := newTable(" FD", "FLAGS", " OFFSET", "KIND", "PATH", "DEV:INODE", " SIZE", " CACHED", " DIRTY")
	for _, r := range v.Rows {
		offset, size, cached, dirty := "-", "-", "-", "-"
		if r.Offset != nil {
			offset = fmt.Sprint(*r.Offset)
		}
		if r.Kind == "file" {
			size, cached, dirty = Size(uint64(r.Size)), Size(r.Cached), Size(r.Dirty)
		}
		t.add(plain(fmt.Sprint(r.FD)), plain(r.Flags), plain(offset), plain(r.Kind), plain(r.Path),
			plain(fmt.Sprintf("%s:%d", r.Dev, r.Inode)), plain(size), plain(cached), plain(dirty))
	}
	t.print(p)
	p.Note("%s of process %d", plural(len(v.Rows), "descriptor"), v.PID)
}

// Opened is a descriptor that a command has made or closed.
type Opened struct {
	PID   int32  `json:"pid"`
	Did   string `json:"did"` // opened, closed
	FD    int32  `json:"fd"`
	Path  string `json:"path"`
	Flags string `json:"flags,omitempty"`
}

// Text prints a line.
func (v Opened) Text(p *Printer) {
	flags := ""
	if v.Flags != "" {
		flags = " " + v.Flags
	}
	p.Line("%s descriptor %d: %s%s", v.Did, v.FD, v.Path, flags)
}
