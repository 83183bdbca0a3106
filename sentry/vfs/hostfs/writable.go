package hostfs

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry/vfs"
)

// Open implements vfs.Node, O_TRUNC included.
func (n *editable) Open(flags int) (vfs.File, error) {
	st, err := n.node.Stat()
	if err != nil {
		return nil, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return n.openDir()
	case unix.S_IFREG:
		return n.openFile(flags)
	}
	return n.node.Open(flags)
}

func (n *editable) openDir() (vfs.File, error) {
	if err := n.may(unix.R_OK); err != nil {
		return nil, err
	}
	fd, err := n.reopen(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &editableDir{dir{fs: n.fs, fd: fd}, n.path}, nil
}

func (n *editable) openFile(flags int) (vfs.File, error) {
	kind, err := n.fileSystem()
	if err == nil {
		err = n.mayOpen(flags)
	}
	if err != nil {
		return nil, err
	}
	writes := flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0
	fd, err := n.openHost(flags, writes)
	if err != nil {
		return nil, err
	}
	at, err := n.fs.place(n.fd, n.path)
	if err != nil {
		_ = n.fs.fds.close(fd)
		return nil, err
	}
	f, err := n.fs.opened(fd, at, flags, writes, hugeAligned(kind))
	if err != nil || flags&unix.O_TRUNC == 0 {
		return f, err
	}
	if err := f.Truncate(0); err != nil {
		_ = f.Release() // the error that matters is the first
		return nil, err
	}
	return f, nil
}

// mayOpen checks what flags ask for.
func (n *editable) mayOpen(flags int) error {
	want := [...]uint32{unix.R_OK, unix.W_OK, unix.R_OK | unix.W_OK, unix.R_OK | unix.W_OK}[flags&unix.O_ACCMODE]
	if flags&unix.O_TRUNC != 0 {
		want |= unix.W_OK
	}
	if err := n.may(want); err != nil {
		return err
	}
	if flags&unix.O_NOATIME != 0 {
		return n.mayOwn()
	}
	return nil
}

// openHost opens the file. What is written is read as well, where the host allows
// it: pages are read before they are written.
func (n *editable) openHost(flags int, writes bool) (int, error) {
	if !writes {
		return n.reopen(unix.O_RDONLY)
	}
	fd, err := n.reopen(unix.O_RDWR)
	if err == unix.EACCES && flags&unix.O_ACCMODE == unix.O_WRONLY {
		return n.reopen(unix.O_WRONLY)
	}
	return fd, err
}

// opened makes a file of fd and at, both of which it takes over.
func (fs *FS) opened(fd int, at *place, flags int, writes, huge bool) (*writableFile, error) {
	st, err := stat(fd)
	var mount unix.Statfs_t
	if err == nil {
		err = unix.Fstatfs(fd, &mount)
	}
	if err != nil {
		_ = fs.fds.close(fd)
		_ = at.Close()
		return nil, err
	}
	f := &writableFile{fs: fs, at: at, flags: flags}
	b := backing{fs, fd, huge}
	if !writes {
		f.Handle = pagecache.NewHandleAt(fs.cache.Open(keyOf(&st), b), at, false)
		return f, nil
	}
	pages := fs.cache.OpenWritable(keyOf(&st), writableBacking{b}, pagecache.WriteOptions{
		Attr: attrOf(&st), NoATime: mount.Flags&unix.ST_NOATIME != 0, RelATime: mount.Flags&unix.ST_RELATIME != 0,
		Now: func() int64 { return fs.rw.Now().UnixNano() },
	})
	pages.UpdateAttr(attrOf(&st)) // if it is open already, the host may have changed it since
	f.Handle = pagecache.NewHandleAt(pages, at, flags&unix.O_ACCMODE != unix.O_RDONLY)
	return f, nil
}

// writableFile is a regular file of a file system that is written, open.
type writableFile struct {
	*pagecache.Handle // ConfigureMMap, Release
	fs                *FS
	at                *place // the Handle's
	flags             int
}

func (f *writableFile) Stat() (unix.Stat_t, error)   { return f.fs.stat(f.at.fd) }
func (f *writableFile) Seekable() bool               { return true }
func (f *writableFile) Path() string                 { return f.at.Path() }
func (f *writableFile) Node(who vfs.Caller) vfs.Node { return f.fs.again(f.at.fd, f.at.at, who) }

func (f *writableFile) PRead(p []byte, off int64) (int, error) {
	if f.flags&unix.O_NOATIME != 0 {
		return f.File().ReadUnnoticed(p, uint64(off))
	}
	return f.File().ReadAt(p, uint64(off))
}

func (f *writableFile) PWrite(p []byte, off int64) (int, error) {
	n, err := f.File().WriteAt(p, uint64(off))
	return f.durable(n, err)
}

// Append implements vfs.Appender.
func (f *writableFile) Append(p []byte) (int, int64, error) {
	n, off, err := f.File().Append(p)
	k, err := f.durable(n, err)
	return k, int64(off) + int64(n), err
}

// durable makes a write of n bytes so, if the file was opened with O_SYNC or O_DSYNC.
func (f *writableFile) durable(n int, err error) (int, error) {
	if err == nil && n > 0 && f.flags&unix.O_DSYNC != 0 {
		if err := f.Handle.Sync(); err != nil {
			return 0, err
		}
	}
	return n, err
}

// Sync implements vfs.Syncer.
func (f *writableFile) Sync(bool) error { return f.Handle.Sync() }

// SyncRange implements vfs.Syncer.
func (f *writableFile) SyncRange(off, end int64) error {
	mr := memmap.MappableRange{Start: memmap.MappableOffset(off) &^ (memmap.PageSize - 1)}
	last, ok := memmap.PageRoundUp(uint64(end))
	if mr.End = memmap.MappableOffset(last); !ok || last > 1<<63-memmap.PageSize {
		mr.End = 1<<63 - memmap.PageSize
	}
	if mr.End <= mr.Start {
		return nil
	}
	return f.Handle.SyncRange(mr)
}

// Truncate implements vfs.Resizer.
func (f *writableFile) Truncate(size int64) error { return f.File().Truncate(uint64(size)) }

// Allocate implements vfs.Resizer.
func (f *writableFile) Allocate(mode uint32, off, n int64) error {
	return f.File().Allocate(mode, uint64(off), uint64(n))
}

// SeekFrom implements vfs.Seeker: the host knows the holes, once it has what was
// written.
func (f *writableFile) SeekFrom(pos, off int64, whence int) (int64, error) {
	if whence == unix.SEEK_DATA || whence == unix.SEEK_HOLE {
		if _, err := f.File().WriteBack(); err == nil {
			return unix.Seek(hostFD(f.File()), off, whence)
		}
		pos = 0 // what cannot be written is taken for data without holes: that is allowed
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return vfs.SeekIn(off, whence, pos, st.Size)
}

// hostFD returns the descriptor that f is read through.
func hostFD(f *pagecache.File) int {
	switch b := f.Backing().(type) {
	case writableBacking:
		return b.fd
	case backing:
		return b.fd
	}
	return -1
}

// writableBacking is a host descriptor, open for writing.
type writableBacking struct{ backing }

// Gone reports whether the file has no name left.
func (b writableBacking) Gone() bool {
	st, err := stat(b.fd)
	return err == nil && st.Nlink == 0
}

// WriteFromBlocksAt implements pagecache.WritableBacking.
func (b writableBacking) WriteFromBlocksAt(srcs safemem.Seq, off uint64) (uint64, error) {
	done := uint64(0)
	for ; !srcs.IsEmpty(); srcs = srcs.DropFirst(uint64(len(srcs.Head()))) {
		n, err := b.write(srcs.Head(), off+done)
		done += uint64(n)
		if err != nil || n < len(srcs.Head()) {
			return done, err
		}
	}
	return done, nil
}

// write is pwrite64 once, over signals.
func (b writableBacking) write(p []byte, off uint64) (int, error) {
	for {
		n, err := unix.Pwrite(b.fd, p, int64(off))
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// AppendBlocks implements pagecache.Appender: the host finds the end and writes there in
// one step.
func (b writableBacking) AppendBlocks(srcs safemem.Seq) (n, end uint64, err error) {
	var iovs [][]byte
	for ; !srcs.IsEmpty(); srcs = srcs.DropFirst(uint64(len(srcs.Head()))) {
		iovs = append(iovs, srcs.Head())
	}
	var k int
	err = again(func() error {
		k, err = unix.Pwritev2(b.fd, iovs, 0, unix.RWF_APPEND)
		return err
	})
	if end, sizeErr := b.Size(); err == nil && sizeErr == nil {
		return uint64(max(k, 0)), end, nil
	}
	return uint64(max(k, 0)), 0, err
}

// Sync implements pagecache.WritableBacking.
func (b writableBacking) Sync() error { return again(func() error { return unix.Fsync(b.fd) }) }

// Allocate implements pagecache.Allocator.
func (b writableBacking) Allocate(mode uint32, off, n int64) error {
	return again(func() error { return unix.Fallocate(b.fd, mode, off, n) })
}

// again calls until no signal comes in between.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// SetMaskedAttributes implements pagecache.WritableBacking: the host keeps its own
// ctime.
func (b writableBacking) SetMaskedAttributes(mask pagecache.AttrMask, a pagecache.Attr) error {
	if mask&pagecache.AttrSize != 0 {
		if err := again(func() error { return unix.Ftruncate(b.fd, int64(a.Size)) }); err != nil {
			return err
		}
	}
	if mask&(pagecache.AttrUID|pagecache.AttrGID) != 0 {
		uid, gid := -1, -1
		if mask&pagecache.AttrUID != 0 {
			uid = int(a.UID)
		}
		if mask&pagecache.AttrGID != 0 {
			gid = int(a.GID)
		}
		if err := unix.Fchown(b.fd, uid, gid); err != nil {
			return err
		}
	}
	if mask&pagecache.AttrPerms != 0 {
		if err := unix.Fchmod(b.fd, a.Perms); err != nil {
			return err
		}
	}
	if mask&(pagecache.AttrATime|pagecache.AttrMTime) == 0 {
		return nil
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	if mask&pagecache.AttrATime != 0 {
		times[0] = unix.NsecToTimespec(a.ATime)
	}
	if mask&pagecache.AttrMTime != 0 {
		times[1] = unix.NsecToTimespec(a.MTime)
	}
	return unix.UtimesNanoAt(b.fd, "", times, unix.AT_EMPTY_PATH)
}
