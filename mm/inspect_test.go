package mm

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
)

func TestMapsText(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 16)
	p.BrkSetup(p.by, 0x600000)
	if _, err := p.Brk(p.by, 0x602000); err != nil {
		t.Fatal(err)
	}
	p.mmap(memmap.MMapOpts{
		Addr: 0x400000, Fixed: true, Length: 2 * page, Mappable: f, Identity: f, Offset: 3 * page,
		Perms: memmap.ReadExecute, MaxPerms: memmap.AnyAccess, Private: true,
	})
	p.anon(base, page, memmap.Write)
	p.anon(base+page, page, memmap.NoAccess)
	s, err := shmem.NewAnonymous(p.w.mem, 2*page, false)
	p.ok(err)
	defer s.DecRef()
	p.mmap(memmap.MMapOpts{
		Addr: base + 2*page, Fixed: true, Length: page, Mappable: s, Identity: s, Offset: page,
		Perms: memmap.ReadWrite, MaxPerms: memmap.AnyAccess,
	})
	p.mmap(memmap.MMapOpts{Addr: base + 3*page, Fixed: true, Length: page, Private: true, MaxPerms: memmap.AnyAccess, Name: "[anon:a\nb]"})
	stack, err := p.MapStack(p.by, 132<<10)
	p.ok(err)
	_ = stack
	var b strings.Builder
	p.ok(p.WriteMaps(&b))
	want := `00400000-00402000 r-xp 00003000 08:01 1234                               /file
00600000-00602000 rw-p 00000000 00:00 0                                  [heap]
10000000000-10000001000 -w-p 00000000 00:00 0 
10000001000-10000002000 ---p 00000000 00:00 0 
10000002000-10000003000 rw-s 00001000 00:01 INODE                        /dev/zero (deleted)
10000003000-10000004000 ---p 00000000 00:00 0                            [anon:a\012b]
7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`
	want = strings.Replace(want, "INODE", fmt.Sprintf("%-5d", s.InodeID()), 1)
	if b.String() != want {
		t.Errorf("maps:\n%s\nwant:\n%s", b.String(), want)
	}
	v, _ := p.FindVMA(0x400000)
	if line := MapsLine(v); line != want[:strings.IndexByte(want, '\n')+1] {
		t.Errorf("line %q", line)
	}
}

// Our lines have the host's columns.
func TestMapsColumnsAreTheHosts(t *testing.T) {
	raw, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if i := strings.IndexAny(line, "/["); i >= 0 && i != nameColumn {
			t.Errorf("the host's name starts at column %d: %q", i, line)
		}
	}
}

// A stack is where the stack pointer began.
func TestStackIsKnownByItsPointer(t *testing.T) {
	p := newProcess(t)
	stack, err := p.MapStack(p.by, 8*page)
	p.ok(err)
	p.SetStackPointer(stack.End - 3*page)
	p.mprotect(stack.End-2*page, page, memmap.Read)
	for addr, want := range map[memmap.Addr]string{stack.Start: "[stack]", stack.End - 2*page: "", stack.End - 1: ""} {
		if v, _ := p.FindVMA(addr); v.Name != want {
			t.Errorf("%v is called %q", v.AR, v.Name)
		}
	}
}

