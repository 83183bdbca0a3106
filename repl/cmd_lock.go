package repl

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
)

func lockCommands() []*Command {
	return []*Command{
		{
			Name: "mlock", Group: "change mappings", Synopsis: "RANGE [onfault]", Summary: "lock pages: they come in at once, or with onfault as they are touched",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "mlock $_,16k", Shows: "four pages come in"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runMLock,
		},
		{
			Name: "munlock", Group: "change mappings", Synopsis: "RANGE", Summary: "unlock pages",
			Examples: []Example{{Setup: "mmap 64k rw; mlock $_,64k", Line: "munlock $_,16k", Shows: "the mapping splits"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runMUnlock,
		},
		{
			Name: "mlockall", Group: "change mappings", Synopsis: "[current][,future][,onfault]", Summary: "lock all that is mapped, or will be",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "mlockall current,onfault", Shows: "no page comes in"}},
			Data:     []view.Value{view.Text{}}, Run: runMLockAll,
		},
		{
			Name: "munlockall", Group: "change mappings", Summary: "unlock all that is mapped, or will be",
			Examples: []Example{{Setup: "mmap 64k rw; mlockall current,future", Line: "munlockall"}},
			Data:     []view.Value{view.Text{}}, Run: runMUnlockAll,
		},
		{
			Name: "msync", Group: "change mappings", Synopsis: "RANGE [sync|async|invalidate]…", Summary: "have shared files write what was changed in memory",
			Examples: []Example{{Setup: "mmap 64k rw shared", Line: "msync $_,64k sync", Shows: "shared memory has nowhere to be written"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runMSync,
		},
		{
			Name: "mseal", Group: "change mappings", Synopsis: "RANGE", Summary: "let mappings never be changed again",
			Examples: []Example{{Setup: "mmap 64k rw; let a = $_", Line: "mseal $a,64k; expect error EPERM munmap $a,4k", Shows: "sealed"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runMSeal,
		},
		{
			Name: "mbind", Group: "change mappings", Synopsis: "RANGE POLICY", Summary: "set the memory policy; there is one node",
			Help:     "POLICY is a mode of mbind(2) with or without MPOL_; its node, where it wants one, is 0. It is kept, and keeps mappings apart.",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "mbind $_,16k bind", Shows: "the mapping splits"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runMBind,
		},
		{
			Name: "name", Group: "change mappings", Synopsis: "RANGE TEXT", Summary: "give anonymous memory a name, or with \"\" take it away",
			Help:     "maps shows [anon:TEXT], or [anon_shmem:TEXT] of shared memory.",
			Examples: []Example{{Setup: "mmap 64k rw; let a = $_", Line: "name $a,16k \"my pool\"; expect vma $a name \"[anon:my pool]\"", Shows: "as PR_SET_VMA_ANON_NAME does"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runName,
		},
		{
			Name: "limit", Group: "change mappings", Synopsis: "NAME VALUE|unlimited", Summary: "set a soft resource limit of the current process",
			Help:     "NAME is as in limits. A hard limit below VALUE is raised to it.",
			Examples: []Example{{Setup: "limit as 1M", Line: "expect error ENOMEM mmap 2M rw; limit as unlimited", Shows: "the limit refuses"}},
			Data:     []view.Value{view.Limits{}}, Run: runLimit,
		},
	}
}

func pageCommands() []*Command {
	return []*Command{
		{
			Name: "populate", Group: "faults and COW", Synopsis: "RANGE", Summary: "bring all pages in, as MAP_POPULATE would",
			Help:     "Private memory that can be written comes in as if it were written, all else as if it were read.",
			Examples: []Example{{Setup: "mmap 64k rw", Line: "populate $_,64k", Shows: "16 pages of zeroes"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runPopulate,
		},
		{
			Name: "decommit", Group: "faults and COW", Synopsis: "RANGE", Summary: "drop pages, as MADV_DONTNEED does",
			Examples: []Example{{Setup: "mmap 64k rw; touch $_,64k w", Line: "decommit $_,32k", Shows: "half of the pages go"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runDecommit,
		},
		{
			Name: "invalidate", Group: "faults and COW", Synopsis: "RANGE [private]", Summary: "drop what was translated by files and shared memory, to be asked anew",
			Help:     "With `private` copies of private file mappings go as well, as when a file is truncated.",
			Examples: []Example{{Setup: "mmap 64k rw shared; touch $_,64k w", Line: "invalidate $_,64k", Shows: "nothing is lost: the pages are the shared memory's"}},
			Data:     []view.Value{view.Change{}}, Complete: []hint{hintAddr}, Run: runInvalidate,
		},
	}
}

// rangeCall is the frame of a command RANGE [WORD]…: op is done to the range.
func (c *call) rangeCall(did string, words int, op func(m *mm.MemoryManager, by *mm.Actor, sp span, words []string) error) (view.Value, error) {
	sp, rest, err := c.span(0, lang.LoneRefused)
	if err != nil {
		return nil, err
	}
	if len(rest) > words {
		return nil, c.usage()
	}
	m, by, err := sp.hands(c.entry.Name)
	if err != nil {
		return nil, err
	}
	said := make([]string, len(rest))
	for i, w := range rest {
		said[i] = w.Text
	}
	if err := op(m, by, sp, said); err != nil {
		return nil, err
	}
	v := sp.change(did)
	v.Detail = strings.Join(said, " ")
	return v, nil
}

func runMLock(c *call) (view.Value, error) {
	return c.rangeCall("locked", 1, func(m *mm.MemoryManager, by *mm.Actor, sp span, words []string) error {
		mode := memmap.MLockEager
		if len(words) > 0 {
			if words[0] != "onfault" {
				return c.usage()
			}
			mode = memmap.MLockLazy
		}
		return m.MLock(by, sp.Start, sp.Length, mode)
	})
}

func runMUnlock(c *call) (view.Value, error) {
	return c.rangeCall("unlocked", 0, func(m *mm.MemoryManager, by *mm.Actor, sp span, _ []string) error {
		return m.MLock(by, sp.Start, sp.Length, memmap.MLockNone)
	})
}

func runMLockAll(c *call) (view.Value, error) {
	if err := c.count(1, 1); err != nil {
		return nil, err
	}
	var o mm.MLockAllOpts
	for _, word := range strings.Split(c.args[0].Text, ",") {
		switch word {
		case "current":
			o.Current = true
		case "future":
			o.Future = true
		case "onfault":
			o.OnFault = true
		default:
			return nil, c.usage()
		}
	}
	if !o.Current && !o.Future { // mlockall(2)'s, which tells it from munlockall
		return nil, memmap.Refuse("mlockall", unix.EINVAL, "neither current nor future is to be locked")
	}
	return c.lockAll(o)
}

func runMUnlockAll(c *call) (view.Value, error) {
	if err := c.count(0, 0); err != nil {
		return nil, err
	}
	return c.lockAll(mm.MLockAllOpts{})
}

func (c *call) lockAll(o mm.MLockAllOpts) (view.Value, error) {
	t, err := c.target(0)
	if err != nil {
		return nil, err
	}
	m, by, err := t.hands(c.entry.Name)
	if err != nil {
		return nil, err
	}
	if err := m.MLockAll(by, o); err != nil {
		return nil, err
	}
	return view.Text{Words: fmt.Sprintf("%s locked", view.Size(m.Stats().Locked))}, nil
}

func runMSync(c *call) (view.Value, error) {
	return c.rangeCall("synced", 3, func(m *mm.MemoryManager, by *mm.Actor, sp span, words []string) error {
		var o mm.MSyncOpts
		for _, w := range words {
			switch w {
			case "sync":
				o.Sync = true
			case "async":
				o.Async = true
			case "invalidate":
				o.Invalidate = true
			default:
				return c.usage()
			}
		}
		return m.MSync(by, sp.Start, sp.Length, o)
	})
}

func runMSeal(c *call) (view.Value, error) {
	return c.rangeCall("sealed", 0, func(m *mm.MemoryManager, by *mm.Actor, sp span, _ []string) error {
		return m.MSeal(by, sp.Start, sp.Length)
	})
}

// policyModes are the modes of mbind(2) as commands name them.
var policyModes = map[string]int{
	"default": mm.PolicyDefault, "preferred": mm.PolicyPreferred, "bind": mm.PolicyBind, "interleave": mm.PolicyInterleave,
	"local": mm.PolicyLocal, "preferred_many": mm.PolicyPreferredMany, "weighted_interleave": mm.PolicyWeightedInterleave,
}

func runMBind(c *call) (view.Value, error) {
	return c.rangeCall("bound", 1, func(m *mm.MemoryManager, by *mm.Actor, sp span, words []string) error {
		if len(words) == 0 {
			return c.usage()
		}
		mode, ok := policyModes[strings.ToLower(strings.TrimPrefix(words[0], "MPOL_"))]
		if !ok {
			return memmap.Refuse("mbind", unix.EINVAL, "there is no policy %q", words[0])
		}
		var nodes mm.Nodes
		if mode != mm.PolicyDefault && mode != mm.PolicyLocal {
			nodes = mm.OurNodes()
		}
		policy, err := mm.NewPolicy("mbind", mode, nodes)
		if err != nil {
			return err
		}
		return m.SetPolicy(by, sp.Start, sp.Length, policy, false)
	})
}

func runName(c *call) (view.Value, error) {
	sp, rest, err := c.span(0, lang.LoneRefused)
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, c.usage()
	}
	text, err := rest[0].Value()
	if err != nil {
		return nil, err
	}
	m, by, err := sp.hands("name")
	if err != nil {
		return nil, err
	}
	name := &text
	if text == "" {
		name = nil
	}
	if err := m.SetAnonName(by, sp.Start, sp.Length, name); err != nil {
		return nil, err
	}
	v := sp.change("named")
	v.Detail = text
	return v, nil
}

func runDecommit(c *call) (view.Value, error) {
	return c.rangeCall("decommitted", 0, func(m *mm.MemoryManager, by *mm.Actor, sp span, _ []string) error {
		return m.Decommit(by, sp.Start, sp.Length)
	})
}

func runInvalidate(c *call) (view.Value, error) {
	return c.rangeCall("invalidated", 1, func(m *mm.MemoryManager, _ *mm.Actor, sp span, words []string) error {
		if len(words) > 0 && words[0] != "private" {
			return c.usage()
		}
		ar, err := sp.ends("invalidate")
		if err != nil {
			return err
		}
		if ar.IsEmpty() || !ar.Start.IsPageAligned() || !ar.End.IsPageAligned() {
			return memmap.Refuse("invalidate", unix.EINVAL, "%v is not whole pages", ar)
		}
		m.Invalidate(ar, len(words) > 0)
		return nil
	})
}

func runPopulate(c *call) (view.Value, error) {
	return c.rangeCall("populated", 0, func(m *mm.MemoryManager, by *mm.Actor, sp span, _ []string) error {
		ar, err := sp.ends("populate")
		if err != nil {
			return err
		}
		return c.populate(m, by, ar)
	})
}

// populate touches what is mapped in ar, up to the first hole.
func (c *call) populate(m *mm.MemoryManager, by *mm.Actor, ar memmap.AddrRange) error {
	next := ar.Start
	for _, v := range m.VMAs(ar) {
		if v.AR.Start > next {
			break
		}
		at := memmap.Read
		if v.Perms.Write && v.Private {
			at = memmap.Write
		}
		part := v.AR.Intersect(ar)
		if _, err := touch(c.ctx, m, by, part, at); err != nil {
			return err
		}
		next = part.End
	}
	if next < ar.End {
		return memmap.Refuse("populate", unix.ENOMEM, "%v is not mapped", next)
	}
	return nil
}
