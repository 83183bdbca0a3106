package loader

import (
	"debug/elf"
	"errors"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
)

// Load maps f into the empty memory m, as execve(2) of Linux 6.18 does: segments,
// heap, [vvar] and [vdso], stack. An error is an *Error; m may then hold a part of
// the program. f may be closed afterwards.
func Load(by *mm.Actor, m *mm.MemoryManager, f File, o Options) (*Image, Start, error) {
	l := &loading{by: by, m: m, f: f, o: o, img: &Image{path: o.Path}}
	if err := l.run(); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Reason: err.Error(), Err: err}
		}
		e.File = o.Path
		return nil, Start{}, e
	}
	return l.img, Start{Entry: l.img.entry, SP: l.img.sp}, nil
}

// loading is a Load under way.
type loading struct {
	by  *mm.Actor
	m   *mm.MemoryManager
	f   File
	o   Options
	p   *program
	img *Image

	phdr memmap.Addr // AT_PHDR
	vdso memmap.Addr // AT_SYSINFO_EHDR, 0 without one
}

func (l *loading) run() error {
	var err error
	if l.p, err = parse(l.f, l.m.All()); err != nil {
		return err
	}
	stack, err := newStack(l.m.Layout().StackTop, &l.o, l.stackLimit())
	if err != nil {
		return err
	}
	if err := l.mapStack(stack); err != nil {
		return err
	}
	if err := l.mapSegments(); err != nil {
		return err
	}
	l.setBreak()
	if err := l.mapVDSO(); err != nil {
		return err
	}
	l.img.auxv = l.auxv(stack)
	if err := l.writeStack(stack); err != nil {
		return err
	}
	symbols := readSymbols(l.f, l.p, l.img)
	if l.vdso != 0 {
		l.img.vdso = memmap.AddrRange{Start: l.vdso, End: l.vdso + vdsoSize}
		symbols = append(symbols, buildVDSO().symbols(l.vdso)...)
	}
	l.img.symbols = index(symbols)
	return nil
}

// actor returns by as who asks for op on behalf of whom.
func (l *loading) actor(whose memmap.Asker, op string) *mm.Actor {
	by := *l.by
	by.Origin = memmap.Origin{By: whose, Op: op, TID: l.by.Origin.TID}
	return &by
}

func (l *loading) stackLimit() uint64 {
	if l.by.Limits == nil {
		return mm.Infinity
	}
	return l.by.Limits.Stack
}

// setBreak puts the empty heap where Linux does: behind a program with fixed
// addresses; and for one that was placed among the mappings, where a heap has
// room to grow.
func (l *loading) setBreak() {
	at := memmap.Addr(0)
	for _, s := range l.img.segments {
		at = max(at, s.AR.End)
	}
	if l.p.kind == elf.ET_DYN {
		at = l.m.Layout().PIEBase + memmap.PageSize
	}
	at, _ = at.RoundUp() // parse made sure that it does not wrap
	l.m.BrkSetup(l.actor(memmap.ByELF, "brk"), at)
}

// mapVDSO maps [vvar], [vvar_vclock] and [vdso], next to one another, where there
// is room.
func (l *loading) mapVDSO() error {
	if l.o.VDSO == nil {
		return nil
	}
	by := l.actor(memmap.ByKernel, "vdso")
	at, err := l.m.FindRoom(by, memmap.MMapOpts{Length: vdsoLength, Private: true, MaxPerms: memmap.Read})
	if err != nil {
		return failed("vdso", err)
	}
	for _, part := range l.o.VDSO.parts {
		by.Origin.Op = part.name
		_, err := l.m.MMap(by, memmap.MMapOpts{
			Length: part.size, Addr: at, Fixed: true, NoReplace: true, Private: true,
			Mappable: part.pages, Identity: part.pages, Perms: part.perms, MaxPerms: part.maxPerms,
		})
		if err != nil {
			return failed(part.name, err)
		}
		if part.perms.Execute {
			l.vdso = at
		}
		at += memmap.Addr(part.size)
	}
	return nil
}
