package shmem

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/pgalloc"
)

// A file is promised page by page, memory of a fixed size all at once, unless it says that
// it is not to be; what goes is promised no more.
func TestCommitted(t *testing.T) {
	mem := newMemory(t, 0)
	committed := func(want uint64, what string) {
		t.Helper()
		if got := mem.Committed(); got != want*page {
			t.Errorf("%s: %d pages are committed, want %d", what, got/page, want)
		}
	}
	f := New(mem)
	if _, err := f.WriteAt([]byte{1}, 5*page); err != nil {
		t.Fatal(err)
	}
	committed(1, "a page of six")
	whole, err := NewFixed(mem, 4*page, false)
	if err != nil {
		t.Fatal(err)
	}
	committed(5, "a fixed size")
	if _, err := whole.WriteAt([]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	committed(5, "a page of it")
	if err := whole.Resize(6 * page); err != nil {
		t.Fatal(err)
	}
	committed(7, "a new size")
	lazy, err := NewFixed(mem, 64*page, true)
	if err != nil {
		t.Fatal(err)
	}
	committed(7, "no reserve")
	if _, err := lazy.WriteAt([]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	committed(8, "a page without reserve")
	if err := f.Resize(0); err != nil {
		t.Fatal(err)
	}
	committed(7, "an empty file")
	whole.Drop()
	lazy.Drop()
	f.Drop()
	committed(0, "the end")
}

// With never a file that may have no more pages is full, and a size that may not be
// promised is ENOMEM, whoever says that it need not be.
func TestOvercommitNever(t *testing.T) {
	mem := newMemory(t, 0)
	mem.SetOvercommit(pgalloc.Overcommit{Mode: pgalloc.OvercommitNever, KBytes: 5 * page >> 10})
	f := New(mem)
	defer f.Drop()
	if n, err := f.WriteAt(make([]byte, 6*page), 0); n != 4*page || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := f.Resize(3 * page); err != nil {
		t.Fatal(err)
	}
	p, err := NewFixed(mem, page, false)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Drop()
	if err := p.Resize(2 * page); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("a larger size: %v", err)
	}
	if _, err := NewFixed(mem, page, true); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("no reserve: %v", err)
	}
}