func TestInspection(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 2)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.file(base+4*page, f, memmap.ReadWrite, false)
	p.anon(base+6*page, page, memmap.Read)
	p.stores(base, 1, memmap.ZeroFill)
	p.loads(base+page, 0, memmap.ZeroMap)
	p.stores(base+4*page, 5, memmap.FileMap)
	child := p.fork()
	p.stores(base, 2, memmap.COWCopy)
	all := memmap.AddrRange{Start: base, End: base + 8*page}
	if got := p.Pages(all); !slices.Equal(got, []Page("Wz..d.. ")) {
		t.Errorf("pages %q", got)
	}
	if got := child.Pages(all); !slices.Equal(got, []Page("cz..... ")) {
		t.Errorf("the child's pages %q", got)
	}
	vmas := p.VMAs(all)
	if v := vmas[0]; v.RSS != page || v.COW != page || !v.Anonymous || v.Origin.Op != "test" || v.Origin.Event == 0 {
		t.Errorf("first vma %+v", v)
	}
	if v := vmas[1]; v.RSS != page || v.COW != 0 || v.Name != "/file" || v.Inode != 1234 {
		t.Errorf("second vma %+v", v)
	}
	pmas := child.PMAs(all)
	forked := p.w.ring.Last() - 1
	if q := pmas[0]; !q.NeedCOW || !q.Private || q.Effective != memmap.Read || q.Event != forked ||
		!reflect.DeepEqual(q.Refs, []RefRun{{Bytes: page, Refs: 1}}) {
		t.Errorf("the child's first pma %+v, fork was event %d", q, forked)
	}
	w := p.Walk(base + 4*page + 0x10)
	if w.VMA == nil || w.PMA == nil || w.FileOffset != 0x10 || w.PMA.FileName != "/file" || w.Refs != 2 || w.Host == nil || !w.Host.Perms.Write {
		t.Errorf("walk %+v", w)
	}
	if w := p.Walk(base + 7*page); w.VMA != nil || w.Before == nil || w.Before.AR.Start != base+6*page || w.After != nil {
		t.Errorf("walk in a hole %+v", w)
	}
	if got := p.OwnersOf(p.w.mem, w.MemOffset); len(got) != 1 || got[0] != (Owner{PID: 2, Addr: base + 4*page + 0x10}) {
		t.Errorf("owners %+v", got)
	}
	s := p.Stats()
	if s.RSSAnon != page || s.RSSFile != page || s.COWWaiting != page || s.VMAs != 3 || s.Causes[memmap.COWCopy] != 1 || s.MinorFaults != 4 {
		t.Errorf("stats %+v", s)
	}
}

// What Explain says is what then happens.
func TestExplainForetells(t *testing.T) {
	p := newProcess(t)
	f := newFile(p, 2)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.stores(base+page, 1, memmap.ZeroFill)
	p.stores(base+2*page, 1, memmap.ZeroFill)
	p.loads(base+3*page, 0, memmap.ZeroMap)
	p.file(base+4*page, f, memmap.ReadWrite, true)
	p.anon(base+6*page, page, memmap.Read)
	p.mmap(memmap.MMapOpts{Addr: base + 7*page, Fixed: true, Length: page, Private: true, Perms: memmap.Read, MaxPerms: memmap.Read})
	p.by.Limits.Stack = 8 << 20
	stack, err := p.MapStack(p.by, 4*page)
	p.ok(err)
	child := p.fork()
	child.munmap(base+page, page)
	for _, c := range []struct {
		addr memmap.Addr
		at   memmap.AccessType
		want memmap.Cause
		sig  unix.Signal
		code int32
		fix  string
	}{
		{base, memmap.Write, memmap.ZeroFill, 0, 0, ""},
		{base + page, memmap.Write, memmap.COWReuse, 0, 0, ""},
		{base + 2*page, memmap.Write, memmap.COWCopy, 0, 0, ""},
		{base + 3*page, memmap.Write, memmap.COWCopy, 0, 0, ""},
		{base + 4*page, memmap.Write, memmap.COWCopy, 0, 0, ""},
		{base + 5*page, memmap.Read, memmap.FileMap, 0, 0, ""},
		{base + 6*page, memmap.Read, memmap.ZeroMap, 0, 0, ""},
		{base + 6*page, memmap.Write, memmap.Permission, unix.SIGSEGV, segvAccErr, "mprotect 0x10000006000 4k rw"},
		{base + 7*page, memmap.Write, memmap.Permission, unix.SIGSEGV, segvAccErr, ""},
		{base + 9*page, memmap.Write, memmap.NoMapping, unix.SIGSEGV, segvMapErr, "mmap 0x10000009000 4k rw fixed noreplace"},
		{stack.Start - 8, memmap.Write, memmap.StackGrow, 0, 0, ""},
		{8, memmap.Read, memmap.NoMapping, unix.SIGSEGV, segvMapErr, ""},
	} {
		e := p.Explain(p.by, c.addr, c.at, 0)
		last := e.Rules[len(e.Rules)-1]
		if e.Cause != c.want || e.Signal != c.sig || e.Code != c.code || last.Fix != c.fix || last.OK != (c.sig == 0) {
			t.Errorf("%v at %v explained: %+v", c.at, c.addr, e)
		}
		if got, _ := p.HandleUserFault(p.by, c.addr, c.at, 0); got != c.want {
			t.Errorf("%v at %v: %v, foretold %v", c.at, c.addr, got, c.want)
		}
		if after := p.Explain(p.by, c.addr, c.at, 0); after.Mapped != (c.sig == 0) {
			t.Errorf("%v at %v afterwards: %+v", c.at, c.addr, after)
		}
	}
}

