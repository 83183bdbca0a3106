package view

import (
	"fmt"
	"strconv"
	"strings"
)

// Walk is the chain from an address to the host; a step that is nil is not there.
type Walk struct {
	PID        int32      `json:"pid"`
	Addr       Addr       `json:"addr"`
	VMA        *VMA       `json:"vma,omitempty"`
	Before     *VMA       `json:"before,omitempty"` // without a VMA: the neighbours of the hole
	After      *VMA       `json:"after,omitempty"`
	FileOffset *Addr      `json:"file_offset,omitempty"` // in what the mapping maps
	Cache      *CacheStep `json:"cache,omitempty"`       // the file's page, whether it is mapped or not
	PMA        *PMA       `json:"pma,omitempty"`
	MemOffset  *Addr      `json:"memory_offset,omitempty"` // in the memory file or the host's file
	Refs       uint32     `json:"refs,omitempty"`
	Pins       []int64    `json:"pins,omitempty"` // by number, those of this process that hold the page
	Host       *HostEntry `json:"host,omitempty"`
	HostError  string     `json:"host_error,omitempty"`
}

// CacheStep is a file's page as the cache has it.
type CacheStep struct {
	File   string     `json:"file"`
	Offset Addr       `json:"offset"` // of the page
	Found  string     `json:"found"`  // cached, hole, beyond-eof, host: its pages are the host's own
	Page   *CachedRun `json:"page,omitempty"`
}

// String says it in a line.
func (v *CacheStep) String() string {
	switch {
	case v.Found == "beyond-eof":
		return fmt.Sprintf("page %v lies beyond the file's end", v.Offset)
	case v.Found == "host" && v.Page == nil:
		return fmt.Sprintf("page %v is the host's: nobody maps it yet", v.Offset)
	case v.Found == "host":
		return fmt.Sprintf("page %v is the host's, %s, mapped by %s", v.Offset, plural(v.Page.Refs[0].Refs, "reference"), mappers(v.Page.Maps))
	case v.Page == nil:
		return fmt.Sprintf("page %v is not there yet: the next access brings it in", v.Offset)
	}
	return fmt.Sprintf("page %v, %s, memfile offset %v, %s, mapped by %s",
		v.Offset, v.Page.state(), v.Page.memory(), plural(v.Page.Refs[0].Refs, "reference"), mappers(v.Page.Maps))
}

// HostEntry is a mapping of the stub as the host has it.
type HostEntry struct {
	Start Addr   `json:"start"`
	End   Addr   `json:"end"`
	Perms string `json:"perms"`
	Line  string `json:"line"` // as the host prints it
}

// Text prints one step a line.
func (v Walk) Text(p *Printer) {
	step := func(name, format string, args ...any) {
		p.Line("  %-8s %s", name, fmt.Sprintf(format, args...))
	}
	p.Line("%v", v.Addr)
	if v.VMA == nil {
		step("vma", "none%s", neighbours(v.Before, v.After))
	} else {
		step("vma", "%s", describe(v.VMA))
	}
	if v.FileOffset != nil {
		step("file", "%s offset %v", v.VMA.Name, *v.FileOffset)
	}
	if v.Cache != nil {
		step("cache", "%s", v.Cache)
	}
	v.textMemory(step)
	switch {
	case v.Host != nil:
		step("host", "%s", v.Host.Line)
	case v.HostError != "":
		step("host", "cannot be asked: %s", v.HostError)
	default:
		step("host", "nothing mapped: the next access faults")
	}
}

func (v Walk) textMemory(step func(name, format string, args ...any)) {
	if v.PMA == nil {
		if v.VMA != nil {
			step("pma", "none: never faulted")
		}
		return
	}
	state := pick(v.PMA.Private, "private", "shared")
	if v.PMA.COW {
		state += ", waits for COW"
	}
	step("pma", "%s-%s %s %s, %s", v.PMA.Start.Bare(), v.PMA.End.Bare(), v.PMA.Perms, state, v.PMA.Why)
	switch {
	case v.PMA.Zero:
		step("memory", "the zero page")
	case v.MemOffset != nil && v.PMA.Backing == "memfile":
		step("memory", "memfile offset %v, %s%s", *v.MemOffset, plural(v.Refs, "reference"), pinned(v.Pins))
	case v.MemOffset != nil:
		step("memory", "%s offset %v%s", v.PMA.Backing, *v.MemOffset, pinned(v.Pins))
	}
}

