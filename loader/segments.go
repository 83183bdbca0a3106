package loader

import (
	"debug/elf"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// mapSegments maps the PT_LOADs and sets what follows from where they are.
func (l *loading) mapSegments() error {
	if l.p.kind == elf.ET_DYN {
		if err := l.place(); err != nil {
			return err
		}
	}
	for i := range l.p.loads {
		if err := l.mapSegment(&l.p.loads[i], i == 0); err != nil {
			return err
		}
	}
	l.img.entry = memmap.Addr(l.p.entry) + l.img.bias
	if !l.m.All().Contains(l.img.entry) {
		return bad("ELF header", "the entry point %#x is no address of a program", l.p.entry)
	}
	for _, h := range l.p.loads {
		if h.Off <= l.p.phoff && l.p.phoff-h.Off < h.Filesz {
			l.phdr = memmap.Addr(l.p.phoff-h.Off+h.Vaddr) + l.img.bias
			break
		}
	}
	return nil
}

// place chooses where a program without addresses of its own goes: among the
// mappings, aligned as its segments ask.
func (l *loading) place() error {
	first, last := &l.p.loads[0], &l.p.loads[len(l.p.loads)-1]
	low := first.Vaddr &^ (memmap.PageSize - 1)
	length, _ := memmap.PageRoundUp(last.Vaddr + last.Memsz - low) // parse made sure that it does not wrap
	align := max(l.p.maxAlign, memmap.PageSize)
	if align > uint64(l.m.All().End) {
		return bad(first.where(), "alignment %#x is beyond all addresses", align)
	}
	at, err := l.roomFor(first, length)
	if err != nil {
		return failed("", fmt.Errorf("no room for its %#x bytes: %w", length, err))
	}
	at &^= memmap.Addr(align - 1) // what comes to lie below the room is checked when it is mapped
	l.img.bias = at - memmap.Addr(low)
	return nil
}

// roomFor returns where a mapping of length bytes that begins with first is placed:
// where the file's own pages would be, as some file systems want theirs aligned.
func (l *loading) roomFor(first *load, length uint64) (memmap.Addr, error) {
	o := memmap.MMapOpts{Length: length, Private: true, MaxPerms: memmap.AnyAccess}
	if first.Filesz > 0 {
		if err := l.f.ConfigureMMap(&o); err != nil {
			return 0, err
		}
		o.Offset = memmap.MappableOffset(first.Off - first.Vaddr%memmap.PageSize)
	}
	return l.m.FindRoom(l.actor(memmap.ByELF, "place"), o)
}

// mapSegment maps what h has in the file, clears the rest of the last page of
// that, and maps the rest of its memory as memory of zeroes.
func (l *loading) mapSegment(h *load, first bool) error {
	start := memmap.Addr(h.Vaddr) + l.img.bias
	ar := memmap.AddrRange{Start: start, End: start + memmap.Addr(h.Memsz)}
	by := l.actor(memmap.ByELF, fmt.Sprintf("PT_LOAD[%d]", h.index))
	zeroes := start.RoundDown()
	if h.Filesz > 0 {
		if err := l.mapFile(by, h, start, first); err != nil {
			return failed(h.where(), err)
		}
		zeroes = start + memmap.Addr(h.Filesz)
	}
	if h.Memsz > h.Filesz {
		if err := l.mapZeroes(by, h, memmap.AddrRange{Start: zeroes, End: ar.End}); err != nil {
			return failed(h.where(), err)
		}
	}
	l.img.segments = append(l.img.segments, Segment{h.index, ar, h.Filesz, h.perms()})
	return nil
}

// mapFile maps the pages of the file that h touches. Only the first segment may
// not replace what is there.
func (l *loading) mapFile(by *mm.Actor, h *load, start memmap.Addr, first bool) error {
	o := memmap.MMapOpts{
		Length:  h.Filesz + start.PageOffset(),
		Offset:  memmap.MappableOffset(h.Off - start.PageOffset()),
		Addr:    start.RoundDown(),
		Fixed:   true,
		Perms:   h.perms(),
		Private: true,
	}
	o.NoReplace, o.Unmap = first, !first
	if err := l.f.ConfigureMMap(&o); err != nil {
		return err
	}
	_, err := l.m.MMap(by, o)
	return err
}

// mapZeroes makes zeroes of ar, h's memory behind what is in the file. As in Linux
// the first page keeps what the file has behind the segment if the segment cannot
// be written: nobody can tell, and no page is spent.
func (l *loading) mapZeroes(by *mm.Actor, h *load, ar memmap.AddrRange) error {
	pages, _ := ar.Start.RoundUp()
	if h.Flags&elf.PF_W != 0 && pages > ar.Start {
		n := uint64(pages - ar.Start)
		if _, err := l.m.ZeroOut(by, ar.Start, n, mm.IOOpts{IgnorePermissions: true}); err != nil {
			return fmt.Errorf("clearing %#x bytes at %v: %w", n, ar.Start, err)
		}
	}
	end, ok := ar.End.RoundUp()
	if !ok {
		return fmt.Errorf("%w: %v", unix.ENOMEM, ar)
	}
	if end <= pages {
		return nil
	}
	perms := memmap.ReadWrite
	perms.Execute = h.Flags&elf.PF_X != 0
	_, err := l.m.MMap(by, memmap.MMapOpts{
		Length: uint64(end - pages), Addr: pages, Fixed: true, NoReplace: true,
		Perms: perms, MaxPerms: memmap.AnyAccess, Private: true,
	})
	return err
}
