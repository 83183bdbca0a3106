package ptrace

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// loopOf returns code that does body for ever.
func loopOf(body ...byte) []byte { return append(body, 0xeb, byte(-2-len(body))) }

// yardstick runs the C program that does the same without us: nanoseconds a stop.
func yardstick(b *testing.B) float64 {
	b.Helper()
	exe := filepath.Join(b.TempDir(), "sysemu")
	if out, err := exec.Command("gcc", "-O2", "-o", exe, "testdata/sysemu.c").CombinedOutput(); err != nil {
		b.Fatalf("gcc: %v\n%s", err, out)
	}
	best := 0.0
	for range 3 {
		out, err := exec.Command(exe, "100000").Output()
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
		if best == 0 || ns < best {
			best = ns
		}
	}
	return best
}

// BenchmarkGetppid is a system call's round trip. The bar is 1.25 × the yardstick.
func BenchmarkGetppid(b *testing.B) {
	c := yardstick(b)
	g := newGuest(b, testPlatform(b), loopOf(getppid...)...)
	for b.Loop() {
		if g.run().Kind != platform.Syscall {
			b.Fatal("not a call")
		}
		g.regs.Rax = 1
	}
	ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(c, "ns/C-loop")
	b.ReportMetric(ns/c, "ratio")
}

// BenchmarkFault is the first store to a page: a fault, the page mapped by
// injection, and the resume. Every 1024 pages all are unmapped.
func BenchmarkFault(b *testing.B) {
	const pages, base = 1024, memmap.Addr(0x1000_0000)
	g := newGuest(b, testPlatform(b), loopOf(0x89, 0x00, 0x48, 0x05, 0x00, 0x10, 0x00, 0x00)...) // mov [rax], eax; add rax, 0x1000
	g.file = newMemFile(b, pages*memmap.PageSize)
	all := memmap.AddrRange{Start: base, End: base + pages*memmap.PageSize}
	next := all.End
	for b.Loop() {
		if next == all.End {
			next = base
			g.regs.Rip, g.regs.Rax = uint64(codeAt), uint64(base)
			g.apply(platform.MapOp{AR: all})
		}
		if stop := g.run(); stop.Kind != platform.Fault || stop.Addr != next || stop.Access != memmap.Write {
			b.Fatal(stop)
		}
		g.mapAt(next, memmap.FileOffset(next-base), memmap.ReadWrite)
		next += memmap.PageSize
	}
}

func BenchmarkApply1(b *testing.B)        { benchmarkApply(b, 1, false) }
func BenchmarkApply64(b *testing.B)       { benchmarkApply(b, 64, false) }
func BenchmarkApplyByKeeper(b *testing.B) { benchmarkApply(b, 1, true) }
func BenchmarkApply64ByKeep(b *testing.B) { benchmarkApply(b, 64, true) }

func benchmarkApply(b *testing.B, n int, keeper bool) {
	g := newGuest(b, testPlatform(b))
	var ops []platform.MapOp
	for i := range n {
		ops = append(ops, platform.MapOp{
			AR: page(0x700000 + 2*memmap.PageSize*memmap.Addr(i)), File: g.file, Offset: dataOff, At: memmap.ReadWrite,
		})
	}
	via := g.Context
	if keeper {
		via = nil
	}
	for b.Loop() {
		if err := g.as.Apply(via, ops); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewPlatform(b *testing.B) {
	for b.Loop() {
		p, err := New()
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewAddressSpace(b *testing.B) {
	p := testPlatform(b)
	for b.Loop() {
		as, err := p.NewAddressSpace()
		if err != nil {
			b.Fatal(err)
		}
		as.Release()
	}
}

func BenchmarkNewContext(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	as, err := testPlatform(b).NewAddressSpace()
	if err != nil {
		b.Fatal(err)
	}
	defer as.Release()
	for b.Loop() {
		c, err := as.NewContext(nil)
		if err != nil {
			b.Fatal(err)
		}
		c.Release()
	}
}