// pinned names the pins that hold a page.
func pinned(pins []int64) string {
	if len(pins) == 0 {
		return ""
	}
	names := make([]string, len(pins))
	for i, id := range pins {
		names[i] = strconv.FormatInt(id, 10)
	}
	return ", " + pick(len(pins) == 1, "pin ", "pins ") + strings.Join(names, " ")
}

func describe(v *VMA) string {
	name := v.Name
	if name != "" {
		name = " " + name
	}
	return fmt.Sprintf("%s-%s %s%s, %s%s", v.Start.Bare(), v.End.Bare(), v.Perms, name, v.Origin, at(v.Origin.Event))
}

func neighbours(before, after *VMA) string {
	switch {
	case before != nil && after != nil:
		return fmt.Sprintf(": a hole between %s%s and %s%s", before.End.Bare(), named(before), after.Start.Bare(), named(after))
	case before != nil:
		return fmt.Sprintf(": above the last mapping, which ends at %s%s", before.End.Bare(), named(before))
	case after != nil:
		return fmt.Sprintf(": below the first mapping, which begins at %s%s", after.Start.Bare(), named(after))
	}
	return ": nothing is mapped"
}

func named(v *VMA) string {
	if v.Name == "" {
		return ""
	}
	return " (" + v.Name + ")"
}

// Info is what there is to say of an address.
type Info struct {
	PID    int32  `json:"pid"`
	Addr   Addr   `json:"addr"`
	Symbol string `json:"symbol,omitempty"`
	Page   string `json:"page,omitempty"` // a letter of `pages`
	Walk   Walk   `json:"walk"`
	Bytes  string `json:"bytes,omitempty"` // hexadecimal, the first 16
}

// Text prints symbol, mapping, page and bytes.
func (v Info) Text(p *Printer) {
	p.Printf("%v", v.Addr)
	if v.Symbol != "" {
		p.Printf(" is %s", v.Symbol)
	}
	p.Line("")
	if v.Walk.VMA == nil {
		p.Line("  not mapped%s", neighbours(v.Walk.Before, v.Walk.After))
		return
	}
	p.Line("  mapping  %s", describe(v.Walk.VMA))
	if v.Page != "" {
		p.Line("  page     %s (%s)", v.Page, legend[rune(v.Page[0])])
	}
	if v.Walk.PMA != nil && v.Walk.PMA.Why != "" {
		p.Line("  since    %s", v.Walk.PMA.Why)
	}
	if v.Bytes != "" {
		p.Line("  bytes    %s", v.Bytes)
	}
}

// Rule is one question that an access must pass.
type Rule struct {
	OK    bool   `json:"ok"`
	Rule  string `json:"rule"`
	Event uint64 `json:"event,omitempty"`
	Made  string `json:"made_by,omitempty"` // what the event was
	Fix   string `json:"fix,omitempty"`     // a command that would allow it
}

// Why is what an access would meet.
type Why struct {
	PID    int32  `json:"pid"`
	Addr   Addr   `json:"addr"`
	Access string `json:"access"`
	OK     bool   `json:"allowed"`
	Mapped bool   `json:"mapped"` // no fault would come
	Cause  string `json:"cause,omitempty"`
	Signal string `json:"signal,omitempty"`
	Code   string `json:"code,omitempty"`
	Rules  []Rule `json:"rules"`
}

// Text prints the rules in order, then the outcome.
func (v Why) Text(p *Printer) {
	p.Line("%s at %v in process %d", v.Access, v.Addr, v.PID)
	fix := ""
	for _, r := range v.Rules {
		mark := p.Paint(Good, "✓")
		if !r.OK {
			mark = p.Paint(Bad, "✗")
			fix = r.Fix
		}
		made := at(r.Event)
		if r.Made != "" {
			made += " (" + r.Made + ")"
		}
		p.Line("  %s %s%s", mark, r.Rule, made)
	}
	switch {
	case v.Signal != "":
		p.Line("  → refused: %s, %s %s", v.Cause, v.Signal, v.Code)
	case v.Mapped:
		p.Line("  → allowed: mapped already, no fault")
	default:
		p.Line("  → allowed: the fault would be %s", v.Cause)
	}
	if fix != "" {
		p.Line("  to allow it: %s", fix)
	}
}
