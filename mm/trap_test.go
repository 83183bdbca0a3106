package mm

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

func TestTraps(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 3*page, memmap.ReadWrite)
	for i := range memmap.Addr(3) {
		p.stores(base+i*page, byte(i), memmap.ZeroFill)
	}
	middle := memmap.AddrRange{Start: base + page, End: base + 2*page}
	watch := Trap{Kind: TrapWatch, At: memmap.Write, ID: 7}
	p.ok(p.SetTrap(p.by, middle, watch))
	p.loads(base+page, 1, memmap.Refault) // reading is let through
	p.stores(base, 9, memmap.NoCause)
	_, err := p.store(base+page+4, 9)
	var trap *TrapError
	if !asError(err, &trap) || trap.Trap != watch || trap.Addr != base+page+4 {
		t.Errorf("a store to what is watched: %v", err)
	}
	// The sandbox's own copies on the guest's behalf stop too, the debugger's do not.
	n, err := p.CopyOut(p.by, base, make([]byte, 2*page), IOOpts{})
	if n != page || !asError(err, &trap) || errno(err) != unix.EFAULT {
		t.Errorf("a copy into what is watched: %d, %v", n, err)
	}
	p.ok(second(p.CopyOut(p.by, base+page, []byte{5}, IOOpts{IgnorePermissions: true})))
	p.check()
	p.ok(p.SetTrap(p.by, middle, Trap{}))
	p.stores(base+page, 6, memmap.Refault)

	// A trap for reads leaves nothing mapped, and goes with its mapping but for
	// watchpoints.
	p.ok(p.SetTrap(p.by, middle, Trap{Kind: TrapGuard, At: memmap.AnyAccess}))
	if cause, _, err := p.loadErr(base + page); cause != memmap.GuardPage || err == nil {
		t.Errorf("a load from a guard region: %v", cause)
	}
	if got := p.Pages(memmap.AddrRange{Start: base, End: base + 4*page}); !slices.Equal(got, []Page("WgW ")) {
		t.Errorf("pages %q", got)
	}
	p.anon(base+page, page, memmap.ReadWrite)
	p.stores(base+page, 1, memmap.ZeroFill)
	p.check()
}

func (p *proc) loadErr(addr memmap.Addr) (memmap.Cause, byte, error) {
	v, cause, err := p.load(addr)
	return cause, v, err
}
