package debugger

import (
	"strings"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// The functions below show a process's memory, or what is kept of it.

// VMAs returns the vmas of p that overlap ar, whole, in order.
func VMAs(p *sentry.Process, ar memmap.AddrRange) []mm.VMAInfo {
	if m := p.MM(); m != nil {
		return m.VMAs(ar)
	}
	var found []mm.VMAInfo
	if last := p.LastState(); last != nil {
		for _, v := range last.VMAs {
			if v.AR.Overlaps(ar) {
				found = append(found, v)
			}
		}
	}
	return found
}

// PMAs returns the pmas of p in ar.
func PMAs(p *sentry.Process, ar memmap.AddrRange) []mm.PMAInfo {
	if m := p.MM(); m != nil {
		return m.PMAs(ar)
	}
	var found []mm.PMAInfo
	if last := p.LastState(); last != nil {
		for _, a := range last.PMAs {
			if a.AR.Overlaps(ar) {
				found = append(found, a)
			}
		}
	}
	return found
}

// Stats returns the sums and counters of p's memory.
func Stats(p *sentry.Process) mm.Stats {
	if m := p.MM(); m != nil {
		return m.Stats()
	}
	if last := p.LastState(); last != nil {
		return last.Stats
	}
	return mm.Stats{}
}

// Maps returns /proc/PID/maps of p.
func Maps(p *sentry.Process) (string, error) {
	if m := p.MM(); m != nil {
		var text strings.Builder
		err := m.WriteMaps(&text)
		return text.String(), err
	}
	if last := p.LastState(); last != nil {
		return last.Maps, nil
	}
	return "", nil
}

// All is every address there may be.
var All = memmap.AddrRange{Start: 0, End: ^memmap.Addr(0)}
