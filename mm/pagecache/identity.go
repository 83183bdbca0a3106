package pagecache

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Handle is one open of a File: what a descriptor holds. All mappings made through
// it have one identity, so that neighbours merge.
type Handle struct {
	file     *File
	writable bool
	id       *identity // one reference is the Handle's
}

// Place is where an open file is now: its name changes as it is renamed. It is
// closed when neither Handle nor mappings are left.
type Place interface {
	Path() string
	Close() error
}

// fixed is the Place of what is never renamed.
type fixed string

func (f fixed) Path() string { return string(f) }
func (fixed) Close() error   { return nil }

// NewHandle returns a Handle of f for reading, whose mappings are shown as name. It
// takes over the caller's reference to f.
func NewHandle(f *File, name string) *Handle { return NewHandleAt(f, fixed(name), false) }

// NewWritableHandle is NewHandle for writing; f is from OpenWritable.
func NewWritableHandle(f *File, name string) *Handle { return NewHandleAt(f, fixed(name), true) }

// NewHandleAt returns a Handle of f whose mappings are shown as p says, which it
// takes over with the caller's reference to f.
func NewHandleAt(f *File, p Place, writable bool) *Handle {
	heard := f.failures.sample()
	f.place(p)
	id := &identity{file: f, at: p, heard: &heard}
	id.refs.Store(1)
	return &Handle{file: f, writable: writable, id: id}
}

// File returns the file, without a reference.
func (h *Handle) File() *File { return h.file }

// Name returns what maps shows.
func (h *Handle) Name() string { return h.id.MappedName() }

// ConfigureMMap sets Mappable, Identity (without a reference for the caller) and
// MaxPerms of a mapping, whose Private and Perms are set: EACCES for a shared one
// that may be written.
func (h *Handle) ConfigureMMap(o *memmap.MMapOpts) error {
	o.MaxPerms = memmap.AnyAccess
	if host := h.file.host; host != nil && !host.exec {
		if o.Perms.Execute {
			return fmt.Errorf("mmap %s: %w: the host does not let it be executed", h.Name(), unix.EPERM)
		}
		o.MaxPerms.Execute = false
	}
	if !o.Private && !h.writable {
		o.MaxPerms.Write = false
		if o.Perms.Write {
			return fmt.Errorf("mmap %s: %w: it is open for reading only", h.Name(), unix.EACCES)
		}
	}
	o.Mappable, o.Identity = h.file, h.id
	return nil
}

// Sync writes the file out: fsync. It returns what failed, and what has failed
// since this open was last told.
func (h *Handle) Sync() error { return h.file.told(h.id.heard, h.file.WriteOut()) }

// SyncRange is Sync of the dirty pages of mr alone.
func (h *Handle) SyncRange(mr memmap.MappableRange) error { return h.id.Msync(mr) }

// told returns the failure that h has not heard of, else err, with which writing
// has just failed. A sync that left pages dirty is never a success.
func (f *File) told(h *heard, err error) error {
	if news := f.failures.report(h); news != nil {
		return news
	}
	return err
}

// Release drops the Handle; mappings made through it stay. One for writing writes
// back dirty pages, and returns the failures that nobody was told of through it.
func (h *Handle) Release() error {
	if h.writable {
		_ = h.file.writeBack(everything) // recorded, and the pages stay dirty
	}
	f, heard := h.file, h.id.heard
	err := h.id.release()
	if !h.writable {
		return err
	}
	return f.told(heard, err)
}

// identity is a Handle as its mappings show it. It is a user of the File.
type identity struct {
	file  *File
	at    Place
	heard *heard // of failed writeback
	refs  atomic.Int64
}

func (i *identity) IncRef() {
	if i.refs.Add(1) <= 1 {
		panic("pagecache: reference to a released identity of " + i.at.Path())
	}
}

// DecRef implements memmap.MappingIdentity.
func (i *identity) DecRef() { _ = i.release() } // what could not be written stays: see Cache.Unwritten

// release drops a reference, with the last one the File's user.
func (i *identity) release() error {
	switch n := i.refs.Add(-1); {
	case n > 0:
		return nil
	case n < 0:
		panic("pagecache: identity of " + i.at.Path() + " released twice")
	}
	i.file.place(i.at)
	err := i.file.DecRef()
	_ = i.at.Close()
	return err
}

func (i *identity) MappedName() string { return i.at.Path() }
func (i *identity) DeviceID() uint64   { return i.file.key.Dev }
func (i *identity) InodeID() uint64    { return i.file.key.Ino }

// Msync implements memmap.MappingIdentity.
func (i *identity) Msync(mr memmap.MappableRange) error {
	return i.file.told(i.heard, i.file.SyncRange(mr))
}
