package debugger

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm"
)

// Peek fills p from process pid's memory at addr and changes nothing by it: held
// pages are read where they lie, and pages of anonymous memory that were never
// touched are zeroes without becoming so. Only a file's page that is not there yet is
// brought in. Permissions are ignored.
func (d *Debugger) Peek(pid int32, addr memmap.Addr, p []byte) (int, error) {
	proc, err := d.Process(pid)
	if err != nil {
		return 0, err
	}
	m, err := d.Memory(pid)
	if err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		a := addr + memmap.Addr(done)
		if a < addr {
			return done, &peekError{"the address space ends before 2^64"}
		}
		part := p[done:min(len(p), done+memmap.PageSize-int(a.PageOffset()))]
		if err := peekPage(m, Actor(proc, "peek"), a, part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

// peekError is memory that cannot be read. errors.As finds EFAULT in it.
type peekError struct{ reason string }

func (e *peekError) Error() string { return e.reason }

// Unwrap returns the errno.
func (e *peekError) Unwrap() error { return unix.EFAULT }

// peekPage fills p, which ends in the page that it begins in.
func peekPage(m *mm.MemoryManager, by *mm.Actor, a memmap.Addr, p []byte) error {
	v, ok := m.FindVMA(a)
	if !ok {
		return &peekError{fmt.Sprintf("%v is not mapped", a)}
	}
	held := m.PMAs(a.Page())
	switch {
	case len(held) == 1 && held[0].AR.Contains(a):
		return peekPMA(held[0], a, p)
	case len(held) == 0 && v.Anonymous:
		clear(p)
		return nil
	}
	_, err := m.CopyIn(by, a, p, mm.IOOpts{IgnorePermissions: true})
	return err
}

func peekPMA(pma mm.PMAInfo, a memmap.Addr, p []byte) error {
	if pma.Zero {
		clear(p)
		return nil
	}
	off := pma.Offset + memmap.FileOffset(a-pma.AR.Start)
	page := off &^ (memmap.PageSize - 1)
	seq, err := pma.File.MapInternal(memmap.FileRange{Start: page, End: page + memmap.PageSize}, memmap.Read)
	if err != nil {
		return err
	}
	seq = seq.DropFirst(uint64(off - page)).TakeFirst(uint64(len(p)))
	_, err = safemem.Copy(safemem.Of(p), seq)
	return err
}

// Poke writes p to process pid's memory at addr as a debugger does: permissions
// are ignored, COW is broken, pages are filled.
func (d *Debugger) Poke(pid int32, op string, addr memmap.Addr, p []byte) (int, error) {
	proc, err := d.Process(pid)
	if err != nil {
		return 0, err
	}
	m, err := d.Memory(pid)
	if err != nil {
		return 0, err
	}
	return m.CopyOut(Actor(proc, op), addr, p, mm.IOOpts{IgnorePermissions: true})
}
