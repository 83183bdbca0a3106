package repl

import (
	"fmt"
	"sort"
	"strconv"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/debugger"
)

func mappingViews() []*Command {
	return []*Command{
		{
			Name: "vmas", Aliases: []string{"vmmap"}, Group: "see mappings",
			Synopsis: "[RANGE|NAME] [--perms r?x] [--gaps] [--sort start|size|rss|cow] [-A N -B N]",
			Summary:  "the mappings: permissions, sizes, what waits for COW, where each comes from",
			Help:     "► marks the mapping of the next instruction. vma:N names row N of this table in later commands. -A N and -B N add the N mappings after and before those selected.",
			Examples: []Example{
				{Setup: "mmap 64k rw", Line: "vmas", Shows: "all"},
				{Setup: "demo hello", Line: "vmas --perms ??x --sort size", Shows: "what can be executed, the largest first"},
			},
			Data: []view.Value{view.VMAs{}}, Complete: []hint{hintAddr}, See: true, Run: runVMAs,
		},
		{
			Name: "pmas", Group: "see mappings", Synopsis: "[RANGE]", Summary: "the pages held: what backs them, who shares them, why",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,8k w", Line: "pmas", Shows: "two pages held, the rest never faulted"}},
			Data:     []view.Value{view.PMAs{}}, Complete: []hint{hintAddr}, See: true, Run: runPMAs,
		},
		{
			Name: "pages", Group: "see mappings", Synopsis: "RANGE", Summary: "one letter a page",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,8k w; touch $_+8k,4k r", Line: "pages $_,64k", Shows: "written, zero page, never faulted"}},
			Data:     []view.Value{view.Pages{}}, Complete: []hint{hintAddr}, See: true, Run: runPages,
		},
		{
			Name: "maps", Group: "see mappings", Summary: "/proc/PID/maps, byte for byte Linux's",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "maps", Shows: "as Linux prints it"}},
			Data:     []view.Value{view.Maps{}}, See: true, Run: runMaps,
		},
		{
			Name: "map", Group: "see mappings", Summary: "a picture of the address space",
			Examples: []Example{{Setup: "demo hello", Line: "map", Shows: "a program's layout"}},
			Data:     []view.Value{view.Map{}}, See: true, Run: runMap,
		},
		{
			Name: "walk", Group: "see mappings", Synopsis: "ADDR", Summary: "from an address down to the host's memory, step by step",
			Examples: []Example{{Setup: "mmap 8k rw; touch $_,4k w", Line: "walk $_", Shows: "vma, pma, memory file, host"}},
			Data:     []view.Value{view.Walk{}}, Complete: []hint{hintAddr}, See: true, Run: runWalk,
		},
		{
			Name: "info", Aliases: []string{"xinfo", "i"}, Group: "see mappings", Synopsis: "ADDR | registers|threads|proc mappings|symbol NAME",
			Summary:  "what there is to say of an address",
			Examples: []Example{{Setup: "demo hello", Line: "info $sp", Shows: "the stack"}, {Setup: "demo hello", Line: "info registers", Shows: "as gdb"}},
			Data:     []view.Value{view.Info{}, view.Regs{}, view.Processes{}, view.VMAs{}}, Complete: []hint{hintAddr}, See: true, Run: runInfo,
		},
	}
}

func findVMA(p *sentry.Process, a memmap.Addr) (mm.VMAInfo, bool) {
	for _, v := range debugger.VMAs(p, memmap.AddrRange{Start: a, End: a + 1}) {
		if v.AR.Contains(a) {
			return v, true
		}
	}
	return mm.VMAInfo{}, false
}

// perms4 prints permissions as maps does.
func perms4(at memmap.AccessType, private bool) string {
	if private {
		return at.String() + "p"
	}
	return at.String() + "s"
}

// viewOrigin shows o, its program counter by symbol.
func (s *Session) viewOrigin(p *sentry.Process, o memmap.Origin) view.Origin {
	symbol := ""
	if p != nil && o.PC != 0 {
		symbol = s.d.Symbol(p, o.PC)
	}
	return view.OriginOf(o, symbol)
}

func (s *Session) viewVMA(p *sentry.Process, v mm.VMAInfo) view.VMA {
	out := view.VMA{
		Start: view.Addr(v.AR.Start), End: view.Addr(v.AR.End), Perms: perms4(v.Perms, v.Private), MaxPerms: v.MaxPerms.String(),
		Size: v.AR.Length(), RSS: v.RSS, COW: v.COW, Name: v.Name, GrowsDown: v.GrowsDown, Locked: v.MLock != memmap.MLockNone,
		Origin: s.viewOrigin(p, v.Origin),
	}
	if !v.Anonymous {
		off := uint64(v.Offset)
		out.Offset = &off
	}
	return out
}

