package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// Flags of name_to_handle_at that package unix does not name.
const (
	atHandleFID         = 0x200 // AT_HANDLE_FID
	atHandleUnique      = 0x1   // AT_HANDLE_MNT_ID_UNIQUE
	atHandleConnectable = 0x2   // AT_HANDLE_CONNECTABLE
	maxHandle           = 128   // MAX_HANDLE_SZ
)

// nameToHandleAt is name_to_handle_at(dirfd, path, handle, mount, flags). The sandbox's
// file systems have no handles that outlive a name, as an overlayfs without nfs_export.
func nameToHandleAt(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op, known = "name_to_handle_at", unix.AT_SYMLINK_FOLLOW | unix.AT_EMPTY_PATH | atHandleFID | atHandleUnique | atHandleConnectable
	flags := i32(a[4])
	if flags&^known != 0 || flags&atHandleFID != 0 && flags&atHandleConnectable != 0 {
		return 0, invalid(op, "flags %#x", flags)
	}
	p, err := pathOrFD(t, a[0], addr(a[1]), flags)
	if err != nil {
		return 0, err
	}
	defer p.done()
	how := int(flags & unix.AT_EMPTY_PATH)
	if flags&unix.AT_SYMLINK_FOLLOW == 0 {
		how |= unix.AT_SYMLINK_NOFOLLOW
	}
	if _, err := t.Process().Context().Stat(p.Where, how); err != nil {
		return 0, err
	}
	return 0, memmap.Refuse(op, unix.EOPNOTSUPP, "no file system has handles")
}

// openByHandleAt is open_by_handle_at(mountfd, handle, flags): no handle leads anywhere,
// as none was given away.
func openByHandleAt(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "open_by_handle_at"
	head, err := copyIn[struct {
		Bytes uint32
		Type  int32
	}](t, addr(a[1]))
	switch {
	case err != nil:
		return 0, err
	case head.Bytes == 0 || head.Bytes > maxHandle || head.Type < 0:
		return 0, invalid(op, "a handle of %d bytes, type %d", head.Bytes, head.Type)
	}
	if i32(a[0]) != unix.AT_FDCWD {
		d, err := t.Process().FDs().Get(i32(a[0]))
		if err != nil {
			return 0, err
		}
		_ = d.DecRef() // it is of a descriptor still
	}
	if !t.Process().Credentials().Effective.Has(sentry.CapDacReadSearch) {
		return 0, memmap.Refuse(op, unix.EPERM, "it takes a capability")
	}
	if err := t.CopyIn(addr(a[1])+8, make([]byte, head.Bytes)); err != nil {
		return 0, err
	}
	return 0, memmap.Refuse(op, unix.ESTALE, "no file system has handles")
}

// cacheStat is struct cachestat, in pages.
type cacheStat struct{ Cached, Dirty, Writeback, Evicted, RecentlyEvicted uint64 }

// cachestat(fd, range, stats, flags): which pages of a file are in memory. A length of
// 0 is up to the end.
func cachestat(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "cachestat"
	d, err := getFile(t, i32(a[0]))
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	part, err := copyIn[struct{ Offset, Length uint64 }](t, addr(a[1]))
	if err != nil {
		return 0, err
	}
	if err := mayCachestat(t, d); err != nil {
		return 0, err
	}
	if flags := uint32(a[3]); flags != 0 {
		return 0, invalid(op, "flags %#x are not known", flags)
	}
	all := memmap.MappableRange{Start: memmap.MappableOffset(part.Offset &^ (memmap.PageSize - 1)), End: 1<<63 - memmap.PageSize}
	if end := part.Offset + part.Length; part.Length != 0 && end >= part.Offset && end < uint64(all.End) {
		all.End = memmap.MappableOffset((end + memmap.PageSize - 1) &^ (memmap.PageSize - 1))
	}
	return 0, copyOut(t, addr(a[2]), countCached(d, all))
}

// mayCachestat is Linux's can_do_cachestat: who may write a file may see what is cached.
func mayCachestat(t *sentry.Task, d *vfs.Description) error {
	who := t.Process().Credentials()
	st, err := d.Stat()
	if err != nil || writable(d) || who.FSUID == st.Uid || who.Effective.Has(sentry.CapFowner) || st.Mode&0o002 != 0 || who.FSGID == st.Gid && st.Mode&0o020 != 0 {
		return err
	}
	return memmap.Refuse("cachestat", unix.EPERM, "who may not write %s may not know", d.Path())
}

// countCached counts the pages in all that are in memory.
func countCached(d *vfs.Description, all memmap.MappableRange) (n cacheStat) {
	m, ok := d.File().(vfs.Mapper)
	if !ok {
		return n
	}
	o := memmap.MMapOpts{Private: true, Perms: memmap.Read}
	if err := m.ConfigureMMap(&o); err != nil {
		return n // a directory has no pages
	}
	pages := o.Mappable
	if w, ok := pages.(interface{ Unwrap() memmap.Mappable }); ok {
		pages = w.Unwrap()
	}
	c, ok := pages.(memmap.Cached)
	if !ok {
		return n
	}
	for _, run := range c.Runs() {
		k := uint64(run.Pages.Intersect(all).Length()) / memmap.PageSize
		n.Cached += k
		if run.Dirty {
			n.Dirty += k
		}
	}
	return n
}
