package mm_test

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm"
)

// Copies by the sandbox to and from the guest's memory.

// pieces calls f for the part of each page that ars touch, in order, until it
// returns false.
func pieces(ars []memmap.AddrRange, f func(i, offset, n int) bool) {
	for _, ar := range ars {
		for ar.Start < ar.End {
			end := min(ar.End, ar.Start.RoundDown()+page)
			if !f(indexOf(ar.Start), int(ar.Start.PageOffset()), int(end-ar.Start)) {
				return
			}
			ar.Start = end
		}
	}
}

// copied does to the model what a copy from or to ars did that the engine says went
// as far as n bytes, and compares. It returns what is there (reading) or writes data.
func (pl *player) copied(ars []memmap.AddrRange, at memmap.AccessType, o mm.IOOpts, n int, err error, data []byte) (read []byte) {
	p := pl.p
	total, want := 0, 0
	for _, ar := range ars {
		total += int(ar.Length())
	}
	p.full = p.full && !pl.loose
	type piece struct{ i, offset, n int }
	var good []piece
	short := false
	pieces(ars, func(i, offset, size int) bool {
		if pl.loose && want >= n && !short { // here memory ran out, but a stack may have grown before
			if short = true; i < arenaLen && p.pages[i] == nil {
				p.grow(i)
			}
		}
		if short = short || p.access(i, at, o.IgnorePermissions) != fine; short {
			p.mayBePresent(i)
			return p.full || pl.loose // a copy looks pages up together before it finds no memory for one
		}
		good = append(good, piece{i, offset, size})
		want += size
		return true
	})
	if n != want || (n < total) != (err != nil) || err != nil && errnoOf(err) != unix.EFAULT {
		wrong("a copy of kind %v is %d of %d bytes (%v), want %d", at, n, total, err, want)
	}
	for _, g := range good {
		if at.Write {
			p.write(g.i, g.offset, data[:g.n])
			data = data[g.n:]
		} else {
			read = append(read, p.pages[g.i].bytes()[g.offset:g.offset+g.n]...)
		}
	}
	return read
}

// mayBePresent says that nobody knows whether page i of a file is there.
func (m *modelProcess) mayBePresent(i int) {
	if i >= arenaLen || m.pages[i] == nil {
		return
	}
	if q := m.pages[i]; q.src != nil && q.frame == nil && q.here == absent {
		q.here = unknown
	}
}

// buffer is the range and the options that arguments choose.
func buffer(a [6]int) (ar memmap.AddrRange, o mm.IOOpts) {
	first, n := span(a[0], a[1])
	start := addrOf(first) + memmap.Addr(a[2]%page)
	end := min(addrOf(first+n)-memmap.Addr(a[2]/2%page), addrOf(arenaLen))
	return memmap.AddrRange{Start: start, End: max(start, end)}, mm.IOOpts{IgnorePermissions: a[3]%6 == 0}
}

func filled(n int, seed int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i*3)
	}
	return b
}

func (pl *player) copyOut(a [6]int) {
	ar, o := buffer(a)
	src := filled(int(ar.Length()), a[4])
	if a[4]%40 == 7 {
		beyond := addrOf(arenaLen) - memmap.Addr(len(src)) + 1
		if n, err := pl.p.mm.CopyOut(pl.by, beyond, src, o); n != 0 || errnoOf(err) != unix.EFAULT {
			wrong("a copy that ends above all memory is %d, %v", n, err)
		}
		return
	}
	pl.scarce(indexOf(ar.Start), int(ar.Length()/page)+2, func() {
		if a[4]%4 == 1 {
			clear(src)
			n, err := pl.p.mm.ZeroOut(pl.by, ar.Start, ar.Length(), o)
			pl.copied([]memmap.AddrRange{ar}, memmap.Write, o, int(n), err, src)
			return
		}
		n, err := pl.p.mm.CopyOut(pl.by, ar.Start, src, o)
		pl.copied([]memmap.AddrRange{ar}, memmap.Write, o, n, err, src)
	})
}

