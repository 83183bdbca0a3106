package mm

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// A guard region refuses every access, the debugger's too, with a reason and a
// remedy; a watchpoint at the same place outlives it.
func TestGuardRegionsAreExplained(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 4*page, memmap.ReadWrite)
	p.ok(p.SetTrap(p.by, memmap.AddrRange{Start: base + page, End: base + 2*page}, Trap{Kind: TrapWatch, At: memmap.Write}))
	p.ok(p.MAdvise(p.by, base+page, page, MadvGuardInstall))
	cause, err := p.HandleUserFault(p.by, base+page, memmap.Read, 0)
	var trap *TrapError
	if !errors.As(err, &trap) || trap.Trap.Kind != TrapGuard || cause != memmap.GuardPage {
		t.Errorf("a read of a guard region: %v, %v", cause, err)
	}
	n, err := p.CopyIn(p.by, base, make([]byte, 2*page), IOOpts{IgnorePermissions: true})
	if n != page || !errors.Is(err, unix.EFAULT) {
		t.Errorf("a copy into a guard region did %d bytes: %v", n, err)
	}
	e := p.Explain(p.by, base+page, memmap.Read, 0)
	if last := e.Rules[len(e.Rules)-1]; e.Cause != memmap.GuardPage || e.Signal != unix.SIGSEGV || !strings.Contains(last.Fix, "guard_remove") {
		t.Errorf("explained as %+v", e)
	}
	if got := string(p.Pages(memmap.AddrRange{Start: base, End: base + 4*page})[1]); got != "g" {
		t.Errorf("the page shows as %q", got)
	}
	p.ok(p.MAdvise(p.by, base+page, page, MadvGuardRemove))
	if _, err := p.HandleUserFault(p.by, base+page, memmap.Write, 0); !errors.As(err, &trap) || trap.Trap.Kind != TrapWatch {
		t.Errorf("the watchpoint is gone: %v", err)
	}
	p.check()
}

// What is sealed has no remedy to offer.
func TestSealedMappingsAreExplained(t *testing.T) {
	p := newProcess(t)
	p.anon(base, 2*page, memmap.Read)
	p.ok(p.MSeal(p.by, base, page))
	e := p.Explain(p.by, base, memmap.Write, 0)
	if last := e.Rules[len(e.Rules)-1]; last.Fix != "" || !strings.Contains(last.Text, "sealed") {
		t.Errorf("explained as %+v", last)
	}
	p.wantErrno(p.MProtect(p.by, base, 2*page, memmap.ReadWrite, false), unix.EPERM, "mprotect")
	p.check()
}
