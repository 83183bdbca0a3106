package vfs

import "mmsh.dev/mmsh/memmap"

// Program is a file that is to be run: what the loader reads and maps. It is a
// loader.File.
type Program struct {
	d *Description
}

// NewProgram returns f, opened for reading, as a program; it takes over the
// caller's reference to d, whose File must be a Mapper (EACCES).
func NewProgram(d *Description) (*Program, error) { panic("vfs: unwritten") }

// Path returns the program's absolute path with symbolic links resolved, as
// /proc/PID/exe shows it.
func (p *Program) Path() string { return p.d.Path() }

// ReadAt is io.ReaderAt's.
func (p *Program) ReadAt(b []byte, off int64) (int, error) { panic("vfs: unwritten") }

// Size returns the file's size in bytes.
func (p *Program) Size() (int64, error) { panic("vfs: unwritten") }

// ConfigureMMap sets Mappable, Identity and MaxPerms of a mapping.
func (p *Program) ConfigureMMap(o *memmap.MMapOpts) error { panic("vfs: unwritten") }

// Close drops the file. Mappings of it stay.
func (p *Program) Close() error { return p.d.DecRef() }
