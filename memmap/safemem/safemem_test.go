package safemem

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const pageSize = 4096

// truncated returns three pages mapped from a file that has become one page long:
// touching the last two raises SIGBUS.
func truncated(t *testing.T) []byte {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "short")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(3 * pageSize); err != nil {
		t.Fatal(err)
	}
	m := mapped(t, int(f.Fd()), 3*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	fill(m, 'm')
	if err := f.Truncate(pageSize); err != nil {
		t.Fatal(err)
	}
	return m
}

// holed returns three pages, of which the middle one cannot be accessed: SIGSEGV.
func holed(t *testing.T) []byte {
	t.Helper()
	m := mapped(t, -1, 3*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	fill(m, 'm')
	if err := unix.Mprotect(m[pageSize:2*pageSize], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return m
}

// unmapped is holed with no mapping at all in the middle.
func unmapped(t *testing.T) []byte {
	t.Helper()
	m := holed(t)
	if err := unix.MunmapPtr(unsafe.Pointer(&m[pageSize:][0]), pageSize); err != nil {
		t.Fatal(err)
	}
	return m
}

func mapped(t *testing.T, fd, length, prot, flags int) []byte {
	t.Helper()
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(length), prot, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.MunmapPtr(p, uintptr(length)) })
	return unsafe.Slice((*byte)(p), length)
}

func fill(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}

// badMemory is memory whose first page is good and whose second is not.
var badMemory = []struct {
	name string
	make func(*testing.T) []byte
}{
	{"truncated file", truncated},
	{"protected page", holed},
	{"unmapped page", unmapped},
}

// wantFault checks that err is a fault in the second page of m.
func wantFault(t *testing.T, m []byte, err error) {
	t.Helper()
	var fault *FaultError
	if !errors.As(err, &fault) || !errors.Is(err, unix.EFAULT) {
		t.Fatalf("error is %v, want a fault", err)
	}
	start := uintptr(unsafe.Pointer(&m[0]))
	if fault.Addr < start || fault.Addr >= start+2*pageSize {
		t.Errorf("fault at %#x, want it in the page at %#x", fault.Addr, start+pageSize)
	}
}

func TestCopyCountsToTheByte(t *testing.T) {
	for _, bad := range badMemory {
		t.Run(bad.name, func(t *testing.T) {
			m := bad.make(t)
			for _, before := range []int{0, 1, 3, 15, 16, 17, 31, 33, 64, 100, 255, 257, 1000, 2049, pageSize} {
				for _, beyond := range []int{1, 7, 100, 300, pageSize} {
					span := m[pageSize-before : pageSize+beyond]

					dst := make([]byte, len(span)+8)
					n, err := Copy(Of(dst), Of(span))
					if n != uint64(before) {
						t.Fatalf("copied %d of %d bytes from before the fault", n, before)
					}
					wantFault(t, m, err)
					if !bytes.Equal(dst[:before], span[:before]) {
						t.Fatalf("bytes before the fault differ")
					}

					src := make([]byte, len(span))
					fill(src, byte(before))
					n, err = Copy(Of(span), Of(src))
					if n != uint64(before) || !bytes.Equal(span[:before], src[:before]) {
						t.Fatalf("copied %d of %d bytes to before the fault", n, before)
					}
					wantFault(t, m, err)

					n, err = Zero(Of(span))
					if n != uint64(before) || !bytes.Equal(span[:before], make([]byte, before)) {
						t.Fatalf("cleared %d of %d bytes before the fault", n, before)
					}
					wantFault(t, m, err)
					fill(span[:before], 'm')
				}
			}
		})
	}
}

func TestCopyOverBlocksStopsAtTheFault(t *testing.T) {
	m := holed(t)
	good := make([]byte, 100)
	fill(good, 'g')
	dst := make([]byte, 1000)
	n, err := Copy(Of(dst), Of(good).Append(m[pageSize-50:pageSize+50]).Append(good))
	if n != 150 {
		t.Errorf("copied %d, want 150", n)
	}
	wantFault(t, m, err)
	n, err = Zero(Of(good).Append(m[pageSize-50 : pageSize+50]))
	if n != 150 {
		t.Errorf("cleared %d, want 150", n)
	}
	wantFault(t, m, err)
}

func TestAtomics(t *testing.T) {
	words := []uint32{7, 8}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8)
	if old, err := SwapUint32(b, 9); old != 7 || err != nil || words[0] != 9 {
		t.Errorf("swap: %d, %v, now %d", old, err, words[0])
	}
	if was, err := CompareAndSwapUint32(b, 1, 2); was != 9 || err != nil || words[0] != 9 {
		t.Errorf("compare and swap of another: %d, %v, now %d", was, err, words[0])
	}
	if was, err := CompareAndSwapUint32(b, 9, 2); was != 9 || err != nil || words[0] != 2 {
		t.Errorf("compare and swap: %d, %v, now %d", was, err, words[0])
	}
	if v, err := LoadUint32(b[4:]); v != 8 || err != nil {
		t.Errorf("load: %d, %v", v, err)
	}
	for off := 1; off < 4; off++ {
		_, swap := SwapUint32(b[off:], 0)
		_, cas := CompareAndSwapUint32(b[off:], 0, 0)
		_, load := LoadUint32(b[off:])
		if swap != ErrUnaligned || cas != ErrUnaligned || load != ErrUnaligned {
			t.Errorf("at +%d: %v, %v, %v", off, swap, cas, load)
		}
	}
	if words[0] != 2 || words[1] != 8 {
		t.Errorf("an unaligned atomic wrote: %v", words)
	}
}

