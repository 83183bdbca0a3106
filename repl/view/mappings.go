package view

import (
	"fmt"
	"strings"

	"mmsh.dev/mmsh/memmap"
)

// Origin says where a mapping or an event comes from.
type Origin struct {
	By     string `json:"by"` // kernel, guest, shell, elf
	Op     string `json:"op"`
	PC     Addr   `json:"pc,omitempty"`
	Symbol string `json:"symbol,omitempty"` // of PC
	TID    int32  `json:"tid,omitempty"`
	Event  uint64 `json:"event,omitempty"`
}

// OriginOf returns o; symbol is what stands at its PC.
func OriginOf(o memmap.Origin, symbol string) Origin {
	return Origin{By: o.By.String(), Op: o.Op, PC: Addr(o.PC), Symbol: symbol, TID: o.TID, Event: o.Event}
}

// String prints "ELF PT_LOAD[0]", "brk from malloc+0x5e", "mmap by shell".
func (o Origin) String() string {
	switch {
	case o.By == "elf":
		return "ELF " + o.Op
	case o.By == "guest" && o.Symbol != "":
		return o.Op + " from " + o.Symbol
	case o.By == "guest" && o.PC != 0:
		return fmt.Sprintf("%s from %v", o.Op, o.PC)
	case o.By == "guest":
		return o.Op
	}
	return o.Op + " by " + o.By
}

// VMA is a mapping.
type VMA struct {
	Row       int     `json:"row"`
	Start     Addr    `json:"start"`
	End       Addr    `json:"end"`
	Perms     string  `json:"perms"` // rwx and p or s
	MaxPerms  string  `json:"max"`
	Size      uint64  `json:"size"`
	RSS       uint64  `json:"rss"`
	COW       uint64  `json:"cow"` // bytes that wait for copy-on-write
	Offset    *uint64 `json:"offset,omitempty"`
	Name      string  `json:"name,omitempty"`
	GrowsDown bool    `json:"grows_down,omitempty"`
	Locked    bool    `json:"locked,omitempty"`
	Origin    Origin  `json:"origin"`
	Here      string  `json:"here,omitempty"` // the register that points into it: "$rip+0x142"
	// Gap is the room below this mapping, if gaps were asked for.
	Gap uint64 `json:"gap,omitempty"`
}

// Totals are sums over a process's memory.
type Totals struct {
	Mappings   int    `json:"mappings"`
	Virtual    uint64 `json:"virtual"`
	Resident   uint64 `json:"resident"`
	COWWaiting uint64 `json:"cow"`
	LargestGap uint64 `json:"largest_gap"`
}

// VMAs are the mappings of a process.
type VMAs struct {
	PID    int32  `json:"pid"`
	Dead   bool   `json:"dead,omitempty"` // the process has ended: its last state
	Rows   []VMA  `json:"vmas"`
	Totals Totals `json:"totals"`
}

// Text prints the table and its sums.
func (v VMAs) Text(p *Printer) {
	t := newTable(" #", "START", "END", "PERM", "MAX", " SIZE", " RSS", " COW", " OFFSET", "NAME", "ORIGIN")
	for _, r := range v.Rows {
		if r.Gap > 0 {
			t.add(plain(""), plain("· "+Size(r.Gap)+" free"), plain(""), plain(""), plain(""), plain(""), plain(""), plain(""), plain(""), plain(""), plain(""))
		}
		t.add(v.row(r)...)
	}
	t.print(p)
	if v.Dead {
		p.Note("    process %d has ended: its last state, holding no page", v.PID)
	}
	p.Note("    %s · %s virtual · %s resident · %s for COW · largest gap %s", plural(v.Totals.Mappings, "mapping"),
		Size(v.Totals.Virtual), Size(v.Totals.Resident), waiting(v.Totals.COWWaiting), Size(v.Totals.LargestGap))
}

func waiting(bytes uint64) string {
	n := bytes / memmap.PageSize
	if n == 1 {
		return "1 page waits"
	}
	return plural(n, "page") + " wait"
}

func (v VMAs) row(r VMA) []cell {
	number := fmt.Sprint(r.Row)
	if strings.HasPrefix(r.Here, "$rip") {
		number = "►" + number
	}
	cow, offset := "-", "-"
	if r.COW > 0 {
		cow = fmt.Sprintf("%dp", r.COW/memmap.PageSize)
	}
	if r.Offset != nil {
		offset = fmt.Sprintf("%#x", *r.Offset)
	}
	name := r.Name
	if name == "" {
		name = "-"
	}
	s := styleOf(r)
	origin := r.Origin.String() + at(r.Origin.Event)
	if r.Here != "" {
		origin += "  " + r.Here
	}
	return []cell{plain(number), {r.Start.Bare(), s}, {r.End.Bare(), s}, {r.Perms, s}, plain(r.MaxPerms), plain(Size(r.Size)),
		plain(Size(r.RSS)), plain(cow), plain(offset), plain(name), plain(origin)}
}

// styleOf is pwndbg's: red code, blue heap, yellow stack, magenta data.
func styleOf(r VMA) Style {
	switch {
	case strings.HasPrefix(r.Name, "[heap"):
		return Heap
	case strings.HasPrefix(r.Name, "[stack"):
		return Stack
	case strings.Contains(r.Perms, "x"):
		return Code
	case strings.Contains(r.Perms, "w"):
		return Data
	}
	return Plain
}

