package pagecache

import (
	"errors"
	"testing"

	"mmsh.dev/mmsh/memmap"
)

// What is looked at is what is there: runs split where they differ, and say who maps
// them.
func TestRunsSayWhatIsDirtyAndWhoMapsIt(t *testing.T) {
	c, s := newCache(t, 0), newStore(4*page)
	f := c.openStore(s, 1)
	sp := &space{}
	ar := memmap.AddrRange{Start: 0x10000, End: 0x10000 + 2*page}
	if err := f.AddMapping(sp, ar, 0, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, page), 0); err != nil || f.Reads() != 0 {
		t.Errorf("reading past the cache: %v, %d reads to fill pages", err, f.Reads())
	}
	touchForWrite(t, f, pagesAt(1, 1))
	if n, err := f.WriteAt([]byte{1}, 3*page); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	var kept, dirty, mapped uint64
	for _, r := range f.Runs() {
		if r.Dirty && r.Keep {
			kept += r.Pages.Length()
		}
		if r.Dirty {
			dirty += r.Pages.Length()
		}
		for _, m := range r.Maps {
			mapped += m.MR.Length()
		}
	}
	if kept != page || dirty != 2*page || mapped != page || f.Reads() == 0 {
		t.Errorf("%d bytes kept dirty, %d dirty, %d mapped, %d reads", kept, dirty, mapped, f.Reads())
	}
	if size, err := f.Length(); size != 4*page || err != nil {
		t.Error(size, err)
	}
	// WriteBack makes clean what a mapping may be writing, and takes it from there.
	if n, err := f.WriteBack(); n != 2*page || err != nil || f.Dirty() != 0 || len(sp.dropped) == 0 {
		t.Errorf("%d bytes written, %v; %d dirty, taken from mappings %v", n, err, f.Dirty(), sp.dropped)
	}
	// A part can be evicted; what cannot be written stays.
	touchForWrite(t, f, pagesAt(1, 1))
	s.fail = errDisk
	cached := f.Cached()
	if n := f.EvictRange(everything); f.Dirty() != page || f.Cached() != page || n != cached-page {
		t.Errorf("%d of %d bytes evicted; %d dirty, %d cached", n, cached, f.Dirty(), f.Cached())
	}
	s.fail = nil
	if n := f.EvictRange(pagesAt(1, 1)); n != page || f.Cached() != 0 {
		t.Errorf("%d bytes evicted, %d cached", n, f.Cached())
	}
	f.RemoveMapping(sp, ar, 0, true)
	drop(t, f)
}

// CheckRead says what a fault would meet, and brings nothing in.
func TestCheckReadTouchesNothing(t *testing.T) {
	c, d := newCache(t, 0), newDisk(2*page)
	f := c.Open(Key{Ino: 1}, d)
	if err := f.CheckRead(page); err != nil || f.Cached() != 0 {
		t.Error(err, f.Cached())
	}
	d.broken = page
	if err := f.CheckRead(page); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	drop(t, f)
}
