package view

import (
	"fmt"

	"mmsh.dev/mmsh/memmap"
)

// Pin is memory that stays where it is until it is unpinned.
type Pin struct {
	ID     int64  `json:"pin"`
	Start  Addr   `json:"start"` // where it was when it was pinned
	End    Addr   `json:"end"`
	Access string `json:"access"` // what it was pinned for: r or w
	Moved  uint64 `json:"moved"`  // bytes of it that are no longer mapped there
	Event  uint64 `json:"event,omitempty"`
}

// Pins are the pins of a process.
type Pins struct {
	PID    int32  `json:"pid"`
	Rows   []Pin  `json:"pins"`
	Pinned uint64 `json:"pinned"` // bytes, each as often as it is pinned: VmPin
}

// Text prints the table and the sum.
func (v Pins) Text(p *Printer) {
	t := newTable(" PIN", "START", "END", " PAGES", "FOR", "THERE", "SINCE")
	for _, r := range v.Rows {
		there := "all"
		if n := uint64(r.End - r.Start); r.Moved == n {
			there = "none"
		} else if r.Moved > 0 {
			there = plural((n-r.Moved)/memmap.PageSize, "page")
		}
		t.add(plain(fmt.Sprint(r.ID)), plain(r.Start.Bare()), plain(r.End.Bare()), plain(fmt.Sprint(uint64(r.End-r.Start)/memmap.PageSize)),
			plain(r.Access), plain(there), plain(event(r.Event)))
	}
	if len(v.Rows) > 0 {
		t.print(p)
	}
	p.Note("%s pinned in process %d", Size(v.Pinned), v.PID)
}

// PinChange is a pin that was made, or that ended.
type PinChange struct {
	PID   int32 `json:"pid"`
	Pin   Pin   `json:"pin"`
	Ended bool  `json:"ended,omitempty"`
}

// Text names pages and number.
func (v PinChange) Text(p *Printer) {
	r := v.Pin
	if v.Ended {
		p.Line("unpinned %v..%v (%s), which was pin %d", r.Start, r.End, Size(uint64(r.End-r.Start)), r.ID)
		return
	}
	p.Line("pinned %v..%v (%s) for %s: pin %d", r.Start, r.End, Size(uint64(r.End-r.Start)), pick(r.Access == "w", "writing", "reading"), r.ID)
}