// PMA is a piece of held memory, or a piece of a mapping where none is held.
type PMA struct {
	Start   Addr   `json:"start"`
	End     Addr   `json:"end"`
	Faulted bool   `json:"faulted"` // false: no page is held, the rest means nothing
	Perms   string `json:"perms,omitempty"`
	COW     bool   `json:"cow"`
	Private bool   `json:"private"`
	Zero    bool   `json:"zero,omitempty"` // the zero page
	Refs    []Refs `json:"refs,omitempty"`
	Backing string `json:"backing,omitempty"` // memfile, zero page, or the file's name
	Offset  *Addr  `json:"offset,omitempty"`
	Cause   string `json:"cause,omitempty"`
	Event   uint64 `json:"event,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Refs is a run of pages with one reference count.
type Refs struct {
	Pages uint64 `json:"pages"`
	Refs  uint32 `json:"refs"`
}

// PMAs are the pieces of held memory of a process.
type PMAs struct {
	PID  int32 `json:"pid"`
	Dead bool  `json:"dead,omitempty"`
	Rows []PMA `json:"pmas"`
}

// Text prints the table.
func (v PMAs) Text(p *Printer) {
	t := newTable("START", "END", "EFF", "COW", "PRIVATE", "REFS", "BACKING", "WHY")
	for _, r := range v.Rows {
		if !r.Faulted {
			t.add(plain(r.Start.Bare()), plain(r.End.Bare()), plain("---"), plain("-"), plain("-"), plain("-"),
				plain("-"), cell{fmt.Sprintf("not faulted (%s)", plural(uint64(r.End-r.Start)/memmap.PageSize, "page")), Quiet})
			continue
		}
		t.add(plain(r.Start.Bare()), plain(r.End.Bare()), plain(r.Perms), plain(pick(r.COW, "wait", "-")),
			plain(pick(r.Private, "private", "shared")), plain(refs(r.Refs)), plain(r.backing()), plain(r.Why))
	}
	t.print(p)
	if v.Dead {
		p.Note("process %d has ended: its last state, holding no page", v.PID)
	}
}

func (r PMA) backing() string {
	if r.Offset == nil {
		return r.Backing
	}
	if r.Backing == "memfile" {
		return fmt.Sprintf("memfile %v", *r.Offset)
	}
	return fmt.Sprintf("%s+%v", r.Backing, *r.Offset)
}

func refs(runs []Refs) string {
	switch len(runs) {
	case 0:
		return "-"
	case 1:
		return fmt.Sprint(runs[0].Refs)
	}
	var parts []string
	for _, r := range runs {
		parts = append(parts, fmt.Sprintf("%dp×%d", r.Pages, r.Refs))
	}
	return strings.Join(parts, " ")
}

func pick(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// Pages is one letter a page.
type Pages struct {
	PID     int32  `json:"pid"`
	Start   Addr   `json:"start"`
	End     Addr   `json:"end"`
	Letters string `json:"letters"`
}

var legend = map[rune]string{
	'W': "private, written", 'c': "waits for COW", 'z': "the zero page", 'f': "file page", 'd': "dirty file page",
	's': "shared memory", '.': "never faulted", 'g': "guard", '!': "writable and executable", 'L': "locked", 'P': "pinned",
	'm': "missing: a userfaultfd is told", 'u': "write-protected by a userfaultfd", 'x': "poisoned by a userfaultfd", '-': "not mapped",
}

// Text prints rows of 64 pages and the legend of the letters that occur.
func (v Pages) Text(p *Printer) {
	const perRow = 64
	if v.Letters == "" {
		p.Note("0 pages: all of the range lies outside guest memory")
		return
	}
	for i := 0; i < len(v.Letters); i += perRow {
		row := v.Letters[i:min(i+perRow, len(v.Letters))]
		p.Line("%s  %s", (v.Start + Addr(i)*memmap.PageSize).Bare(), row)
	}
	var notes []string
	for _, r := range "Wczfds.gPmux!L-" {
		if strings.ContainsRune(v.Letters, r) {
			notes = append(notes, fmt.Sprintf("%c %s", r, legend[r]))
		}
	}
	p.Note("%s · %s", plural(len(v.Letters), "page"), strings.Join(notes, " · "))
}

// Maps is /proc/PID/maps.
type Maps struct {
	PID  int32  `json:"pid"`
	Maps string `json:"maps"`
}

// Text prints it byte for byte.
func (v Maps) Text(p *Printer) { p.Print(v.Maps) }

// MapRow is a mapping's place in the picture of the address space.
type MapRow struct {
	Start Addr   `json:"start"`
	End   Addr   `json:"end"`
	Name  string `json:"name,omitempty"`
	Perms string `json:"perms,omitempty"`
	Size  uint64 `json:"size"`
	RSS   uint64 `json:"rss"`
	Gap   bool   `json:"gap,omitempty"`
}

// Map is a picture of the address space, highest address first.
type Map struct {
	PID  int32    `json:"pid"`
	Rows []MapRow `json:"map"`
}

// Text draws a bar a mapping, as long as the number of digits of its size, filled
// as far as it is resident.
func (v Map) Text(p *Printer) {
	for _, r := range v.Rows {
		if r.Gap {
			p.Note("%12s  %s free", "┊", Size(r.Size))
			continue
		}
		p.Line("%s", strings.TrimRight(fmt.Sprintf("%12s  %s %5s  %s  %s", r.Start.Bare(), r.Perms, Size(r.Size), bar(r), r.Name), " "))
	}
	p.Note("bars: █ resident, ░ not; each step doubles the size")
}

func bar(r MapRow) string {
	length := 1
	for n := r.Size / memmap.PageSize; n > 1; n /= 2 {
		length++
	}
	full := 0
	if r.Size > 0 && r.RSS > 0 {
		full = max(1, int(uint64(length)*r.RSS/r.Size))
	}
	return strings.Repeat("█", full) + strings.Repeat("░", length-full)
}
