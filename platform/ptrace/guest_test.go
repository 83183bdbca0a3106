package ptrace

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/platform"
)

// memFile is a memfd as a memmap.File.
type memFile struct{ fd int }

func (f memFile) FD() int                 { return f.fd }
func (f memFile) IncRef(memmap.FileRange) {}
func (f memFile) DecRef(memmap.FileRange) {}
func (f memFile) MapInternal(memmap.FileRange, memmap.AccessType) (safemem.Seq, error) {
	panic("not for stubs")
}

// zeroes is the file without a descriptor.
var zeroes = memFile{-1}

func newMemFile(t testing.TB, size int64) memFile {
	t.Helper()
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return memFile{fd}
}

func (f memFile) write(t testing.TB, b []byte, off int64) {
	t.Helper()
	if _, err := unix.Pwrite(f.fd, b, off); err != nil {
		t.Fatal(err)
	}
}

// testPlatform returns a platform that is closed, and found without stubs, at the
// end of the test.
func testPlatform(t testing.TB) *Platform {
	t.Helper()
	return testPlatformIn(t, isolations())
}

func testPlatformIn(t testing.TB, isolations []uintptr) *Platform {
	t.Helper()
	p, err := newPlatform(isolations)
	if err != nil {
		t.Fatal(err)
	}
	session := p.zygote.Load().first.pid
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		for _, s := range []int{session, p.zygote.Load().first.pid} {
			if left := processesOf(t, s); left != nil {
				t.Errorf("stubs live on: %v", left)
			}
		}
	})
	return p
}

// Where the tests' guests have their things.
const (
	codeAt  = memmap.Addr(0x400000)
	dataAt  = memmap.Addr(0x500000)
	stackAt = memmap.Addr(0x600000) // the end of one page

	stackPointer = uint64(stackAt) - 64
)

// guest is a context with a page of code, at codeAt, two pages of data, of which
// the first is mapped read-write, and one of stack.
type guest struct {
	t  testing.TB
	p  *Platform
	as platform.AddressSpace
	platform.Context
	file memFile
	regs platform.Regs
}

// Offsets in the guest's file.
const (
	codeOff, dataOff, stackOff = 0, 0x1000, 0x3000
)

// newGuest makes a guest on the test's goroutine.
func newGuest(t testing.TB, p *Platform, code ...byte) *guest {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	as, err := p.NewAddressSpace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(as.Release)
	c, err := as.NewContext(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Release)
	g := &guest{t: t, p: p, as: as, Context: c, file: newMemFile(t, 1<<20)}
	g.file.write(t, code, codeOff)
	g.mapAt(codeAt, codeOff, memmap.ReadExecute)
	g.mapAt(dataAt, dataOff, memmap.ReadWrite)
	g.mapAt(stackAt-memmap.PageSize, stackOff, memmap.ReadWrite)
	g.regs = platform.Regs{Rip: uint64(codeAt), Rsp: stackPointer, Eflags: 0x202}
	return g
}

func page(a memmap.Addr) memmap.AddrRange {
	return memmap.AddrRange{Start: a, End: a + memmap.PageSize}
}

// mapAt maps a page of the guest's file.
func (g *guest) mapAt(a memmap.Addr, off memmap.FileOffset, at memmap.AccessType) {
	g.t.Helper()
	g.apply(platform.MapOp{AR: page(a), File: g.file, Offset: off, At: at})
}

func (g *guest) apply(ops ...platform.MapOp) {
	g.t.Helper()
	if err := g.as.Apply(g.Context, ops); err != nil {
		g.t.Fatal(err)
	}
}

// run runs to the next stop.
func (g *guest) run() platform.Stop {
	g.t.Helper()
	stop, err := g.Run(&g.regs)
	if err != nil {
		g.t.Fatal(err)
	}
	return stop
}

// expect runs to the next stop, which must be want.
func (g *guest) expect(want platform.Stop) {
	g.t.Helper()
	if got := g.run(); got != want {
		g.t.Fatalf("stop %+v at rip %#x, want %+v", got, g.regs.Rip, want)
	}
}

// expectCall runs to a system call with the given number.
func (g *guest) expectCall(nr uint64) {
	g.t.Helper()
	g.expect(platform.Stop{Kind: platform.Syscall})
	if g.regs.Orig_rax != nr {
		g.t.Fatalf("system call %d, want %d", g.regs.Orig_rax, nr)
	}
}
