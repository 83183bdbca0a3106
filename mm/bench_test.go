package mm

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/internal/nullas"
	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/pgalloc"
)

// The rows of bench/README.md: the engine alone, address space calls only counted.

var sizes = []int{10, 1000, 60000}

// benchProcess has n one-page vmas of alternating permissions, each with a pma if
// filled, below a stretch that is left to the benchmark.
func benchProcess(b *testing.B, n int, filled bool) *MemoryManager {
	b.Helper()
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		b.Fatal(err)
	}
	layout, err := NewLayout(guestRange, 8<<20, 0)
	if err != nil {
		b.Fatal(err)
	}
	m := New(Config{Memory: mem, AS: nullas.NewBlind(), Layout: layout, PID: 2})
	b.Cleanup(func() {
		m.DecUsers(bench)
		if err := mem.Close(); err != nil {
			b.Error(err)
		}
	})
	for i := range n {
		perms := memmap.ReadWrite
		if i%2 == 1 {
			perms = memmap.AnyAccess
		}
		addr := base + memmap.Addr(i)*page
		mustMap(b, m, memmap.MMapOpts{Addr: addr, Fixed: true, Length: page, Perms: perms, Populate: filled})
	}
	return m
}

var bench = &Actor{}

func mustMap(b *testing.B, m *MemoryManager, o memmap.MMapOpts) memmap.Addr {
	o.Private, o.MaxPerms = true, memmap.AnyAccess
	addr, err := m.MMap(bench, o)
	if err != nil {
		b.Fatal(err)
	}
	return addr
}

