package mm

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// modelPage is what a page should be: one byte stands for its contents, and pages that
// share memory share the box. nil in a process's list is not mapped.
type modelPage struct {
	box    *byte
	perms  memmap.AccessType
	shared bool
	file   byte // what a private page is before it is written, and after its loss
}

// lost is m's page once what was written to it is gone.
func (m *modelPage) lost() *modelPage {
	fresh := *m
	fresh.box = new(byte)
	*fresh.box = m.file
	return &fresh
}

const modelPages = 48

// modelProc is a process and what its memory should hold.
type modelProc struct {
	*proc
	pages [modelPages]*modelPage
}

// player plays random operations on processes and their models.
type player struct {
	t     *testing.T
	rnd   *rand.Rand
	world *world
	procs []*modelProc
	log   []string
}

func (pl *player) pick() (first, n int) {
	first = pl.rnd.IntN(modelPages)
	return first, 1 + pl.rnd.IntN(min(modelPages-first, 12))
}

func at(i int) memmap.Addr { return base + memmap.Addr(i)*page }

func (pl *player) note(format string, args ...any) {
	pl.log = append(pl.log, fmt.Sprintf(format, args...))
}

func (pl *player) perms() memmap.AccessType {
	return []memmap.AccessType{memmap.ReadWrite, memmap.ReadWrite, memmap.Read, memmap.NoAccess, memmap.AnyAccess, memmap.Write}[pl.rnd.IntN(6)]
}

func (pl *player) step() {
	p := pl.procs[pl.rnd.IntN(len(pl.procs))]
	first, n := pl.pick()
	switch op := pl.rnd.IntN(20); {
	case op < 2:
		pl.mmap(p, first, n)
	case op < 3:
		pl.note("%d munmap %d+%d", p.pid, first, n)
		p.munmap(at(first), uint64(n)*page)
		clear(p.pages[first : first+n])
	case op < 5:
		pl.mprotect(p, first, n)
	case op < 6:
		pl.decommit(p, first, n)
	case op < 8:
		pl.mremap(p, first, n)
	case op < 9:
		pl.forkOrExit(p)
	case op < 13:
		pl.store(p, first)
	case op < 16:
		pl.load(p, first)
	default:
		pl.copyOut(p, first, n)
	}
}

func (pl *player) mmap(p *modelProc, first, n int) {
	perms, kind := pl.perms(), pl.rnd.IntN(4)
	pl.note("%d mmap %d+%d %v kind %v", p.pid, first, n, perms, kind)
	shared, file := false, false
	switch kind {
	case 0:
		p.shared(at(first), uint64(n)*page, perms)
		shared = true
	case 1:
		p.file(at(first), newFile(p.proc, uint64(n)), perms, true)
		file = true
	default:
		p.anon(at(first), uint64(n)*page, perms)
	}
	for i := range n {
		m := &modelPage{perms: perms, shared: shared}
		if file {
			m.file = byte(i + 1)
		}
		p.pages[first+i] = m.lost()
	}
}

func (pl *player) mprotect(p *modelProc, first, n int) {
	perms := pl.perms()
	pl.note("%d mprotect %d+%d %v", p.pid, first, n, perms)
	err := p.MProtect(p.by, at(first), uint64(n)*page, perms, false)
	for i := first; i < first+n; i++ {
		if p.pages[i] == nil {
			p.wantErrno(err, unix.ENOMEM, "mprotect over a hole")
			return
		}
		p.pages[i].perms = perms
	}
	p.wantErrno(err, 0, "mprotect")
}

func (pl *player) decommit(p *modelProc, first, n int) {
	pl.note("%d dontneed %d+%d", p.pid, first, n)
	err := p.Decommit(p.by, at(first), uint64(n)*page)
	want := unix.Errno(0)
	for i := first; i < first+n; i++ {
		if m := p.pages[i]; m == nil {
			want = unix.ENOMEM
		} else if !m.shared {
			p.pages[i] = m.lost()
		}
	}
	p.wantErrno(err, want, "dontneed")
}

