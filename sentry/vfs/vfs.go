// Package vfs is files as guests see them: paths, descriptors, and the things
// behind them. It knows no task and no memory manager.
package vfs

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// File is what a descriptor leads to: the behaviour of one open file. Errors are
// unix.Errno, wrapped with reasons.
type File interface {
	// Stat returns what fstat(2) tells.
	Stat() (unix.Stat_t, error)
	// PRead reads at off: 0 and nil at the end of the file. A File that cannot seek
	// ignores off. ErrWouldBlock if nothing is there yet.
	PRead(p []byte, off int64) (int, error)
	// PWrite writes at off.
	PWrite(p []byte, off int64) (int, error)
	// Seekable reports whether offsets mean something.
	Seekable() bool
	// Release is called when the last descriptor is closed.
	Release() error
}

// ErrWouldBlock is what a File answers that cannot go on now: the caller waits
// (Waiter) and asks again, or returns it as it is with O_NONBLOCK.
const ErrWouldBlock = unix.EAGAIN

// Mapper is a File that can be mapped: it sets Mappable and Identity (with no
// reference for the caller) and MaxPerms.
type Mapper interface {
	ConfigureMMap(o *memmap.MMapOpts) error
}

// Waiter is a File that can be waited for.
type Waiter interface {
	// Ready returns the POLL* events that hold now.
	Ready() int16
	// Wait returns a channel that is closed as soon as any of events may hold, and a
	// function that gives the wait up.
	Wait(events int16) (<-chan struct{}, func())
}

// Terminal is a File that answers terminal ioctls.
type Terminal interface {
	Termios() (unix.Termios, error)
	SetTermios(t *unix.Termios) error
	Winsize() (unix.Winsize, error)
}

// Dir is a File that is a directory.
type Dir interface {
	// ReadDir returns the entries from the one numbered from on.
	ReadDir(from int64) ([]Dirent, error)
}

// Dirent is a directory entry.
type Dirent struct {
	Name  string
	Inode uint64
	Type  uint8 // DT_*
	Next  int64 // the number of the entry behind it
}

// Description is an open file: what dup and fork share. It counts its users.
type Description struct {
	_ [0]func()
}

// NewDescription returns the description of f with one user. path is what
// /proc/PID/fd shows.
func NewDescription(f File, flags int, path string) *Description { panic("vfs: unwritten") }

// File returns the file.
func (d *Description) File() File { panic("vfs: unwritten") }

// Path returns what /proc/PID/fd shows.
func (d *Description) Path() string { panic("vfs: unwritten") }

// Flags returns O_* as F_GETFL does, SetFlags changes the changeable ones.
func (d *Description) Flags() int { panic("vfs: unwritten") }

// SetFlags is F_SETFL.
func (d *Description) SetFlags(flags int) { panic("vfs: unwritten") }

// Read and Write use and move the shared offset; EBADF if the mode forbids them.
// commit tells how many of the bytes were really used (a guest's buffer may end
// early): the offset moves by that.
func (d *Description) Read(p []byte, commit func(n int) (int, error)) (int, error) {
	panic("vfs: unwritten")
}

// Write writes at the shared offset, or at the end with O_APPEND.
func (d *Description) Write(p []byte) (int, error) { panic("vfs: unwritten") }

// PRead and PWrite leave the offset alone: ESPIPE if there is none.
func (d *Description) PRead(p []byte, off int64) (int, error) { panic("vfs: unwritten") }

// PWrite is pwrite64.
func (d *Description) PWrite(p []byte, off int64) (int, error) { panic("vfs: unwritten") }

// Seek is lseek, SEEK_DATA and SEEK_HOLE included.
func (d *Description) Seek(off int64, whence int) (int64, error) { panic("vfs: unwritten") }

// IncRef and DecRef count users; the last one releases the file.
func (d *Description) IncRef() { panic("vfs: unwritten") }

// DecRef returns the error of a release.
func (d *Description) DecRef() error { panic("vfs: unwritten") }

// Table is a process's descriptors. It is safe for concurrent use.
type Table struct {
	_ [0]func()
}

// NewTable returns an empty table.
func NewTable() *Table { panic("vfs: unwritten") }

// Get returns what fd leads to, with a reference that the caller drops. EBADF.
func (t *Table) Get(fd int32) (*Description, error) { panic("vfs: unwritten") }

// Add puts d at the lowest free number not below min, and takes over the caller's
// reference. EMFILE at limit.
func (t *Table) Add(d *Description, cloexec bool, min int32, limit uint64) (int32, error) {
	panic("vfs: unwritten")
}

// Set is dup2: d at exactly fd, what was there is closed.
func (t *Table) Set(fd int32, d *Description, cloexec bool, limit uint64) error {
	panic("vfs: unwritten")
}

// Close removes fd. EBADF.
func (t *Table) Close(fd int32) error { panic("vfs: unwritten") }

// CloseOnExec reports fd's flag, SetCloseOnExec changes it.
func (t *Table) CloseOnExec(fd int32) (bool, error) { panic("vfs: unwritten") }

// SetCloseOnExec is F_SETFD.
func (t *Table) SetCloseOnExec(fd int32, on bool) error { panic("vfs: unwritten") }

// Fork returns a copy that shares the descriptions.
func (t *Table) Fork() *Table { panic("vfs: unwritten") }

// CloseAll empties the table.
func (t *Table) CloseAll() { panic("vfs: unwritten") }

// Each calls f for every descriptor in order.
func (t *Table) Each(f func(fd int32, d *Description, cloexec bool)) { panic("vfs: unwritten") }
