package pagecache

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Handle is one open of a File: what a descriptor holds. All mappings made through
// it have one identity, so that neighbours merge.
type Handle struct {
	file     *File
	name     string
	writable bool
	heard    *heard // of failed writeback; the identity's as well

	mu sync.Mutex
	id *identity // once something was mapped; one reference is the Handle's
}

// NewHandle returns a Handle of f for reading, whose mappings are shown as name. It
// takes over the caller's reference to f.
func NewHandle(f *File, name string) *Handle {
	h := f.failures.sample()
	f.named.CompareAndSwap(nil, &name)
	return &Handle{file: f, name: name, heard: &h}
}

// NewWritableHandle is NewHandle for writing; f is from OpenWritable.
func NewWritableHandle(f *File, name string) *Handle {
	h := NewHandle(f, name)
	h.writable = true
	return h
}

// File returns the file, without a reference.
func (h *Handle) File() *File { return h.file }

// Name returns what maps shows.
func (h *Handle) Name() string { return h.name }

// ConfigureMMap sets Mappable, Identity (without a reference for the caller) and
// MaxPerms of a mapping, whose Private and Perms are set: EACCES for a shared one
// that may be written.
func (h *Handle) ConfigureMMap(o *memmap.MMapOpts) error {
	o.MaxPerms = memmap.AnyAccess
	if !o.Private && !h.writable {
		o.MaxPerms = memmap.ReadExecute
		if o.Perms.Write {
			return fmt.Errorf("mmap %s: %w: it is open for reading only", h.name, unix.EACCES)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.id == nil {
		h.file.IncRef()
		h.id = &identity{file: h.file, name: h.name, heard: h.heard}
		h.id.refs.Store(1)
	}
	o.Mappable, o.Identity = h.file, h.id
	return nil
}

// Sync writes the file out: fsync. It returns what failed, and what has failed
// since this open was last told.
func (h *Handle) Sync() error { return h.file.told(h.heard, h.file.WriteOut()) }

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
	if h.id != nil {
		h.id.DecRef()
	}
	err := h.file.DecRef()
	if !h.writable {
		return err
	}
	return h.file.told(h.heard, err)
}

// identity is a Handle as its mappings show it. It is a user of the File.
type identity struct {
	file  *File
	name  string
	heard *heard
	refs  atomic.Int64
}

func (i *identity) IncRef() {
	if i.refs.Add(1) <= 1 {
		panic("pagecache: reference to a released identity of " + i.name)
	}
}

func (i *identity) DecRef() {
	switch n := i.refs.Add(-1); {
	case n < 0:
		panic("pagecache: identity of " + i.name + " released twice")
	case n == 0:
		_ = i.file.DecRef() // what could not be written stays: see Cache.Unwritten
	}
}

func (i *identity) MappedName() string { return i.name }
func (i *identity) DeviceID() uint64   { return i.file.key.Dev }
func (i *identity) InodeID() uint64    { return i.file.key.Ino }

// Msync implements memmap.MappingIdentity.
func (i *identity) Msync(mr memmap.MappableRange) error {
	return i.file.told(i.heard, i.file.SyncRange(mr))
}
