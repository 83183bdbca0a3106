package mm_test

import (
	"errors"
	"testing"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// What the model has found, each as a story of its own.

// On Linux brk keeps the break where the heap would shrink but nothing is mapped any
// more (mm/mmap.c: brk finds no vma to shrink).
func TestHeapShrinksOnlyWhereSomethingIsMapped(t *testing.T) {
	pl := newPlayer(page)
	defer pl.close()
	m := pl.procs[0].mm
	start := m.BrkRange().Start
	up, _ := start.RoundUp()
	full := must(m.Brk(pl.by, up+4*page))
	if err := m.MUnmap(pl.by, up+2*page, 2*page); err != nil {
		t.Fatal(err)
	}
	if now, err := m.Brk(pl.by, up+3*page); err == nil || now != full || m.BrkRange().End != full {
		t.Errorf("shrinking by a hole: the break is %v (%v), want %v", now, err, full)
	}
	if now, err := m.Brk(pl.by, up+page); err != nil || now != up+page {
		t.Errorf("shrinking by a hole and a page: the break is %v (%v)", now, err)
	}
}

// A page whose reads are trapped is not mapped at all, so that the guest's stores to
// it meet the trap as well: else they would fault for ever.
func TestStoresMeetTrapsForReads(t *testing.T) {
	pl := newPlayer(page)
	defer pl.close()
	m := pl.procs[0].mm
	o := memmap.MMapOpts{Length: page, Addr: arena, Fixed: true, Private: true, Perms: memmap.AnyAccess, MaxPerms: memmap.AnyAccess}
	at := must(m.MMap(pl.by, o))
	watch := mm.Trap{Kind: mm.TrapWatch, At: memmap.Read}
	if err := m.SetTrap(pl.by, at.Page(), watch); err != nil {
		t.Fatal(err)
	}
	for _, access := range []memmap.AccessType{memmap.Read, memmap.Write, memmap.Execute} {
		var met *mm.TrapError
		if cause, err := m.HandleUserFault(pl.by, at, access, 0); !errors.As(err, &met) || met.Trap != watch {
			t.Errorf("%v of a page whose reads are trapped: %v (%v)", access, cause, err)
		}
	}
	if n, err := m.CopyOut(pl.by, at, []byte{1}, mm.IOOpts{}); n != 1 || err != nil {
		t.Errorf("a copy that only writes: %d, %v", n, err)
	}
}
