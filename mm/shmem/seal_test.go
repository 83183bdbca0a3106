package shmem

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// What no seal forbids is done; what one forbids is EPERM and changes nothing.
func TestSeals(t *testing.T) {
	mem := newMemory(t, 0)
	ms, ar := &space{}, memmap.AddrRange{Start: 0x10000, End: 0x10000 + page}
	for _, tt := range []struct {
		name     string
		do       func(p *Pages) error
		sealedBy uint32
	}{
		{"write inside", func(p *Pages) error { _, err := p.WriteAt([]byte{1}, 0); return err }, unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE},
		{"write beyond", func(p *Pages) error { _, err := p.WriteAt([]byte{1}, 2*page); return err }, unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_GROW},
		{"grow", func(p *Pages) error { return p.Resize(3 * page) }, unix.F_SEAL_GROW},
		{"shrink", func(p *Pages) error { return p.Resize(page) }, unix.F_SEAL_SHRINK},
		{"stay", func(p *Pages) error { return p.Resize(2 * page) }, 0},
		{"reserve inside", func(p *Pages) error { return p.Reserve(0, 2*page, false) }, 0},
		{"reserve beyond, size kept", func(p *Pages) error { return p.Reserve(0, 3*page, true) }, unix.F_SEAL_GROW},
		{"discard", func(p *Pages) error { return p.Discard(0, page) }, unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE},
		{"punch", func(p *Pages) error { return p.Punch(pagesAt(0, 1)) }, unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE},
		{"seal more", func(p *Pages) error { return p.AddSeals(unix.F_SEAL_EXEC, false) }, unix.F_SEAL_SEAL},
		{"map shared and write", func(p *Pages) error { return p.MayMap(&memmap.MMapOpts{Perms: memmap.ReadWrite}) }, unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE},
		{"map privately and write", func(p *Pages) error { return p.MayMap(&memmap.MMapOpts{Perms: memmap.ReadWrite, Private: true}) }, 0},
		{"pass on a mapping that writes", func(p *Pages) error {
			err := p.AddMapping(ms, ar, 0, true)
			if err == nil {
				p.RemoveMapping(ms, ar, 0, true)
			}
			return err
		}, unix.F_SEAL_WRITE},
	} {
		for seal := uint32(1); seal <= unix.F_SEAL_EXEC; seal *= 2 {
			p := New(mem)
			p.SetSeals(0)
			if err := p.Resize(2 * page); err != nil {
				t.Fatal(err)
			}
			if err := p.AddSeals(seal, false); err != nil {
				t.Fatal(err)
			}
			err := tt.do(p)
			if refused := tt.sealedBy&seal != 0; refused != errors.Is(err, unix.EPERM) || !refused && err != nil {
				t.Errorf("%s with seal %#x: %v", tt.name, seal, err)
			}
			if size, resident := p.Usage(); err != nil && (size != 2*page || resident != 0) {
				t.Errorf("%s with seal %#x: %#x bytes, %#x resident", tt.name, seal, size, resident)
			}
			p.Drop()
		}
	}
}

// A file that may not grow takes what ends with a whole page inside it.
func TestWriteUpToTheSeal(t *testing.T) {
	p := New(newMemory(t, 0))
	defer p.Drop()
	p.SetSeals(0)
	if err := p.Resize(2*page + 5); err != nil {
		t.Fatal(err)
	}
	if err := p.AddSeals(unix.F_SEAL_GROW, false); err != nil {
		t.Fatal(err)
	}
	if n, err := p.WriteAt(make([]byte, 3*page), 100); n != 2*page-100 || !errors.Is(err, unix.EPERM) {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := p.WriteAt(make([]byte, 5), 2*page); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A mapping that may ever write holds F_SEAL_WRITE off; one that may not does not.
func TestSealsAndMappings(t *testing.T) {
	p := New(newMemory(t, 0))
	p.SetSeals(0)
	ms, ar := &space{}, memmap.AddrRange{Start: 0x10000, End: 0x10000 + page}
	for _, writable := range []bool{true, false} {
		if err := p.AddMapping(ms, ar, 0, writable); err != nil {
			t.Fatal(err)
		}
		err := p.AddSeals(unix.F_SEAL_WRITE, false)
		if writable != errors.Is(err, unix.EBUSY) || !writable && err != nil {
			t.Errorf("writable %v: %v", writable, err)
		}
		if err := p.AddSeals(unix.F_SEAL_EXEC, true); writable && !errors.Is(err, unix.EBUSY) {
			t.Errorf("a program that a mapping may write: %v", err)
		}
		p.RemoveMapping(ms, ar, 0, writable)
	}
	o := memmap.MMapOpts{Perms: memmap.Read, MaxPerms: memmap.AnyAccess}
	if err := p.MayMap(&o); err != nil || o.MaxPerms != memmap.ReadExecute {
		t.Errorf("%v: %v", o.MaxPerms, err)
	}
	if err := p.AddSeals(0x100, false); !errors.Is(err, unix.EINVAL) {
		t.Errorf("an unknown seal: %v", err)
	}
	if err := p.AddSeals(unix.F_SEAL_EXEC, true); err != nil || p.Seals() != allSeals&^unix.F_SEAL_SEAL {
		t.Errorf("a program: %#x, %v", p.Seals(), err)
	}
}
