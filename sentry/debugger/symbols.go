package debugger

import (
	"fmt"
	"path"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// Symbol prints a code address of p as people read it: main+0x4, or the mapping
// and an offset where no symbol is known; "" where nothing is mapped.
func (d *Debugger) Symbol(p *sentry.Process, addr memmap.Addr) string {
	if img := p.Image(); img != nil {
		if s, ok := img.SymbolAt(addr); ok {
			return offset(s.Name, addr, s.Addr)
		}
	}
	return d.Place(p, addr)
}

// Place prints an address of p as its mapping's name and an offset: [heap]+0x10,
// of a file as the offset in the file; "" where no named mapping is.
func (d *Debugger) Place(p *sentry.Process, addr memmap.Addr) string {
	for _, v := range VMAs(p, memmap.AddrRange{Start: addr, End: addr + 1}) {
		if v.Name != "" {
			return offset(path.Base(v.Name), addr, v.AR.Start-memmap.Addr(v.Offset))
		}
	}
	return ""
}

func offset(name string, addr, base memmap.Addr) string {
	if addr == base {
		return name
	}
	return fmt.Sprintf("%s+%#x", name, uint64(addr-base))
}
