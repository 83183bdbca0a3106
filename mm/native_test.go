package mm

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
)

// The host's kernel is the judge: the same calls are made here, in this test's own
// process at addresses that nothing else uses, and in the engine.

const (
	nativePages  = 24
	nativeWindow = nativePages * page
)

// call is one memory call with its arguments as registers have them.
type call struct {
	nr   uintptr
	args [5]uintptr
}

func (c call) String() string {
	name := map[uintptr]string{
		unix.SYS_MMAP: "mmap", unix.SYS_MUNMAP: "munmap", unix.SYS_MPROTECT: "mprotect",
		unix.SYS_MREMAP: "mremap", unix.SYS_MADVISE: "madvise", sysStore: "store",
	}[c.nr]
	return fmt.Sprintf("%s %#x", name, c.args)
}

// sysStore is no system call but a store of a byte.
const sysStore = 1 << 20

// native makes the call for real.
func (c call) native() (uintptr, unix.Errno) {
	if c.nr == sysStore { // the kernel stores for us, one random byte
		r, _, e := unix.RawSyscall(unix.SYS_GETRANDOM, c.args[0], 1, 0)
		return r, e
	}
	fd := uintptr(0)
	if c.nr == unix.SYS_MMAP {
		fd = ^uintptr(0)
	}
	r, _, e := unix.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.choose5(fd), 0)
	return r, e
}

func (c call) choose5(fd uintptr) uintptr {
	if c.nr == unix.SYS_MMAP {
		return fd
	}
	return c.args[4]
}

// engine makes the call on p.
func (c call) engine(p *proc) (uintptr, unix.Errno) {
	a := c.args
	addr := memmap.Addr(a[0])
	switch c.nr {
	case unix.SYS_MMAP:
		return c.engineMMap(p)
	case unix.SYS_MUNMAP:
		return 0, errno(p.MUnmap(p.by, addr, uint64(a[1])))
	case unix.SYS_MPROTECT:
		return 0, errno(p.MProtect(p.by, addr, uint64(a[1]), memmap.AccessFromProt(int(a[2])), a[2]&unix.PROT_GROWSDOWN != 0))
	case unix.SYS_MREMAP:
		o := MRemapOpts{
			MayMove: a[3]&unix.MREMAP_MAYMOVE != 0, Fixed: a[3]&unix.MREMAP_FIXED != 0,
			DontUnmap: a[3]&unix.MREMAP_DONTUNMAP != 0, NewAddr: memmap.Addr(a[4]),
		}
		if !o.Fixed && !o.DontUnmap {
			o.NewAddr = 0
		}
		to, err := p.MRemap(p.by, addr, uint64(a[1]), uint64(a[2]), o)
		return uintptr(to), errno(err)
	case unix.SYS_MADVISE:
		return 0, errno(p.Decommit(p.by, addr, uint64(a[1])))
	case sysStore:
		if _, err := p.store(addr, 1); err != nil {
			return 0, errno(err)
		}
		return 0, 0
	}
	panic("unknown call")
}

func (c call) engineMMap(p *proc) (uintptr, unix.Errno) {
	a := c.args
	fixed := a[3] & (unix.MAP_FIXED | unix.MAP_FIXED_NOREPLACE)
	o := memmap.MMapOpts{
		Addr: memmap.Addr(a[0]), Length: uint64(a[1]), Perms: memmap.AccessFromProt(int(a[2])), MaxPerms: memmap.AnyAccess,
		Private: a[3]&unix.MAP_PRIVATE != 0, GrowsDown: a[3]&unix.MAP_GROWSDOWN != 0,
		Fixed: fixed != 0, Unmap: a[3]&unix.MAP_FIXED != 0, NoReplace: a[3]&unix.MAP_FIXED_NOREPLACE != 0,
	}
	if !o.Private && o.Length != 0 {
		s, err := shmem.NewAnonymous(p.w.mem, o.Length, o.NoReserve)
		if err != nil {
			return 0, errno(err)
		}
		defer s.DecRef()
		o.Mappable, o.Identity = s, s
	}
	addr, err := p.MMap(p.by, o)
	return uintptr(addr), errno(err)
}

// script makes random calls. touch says that pages are written as well.
type script struct {
	rnd   *rand.Rand
	touch bool
}

func (s *script) addr() uintptr {
	a := uintptr(base) + uintptr(s.rnd.IntN(nativePages))*page
	if s.rnd.IntN(40) == 0 {
		a += 8
	}
	return a
}

// length returns a length that from addr on stays in the window.
func (s *script) length(addr uintptr) uintptr {
	room := (uintptr(base) + nativeWindow - addr&^(page-1)) / page
	n := uintptr(1+s.rnd.IntN(int(min(room, 8)))) * page
	switch s.rnd.IntN(30) {
	case 0:
		return 0
	case 1:
		return n - 5
	}
	return n
}

func (s *script) prot() uintptr {
	return []uintptr{0, 1, 3, 3, 3, 7, 2, 5}[s.rnd.IntN(8)]
}

