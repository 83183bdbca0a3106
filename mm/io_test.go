package mm

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// reader gives what it has, once, and counts how often it is asked.
type reader struct {
	data  []byte
	err   error
	calls int
}

func (r *reader) ReadToBlocks(dsts safemem.Seq) (uint64, error) {
	r.calls++
	n, err := safemem.Copy(dsts, safemem.Of(r.data))
	if err == nil && n < dsts.NumBytes() {
		err = r.err
	}
	return n, err
}

// writer takes everything, and counts how often it is asked.
type writer struct {
	got   []byte
	calls int
}

func (w *writer) WriteFromBlocks(srcs safemem.Seq) (uint64, error) {
	w.calls++
	w.got = make([]byte, srcs.NumBytes())
	return safemem.Copy(safemem.Of(w.got), srcs)
}

// A copy that crosses into what it may not touch does what lies before.
func TestCopiesStopWhereMemoryEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, newProcess func(testing.TB) *proc) {
		for _, beyond := range []struct {
			name string
			set  func(*proc)
			why  memmap.Cause
		}{
			{"hole", func(*proc) {}, memmap.NoMapping},
			{"no access", func(p *proc) { p.anon(base+2*page, page, memmap.NoAccess) }, memmap.Permission},
			{"trap", func(p *proc) {
				p.anon(base+2*page, page, memmap.ReadWrite)
				p.ok(p.SetTrap(p.by, memmap.AddrRange{Start: base + 2*page, End: base + 3*page}, Trap{Kind: TrapGuard, At: memmap.AnyAccess}))
			}, memmap.GuardPage},
		} {
			p := newProcess(t)
			p.anon(base, 2*page, memmap.ReadWrite)
			beyond.set(p)
			data := bytes.Repeat([]byte("x"), 2*page)
			start := base + 100
			const room = 2*page - 100
			check := func(what string, n uint64, err error) {
				t.Helper()
				if n != room || !errors.Is(err, unix.EFAULT) || causeOf(err) != beyond.why {
					t.Errorf("%s, %s: %d bytes, %v", beyond.name, what, n, err)
				}
			}
			n, err := p.CopyOut(p.by, start, data, IOOpts{})
			check("CopyOut", uint64(n), err)
			got := make([]byte, len(data))
			n, err = p.CopyIn(p.by, start, got, IOOpts{})
			check("CopyIn", uint64(n), err)
			if !bytes.Equal(got[:n], data[:n]) {
				t.Errorf("%s: read back something else", beyond.name)
			}
			all := []memmap.AddrRange{{Start: start, End: start + 2*page}, {Start: base, End: base + page}}
			r := &reader{data: make([]byte, 4*page)}
			done, err := p.CopyOutFrom(p.by, all, r, IOOpts{})
			check("CopyOutFrom", done, err)
			w := &writer{}
			done, err = p.CopyInTo(p.by, all, w, IOOpts{})
			check("CopyInTo", done, err)
			if r.calls != 1 || w.calls != 1 {
				t.Errorf("reader asked %d times, writer %d times", r.calls, w.calls)
			}
			done, err = p.ZeroOut(p.by, start, 2*page, IOOpts{})
			check("ZeroOut", done, err)
			p.check()
		}
	})
}

func TestReadersErrorsAreTheirs(t *testing.T) {
	p := newProcess(t)
	p.anon(base, page, memmap.ReadWrite)
	two := []memmap.AddrRange{{Start: base, End: base + 10}, {Start: base + 20, End: base + 30}}
	n, err := p.CopyOutFrom(p.by, two, &reader{data: []byte("abcdefghijklmno"), err: io.ErrUnexpectedEOF}, IOOpts{})
	if n != 15 || err != io.ErrUnexpectedEOF {
		t.Errorf("a reader that fails: %d, %v", n, err)
	}
	n, err = p.CopyOutFrom(p.by, two, &reader{data: []byte("short")}, IOOpts{})
	if n != 5 || err != nil {
		t.Errorf("a reader that is short: %d, %v", n, err)
	}
	w := &writer{}
	if n, err = p.CopyInTo(p.by, two, w, IOOpts{}); n != 20 || err != nil || string(w.got) != "shortfghij"+"klmno\x00\x00\x00\x00\x00" {
		t.Errorf("read back %q (%d, %v)", w.got, n, err)
	}
	w = &writer{}
	if n, err = p.CopyInTo(p.by, []memmap.AddrRange{{Start: base + page, End: base + page + 1}}, w, IOOpts{}); n != 0 || errno(err) != unix.EFAULT || w.calls != 0 {
		t.Errorf("nothing to read: %d, %v, asked %d times", n, err, w.calls)
	}
}

// Bounds are checked even where there is nothing to copy: access_ok.
func TestBoundsOfEmptyCopies(t *testing.T) {
	p := newProcess(t)
	top := p.Layout().Max
	for addr, want := range map[memmap.Addr]unix.Errno{0: 0, base: 0, top: 0, top + 1: unix.EFAULT, ^memmap.Addr(0): unix.EFAULT} {
		_, err := p.CopyOut(p.by, addr, nil, IOOpts{})
		p.wantErrno(err, want, "CopyOut of nothing at "+addr.String())
		_, err = p.CopyInTo(p.by, []memmap.AddrRange{{Start: addr, End: addr}}, &writer{}, IOOpts{})
		p.wantErrno(err, want, "CopyInTo of nothing at "+addr.String())
	}
	_, err := p.CopyIn(p.by, ^memmap.Addr(0)-3, make([]byte, 8), IOOpts{})
	p.wantErrno(err, unix.EFAULT, "a range that wraps")
}

