package repl

import (
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
)

func pinCommands() []*Command {
	return []*Command{
		{
			Name: "pin", Group: "faults and COW", Synopsis: "[RANGE]", Summary: "pin pages as a device's driver does; alone, list the pins",
			Help: "The pages come in, writable where the mapping is, and stay where they are in memory until `unpin`, whatever becomes of the addresses. " +
				"Private pages become the process's own; a child that is forked gets copies of them at once. " +
				"What is pinned counts against RLIMIT_MEMLOCK and is VmPin. `let n = pin RANGE` takes the pin's number; an address alone means its page.",
			Examples: []Example{
				{Setup: "mmap 64k rw; let a = $_", Line: "let n = pin $a,8k; fork; expect not same-frame $a $a@$child; pages $a,16k; unpin $n", Shows: "the child gets copies, the parent keeps its pages"},
				{Setup: "mmap 64k rw; pin $_,8k; munmap $_,4k", Line: "pin", Shows: "the memory of the first page is still held"},
			},
			Data: []view.Value{view.PinChange{}, view.Pins{}}, Complete: []hint{hintAddr}, Run: runPin,
		},
		{
			Name: "unpin", Group: "faults and COW", Synopsis: "N", Summary: "end pin N of the current process",
			Examples: []Example{{Setup: "mmap 64k rw; pin $_,8k", Line: "unpin 1"}},
			Data:     []view.Value{view.PinChange{}}, Run: runUnpin,
		},
	}
}

func runPin(c *call) (view.Value, error) {
	if len(c.args) == 0 {
		return c.listPins()
	}
	sp, err := c.onlySpan(lang.LonePage)
	if err != nil {
		return nil, err
	}
	ar, err := sp.ends("pin")
	if err != nil {
		return nil, err
	}
	m, by, err := sp.hands("pin")
	if err != nil {
		return nil, err
	}
	p, err := m.Pin(by, ar, pinAccess(m, ar), mm.IOOpts{})
	if err != nil {
		return nil, err
	}
	c.yield(lang.Int(p.ID))
	return view.PinChange{PID: sp.pid, Pin: viewPin(m, p)}, nil
}

// pinAccess is writing if all of ar may be written, else reading.
func pinAccess(m *mm.MemoryManager, ar memmap.AddrRange) memmap.AccessType {
	for _, v := range m.VMAs(ar) {
		if !v.Perms.Write {
			return memmap.Read
		}
	}
	return memmap.Write
}

func (c *call) listPins() (view.Value, error) {
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	m, err := t.memory()
	if err != nil {
		return nil, err
	}
	v := view.Pins{PID: t.pid, Rows: []view.Pin{}, Pinned: m.Stats().Pinned}
	for _, p := range m.Pins() {
		v.Rows = append(v.Rows, viewPin(m, p))
	}
	return v, nil
}

func viewPin(m *mm.MemoryManager, p *mm.Pin) view.Pin {
	v := view.Pin{ID: p.ID, Start: view.Addr(p.AR.Start), End: view.Addr(p.AR.End), Access: "r", Moved: p.AR.Length() - m.StillThere(p), Event: p.Event}
	if p.Write {
		v.Access = "w"
	}
	return v
}

func runUnpin(c *call) (view.Value, error) {
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	id, err := c.number(0)
	if err != nil {
		return nil, err
	}
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	m, by, err := t.hands("unpin")
	if err != nil {
		return nil, err
	}
	p, err := m.Unpin(by, id.Int())
	if err != nil {
		return nil, err
	}
	return view.PinChange{PID: t.pid, Pin: viewPin(m, p), Ended: true}, nil
}