// vmaOptions are the words of vmas.
type vmaOptions struct {
	within        *memmap.AddrRange
	name          string
	perms         *lang.PermPattern
	gaps          bool
	order         string
	after, before int
	target
}

func (c *call) vmaOptions() (o vmaOptions, err error) {
	if o.target, err = c.target(0); err != nil {
		return o, err
	}
	for i := 0; i < len(c.args); i++ {
		word := c.args[i].Text
		next := func() (string, error) {
			if i++; i >= len(c.args) {
				return "", fmt.Errorf("%s wants a value", word)
			}
			return c.args[i].Text, nil
		}
		switch word {
		case "--gaps":
			o.gaps = true
		case "--perms", "--sort", "-A", "-B":
			value, err := next()
			if err == nil {
				err = o.set(word, value)
			}
			if err != nil {
				return o, err
			}
		default:
			used, err := c.selectVMAs(&o, i)
			if err != nil {
				return o, err
			}
			i += used - 1
		}
	}
	return o, nil
}

func (o *vmaOptions) set(word, value string) (err error) {
	switch word {
	case "--perms":
		var pattern lang.PermPattern
		pattern, err = lang.ParsePermPattern(value)
		o.perms = &pattern
	case "--sort":
		o.order = value
		if !map[string]bool{"start": true, "size": true, "rss": true, "cow": true}[value] {
			err = fmt.Errorf("--sort is by start, size, rss or cow, not %q", value)
		}
	case "-A":
		o.after, err = strconv.Atoi(value)
	case "-B":
		o.before, err = strconv.Atoi(value)
	}
	return err
}

// selectVMAs reads RANGE or NAME at word i.
func (c *call) selectVMAs(o *vmaOptions, i int) (used int, err error) {
	name, err := c.args[i].Value()
	if err != nil {
		return 0, err
	}
	for _, v := range debugger.VMAs(o.proc, debugger.All) {
		if named(v, name) {
			o.name = name
			return 1, nil
		}
	}
	sp, rest, err := c.span(i, lang.LoneRefused)
	if err != nil {
		return 0, err
	}
	ar, err := sp.ends("vmas")
	if sp.PID != 0 {
		o.target = sp.target
	}
	o.within = &ar
	return len(c.args) - i - len(rest), err
}

func (o *vmaOptions) wants(v mm.VMAInfo) bool {
	return (o.within == nil || v.AR.Overlaps(*o.within)) &&
		(o.name == "" || named(v, o.name)) &&
		(o.perms == nil || o.perms.Match(v.Perms, !v.Private))
}

func runVMAs(c *call) (view.Value, error) {
	o, err := c.vmaOptions()
	if err != nil {
		return nil, err
	}
	all := debugger.VMAs(o.proc, debugger.All)
	c.s.rememberRows(o.pid, all)
	chosen := make([]bool, len(all))
	for i, v := range all {
		if !o.wants(v) {
			continue
		}
		for k := max(0, i-o.before); k <= min(len(all)-1, i+o.after); k++ {
			chosen[k] = true
		}
	}
	rows := []view.VMA{}
	for i, v := range all {
		if !chosen[i] {
			continue
		}
		r := c.s.viewVMA(o.proc, v)
		r.Row, r.Here = i+1, c.s.here(o.proc, v.AR)
		if o.gaps && i > 0 && (o.order == "" || o.order == "start") {
			r.Gap = uint64(v.AR.Start - all[i-1].AR.End)
		}
		rows = append(rows, r)
	}
	sortVMAs(rows, o.order)
	return view.VMAs{PID: o.pid, Dead: o.proc.MM() == nil, Rows: rows, Totals: totals(o.proc)}, nil
}

// rememberRows keeps what vma:N will mean.
func (s *Session) rememberRows(pid int32, all []mm.VMAInfo) {
	rows := make([]row, len(all))
	for i, v := range all {
		rows[i] = row{v.AR, v.Origin.Event}
	}
	s.rows[pid] = rows
}

