package pgalloc

import (
	"testing"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
)

// fragmented allocates 200,000 pages and frees every other one.
func fragmented(b *testing.B, f *MemoryFile) {
	fr, err := f.Allocate(200_000*pageSize, Anonymous, 0)
	if err != nil {
		b.Fatal(err)
	}
	for at := fr.Start; at < fr.End; at += 2 * pageSize {
		f.DecRef(memmap.FileRange{Start: at, End: at + pageSize})
	}
	b.Cleanup(func() {
		for at := fr.Start + pageSize; at < fr.End; at += 2 * pageSize {
			f.DecRef(memmap.FileRange{Start: at, End: at + pageSize})
		}
	})
}

func BenchmarkAllocateFree4K(b *testing.B) {
	for _, c := range []struct {
		name string
		live func(*testing.B, *MemoryFile)
	}{
		{"empty", func(*testing.B, *MemoryFile) {}},
		{"100k live", fragmented},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := newFile(b, Options{})
			c.live(b, f)
			b.ReportAllocs()
			for b.Loop() {
				fr, err := f.Allocate(pageSize, Anonymous, 0)
				if err != nil {
					b.Fatal(err)
				}
				f.DecRef(fr)
			}
		})
	}
}

// BenchmarkAllocateFreeAll fills 100,000 holes and frees them again, in another order.
func BenchmarkAllocateFreeAll(b *testing.B) {
	f := newFile(b, Options{})
	fragmented(b, f)
	const n = 100_000
	held := make([]memmap.FileRange, n)
	for b.Loop() {
		for i := range held {
			held[i], _ = f.Allocate(pageSize, Anonymous, 0)
		}
		for i := range held {
			f.DecRef(held[i*7919%n])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/page")
}

// BenchmarkFaultUpwards allocates page after page as a guest that touches memory
// upwards does, then frees all.
func BenchmarkFaultUpwards(b *testing.B) {
	f := newFile(b, Options{})
	const n = 512
	for b.Loop() {
		var held []memmap.FileRange
		near := memmap.FileOffset(0)
		for range n {
			fr, err := f.Allocate(pageSize, Anonymous, near)
			if err != nil {
				b.Fatal(err)
			}
			held = append(held, fr)
			near = fr.End + pageSize
		}
		for _, fr := range held {
			f.DecRef(fr)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/page")
}

func BenchmarkRefs(b *testing.B) {
	f := newFile(b, Options{})
	fr, err := f.Allocate(64<<20, Anonymous, 0)
	if err != nil {
		b.Fatal(err)
	}
	one := memmap.FileRange{Start: fr.Start, End: fr.Start + pageSize}
	b.Run("IncRefDecRef/4KiB", func(b *testing.B) {
		for b.Loop() {
			f.IncRef(one)
			f.DecRef(one)
		}
	})
	b.Run("HasUniqueRef/4KiB", func(b *testing.B) {
		for b.Loop() {
			f.HasUniqueRef(one)
		}
	})
	b.Run("IncRefDecRef/64MiB", func(b *testing.B) {
		for b.Loop() {
			f.IncRef(fr)
			f.DecRef(fr)
		}
	})
	f.DecRef(fr)
}

func BenchmarkAllocateCopy(b *testing.B) {
	for _, c := range []struct {
		name string
		n    uint64
	}{{"4KiB", 4 << 10}, {"64KiB", 64 << 10}, {"2MiB", 2 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			f := newFile(b, Options{})
			from, err := f.Allocate(c.n, Anonymous, 0)
			if err != nil {
				b.Fatal(err)
			}
			src, err := f.MapInternal(from, memmap.Read)
			if err != nil {
				b.Fatal(err)
			}
			safemem.Zero(src)
			// Enough live copies that most land on pages the host has to find.
			var held []memmap.FileRange
			free := func() {
				for _, fr := range held {
					f.DecRef(fr)
				}
				held = held[:0]
			}
			for b.Loop() {
				fr, err := f.AllocateCopy(src, Anonymous, 0)
				if err != nil {
					b.Fatal(err)
				}
				if held = append(held, fr); uint64(len(held))*c.n >= 256<<20 {
					b.StopTimer()
					free()
					b.StartTimer()
				}
			}
			free()
			f.DecRef(from)
		})
	}
}

func BenchmarkMapInternal(b *testing.B) {
	f := newFile(b, Options{})
	fr, _ := f.Allocate(pageSize, Anonymous, 0)
	for b.Loop() {
		f.MapInternal(fr, memmap.ReadWrite)
	}
	f.DecRef(fr)
}