// The debugger sees and changes what the guest may not; its writes are copies that
// keep the vma's rights.
func TestIgnorePermissions(t *testing.T) {
	eachWay(t, func(t *testing.T, newProcess func(testing.TB) *proc) {
		p := newProcess(t)
		anyway := IOOpts{IgnorePermissions: true}
		p.anon(base, page, memmap.NoAccess)
		if _, err := p.CopyIn(p.by, base, make([]byte, 8), IOOpts{}); errno(err) != unix.EFAULT {
			t.Errorf("read of PROT_NONE: %v", err)
		}
		p.ok(second(p.CopyIn(p.by, base, make([]byte, 8), anyway)))
		p.ok(second(p.CopyOut(p.by, base, []byte{1}, anyway)))
		special, err := NewSpecial(p.w.mem, "[vdso]", 2*page, []byte("code"))
		p.ok(err)
		defer special.DecRef()
		p.mmap(memmap.MMapOpts{
			Addr: base + page, Fixed: true, Length: 2 * page, Mappable: special, Identity: special,
			Perms: memmap.ReadExecute, MaxPerms: memmap.AnyAccess, Private: true,
		})
		p.loads(base+page, 'c', memmap.FileMap)
		p.ok(second(p.CopyOut(p.by, base+page, []byte{0xcc}, anyway)))
		p.loads(base+page, 0xcc, memmap.NoCause) // mapped at once in the old page's place
		if cause, err := p.store(base+page, 1); cause != memmap.Permission || err == nil {
			t.Errorf("a store to code after a breakpoint: %v", cause)
		}
		mem, err := special.Memory()
		p.ok(err)
		if b := mem.Head()[0]; b != 'c' {
			t.Errorf("the breakpoint reached the file: %q", b)
		}
		p.check()
	})
}

func TestCopyInString(t *testing.T) {
	eachWay(t, func(t *testing.T, newProcess func(testing.TB) *proc) {
		p := newProcess(t)
		p.anon(base, page, memmap.ReadWrite)
		put := func(addr memmap.Addr, s string) { p.ok(second(p.CopyOut(p.by, addr, []byte(s), IOOpts{}))) }
		put(base, "hello\x00world")
		put(base+page-5, "tail\x00")
		put(base+page-20, "no end to be found..")
		long := bytes.Repeat([]byte("y"), 1000)
		put(base+100, string(long)+"\x00")
		for _, c := range []struct {
			addr memmap.Addr
			max  int
			want string
			err  unix.Errno
		}{
			{base, 100, "hello", 0},
			{base, 5, "hello", 0},
			{base, 4, "hell", unix.ENAMETOOLONG},
			{base, 0, "", unix.ENAMETOOLONG},
			{base + 100, 1000, string(long), 0},
			{base + 100, 999, string(long[:999]), unix.ENAMETOOLONG},
			{base + page - 20, 100, "no end to be found..", unix.EFAULT},
			{base + page - 20, 20, "no end to be found..", unix.EFAULT},
			{base + page - 20, 19, "no end to be found.", unix.ENAMETOOLONG},
			{base + page, 10, "", unix.EFAULT},
			{^memmap.Addr(0), 10, "", unix.EFAULT},
		} {
			got, err := p.CopyInString(p.by, c.addr, c.max, IOOpts{})
			if got != c.want || errno(err) != c.err {
				t.Errorf("string at %v, at most %d: %q, %v", c.addr, c.max, got, err)
			}
		}
	})
}

func TestAtomics(t *testing.T) {
	p := newProcess(t)
	p.anon(base, page, memmap.ReadWrite)
	child := p.fork()
	if old, err := p.SwapUint32(p.by, base+8, 5, IOOpts{}); old != 0 || err != nil {
		t.Errorf("swap: %d, %v", old, err)
	}
	if old, err := p.CompareAndSwapUint32(p.by, base+8, 4, 6, IOOpts{}); old != 5 || err != nil {
		t.Errorf("compare-and-swap that fails: %d, %v", old, err)
	}
	if old, err := p.CompareAndSwapUint32(p.by, base+8, 5, 7, IOOpts{}); old != 5 || err != nil {
		t.Errorf("compare-and-swap: %d, %v", old, err)
	}
	if v, err := p.LoadUint32(p.by, base+8, IOOpts{}); v != 7 || err != nil {
		t.Errorf("load: %d, %v", v, err)
	}
	if v, err := child.LoadUint32(p.by, base+8, IOOpts{}); v != 0 || err != nil {
		t.Errorf("the child's load: %d, %v", v, err)
	}
	for _, addr := range []memmap.Addr{base + 2, base + page - 2, base + page} {
		_, err := p.LoadUint32(p.by, addr, IOOpts{})
		p.wantErrno(err, unix.EFAULT, "load at "+addr.String())
	}
}

// A word of shared memory is one futex for all who map it, one of private memory
// each one's own.
func TestFutexKeys(t *testing.T) {
	p := newProcess(t)
	p.anon(base, page, memmap.ReadWrite)
	p.shared(base+page, page, memmap.ReadWrite)
	child := p.fork()
	key := func(q *proc, addr memmap.Addr, private bool) FutexKey {
		k, err := q.FutexKey(q.by, addr, private)
		p.ok(err)
		return k
	}
	if key(p, base, false) == key(child, base, false) || key(p, base, false) != key(p, base, true) {
		t.Error("private memory")
	}
	if key(p, base+page+4, false) != key(child, base+page+4, false) || key(p, base+page, false) == key(p, base+page+4, false) {
		t.Error("shared memory")
	}
	_, err := p.FutexKey(p.by, base+2*page, false)
	p.wantErrno(err, unix.EFAULT, "a futex in a hole")
}