func (pl *player) copyIn(a [6]int) {
	ar, o := buffer(a)
	dst := make([]byte, ar.Length())
	n, err := pl.p.mm.CopyIn(pl.by, ar.Start, dst, o)
	if want := pl.copied([]memmap.AddrRange{ar}, memmap.Read, o, n, err, nil); !bytes.Equal(dst[:n], want) {
		wrong("a copy from %v is not what is there", ar)
	}
}

// source and sink of vectors.
type bytesReader struct{ b []byte }

func (r *bytesReader) ReadToBlocks(dst safemem.Seq) (uint64, error) {
	return safemem.Copy(dst, safemem.Of(r.b))
}

type bytesWriter struct{ b []byte }

func (w *bytesWriter) WriteFromBlocks(src safemem.Seq) (uint64, error) {
	w.b = make([]byte, src.NumBytes())
	return safemem.Copy(safemem.Of(w.b), src)
}

// vector copies to or from several places.
func (pl *player) vector(a [6]int) {
	var ars []memmap.AddrRange
	total := 0
	first, o := buffer(a)
	for i := range 1 + a[4]%3 {
		b := a
		b[0], b[1] = a[0]+i*a[1], a[1]%4
		ar, _ := buffer(b)
		if a[4]%9 == 3 && i == 0 {
			ar = memmap.AddrRange{Start: first.Start, End: first.Start}
		}
		if slices.ContainsFunc(ars, ar.Overlaps) {
			continue
		}
		ars = append(ars, ar)
		total += int(ar.Length())
	}
	if a[4]%2 == 0 {
		src := filled(total, a[4])
		n, err := pl.p.mm.CopyOutFrom(pl.by, ars, &bytesReader{src}, o)
		pl.copied(ars, memmap.Write, o, int(n), err, src)
		return
	}
	var w bytesWriter
	n, err := pl.p.mm.CopyInTo(pl.by, ars, &w, o)
	if want := pl.copied(ars, memmap.Read, o, int(n), err, nil); !bytes.Equal(w.b, want) {
		wrong("a gathered read is not what is there")
	}
}

// word is an atomic access to four bytes.
func (pl *player) word(a [6]int) {
	p := pl.p
	i, _ := span(a[0], 0)
	offset := a[1] % (page - 4) &^ 3
	addr := addrOf(i) + memmap.Addr(offset)
	if a[2]%12 == 5 {
		if _, err := p.mm.SwapUint32(pl.by, addr+2, 1, mm.IOOpts{}); errnoOf(err) != unix.EFAULT {
			wrong("swap at %v: %v", addr+2, err)
		}
		return
	}
	at := memmap.ReadWrite
	if a[2]%3 == 0 {
		at = memmap.Read
	}
	// What is there must be known before, to know what a compare finds.
	got := p.access(i, at, false)
	old, next := uint32(0), uint32(a[3])
	if got == fine {
		old = binary.LittleEndian.Uint32(p.pages[i].bytes()[offset:])
	}
	var have uint32
	var err error
	switch a[2] % 3 {
	case 0:
		have, err = p.mm.LoadUint32(pl.by, addr, mm.IOOpts{})
	case 1:
		have, err = p.mm.SwapUint32(pl.by, addr, next, mm.IOOpts{})
	default:
		expected := old + uint32(a[4]%2)
		have, err = p.mm.CompareAndSwapUint32(pl.by, addr, expected, next, mm.IOOpts{})
		if expected != old {
			next = old
		}
	}
	if (err == nil) != (got == fine) || err != nil && errnoOf(err) != unix.EFAULT || have != old {
		wrong("the word at %v is %#x (%v), want %#x, %v", addr, have, err, old, got)
	}
	if got == fine && at.Write {
		p.write(i, offset, binary.LittleEndian.AppendUint32(nil, next))
	}
}
