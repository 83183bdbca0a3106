package pgalloc

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

func pagesAt(first, n memmap.MappableOffset) memmap.MappableRange {
	return memmap.MappableRange{Start: first * pageSize, End: (first + n) * pageSize}
}

// fill gives frames pages for gap, as close to its neighbours as they can be had.
func fill(t *testing.T, f *MemoryFile, frames *Frames, gap memmap.MappableRange) {
	t.Helper()
	fr, err := f.Allocate(gap.Length(), Shmem, frames.Near(gap))
	if err != nil {
		t.Fatal(err)
	}
	frames.Insert(gap, Frame(fr.Start))
}

// What grows upwards or downwards becomes one run, from the second
// allocation on: room for the first is taken where it fits.
func TestFramesContinue(t *testing.T) {
	for name, order := range map[string][]memmap.MappableOffset{
		"upwards":   {0, 1, 2, 3, 4, 5, 6, 7},
		"downwards": {7, 6, 5, 4, 3, 2, 1, 0},
	} {
		f := newFile(t, Options{})
		var other, frames Frames
		fill(t, f, &other, pagesAt(0, 1))
		for _, i := range order {
			fill(t, f, &frames, pagesAt(3*i, 3))
		}
		if n := frames.Len(); n > 2 {
			t.Errorf("%s: %d runs", name, n)
		}
		for _, runs := range []*Frames{&other, &frames} {
			for _, run := range runs.Cut(pagesAt(0, 100), nil) {
				f.DecRef(FrameRange(run, run.Range))
			}
		}
	}
}

// What is required is given whole up to a hole, and a few runs that continue it.
func TestTranslations(t *testing.T) {
	var frames Frames
	for i := range memmap.MappableOffset(20) { // of one page each, none beside the next
		frames.Insert(pagesAt(i, 1), Frame((100-2*i)*pageSize))
	}
	frames.Cut(pagesAt(15, 1), nil)
	for _, c := range []struct {
		required, optional memmap.MappableRange
		first, n           int
	}{
		{pagesAt(3, 1), pagesAt(3, 1), 3, 1},
		{pagesAt(3, 1), pagesAt(0, 5), 3, 2},
		{pagesAt(3, 1), pagesAt(0, 20), 3, memmap.FewTranslations},
		{pagesAt(3, 10), pagesAt(0, 20), 3, 10},
		{pagesAt(12, 1), pagesAt(0, 20), 12, 3},
		{pagesAt(14, 3), pagesAt(14, 3), 14, 1},
		{pagesAt(15, 1), pagesAt(0, 20), 15, 0},
	} {
		ts := frames.Translations(Zero, c.required, c.optional, memmap.Read)
		if len(ts) != c.n {
			t.Errorf("%v of %v: %d translations, want %d", c.required, c.optional, len(ts), c.n)
			continue
		}
		for i, tr := range ts {
			at := memmap.MappableOffset(c.first + i)
			if tr.Source != pagesAt(at, 1) || tr.Offset != memmap.FileOffset((100-2*at)*pageSize) {
				t.Errorf("%v: translation %d is %v at %#x", c.required, i, tr.Source, tr.Offset)
			}
		}
	}
}

// What is written to new pages is there, and around it are zeroes; that the host has no
// memory is told.
func TestWriteFresh(t *testing.T) {
	f := newFile(t, Options{})
	fr := allocate(t, f, 5, 0)
	want := make([]byte, 5*pageSize)
	for i := range 3*pageSize + 100 {
		want[pageSize/2+i] = byte(i%251 + 1)
	}
	part := memmap.FileRange{Start: fr.Start + pageSize/2, End: fr.Start + pageSize/2 + 3*pageSize + 100}
	if err := f.WriteFresh(part, want[pageSize/2:][:part.Length()]); err != nil {
		t.Fatal(err)
	}
	if got := memoryOf(t, f, fr); !bytes.Equal(got, want) {
		t.Error("the pages hold something else")
	}
	fd := f.fd
	f.fd = -1
	err := f.WriteFresh(part, want[:part.Length()])
	f.fd = fd
	var r *memmap.Refusal
	if !errors.As(err, &r) || r.Errno != unix.ENOMEM {
		t.Errorf("without a host: %v", err)
	}
	f.DecRef(fr)
}