func TestEventsComeInTheOrderOfEffect(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.stores(base, 1, memmap.ZeroFill)
	p.mprotect(base, page, memmap.Read)
	if _, err := p.store(base, 1); err == nil {
		t.Error("the store was made")
	}
	p.anon(base, page, memmap.Read)
	if _, err := p.MRemap(p.by, base, page, page, MRemapOpts{MayMove: true, Fixed: true, NewAddr: to}); err != nil {
		t.Fatal(err)
	}
	p.ok(p.Decommit(p.by, to, page))
	p.fork()
	p.munmap(to, page)
	events, lost := p.w.ring.Since(0)
	var got []string
	for i, e := range events {
		if e.Seq != uint64(i+1) || e.PID != 2 || e.Origin.Op != "test" {
			t.Errorf("event %+v", e)
		}
		s := e.Kind.String()
		if e.Cause != memmap.NoCause {
			s += " " + e.Cause.String()
		}
		if e.Errno != 0 {
			s += " " + unix.ErrnoName(e.Errno)
		}
		got = append(got, s)
	}
	want := []string{"map", "fault zero-fill", "protect", "fault permission EPERM", "unmap", "map", "remap", "advise", "fork", "unmap"}
	if lost != 0 || !slices.Equal(got, want) {
		t.Errorf("events %q, %d lost", got, lost)
	}
}

func TestRing(t *testing.T) {
	var none *Ring
	if none.Append(Event{}) != 0 || none.Last() != 0 {
		t.Error("a nil ring took an event")
	}
	r := NewRing(4)
	for i := range 10 {
		if n := r.Append(Event{Number: int64(i)}); n != uint64(i+1) {
			t.Errorf("event %d has number %d", i, n)
		}
	}
	for _, c := range []struct{ since, first, n, lost uint64 }{{0, 7, 4, 6}, {5, 7, 4, 1}, {6, 7, 4, 0}, {8, 9, 2, 0}, {10, 0, 0, 0}, {11, 0, 0, 0}} {
		events, lost := r.Since(c.since)
		if lost != c.lost || uint64(len(events)) != c.n || c.n > 0 && (events[0].Seq != c.first || events[0].Number != int64(c.first-1)) {
			t.Errorf("since %d: %d events, %d lost", c.since, len(events), lost)
		}
	}
	for k := EventFault; k <= EventNote; k++ {
		if got, ok := ParseEventKind(k.String()); !ok || got != k {
			t.Errorf("kind %d is %q", k, k.String())
		}
	}
}

func TestLayout(t *testing.T) {
	l, err := NewLayout(guestRange, 8<<20, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := Layout{
		Min: 0x14000, Max: 0x7ffffffff000, TopDown: true, TopDownBase: 0x7ffff7fff000,
		BottomUp: 0x2aaaaaaab000, StackTop: 0x7ffffffff000, PIEBase: 0x555555554000,
	}
	if l != want {
		t.Errorf("layout %+v", l)
	}
	if big, _ := NewLayout(guestRange, 1<<30, 0); big.TopDownBase != 0x7fffbfeff000 {
		t.Errorf("the mmap base below a stack of 1 GiB is %v", big.TopDownBase)
	}
	if legacy, _ := NewLayout(guestRange, Infinity, 0); legacy.TopDown {
		t.Error("top-down below a stack without limit")
	}
	a, _ := NewLayout(guestRange, 8<<20, 1)
	b, _ := NewLayout(guestRange, 8<<20, 1)
	c, _ := NewLayout(guestRange, 8<<20, 2)
	if a != b || a == c || a.StackTop > a.Max || a.TopDownBase >= a.StackTop {
		t.Errorf("layouts %+v %+v %+v", a, b, c)
	}
	if _, err := NewLayout(memmap.AddrRange{Start: 0x10000, End: 0x20000}, 8<<20, 0); errno(err) != unix.EINVAL {
		t.Errorf("no room: %v", err)
	}
}

// A refusal names what is around the hole.
func TestRefusalsNameNeighbours(t *testing.T) {
	p := newProcess(t)
	p.anon(base, page, memmap.Read)
	p.anon(base+8*page, page, memmap.Read)
	_, err := p.MRemap(p.by, base+2*page, page, 2*page, MRemapOpts{})
	want := "mremap: EFAULT: 0x10000002000 is not mapped (hole after vma 1, between [0x10000000000, 0x10000001000) and [0x10000008000, 0x10000009000))"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	err = p.MProtect(p.by, 1, page, memmap.Read, false)
	if err == nil || err.Error() != "mprotect: EINVAL: 0x1 is not page-aligned" {
		t.Errorf("%v", err)
	}
}
