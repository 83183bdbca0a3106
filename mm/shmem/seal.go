package shmem

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// The seals that stop writes, and all that there are: F_SEAL_*.
const (
	sealWrites = unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE
	allSeals   = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | sealWrites | unix.F_SEAL_EXEC
)

// sealed is EPERM if one of seals is on the file. p.mu is held.
func (p *Pages) sealed(seals uint32, op string) error {
	if p.seals&seals == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: the file is sealed (seals %#x)", op, unix.EPERM, p.seals)
}

// SetSeals says which F_SEAL_* a new file has. New ones have F_SEAL_SEAL: none may be
// added.
func (p *Pages) SetSeals(seals uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seals = seals
}

// Seals returns the F_SEAL_* that the file has.
func (p *Pages) Seals() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seals
}

// AddSeals is F_ADD_SEALS. The seal on a program's mode seals what the program says
// as well (Linux mm/memfd.c: memfd_add_seals).
//
// Errors: EINVAL unknown seals; EPERM F_SEAL_SEAL; EBUSY F_SEAL_WRITE, a program's
// F_SEAL_EXEC included, while a mapping may write.
func (p *Pages) AddSeals(seals uint32, program bool) error {
	if seals&^allSeals != 0 {
		return memmap.Refuse("fcntl", unix.EINVAL, "there are no seals %#x", seals&^allSeals)
	}
	p.mapsMu.Lock()
	defer p.mapsMu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.sealed(unix.F_SEAL_SEAL, "fcntl"); err != nil {
		return err
	}
	if seals&unix.F_SEAL_EXEC != 0 && program {
		seals |= unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | sealWrites
	}
	if seals&unix.F_SEAL_WRITE&^p.seals != 0 {
		if _, writable := p.maps.Mapped(everything); writable {
			return memmap.Refuse("fcntl", unix.EBUSY, "a shared mapping may still write the file")
		}
	}
	p.seals |= seals
	return nil
}

// MayMap is what the seals say of a new mapping: EPERM for a shared one that writes;
// other shared ones never will.
func (p *Pages) MayMap(o *memmap.MMapOpts) error {
	if o.Private || p.Seals()&sealWrites == 0 {
		return nil
	}
	if o.Perms.Write {
		return memmap.Refuse("mmap", unix.EPERM, "the file is sealed against writing")
	}
	o.MaxPerms.Write = false
	return nil
}

// mayResize is EPERM where a seal forbids the file to have size bytes. p.mu is held.
func (p *Pages) mayResize(size uint64) error {
	switch {
	case size < p.size:
		return p.sealed(unix.F_SEAL_SHRINK, "ftruncate")
	case size > p.size:
		return p.sealed(unix.F_SEAL_GROW, "ftruncate")
	}
	return nil
}

// mayWrite returns up to where of [off, end) seals let write, which as on Linux goes
// page by page: EPERM for nothing. p.mu is held.
func (p *Pages) mayWrite(off, end uint64) (uint64, error) {
	if err := p.sealed(sealWrites, "write"); err != nil {
		return off, err
	}
	if end <= p.size {
		return end, nil
	}
	err := p.sealed(unix.F_SEAL_GROW, "write")
	if err == nil {
		return end, nil
	}
	return max(off, p.size-p.size%memmap.PageSize), err
}