// mremap moves with MREMAP_FIXED, sometimes keeping the old range.
func (pl *player) mremap(p *modelProc, first, n int) {
	to, _ := pl.pick()
	if to+n > modelPages || to < first+n && first < to+n {
		return
	}
	for i := first; i < first+n; i++ { // one mapping of equal pages only: the rest is the table's
		if p.pages[i] == nil || p.pages[i].shared || p.pages[i].perms != p.pages[first].perms {
			return
		}
	}
	dontUnmap := pl.rnd.IntN(3) == 0
	pl.note("%d mremap %d+%d to %d dontunmap %v", p.pid, first, n, to, dontUnmap)
	_, err := p.MRemap(p.by, at(first), uint64(n)*page, uint64(n)*page, MRemapOpts{MayMove: true, Fixed: true, DontUnmap: dontUnmap, NewAddr: at(to)})
	p.wantErrno(err, 0, "mremap")
	for i := range n {
		old := p.pages[first+i]
		p.pages[to+i] = old
		p.pages[first+i] = nil
		if dontUnmap {
			p.pages[first+i] = old.lost()
		}
	}
}

func (pl *player) forkOrExit(p *modelProc) {
	if len(pl.procs) > 4 {
		pl.note("%d exit", p.pid)
		p.exit()
		for i, q := range pl.procs {
			if q == p {
				pl.procs = append(pl.procs[:i], pl.procs[i+1:]...)
				break
			}
		}
		return
	}
	child := &modelProc{proc: p.fork()}
	pl.note("%d fork %d", p.pid, child.pid)
	for i, m := range p.pages {
		if m == nil {
			continue
		}
		c := *m
		if !m.shared {
			c.box = new(byte)
			*c.box = *m.box
		}
		child.pages[i] = &c
	}
	pl.procs = append(pl.procs, child)
}

func (pl *player) store(p *modelProc, i int) {
	v := byte(pl.rnd.Uint32())
	pl.note("%d store %d=%d", p.pid, i, v)
	cause, err := p.store(at(i), v)
	pl.refusal(p, i, memmap.Write, cause, err)
	if err == nil {
		*p.pages[i].box = v
	}
}

func (pl *player) load(p *modelProc, i int) {
	pl.note("%d load %d", p.pid, i)
	v, cause, err := p.load(at(i))
	pl.refusal(p, i, memmap.Read, cause, err)
	if err == nil && v != *p.pages[i].box {
		p.t.Errorf("load of page %d is %d, want %d", i, v, *p.pages[i].box)
	}
}

// refusal compares how an access ended with how it must.
func (pl *player) refusal(p *modelProc, i int, at memmap.AccessType, cause memmap.Cause, err error) {
	want := memmap.NoCause
	if m := p.pages[i]; m == nil {
		want = memmap.NoMapping
	} else if !m.perms.Effective().SupersetOf(at) {
		want = memmap.Permission
	}
	if (err != nil) != (want != memmap.NoCause) || err != nil && cause != want {
		p.t.Errorf("%v of page %d: %v (%v), want %v", at, i, cause, err, want)
	}
}

// copyOut writes pages as the sandbox does, and reads them back.
func (pl *player) copyOut(p *modelProc, first, n int) {
	v := byte(pl.rnd.Uint32())
	pl.note("%d copyout %d+%d=%d", p.pid, first, n, v)
	src := make([]byte, n*page)
	for i := range src {
		src[i] = v
	}
	done, err := p.CopyOut(p.by, at(first), src, IOOpts{})
	for i := first; i < first+n; i++ {
		m := p.pages[i]
		if m == nil || !m.perms.Write {
			p.wantErrno(err, unix.EFAULT, "copy to what may not be written")
			if done != (i-first)*page {
				p.t.Errorf("%d bytes copied, want %d pages", done, i-first)
			}
			return
		}
		*m.box = v
	}
	if err != nil || done != len(src) {
		p.t.Errorf("copied %d: %v", done, err)
	}
}

// Random operations of a family of processes leave every page as a model that knows
// nothing of vmas and pmas says, and every invariant whole.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			pl := &player{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), world: newWorld(t)}
			pl.world.window.Set([]uint64{memmap.PageSize, 64 << 10, WindowAuto}[seed%3])
			pl.procs = []*modelProc{{proc: pl.world.process()}}
			for range 400 {
				pl.step()
				for _, p := range pl.procs {
					p.check()
				}
				if t.Failed() {
					t.Fatalf("last of %d steps:\n%v", len(pl.log), pl.log[max(0, len(pl.log)-30):])
				}
			}
		})
	}
}