func (s *script) call() call {
	addr := s.addr()
	n := s.length(addr)
	switch s.rnd.IntN(12) {
	case 0, 1, 2, 3:
		flags := uintptr(unix.MAP_ANONYMOUS)
		flags |= []uintptr{unix.MAP_PRIVATE, unix.MAP_PRIVATE, unix.MAP_PRIVATE, unix.MAP_SHARED, unix.MAP_PRIVATE | unix.MAP_GROWSDOWN}[s.rnd.IntN(5)]
		flags |= []uintptr{unix.MAP_FIXED, unix.MAP_FIXED, unix.MAP_FIXED, unix.MAP_FIXED_NOREPLACE, 0}[s.rnd.IntN(5)]
		return call{unix.SYS_MMAP, [5]uintptr{addr, n, s.prot(), flags}}
	case 4:
		return call{unix.SYS_MUNMAP, [5]uintptr{addr, n}}
	case 5, 6, 7:
		prot := s.prot()
		if s.rnd.IntN(10) == 0 {
			prot |= unix.PROT_GROWSDOWN
		}
		return call{unix.SYS_MPROTECT, [5]uintptr{addr, n, prot}}
	case 8, 9:
		to := s.addr()
		flags := []uintptr{0, unix.MREMAP_MAYMOVE, unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED, unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED,
			unix.MREMAP_MAYMOVE | unix.MREMAP_DONTUNMAP, unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | unix.MREMAP_DONTUNMAP, unix.MREMAP_FIXED}[s.rnd.IntN(7)]
		n = s.length(max(addr, to))
		newLen := n
		if s.rnd.IntN(2) == 0 {
			newLen = s.length(max(addr, to))
		}
		return call{unix.SYS_MREMAP, [5]uintptr{addr, n, newLen, flags, to}}
	case 10:
		return call{unix.SYS_MADVISE, [5]uintptr{addr, n, unix.MADV_DONTNEED}}
	}
	if !s.touch {
		return s.call()
	}
	return call{sysStore, [5]uintptr{addr}}
}

// nativeMaps returns the lines of this process's maps that lie in the window, up to
// the device.
func nativeMaps(t *testing.T, join bool) string {
	raw, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return windowMaps(raw, join)
}

// windowMaps returns the window's lines of maps. join says that private lines which
// differ in nothing but their place are one: the host keeps memory apart that was
// first written while it was not yet adjacent (its anon_vma), and remembers that
// for longer than the pages last.
func windowMaps(raw []byte, join bool) string {
	type line struct {
		start, end, off uint64
		perms           string
	}
	var all []line
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		var l line
		fmt.Sscanf(lines.Text(), "%x-%x %s %x", &l.start, &l.end, &l.perms, &l.off)
		if !inWindow(uintptr(l.start)) {
			continue
		}
		if n := len(all); join && n > 0 && all[n-1].end == l.start && all[n-1].perms == l.perms && l.perms[3] == 'p' {
			all[n-1].end = l.end
			continue
		}
		all = append(all, l)
	}
	var b strings.Builder
	for _, l := range all {
		fmt.Fprintf(&b, "%x-%x %s %x\n", l.start, l.end, l.perms, l.off)
	}
	return b.String()
}

func inWindow(a uintptr) bool { return a >= uintptr(base) && a < uintptr(base)+nativeWindow }

// writable reports whether a store at addr is one that both sides can make.
func writable(p *proc, addr uintptr) bool {
	v, ok := p.FindVMA(memmap.Addr(addr))
	return ok && v.Perms.Write
}

// The same calls have the same answers and leave the same mappings as on the host.
func TestCallsAnswerAsTheHost(t *testing.T) {
	for _, touch := range []bool{false, true} {
		for seed := range uint64(150) {
			t.Run(fmt.Sprintf("touch %v seed %d", touch, seed), func(t *testing.T) {
				playNative(t, &script{rand.New(rand.NewPCG(seed, 7)), touch})
			})
		}
	}
}

func playNative(t *testing.T, s *script) {
	unmapWindow := func() { unix.RawSyscall(unix.SYS_MUNMAP, uintptr(base), nativeWindow, 0) }
	unmapWindow()
	defer unmapWindow()
	p := newProcess(t)
	var log []string
	for range 80 {
		c := s.call()
		if c.nr == sysStore && !writable(p, c.args[0]) {
			continue
		}
		log = append(log, c.String())
		want, wantErr := c.native()
		got, gotErr := c.engine(p)
		placed := c.nr == unix.SYS_MMAP || c.nr == unix.SYS_MREMAP
		if wantErr != gotErr {
			t.Errorf("%v: %s, the host says %s", c, unix.ErrnoName(gotErr), unix.ErrnoName(wantErr))
		} else if placed && wantErr == 0 && (inWindow(want) || inWindow(got)) && want != got {
			t.Errorf("%v: %#x, the host says %#x", c, got, want)
		} else if placed && wantErr == 0 && !inWindow(want) { // somewhere else: the address is each one's own
			n := c.args[1]
			if c.nr == unix.SYS_MREMAP {
				n = c.args[2]
			}
			unix.RawSyscall(unix.SYS_MUNMAP, want, (n+page-1)&^(page-1), 0)
			p.munmap(memmap.Addr(got), uint64(n))
		}
		var mine bytes.Buffer
		p.ok(p.WriteMaps(&mine))
		if got, want := windowMaps(mine.Bytes(), s.touch), nativeMaps(t, s.touch); got != want {
			t.Errorf("after %v:\n%s the host has:\n%s", c, got, want)
		}
		p.check()
		if t.Failed() {
			t.Fatalf("calls:\n%s", strings.Join(log, "\n"))
		}
	}
}