func sortVMAs(rows []view.VMA, order string) {
	key := map[string]func(view.VMA) uint64{
		"size": func(v view.VMA) uint64 { return v.Size },
		"rss":  func(v view.VMA) uint64 { return v.RSS },
		"cow":  func(v view.VMA) uint64 { return v.COW },
	}[order]
	if key != nil {
		sort.SliceStable(rows, func(i, k int) bool { return key(rows[i]) > key(rows[k]) })
	}
}

func totals(p *sentry.Process) view.Totals {
	st := debugger.Stats(p)
	return view.Totals{Mappings: st.VMAs, Virtual: st.Virtual, Resident: st.RSS, COWWaiting: st.COWWaiting, LargestGap: st.LargestGap}
}

// here says which of rip and rsp points into ar.
func (s *Session) here(p *sentry.Process, ar memmap.AddrRange) string {
	tasks := p.Tasks()
	if len(tasks) == 0 || p.Image() == nil {
		return ""
	}
	r := tasks[0].Regs()
	for _, reg := range []struct {
		name string
		at   uint64
	}{{"$rip", r.Rip}, {"$rsp", r.Rsp}} {
		if ar.Contains(memmap.Addr(reg.at)) {
			return fmt.Sprintf("%s+%#x", reg.name, reg.at-uint64(ar.Start))
		}
	}
	return ""
}

func runPMAs(c *call) (view.Value, error) {
	t, within, err := c.rangeOrAll("pmas")
	if err != nil {
		return nil, err
	}
	v := view.PMAs{PID: t.pid, Dead: t.proc.MM() == nil, Rows: []view.PMA{}}
	for _, vma := range debugger.VMAs(t.proc, within) {
		ar := vma.AR.Intersect(within)
		if !ar.IsEmpty() {
			v.Rows = append(v.Rows, c.s.viewPMAs(t.proc, vma, ar)...)
		}
	}
	return v, nil
}

// viewPMAs shows the pmas in ar, which lies in vma, and the room between them.
func (s *Session) viewPMAs(p *sentry.Process, vma mm.VMAInfo, ar memmap.AddrRange) []view.PMA {
	var rows []view.PMA
	from := ar.Start
	hole := func(to memmap.Addr) {
		if from < to {
			rows = append(rows, view.PMA{Start: view.Addr(from), End: view.Addr(to)})
		}
	}
	for _, a := range debugger.PMAs(p, ar) {
		hole(a.AR.Start)
		r := s.viewPMA(a)
		r.COW = waits(vma, a)
		rows = append(rows, r)
		from = a.AR.End
	}
	hole(ar.End)
	return rows
}

// waits reports whether a, in vma, waits for copy-on-write as people mean it: a
// file's page that the mapping may not write does not.
func waits(vma mm.VMAInfo, a mm.PMAInfo) bool { return a.NeedCOW && (a.Private || vma.Perms.Write) }

func (s *Session) viewPMA(a mm.PMAInfo) view.PMA {
	v := view.PMA{
		Start: view.Addr(a.AR.Start), End: view.Addr(a.AR.End), Faulted: true, Perms: a.Effective.String(), COW: a.NeedCOW,
		Private: a.Private, Zero: a.Zero, Event: a.Event, Why: s.whyPMA(a),
	}
	if a.Cause != memmap.NoCause {
		v.Cause = a.Cause.String()
	}
	for _, r := range a.Refs {
		v.Refs = append(v.Refs, view.Refs{Pages: r.Bytes / memmap.PageSize, Refs: r.Refs})
	}
	switch {
	case a.Zero:
		v.Backing = "zero page"
		return v
	case a.InMemory:
		v.Backing = "memfile"
	default:
		v.Backing = a.FileName
	}
	off := view.Addr(a.Offset)
	v.Offset = &off
	return v
}

// whyPMA says what made a pma what it is.
func (s *Session) whyPMA(a mm.PMAInfo) string {
	e, ok := s.d.Journal().Event(a.Event)
	switch {
	case ok && e.Kind == mm.EventFork:
		return fmt.Sprintf("shared with pid %d since fork @%d", e.Number, e.Seq)
	case ok && e.Kind == mm.EventFault:
		return fmt.Sprintf("%v fault @%d", a.Cause, e.Seq)
	case ok:
		return fmt.Sprintf("%v @%d", e.Kind, e.Seq)
	case a.Cause != memmap.NoCause:
		return a.Cause.String()
	}
	return ""
}

func runMaps(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	text, err := debugger.Maps(t.proc)
	return view.Maps{PID: t.pid, Maps: text}, err
}

