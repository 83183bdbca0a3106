package memfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry/vfs"
)

// view is what mappings of a file over a lower FS see, before and after the file
// is copied: the lower file's pages, then the copy's. So who has mapped a file that
// another changes sees the change, as on any one file system.
//
// It is what mappings are compared by, and as such a file's only one.
type view struct {
	mapsMu sync.Mutex // taken before any memory manager's activeMu
	maps   memmap.MappingSet
	to     atomic.Pointer[memmap.Mappable]
}

// newView returns a view of m.
func newView(m memmap.Mappable) *view {
	c := &view{}
	c.set(m)
	return c
}

// target returns where the bytes are; nil: nowhere yet.
func (c *view) target() memmap.Mappable {
	if p := c.to.Load(); p != nil {
		return *p
	}
	return nil
}

func (c *view) set(m memmap.Mappable) { c.to.Store(&m) }

// everything is all offsets that pages can have.
var everything = memmap.MappableRange{End: memmap.MappableOffset(1) << 63}

// replace makes m what mappings see from now on.
func (c *view) replace(m memmap.Mappable) error {
	c.mapsMu.Lock()
	defer c.mapsMu.Unlock()
	old := c.target()
	var done []memmap.Mapping
	var err error
	c.maps.Each(everything, func(g memmap.Mapping) bool {
		if err = m.AddMapping(g.Space, g.AR, g.MR.Start, g.Writable); err == nil {
			done = append(done, g)
		}
		return err == nil
	})
	if err != nil {
		remove(m, done)
		return err
	}
	c.set(m)
	c.maps.Invalidate(everything, false)
	if old != nil {
		remove(old, done)
	}
	return nil
}

func remove(m memmap.Mappable, all []memmap.Mapping) {
	for _, g := range all {
		m.RemoveMapping(g.Space, g.AR, g.MR.Start, g.Writable)
	}
}

// AddMapping implements memmap.Mappable.
func (c *view) AddMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	c.mapsMu.Lock()
	defer c.mapsMu.Unlock()
	if err := c.target().AddMapping(ms, ar, off, writable); err != nil {
		return err
	}
	c.maps.AddMapping(ms, ar, off, writable)
	return nil
}

// RemoveMapping implements memmap.Mappable.
func (c *view) RemoveMapping(ms memmap.MappingSpace, ar memmap.AddrRange, off memmap.MappableOffset, writable bool) {
	c.mapsMu.Lock()
	defer c.mapsMu.Unlock()
	c.maps.RemoveMapping(ms, ar, off, writable)
	c.target().RemoveMapping(ms, ar, off, writable)
}

// CopyMapping implements memmap.Mappable.
func (c *view) CopyMapping(ms memmap.MappingSpace, src, dst memmap.AddrRange, off memmap.MappableOffset, writable bool) error {
	c.mapsMu.Lock()
	defer c.mapsMu.Unlock()
	if err := c.target().CopyMapping(ms, src, dst, off, writable); err != nil {
		return err
	}
	c.maps.AddMapping(ms, dst, off, writable)
	return nil
}

// Translate implements memmap.Mappable.
func (c *view) Translate(required, optional memmap.MappableRange, at memmap.AccessType) ([]memmap.Translation, error) {
	return c.target().Translate(required, optional, at)
}

// Unwrap returns the Mappable whose pages are mapped now.
func (c *view) Unwrap() memmap.Mappable { return c.target() }

// MappableEnd returns where the last page ends.
func (c *view) MappableEnd() memmap.MappableOffset {
	if m, ok := c.target().(interface {
		MappableEnd() memmap.MappableOffset
	}); ok {
		return m.MappableEnd()
	}
	return everything.End
}

// Cached calls f for the stretches of mr that have pages, in order.
func (c *view) Cached(mr memmap.MappableRange, f func(memmap.MappableRange)) {
	if m, ok := c.target().(interface {
		Cached(memmap.MappableRange, func(memmap.MappableRange))
	}); ok {
		m.Cached(mr, f)
		return
	}
	if mr.End = min(mr.End, c.MappableEnd()); mr.Start < mr.End {
		f(mr)
	}
}

// HugeAligned says whether large mappings are placed where huge pages begin.
func (c *view) HugeAligned() bool {
	m, ok := c.target().(interface{ HugeAligned() bool })
	return ok && m.HugeAligned()
}

// Punch implements mm.Puncher.
func (c *view) Punch(mr memmap.MappableRange) error {
	if m, ok := c.target().(mm.Puncher); ok {
		return m.Punch(mr)
	}
	return memmap.Refuse("madvise", unix.EOPNOTSUPP, "the file cannot have holes")
}

// lowFile is a lower file's bytes, open for reading.
type lowFile struct {
	mu       sync.RWMutex // held for writing while file goes
	file     vfs.File     // nil: it is gone
	mappable memmap.Mappable
	perms    memmap.AccessType      // what mappings may have at most, but for writing
	identity memmap.MappingIdentity // keeps mappable
}

// openLow opens node's file.
func openLow(node vfs.Node) (*lowFile, error) {
	file, err := node.Open(unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	f := &lowFile{file: file}
	if m, ok := file.(vfs.Mapper); ok {
		o := memmap.MMapOpts{Private: true, Perms: memmap.Read}
		if err := m.ConfigureMMap(&o); err != nil {
			_ = file.Release() // it was open for reading only
			return nil, err
		}
		f.mappable, f.identity, f.perms = o.Mappable, o.Identity, o.MaxPerms
		if f.identity != nil {
			f.identity.IncRef()
		}
	}
	return f, nil
}

func (f *lowFile) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.identity != nil {
		f.identity.DecRef()
	}
	_ = f.file.Release() // it was open for reading only
	f.file = nil
}

// use calls do with the file, which stays meanwhile: false if it is gone.
func (f *lowFile) use(do func(vfs.File)) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.file == nil {
		return false
	}
	do(f.file)
	return true
}