func perSize(b *testing.B, filled bool, run func(b *testing.B, m *MemoryManager, n int)) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			m := benchProcess(b, n, filled)
			b.ReportAllocs()
			b.ResetTimer()
			before := processCPU(b)
			run(b, m, n)
			b.ReportMetric(float64(processCPU(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processCPU returns the CPU time of all threads, in ns: what the rows are measured
// in. It includes what a benchmark does with its timer stopped.
func processCPU(b *testing.B) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkMMapMUnmapPopulated(b *testing.B) {
	perSize(b, true, func(b *testing.B, m *MemoryManager, _ int) {
		for b.Loop() {
			addr := mustMap(b, m, memmap.MMapOpts{Length: 4 * page, Perms: memmap.ReadWrite, Populate: true})
			m.MUnmap(bench, addr, 4*page)
		}
	})
}

func BenchmarkMMapMUnmapNone(b *testing.B) {
	perSize(b, true, func(b *testing.B, m *MemoryManager, _ int) {
		for b.Loop() {
			addr := mustMap(b, m, memmap.MMapOpts{Length: 4 * page})
			m.MUnmap(bench, addr, 4*page)
		}
	})
}

func BenchmarkFaultFills(b *testing.B) {
	perSize(b, true, func(b *testing.B, m *MemoryManager, _ int) {
		const room = 1 << 30
		addr := mustMap(b, m, memmap.MMapOpts{Length: room, Perms: memmap.ReadWrite})
		i := memmap.Addr(0)
		for b.Loop() {
			if _, err := m.HandleUserFault(bench, addr+i, memmap.Write, 0); err != nil {
				b.Fatal(err)
			}
			if i += page; i == 64<<20 {
				b.StopTimer()
				m.Decommit(bench, addr, room)
				i = 0
				b.StartTimer()
			}
		}
	})
}

func BenchmarkFaultOnExisting(b *testing.B) {
	perSize(b, true, func(b *testing.B, m *MemoryManager, n int) {
		rnd := rand.New(rand.NewPCG(1, 2))
		for b.Loop() {
			addr := base + memmap.Addr(rnd.IntN(n))*page
			if _, err := m.HandleUserFault(bench, addr, memmap.Write, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMProtectMiddleAndBack(b *testing.B) {
	perSize(b, true, func(b *testing.B, m *MemoryManager, _ int) {
		addr := mustMap(b, m, memmap.MMapOpts{Length: 3 * page, Perms: memmap.ReadWrite, Populate: true})
		for b.Loop() {
			m.MProtect(bench, addr+page, page, memmap.Read, false)
			m.MProtect(bench, addr+page, page, memmap.ReadWrite, false)
		}
	})
}

func BenchmarkFork(b *testing.B) {
	perSize(b, true, func(b *testing.B, m *MemoryManager, _ int) {
		for b.Loop() {
			child, err := m.Fork(bench, nullas.NewBlind(), 3)
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			child.DecUsers(bench)
			b.StartTimer()
		}
	})
}

func BenchmarkForkAndExit(b *testing.B) {
	perSize(b, true, func(b *testing.B, m *MemoryManager, _ int) {
		for b.Loop() {
			child, err := m.Fork(bench, nullas.NewBlind(), 3)
			if err != nil {
				b.Fatal(err)
			}
			child.DecUsers(bench)
		}
	})
}

func BenchmarkMaps(b *testing.B) {
	perSize(b, false, func(b *testing.B, m *MemoryManager, _ int) {
		for b.Loop() {
			m.WriteMaps(io.Discard)
		}
	})
}

func BenchmarkFindRoomAmongSmallHoles(b *testing.B) {
	m := benchProcess(b, 10, false)
	top := m.Layout().TopDownBase
	for i := range memmap.Addr(60000) {
		mustMap(b, m, memmap.MMapOpts{Addr: top - 2*page - 2*i*page, Fixed: true, Length: page})
	}
	b.ResetTimer()
	for b.Loop() {
		if _, err := m.FindRoom(bench, memmap.MMapOpts{Length: 1 << 20, Private: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// breakAll is a fork, a write to n bytes of the child by faults, and its exit; only the
// faults are timed.
func breakAll(b *testing.B, window uint64, takeOver bool) {
	m := benchProcess(b, 10, true)
	m.window = &FaultWindow{}
	m.window.Set(window)
	const n = 4 << 20
	addr := mustMap(b, m, memmap.MMapOpts{Length: n, Perms: memmap.ReadWrite, Populate: true})
	i := memmap.Addr(n)
	var child *MemoryManager
	for b.Loop() {
		if i == n {
			b.StopTimer()
			if child != nil {
				child.DecUsers(bench)
			}
			child, _ = m.Fork(bench, nullas.NewBlind(), 3)
			i = 0
			if takeOver {
				child.DecUsers(bench)
				child = nil
			}
			b.StartTimer()
		}
		at := m
		if !takeOver {
			at = child
		}
		if _, err := at.HandleUserFault(bench, addr+i, memmap.Write, 0); err != nil {
			b.Fatal(err)
		}
		i += memmap.Addr(window)
	}
	b.StopTimer()
	if child != nil {
		child.DecUsers(bench)
	}
}

func BenchmarkCOWBreak4K(b *testing.B)  { breakAll(b, page, false) }
func BenchmarkCOWBreak2M(b *testing.B)  { breakAll(b, huge, false) }
func BenchmarkCOWTakeOver(b *testing.B) { breakAll(b, page, true) }

func BenchmarkMRemapMove(b *testing.B) {
	for _, pieces := range []int{1, 256} {
		b.Run(fmt.Sprintf("1M/pmas=%d", pieces), func(b *testing.B) {
			m := benchProcess(b, 10, true)
			const n = 1 << 20
			addr := mustMap(b, m, memmap.MMapOpts{Length: n, Perms: memmap.ReadWrite})
			for i := range memmap.Addr(pieces) { // from both ends in turn, so that pages do not continue each other
				at := addr + (i*97%memmap.Addr(pieces))*(n/memmap.Addr(pieces))
				m.Touch(bench, memmap.AddrRange{Start: at, End: at + n/memmap.Addr(pieces)}, memmap.Write)
			}
			for b.Loop() {
				to, err := m.MRemap(bench, addr, n, n, MRemapOpts{MayMove: true, Fixed: true, NewAddr: addr ^ (1 << 36)})
				if err != nil {
					b.Fatal(err)
				}
				addr = to
			}
		})
	}
}

func BenchmarkCopyOut(b *testing.B) {
	for _, n := range []int{8, 4096, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := benchProcess(b, 10, true)
			addr := mustMap(b, m, memmap.MMapOpts{Length: 1 << 20, Perms: memmap.ReadWrite, Populate: true})
			src := make([]byte, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.CopyOut(bench, addr, src, IOOpts{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompareAndSwap(b *testing.B) {
	m := benchProcess(b, 10, true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.CompareAndSwapUint32(bench, base, 0, 0, IOOpts{}); err != nil {
			b.Fatal(err)
		}
	}
}