func runMap(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	v := view.Map{PID: t.pid, Rows: []view.MapRow{}}
	all := debugger.VMAs(t.proc, debugger.All)
	for i := len(all) - 1; i >= 0; i-- {
		a := all[i]
		v.Rows = append(v.Rows, view.MapRow{
			Start: view.Addr(a.AR.Start), End: view.Addr(a.AR.End), Name: a.Name, Perms: perms4(a.Perms, a.Private),
			Size: a.AR.Length(), RSS: a.RSS,
		})
		if i > 0 && all[i-1].AR.End < a.AR.Start {
			v.Rows = append(v.Rows, view.MapRow{
				Start: view.Addr(all[i-1].AR.End), End: view.Addr(a.AR.Start), Size: uint64(a.AR.Start - all[i-1].AR.End), Gap: true,
			})
		}
	}
	return v, nil
}

func runWalk(c *call) (view.Value, error) {
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	at, err := c.place(0)
	if err != nil {
		return nil, err
	}
	return c.s.walk(at)
}

func (s *Session) walk(at place) (view.Walk, error) {
	m, err := at.memory()
	if err != nil {
		return view.Walk{}, err
	}
	w := m.Walk(at.addr)
	v := view.Walk{PID: at.pid, Addr: view.Addr(w.Addr), Refs: w.Refs, Pins: w.Pins}
	show := func(vma *mm.VMAInfo) *view.VMA {
		if vma == nil {
			return nil
		}
		out := s.viewVMA(at.proc, *vma)
		return &out
	}
	v.VMA, v.Before, v.After = show(w.VMA), show(w.Before), show(w.After)
	if w.VMA != nil && !w.VMA.Anonymous {
		off := view.Addr(w.FileOffset)
		v.FileOffset = &off
		v.Cache = s.walkCache(at)
	}
	if w.PMA != nil {
		pma := s.viewPMA(*w.PMA)
		if w.VMA != nil {
			pma.COW = waits(*w.VMA, *w.PMA)
		}
		v.PMA = &pma
		if !w.PMA.Zero {
			off := view.Addr(w.MemOffset)
			v.MemOffset = &off
		}
	}
	if w.Host != nil {
		v.Host = &view.HostEntry{
			Start: view.Addr(w.Host.AR.Start), End: view.Addr(w.Host.AR.End), Perms: perms4(w.Host.Perms, !w.Host.Shared), Line: hostLine(w),
		}
	}
	if w.HostErr != nil {
		v.HostError = w.HostErr.Error()
	}
	return v, nil
}

// hostLine is the stub's mapping as the host's /proc/PID/maps prints it.
func hostLine(w mm.Walk) string {
	h := w.Host
	major, minor := h.Dev>>8&0xfff, h.Dev&0xff|h.Dev>>12&0xfff00
	line := fmt.Sprintf("%08x-%08x %s %08x %02x:%02x %d", uint64(h.AR.Start), uint64(h.AR.End), perms4(h.Perms, !h.Shared), h.Offset, major, minor, h.Inode)
	if h.Name != "" {
		line += " " + h.Name
	}
	return line
}

func runInfo(c *call) (view.Value, error) {
	if len(c.args) == 0 {
		return nil, c.usage()
	}
	switch c.args[0].Text {
	case "registers", "r":
		return c.s.currentRegs()
	case "threads":
		return runPS(&call{s: c.s, ctx: c.ctx, entry: c.entry, cmd: c.cmd, env: c.env})
	case "proc":
		if len(c.args) == 2 && c.args[1].Text == "mappings" {
			return runVMAs(&call{s: c.s, ctx: c.ctx, entry: c.entry, cmd: c.cmd, env: c.env})
		}
	case "symbol":
		if len(c.args) == 2 {
			return c.info(1)
		}
	}
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	return c.info(0)
}

func (c *call) info(i int) (view.Value, error) {
	at, err := c.place(i)
	if err != nil {
		return nil, err
	}
	w, err := c.s.walk(at)
	if err != nil {
		return nil, err
	}
	v := view.Info{PID: at.pid, Addr: view.Addr(at.addr), Symbol: c.s.d.Symbol(at.proc, at.addr), Walk: w}
	if w.VMA == nil {
		return v, nil
	}
	if v.Page, err = c.s.pageLetters(at.target, at.addr.Page()); err != nil {
		return nil, err
	}
	var b [16]byte
	if n, _ := c.s.d.Peek(at.pid, at.addr, b[:]); n > 0 {
		v.Bytes = fmt.Sprintf("% x", b[:n])
	}
	return v, nil
}