func TestAtomicsReportFaults(t *testing.T) {
	for _, bad := range badMemory {
		t.Run(bad.name, func(t *testing.T) {
			m := bad.make(t)
			b := m[pageSize+8 : pageSize+12]
			_, err := SwapUint32(b, 1)
			wantFault(t, m, err)
			_, err = CompareAndSwapUint32(b, 1, 2)
			wantFault(t, m, err)
			_, err = LoadUint32(b)
			wantFault(t, m, err)
		})
	}
}

func TestCompareAndSwapIsAtomic(t *testing.T) {
	var counter uint32
	b := unsafe.Slice((*byte)(unsafe.Pointer(&counter)), 4)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				for {
					old, _ := LoadUint32(b)
					if was, _ := CompareAndSwapUint32(b, old, old+1); was == old {
						break
					}
				}
			}
		})
	}
	all.Wait()
	if counter != 4000 {
		t.Errorf("counter is %d, want 4000", counter)
	}
}

func TestOtherPanicsGoOn(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func()
		want string
	}{
		{"head of an empty Seq", func() { Seq{}.Head() }, "safemem: head of an empty Seq"},
		{"a word too short", func() { LoadUint32(make([]byte, 3)) }, "safemem: atomic on 3 bytes"},
		{"a panic under the guard", func() {
			var fault *FaultError
			defer catchFaults(allowFaults(), &fault)
			panic("something else")
		}, "something else"},
		{"a nil pointer under the guard", func() { tryLoad(nil) }, "nil pointer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				r := recover()
				text, _ := r.(string)
				if err, ok := r.(error); ok {
					text = err.Error()
				}
				if !strings.Contains(text, c.want) {
					t.Errorf("panic is %v, want %q", r, c.want)
				}
			}()
			c.f()
		})
	}
}

func TestTheGoroutinesSettingIsRestored(t *testing.T) {
	m := holed(t)
	for _, before := range []bool{false, true} {
		old := debug.SetPanicOnFault(before)
		Copy(Of(make([]byte, 8)), Of([]byte("good")))
		if got := debug.SetPanicOnFault(before); got != before {
			t.Errorf("after a copy: %v, want %v", got, before)
		}
		Copy(Of(make([]byte, 8)), Of(m[pageSize:]))
		if got := debug.SetPanicOnFault(old); got != before {
			t.Errorf("after a fault: %v, want %v", got, before)
		}
	}
}

// flat returns all bytes of s and checks that no block is empty.
func flat(t *testing.T, s Seq) []byte {
	t.Helper()
	var b []byte
	for ; !s.IsEmpty(); s = s.next() {
		if len(s.Head()) == 0 {
			t.Fatal("an empty block")
		}
		b = append(b, s.Head()...)
	}
	if len(s.tail) != 0 {
		t.Fatal("an empty Seq with a tail")
	}
	return b
}

// TestSeqAgainstBytes does with Seqs what slicing does with bytes, and copies
// between Seqs whose blocks do not agree.
func TestSeqAgainstBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	make1 := func() (Seq, []byte) {
		var s Seq
		var all []byte
		for range rng.IntN(6) {
			b := make([]byte, rng.IntN(5))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			s = s.Append(b)
			all = append(all, b...)
		}
		return s, all
	}
	for range 20_000 {
		s, all := make1()
		if s.NumBytes() != uint64(len(all)) || s.IsEmpty() != (len(all) == 0) || !bytes.Equal(flat(t, s), all) {
			t.Fatalf("%v holds %d bytes, want %v", s, s.NumBytes(), all)
		}
		n := rng.Uint64N(uint64(len(all)) + 3)
		cut := min(n, uint64(len(all)))
		if got := flat(t, s.DropFirst(n)); !bytes.Equal(got, all[cut:]) {
			t.Fatalf("DropFirst(%d) of %v = %v", n, all, got)
		}
		first := s.TakeFirst(n)
		if got := flat(t, first); !bytes.Equal(got, all[:cut]) {
			t.Fatalf("TakeFirst(%d) of %v = %v", n, all, got)
		}
		first.Append([]byte{1}) // must not show in s
		if !bytes.Equal(flat(t, s), all) {
			t.Fatal("appending to a part changed the whole")
		}
		dst, was := make1()
		copied, err := Copy(dst, s)
		k := min(len(was), len(all))
		want := slices.Concat(all[:k], was[k:])
		if err != nil || copied != uint64(k) || !bytes.Equal(flat(t, dst), want) {
			t.Fatalf("copy of %v over %v gave %d, %v, %v", all, was, copied, err, flat(t, dst))
		}
		if n, err := Zero(dst); err != nil || n != uint64(len(was)) || !bytes.Equal(flat(t, dst), make([]byte, len(was))) {
			t.Fatalf("Zero: %d, %v", n, err)
		}
	}
}

func TestOneBlockDoesNotAllocate(t *testing.T) {
	b, c := make([]byte, 64), make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		Copy(Of(b), Of(c).DropFirst(8))
		Zero(Of(b).TakeFirst(9))
		LoadUint32(b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCopy(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"8B", 8}, {"4KiB", 4096}, {"1MiB", 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			dst, src := Of(make([]byte, c.n)), Of(make([]byte, c.n))
			b.SetBytes(int64(c.n))
			for b.Loop() {
				Copy(dst, src)
			}
		})
	}
}

func BenchmarkCompareAndSwap(b *testing.B) {
	w := make([]byte, 8)
	for b.Loop() {
		CompareAndSwapUint32(w, 0, 0)
	}
}
