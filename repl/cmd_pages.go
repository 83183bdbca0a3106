package repl

import (
	"fmt"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/repl/lang"
	"mmsh.dev/mmsh/repl/view"
	"mmsh.dev/mmsh/sentry/debugger"
)

func runPages(c *call) (view.Value, error) {
	sp, err := c.onlySpan(lang.LonePage)
	if err != nil {
		return nil, err
	}
	ar, err := sp.ends("pages")
	if err != nil {
		return nil, err
	}
	letters, err := c.s.pageLetters(sp.target, ar)
	if err != nil {
		return nil, err
	}
	return view.Pages{PID: sp.pid, Start: view.Addr(ar.Start.RoundDown()), End: view.Addr(ar.End), Letters: letters}, nil
}

// maxPages bounds the pages that one view shows.
const maxPages = 1 << 20

// pageLetters returns the letters of `pages`: `!` and `L` come from the vma and
// hide what the page is; an unmapped page is `-`.
func (s *Session) pageLetters(t target, ar memmap.AddrRange) (string, error) {
	m, err := t.memory()
	if err != nil {
		return "", err
	}
	ar.Start = ar.Start.RoundDown()
	if up, ok := ar.End.RoundUp(); ok {
		ar.End = up
	}
	if n := ar.Length() / memmap.PageSize; n > maxPages {
		return "", fmt.Errorf("%d pages are too many to show; at most %d", n, maxPages)
	}
	parts, err := s.d.CachedIn(t.pid, ar)
	if err != nil {
		return "", err
	}
	letters := make([]byte, 0, ar.Length()/memmap.PageSize)
	for _, page := range m.Pages(ar) {
		if page == mm.PageUnmapped {
			page = '-'
		}
		letters = append(letters, byte(page))
	}
	for _, part := range parts {
		markDirty(letters, ar.Start, part)
	}
	for _, v := range m.VMAs(ar) {
		mark := markOf(v)
		part := v.AR.Intersect(ar)
		for a := part.Start; mark != 0 && a < part.End; a += memmap.PageSize {
			letters[(a-ar.Start)/memmap.PageSize] = mark
		}
	}
	return string(letters), nil
}

// markDirty makes d of the letters f of pages of part that are dirty in the cache,
// whoever has written them. letters begin with the page at start.
func markDirty(letters []byte, start memmap.Addr, part debugger.CachedPart) {
	if part.Backed == nil {
		return
	}
	for _, r := range part.Pages.Runs() {
		mr := r.Pages.Intersect(part.Range)
		for off := mr.Start; r.Dirty && off < mr.End; off += memmap.PageSize {
			at := part.At + memmap.Addr(off-part.Range.Start)
			if l := &letters[(at-start)/memmap.PageSize]; *l == byte(mm.PageFile) {
				*l = byte(mm.PageFileDirty)
			}
		}
	}
}

func markOf(v mm.VMAInfo) byte {
	switch {
	case v.Perms.Write && v.Perms.Execute:
		return '!'
	case v.MLock != memmap.MLockNone:
		return 'L'
	}
	return 0
}
