package vfs

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Program is a file that is to be run: what the loader reads and maps. It is a
// loader.File.
type Program struct {
	d *Description
	m Mapper
}

// NewProgram returns d, opened for reading, as a program, and takes over the
// caller's reference: EACCES if it cannot be mapped.
func NewProgram(d *Description) (*Program, error) {
	m, ok := d.file.(Mapper)
	if !ok {
		_ = d.DecRef()
		return nil, fmt.Errorf("%s: %w: it cannot be mapped", d.path, unix.EACCES)
	}
	return &Program{d, m}, nil
}

// Path returns the program's absolute path with symbolic links resolved, as
// /proc/PID/exe shows it.
func (p *Program) Path() string { return p.d.path }

// Stat returns what fstat(2) tells.
func (p *Program) Stat() (unix.Stat_t, error) { return p.d.Stat() }

// ReadAt is io.ReaderAt's.
func (p *Program) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := p.d.PRead(b[done:], off+int64(done))
		done += n
		if err != nil && !errors.Is(err, io.EOF) {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
	}
	return done, nil
}

// Size returns the file's size in bytes.
func (p *Program) Size() (int64, error) {
	st, err := p.d.Stat()
	return st.Size, err
}

// ConfigureMMap sets Mappable, Identity and MaxPerms of a mapping.
func (p *Program) ConfigureMMap(o *memmap.MMapOpts) error { return p.m.ConfigureMMap(o) }

// Close drops the file. Mappings of it stay.
func (p *Program) Close() error { return p.d.DecRef() }
