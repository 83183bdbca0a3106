package mm_test

import (
	"bytes"
	"strings"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// Of a world with more than fewMappings, only who did the last step, and what it may have
// forked, is looked at after each step, all the others after every rarely-th.
const (
	fewMappings = 64
	rarely      = 16
)

// check compares all that can be seen of processes with the model.
func (pl *player) check() {
	mappings := 0
	for _, p := range pl.procs {
		mappings += p.mappings
	}
	pl.turn++
	all := mappings <= fewMappings || pl.turn%rarely == 0
	for i, p := range pl.procs {
		if touched := p == pl.p || i == len(pl.procs)-1; all || touched {
			pl.checkProcess(i, p, touched)
		}
	}
	if pl.exact {
		pl.checkAllocated()
	}
	for _, s := range pl.sources {
		clear(s.before)
	}
}

func (pl *player) checkProcess(i int, p *process, touched bool) {
	for _, err := range p.mm.Check(false) {
		wrong("process %d: check: %v", i, err)
	}
	pl.checkMappings(i, p)
	pl.checkPages(i, p)
	pl.checkHost(i, p)
	if pl.exact {
		p.checkResident(i)
	}
	if touched {
		p.checkPagemap(i)
	}
}

// checkAllocated compares how much private memory there is.
func (pl *player) checkAllocated() {
	frames := map[*frame]bool{}
	for _, p := range pl.procs {
		for _, q := range p.pages {
			if q != nil && q.frame != nil && q.frame.refs+q.frame.pins > 1 {
				frames[q.frame] = true
			}
		}
		for _, held := range p.pins {
			for _, f := range held.frames {
				frames[f] = true
			}
		}
	}
	want := uint64(len(frames)) * page
	for _, p := range pl.procs {
		for _, q := range p.pages {
			if q != nil && q.frame != nil && q.frame.refs+q.frame.pins == 1 {
				want += page
			}
		}
	}
	if have := pl.mem.Stats().Allocated[pgalloc.Anonymous]; have != want {
		wrong("%#x bytes of private memory are allocated, %#x are in use", have, want)
	}
}

// checkMappings compares what is mapped, page by page, and remembers where mappings
// begin and end.
func (pl *player) checkMappings(n int, p *process) {
	mapped := 0
	vmas := p.mm.VMAs(p.mm.All())
	p.mappings = len(vmas)
	for _, v := range vmas {
		first, end := indexOf(v.AR.Start), indexOf(v.AR.End)
		mapped += end - first
		for i := first; i < end; i++ {
			p.start[i], p.end[i] = first, end
			q := p.pages[i]
			if q == nil {
				wrong("process %d: page %d is mapped %v", n, i, v.Perms)
			}
			name := ""
			if q.src != nil {
				name = q.src.name
			}
			if named := strings.HasPrefix(v.Name, "[anon"); named && !strings.HasSuffix(v.Name, ":"+q.name+"]") || !named && q.name != "" && v.Name != "[heap]" && v.Name != "[stack]" {
				wrong("process %d: page %d is named %q, want %q", n, i, v.Name, q.name)
			}
			off := int(v.Offset/page) + i - first
			if v.Perms != q.perms || v.MaxPerms != q.max || v.Private != q.private || v.GrowsDown != q.growsDown ||
				v.MLock != q.lock || v.Advice&shownAdvice != q.advice || v.Anonymous != (q.src == nil) || q.src != nil && off != q.off {
				wrong("process %d: page %d is %+v, offset %d, want %+v of %q", n, i, v, off, *q, name)
			}
		}
	}
	for i, q := range p.pages {
		if q == nil || p.start[i] != i {
			continue
		}
		if policy, err := p.mm.PolicyAt(addrOf(i)); err != nil || policy != q.policy {
			wrong("process %d: page %d has policy %v (%v), want %v", n, i, policy, err, q.policy)
		}
	}
	want := 0
	for _, q := range p.pages {
		if q != nil {
			want++
		}
	}
	if mapped != want || p.mm.Virtual() != uint64(want)*page {
		wrong("process %d: %d pages are mapped, %#x bytes, want %d", n, mapped, p.mm.Virtual(), want)
	}
	if brk := p.mm.BrkRange(); brk.End != p.brk || brk.Start != heapStart {
		wrong("process %d: the heap is %v, want its end at %v", n, brk, p.brk)
	}
}

// checkPages compares the bytes of every page that the engine holds.
func (pl *player) checkPages(n int, p *process) {
	for _, info := range p.mm.PMAs(p.mm.All()) {
		if info.Zero {
			for i := indexOf(info.AR.Start); i < indexOf(info.AR.End); i++ {
				if q := p.pages[i]; !bytes.Equal(q.bytes(), zeroes) {
					wrong("process %d: page %d is the zero page", n, i)
				}
			}
			continue
		}
		fr := memmap.FileRange{Start: info.Offset, End: info.Offset + memmap.FileOffset(info.AR.Length())}
		memory := must(info.File.MapInternal(fr, memmap.Read))
		for i := indexOf(info.AR.Start); i < indexOf(info.AR.End); i++ {
			pl.checkPage(n, i, p.pages[i], info.Private, memory.Head()[:page])
			memory = memory.DropFirst(page)
		}
	}
}

func (pl *player) checkPage(n, i int, q *modelPage, own bool, have []byte) {
	if q.src != nil && q.private && q.frame == nil && own && !pl.exact {
		// A wide window has copied it beside another: it holds what the file did then.
		if old, changed := q.src.before[q.off]; !bytes.Equal(have, q.bytes()) && !(changed && bytes.Equal(have, old)) {
			wrong("process %d: page %d was copied and is not what %s has at %d", n, i, q.src.name, q.off)
		}
		q.frame = &frame{data: append([]byte(nil), have...), refs: 1}
	}
	if want := q.bytes(); !bytes.Equal(have, want) {
		wrong("process %d: page %d holds %x..., want %x...", n, i, have[:16], want[:min(16, len(want))])
	}
}

// checkHost checks that the host allows the guest nothing that the model does not.
func (pl *player) checkHost(n int, p *process) {
	host := must(p.as.HostMappings())
	for _, m := range host {
		for a := m.AR.Start; a < m.AR.End; a += page {
			i := indexOf(a)
			if i < 0 || i >= arenaLen || p.pages[i] == nil {
				wrong("process %d: the host has %v mapped", n, a)
			}
			pl.checkHostPage(n, i, p, m.Perms)
			at := i * 37 % page
			v, err := p.as.Load(a + memmap.Addr(at))
			if want := p.pages[i].bytes(); err != nil || want == nil || v != want[at] {
				wrong("process %d: the host has %#x at byte %d of page %d (%v), want %v", n, v, at, i, err, want != nil)
			}
		}
	}
}

func (pl *player) checkHostPage(n, i int, p *process, has memmap.AccessType) {
	q := p.pages[i]
	may := q.perms.Effective()
	switch trap := p.traps[i].At; {
	case q.guard:
		may = memmap.NoAccess
	case trap.Read:
		may = memmap.NoAccess
	default:
		may.Write = may.Write && !trap.Write
		may.Execute = may.Execute && !trap.Execute
	}
	switch {
	case q.private && q.frame != nil && pl.exact:
		may.Write = may.Write && q.frame.refs == 1 && !q.protected
	case q.private && pl.exact:
		may.Write = false
	case q.private && has.Write && q.frame != nil && q.frame.pins > 0: // by one process, who need not copy it
	case q.private && has.Write:
		refs := p.mm.PMAs(addrOf(i).Page())[0].Refs
		may.Write = may.Write && len(refs) == 1 && refs[0].Refs == 1
	case !q.private && q.src.file != nil:
		may.Write = may.Write && q.src.file.dirty[mappableOffset(q.off)]
	}
	if !may.SupersetOf(has) {
		wrong("process %d: the host has page %d mapped %v, at most %v is allowed", n, i, has, may)
	}
}

// checkResident compares what the process holds.
func (p *process) checkResident(n int) {
	var anon, least, most uint64
	for _, q := range p.pages {
		switch {
		case q == nil:
		case q.frame != nil:
			anon += page
		case q.src != nil && q.here == present:
			least += page
			most += page
		case q.src != nil && q.here == unknown:
			most += page
		}
	}
	s := p.mm.Stats()
	if mapped := s.RSSFile + s.RSSShmem; s.RSSAnon != anon || mapped < least || mapped > most || s.RSS != s.RSSAnon+mapped {
		wrong("process %d: RSS is %#x, %#x of it private, %#x files; want %#x private, files from %#x to %#x", n, s.RSS, s.RSSAnon, mapped, anon, least, most)
	}
}

// checkReferences checks that processes and pins hold what the MemoryFile has counted.
func (pl *player) checkReferences() {
	var all []*mm.MemoryManager
	for _, p := range pl.procs {
		all = append(all, p.mm)
	}
	for _, err := range mm.CheckReferences(pl.mem, all) {
		wrong("references: %v", err)
	}
}
