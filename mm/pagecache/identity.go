package pagecache

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// Handle is one open of a File for reading: what a descriptor holds. All mappings
// made through it have one identity, so that neighbours merge.
type Handle struct {
	file *File
	name string

	mu sync.Mutex
	id *identity // once something was mapped; one reference is the Handle's
}

// NewHandle returns a Handle of f whose mappings are shown as name. It takes over
// the caller's reference to f.
func NewHandle(f *File, name string) *Handle { return &Handle{file: f, name: name} }

// File returns the file, without a reference.
func (h *Handle) File() *File { return h.file }

// Name returns what maps shows.
func (h *Handle) Name() string { return h.name }

// ConfigureMMap sets Mappable, Identity (without a reference for the caller) and
// MaxPerms of a mapping, whose Private and Perms are set: EACCES for a shared one
// that may be written.
func (h *Handle) ConfigureMMap(o *memmap.MMapOpts) error {
	o.MaxPerms = memmap.AnyAccess
	if !o.Private {
		o.MaxPerms = memmap.ReadExecute
		if o.Perms.Write {
			return fmt.Errorf("mmap %s: %w: it is open for reading only", h.name, unix.EACCES)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.id == nil {
		h.file.IncRef()
		h.id = &identity{file: h.file, name: h.name}
		h.id.refs.Store(1)
	}
	o.Mappable, o.Identity = h.file, h.id
	return nil
}

// Release drops the Handle; mappings made through it stay.
func (h *Handle) Release() error {
	if h.id != nil {
		h.id.DecRef()
	}
	return h.file.DecRef()
}

// identity is a Handle as its mappings show it. It is a user of the File.
type identity struct {
	file *File
	name string
	refs atomic.Int64
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
		_ = i.file.DecRef() // a file that was only read has nothing to lose
	}
}

func (i *identity) MappedName() string { return i.name }
func (i *identity) DeviceID() uint64   { return i.file.key.Dev }
func (i *identity) InodeID() uint64    { return i.file.key.Ino }

// Msync implements memmap.MappingIdentity: nothing is ever dirty.
func (i *identity) Msync(memmap.MappableRange) error { return nil }
