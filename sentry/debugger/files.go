package debugger

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// CachedFile is a file whose pages lie in guest memory.
type CachedFile struct {
	Name          string // as maps shows it
	Device, Inode uint64
	Pages         memmap.Cached
	// Backed is Pages where something is behind them: a file of the host. Nil for
	// files of memory.
	Backed *pagecache.File
}

// Dirty returns how many bytes are not written back yet, and of them how many a
// mapping may be writing.
func Dirty(runs []memmap.CachedRun) (dirty, kept uint64) {
	for _, r := range runs {
		if r.Dirty {
			dirty += r.Pages.Length()
		}
		if r.Dirty && r.Keep {
			kept += r.Pages.Length()
		}
	}
	return dirty, kept
}

// CachedFiles returns all files whose pages are kept: those of the page cache, in
// the order in which they were opened, then those of memory by name. What is in no
// tree any more is found by descriptors and mappings.
func (d *Debugger) CachedFiles() []CachedFile {
	if d.world == nil {
		return nil
	}
	var found []CachedFile
	seen := map[memmap.Cached]bool{}
	add := func(f CachedFile) {
		if !seen[f.Pages] {
			seen[f.Pages] = true
			found = append(found, f)
		}
	}
	if c := d.Cache(); c != nil {
		for _, f := range c.Files() {
			k := f.Key()
			add(CachedFile{Name: f.Name(), Device: k.Dev, Inode: k.Ino, Pages: f, Backed: f})
		}
	}
	backed := len(found)
	d.world.Tree.EachFile(func(name string, m memmap.Mappable, st unix.Stat_t) {
		if pages, ok := pagesOf(m); ok {
			add(CachedFile{Name: name, Device: st.Dev, Inode: st.Ino, Pages: pages})
		}
	})
	for _, p := range d.kernel.Processes() {
		each(p, add)
	}
	slices.SortStableFunc(found[backed:], func(a, b CachedFile) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// each gives add the files that p has open or mapped.
func each(p *sentry.Process, add func(CachedFile)) {
	if fds := p.FDs(); fds != nil {
		fds.Each(func(_ int32, desc *vfs.Description, _ bool) {
			if f, ok := cachedFile(desc); ok {
				add(f)
			}
		})
	}
	m := p.MM()
	if m == nil {
		return
	}
	for _, mapped := range m.MappedIn(All) {
		if f, ok := cachedMapping(mapped); ok {
			add(f)
		}
	}
}

// pagesOf returns what keeps m's pages: where files lie over one another it is the
// one that is seen.
func pagesOf(m memmap.Mappable) (memmap.Cached, bool) {
	for {
		over, ok := m.(interface{ Unwrap() memmap.Mappable })
		if !ok {
			break
		}
		m = over.Unwrap()
	}
	c, ok := m.(memmap.Cached)
	return c, ok
}

func cachedMapping(m mm.Mapped) (CachedFile, bool) {
	pages, ok := pagesOf(m.Mappable)
	f := CachedFile{Name: m.Name, Device: m.Device, Inode: m.Inode, Pages: pages}
	f.Backed, _ = pages.(*pagecache.File)
	return f, ok
}

// cachedFile returns the pages of an open file; ok is false for one that has none.
func cachedFile(desc *vfs.Description) (f CachedFile, ok bool) {
	mapper, ok := desc.File().(vfs.Mapper)
	if !ok {
		return f, false
	}
	o := memmap.MMapOpts{Private: true, Perms: memmap.Read}
	if err := mapper.ConfigureMMap(&o); err != nil || o.Mappable == nil {
		return f, false
	}
	pages, ok := pagesOf(o.Mappable)
	if !ok {
		return f, false
	}
	f = CachedFile{Name: desc.Path(), Pages: pages}
	f.Backed, _ = pages.(*pagecache.File)
	if o.Identity != nil {
		f.Device, f.Inode = o.Identity.DeviceID(), o.Identity.InodeID()
	}
	return f, true
}

// CachedPart is a part of a file.
type CachedPart struct {
	CachedFile
	At    memmap.Addr // where it is mapped
	Range memmap.MappableRange
}

// CachedIn returns what process pid maps in ar of files whose pages can be looked at,
// by address.
func (d *Debugger) CachedIn(pid int32, ar memmap.AddrRange) ([]CachedPart, error) {
	m, err := d.Memory(pid)
	if err != nil {
		return nil, err
	}
	var parts []CachedPart
	for _, mapped := range m.MappedIn(ar) {
		if f, ok := cachedMapping(mapped); ok {
			part := mapped.AR.Intersect(ar)
			parts = append(parts, CachedPart{f, part.Start, mapped.Range(part)})
		}
	}
	return parts, nil
}

// FindCached returns the cached file called name: as CachedFiles calls it, or its last
// part if that is one file's only, else what the path leads to for process pid.
func (d *Debugger) FindCached(pid int32, name string) (CachedFile, error) {
	all := d.CachedFiles()
	var called []CachedFile
	for _, f := range all {
		if f.Name == name {
			return f, nil
		}
		if path.Base(f.Name) == name {
			called = append(called, f)
		}
	}
	if len(called) == 1 {
		return called[0], nil
	}
	desc, err := d.openRegular(pid, name)
	if err != nil {
		return CachedFile{}, err
	}
	defer desc.DecRef() //nolint:errcheck // it was opened for reading
	f, ok := cachedFile(desc)
	if !ok {
		return f, memmap.Refuse("cache", unix.ENODEV, "%s has no pages in memory: it cannot be mapped", name)
	}
	for _, known := range all {
		if known.Pages == f.Pages {
			return known, nil // its pages outlive the descriptor
		}
	}
	return CachedFile{}, memmap.Refuse("cache", unix.ENOENT, "no page of %s is cached: nobody has it open", name)
}

// openRegular opens a regular file for reading.
func (d *Debugger) openRegular(pid int32, name string) (*vfs.Description, error) {
	p, err := d.Process(pid)
	if err != nil {
		return nil, err
	}
	w := PathOf(p, name)
	st, err := p.Context().Stat(w, 0)
	if err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, memmap.Refuse("open", unix.EINVAL, "%s is no regular file: it has no pages", name)
	}
	return p.Context().Open(w, unix.O_RDONLY, 0)
}

// PathOf is a path as process p itself would follow it.
func PathOf(p *sentry.Process, name string) vfs.Where {
	who := p.Credentials()
	return vfs.Where{Path: name, Caller: vfs.Caller{PID: p.PID(), TID: p.PID(), UID: who.FSUID, GID: who.FSGID, Groups: who.Groups}}
}

// OpenFile opens a file in process p as openat(2) would, and returns the
// descriptor's number.
func OpenFile(p *sentry.Process, name string, flags int, mode uint32) (int32, error) {
	desc, err := p.Context().Open(PathOf(p, name), flags, mode)
	if err != nil {
		return -1, err
	}
	fd, err := p.FDs().Add(desc, flags&unix.O_CLOEXEC != 0, 0, p.Limits()[unix.RLIMIT_NOFILE].Cur)
	if err != nil {
		_ = desc.DecRef()
		return -1, fmt.Errorf("open %s: %w", name, err)
	}
	return fd, nil
}

// Descriptor is an open file of a process.
type Descriptor struct {
	FD     int32
	Flags  int // O_*, O_CLOEXEC included
	Path   string
	Stat   unix.Stat_t
	Offset *int64      // nil: it has none
	Cached *CachedFile // nil: it has no pages
}

// Descriptors returns p's open files by number.
func Descriptors(p *sentry.Process) []Descriptor {
	var all []Descriptor
	if p.FDs() == nil {
		return nil
	}
	p.FDs().Each(func(fd int32, desc *vfs.Description, cloexec bool) {
		one := Descriptor{FD: fd, Flags: desc.Flags(), Path: desc.Path()}
		if cloexec {
			one.Flags |= unix.O_CLOEXEC
		}
		one.Stat, _ = desc.Stat() // what cannot be told is shown as 0
		if off, err := desc.Seek(0, unix.SEEK_CUR); err == nil {
			one.Offset = &off
		}
		if f, ok := cachedFile(desc); ok && one.Stat.Mode&unix.S_IFMT == unix.S_IFREG {
			one.Cached = &f
		}
		all = append(all, one)
	})
	return all
}

// PIDOf returns the process that a mapping of a CachedRun belongs to, 0 if none.
func (d *Debugger) PIDOf(space memmap.MappingSpace) int32 {
	for _, p := range d.kernel.Processes() {
		if m := p.MM(); m != nil && memmap.MappingSpace(m) == space {
			return p.PID()
		}
	}
	return 0
}
