package mm

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// unreadable is memory whose pages cannot be brought in, and which says so.
type unreadable struct{ memmap.Mappable }

func (unreadable) CheckRead(memmap.MappableOffset) error { return unix.EIO }

// over is a file that lies over another.
type over struct{ memmap.Mappable }

func (o over) Unwrap() memmap.Mappable { return o.Mappable }

// A page that the file could not read is an I/O error before anybody touches it.
func TestExplainAsksTheFileWhetherItCanBeRead(t *testing.T) {
	p := newProcess(t)
	p.shared(base, page, memmap.Read)
	for _, m := range p.MappedIn(base.Page()) {
		if err := checkRead(m.Mappable, 0); err != nil {
			t.Errorf("memory can always be read: %v", err)
		}
		if err := checkRead(over{over{unreadable{m.Mappable}}}, 0); err != unix.EIO {
			t.Errorf("a file over one that cannot be read: %v", err)
		}
	}
	p.vmas.Update(base.Page(), func(_ memmap.AddrRange, v vma) vma {
		v.mappable = over{unreadable{v.mappable}}
		return v
	})
	e := p.Explain(p.by, base+8, memmap.Read, 0)
	if e.Cause != memmap.IOError || e.Signal != unix.SIGBUS || !strings.Contains(e.Rules[len(e.Rules)-1].Text, "input/output error") {
		t.Errorf("explained: %+v", e)
	}
	p.vmas.Update(base.Page(), func(_ memmap.AddrRange, v vma) vma {
		v.mappable = v.mappable.(over).Mappable.(unreadable).Mappable
		return v
	})
	p.check()
}
