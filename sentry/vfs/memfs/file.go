package memfs

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm/shmem"
	"mmsh.dev/mmsh/sentry/vfs"
)

// file is an open file, and what its mappings look like from outside: the last of
// descriptor and mappings lets the inode go.
type file struct {
	at      *entry
	noATime bool
	writer  bool
	access  int // O_RDONLY, O_WRONLY or O_RDWR
	refs    atomic.Int64
}

// newFile opens e's file. fs.mu is held.
func newFile(e *entry, flags int) *file {
	e.hold()
	f := &file{at: e, noATime: flags&unix.O_NOATIME != 0, writer: flags&unix.O_ACCMODE != unix.O_RDONLY, access: flags & unix.O_ACCMODE}
	f.refs.Store(1)
	return f
}

func (f *file) fs() *FS { return f.at.inode.fs }

// FS returns where the file lies.
func (f *file) FS() vfs.FS { return f.fs() }

// OpenFlags says what the file was opened for: O_RDONLY, O_WRONLY or O_RDWR.
func (f *file) OpenFlags() int { return f.access }

// Node implements vfs.Linked.
func (f *file) Node(who vfs.Caller) vfs.Node {
	f.fs().mu.Lock()
	defer f.fs().mu.Unlock()
	return newNode(f.at, who)
}

// Path implements vfs.Pather.
func (f *file) Path() string {
	f.fs().mu.Lock()
	defer f.fs().mu.Unlock()
	return f.at.path()
}

func (f *file) Stat() (unix.Stat_t, error) {
	f.fs().mu.Lock()
	defer f.fs().mu.Unlock()
	return f.at.inode.stat(), nil
}

func (f *file) Seekable() bool { return true }

// Release implements vfs.File: mappings stay.
func (f *file) Release() error {
	f.DecRef()
	return nil
}

// bytes returns where the file's bytes are: pages, or the lower file if it was not
// changed.
func (f *file) bytes() (*shmem.Pages, *lowFile) {
	f.fs().mu.Lock()
	defer f.fs().mu.Unlock()
	i := f.at.inode
	if i.below != nil {
		return nil, i.below.file
	}
	return i.pages, nil
}

func (f *file) PRead(p []byte, off int64) (n int, err error) {
	pages, low := f.bytes()
	if low != nil && low.use(func(l vfs.File) { n, err = l.PRead(p, off) }) {
		return n, err
	}
	if pages == nil { // copied meanwhile
		pages, _ = f.bytes()
	}
	n, err = pages.ReadAt(p, uint64(off))
	if err == nil && !f.noATime {
		f.fs().mu.Lock()
		f.at.inode.accessed()
		f.fs().mu.Unlock()
	}
	return n, err
}

// accessed is an access under relatime: the time moves if the file has changed
// since, or a day later.
func (i *inode) accessed() {
	const day = 24 * 3600
	now := i.fs.now()
	if !i.atime.After(i.mtime) || !i.atime.After(i.ctime) || now.Unix()-i.atime.Unix() >= day {
		i.atime = now
	}
}

func (f *file) PWrite(p []byte, off int64) (int, error) {
	n, err := f.at.inode.pages.WriteAt(p, uint64(off))
	f.relieved(&err, func() error {
		k, err := f.at.inode.pages.WriteAt(p[n:], uint64(off)+uint64(n))
		n += k
		return err
	})
	if n > 0 {
		f.modified()
	}
	return n, err
}

// relieved does again what found no memory, if some is given back: a few times, as
// others may take it.
func (f *file) relieved(err *error, again func() error) {
	const most = 8
	for tries := 0; tries < most && errors.Is(*err, unix.ENOMEM) && f.fs().mem.Relieve(); tries++ {
		*err = again()
	}
}

// modified marks the file as changed now.
func (f *file) modified() {
	f.fs().mu.Lock()
	defer f.fs().mu.Unlock()
	f.at.inode.changed()
}

// Truncate implements vfs.Resizer.
func (f *file) Truncate(size int64) error {
	if err := f.at.inode.pages.Resize(uint64(size)); err != nil {
		return err
	}
	f.modified()
	return nil
}

// Allocate implements vfs.Resizer: tmpfs's modes.
func (f *file) Allocate(mode uint32, off, n int64) error {
	p := f.at.inode.pages
	var err error
	switch {
	case p == nil:
		return fmt.Errorf("fallocate: %w", unix.EISDIR)
	case off > math.MaxInt64-n:
		return fmt.Errorf("fallocate: %w", unix.EFBIG)
	case mode == unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE:
		err = p.Discard(uint64(off), uint64(n))
	case mode&^unix.FALLOC_FL_KEEP_SIZE == 0:
		reserve := func() error { return p.Reserve(uint64(off), uint64(n), mode != 0) }
		err = reserve()
		f.relieved(&err, reserve)
	default:
		return fmt.Errorf("fallocate: %w: mode %#x", unix.EOPNOTSUPP, mode)
	}
	if err == nil {
		f.modified()
	}
	return err
}

// SeekFrom implements vfs.Seeker.
func (f *file) SeekFrom(pos, off int64, whence int) (int64, error) {
	pages, low := f.bytes()
	if low != nil {
		var to int64
		var err error
		if low.use(func(l vfs.File) { to, err = seekLow(l, pos, off, whence) }) {
			return to, err
		}
		pages, _ = f.bytes()
	}
	if whence == unix.SEEK_DATA || whence == unix.SEEK_HOLE {
		return pages.Seek(off, whence)
	}
	return vfs.SeekIn(off, whence, pos, int64(pages.Size()))
}

func seekLow(l vfs.File, pos, off int64, whence int) (int64, error) {
	if s, ok := l.(vfs.Seeker); ok {
		return s.SeekFrom(pos, off, whence)
	}
	st, err := l.Stat()
	if err != nil {
		return 0, err
	}
	return vfs.SeekIn(off, whence, pos, st.Size)
}

// ConfigureMMap implements vfs.Mapper.
func (f *file) ConfigureMMap(o *memmap.MMapOpts) error {
	m, err := f.mappable()
	if err != nil {
		return err
	}
	o.MaxPerms = memmap.AnyAccess
	if _, low := f.bytes(); low != nil && !low.perms.Execute {
		if o.Perms.Execute {
			return fmt.Errorf("mmap: %w: the host does not let it be executed", unix.EPERM)
		}
		o.MaxPerms.Execute = false
	}
	if !o.Private && !f.writer {
		o.MaxPerms.Write = false
	}
	o.Mappable, o.Identity = m, f
	if p := f.sealable(); p != nil {
		return p.MayMap(o)
	}
	return nil
}

// sealable returns the pages of a file that can have seals: a regular one of a tmpfs.
func (f *file) sealable() *shmem.Pages {
	if f.fs().lower != nil {
		return nil
	}
	return f.at.inode.pages
}

// AddSeals implements vfs.Sealer.
func (f *file) AddSeals(seals uint32) error {
	p := f.sealable()
	if p == nil {
		return fmt.Errorf("fcntl: %w: the file cannot be sealed", unix.EINVAL)
	}
	f.fs().mu.Lock()
	program := f.at.inode.mode&0o111 != 0
	f.fs().mu.Unlock()
	return p.AddSeals(seals, program)
}

// Seals implements vfs.Sealer.
func (f *file) Seals() (uint32, error) {
	p := f.sealable()
	if p == nil {
		return 0, fmt.Errorf("fcntl: %w: the file cannot be sealed", unix.EINVAL)
	}
	return p.Seals(), nil
}

// mappable returns what the file's mappings see: ENODEV for a directory.
func (f *file) mappable() (memmap.Mappable, error) {
	pages, low := f.bytes()
	switch c := f.at.inode.view; {
	case pages == nil && (low == nil || low.mappable == nil):
		return nil, fmt.Errorf("mmap: %w: it cannot be mapped", unix.ENODEV)
	case c != nil:
		return c, nil
	}
	return pages, nil
}

// IncRef implements memmap.MappingIdentity.
func (f *file) IncRef() { f.refs.Add(1) }

// DecRef implements memmap.MappingIdentity.
func (f *file) DecRef() {
	switch n := f.refs.Add(-1); {
	case n == 0:
		f.fs().mu.Lock()
		f.at.release()
		f.fs().mu.Unlock()
	case n < 0:
		panic("memfs: a reference too many on an open file is dropped")
	}
}

// MappedName implements memmap.MappingIdentity.
func (f *file) MappedName() string { return f.Path() }

// DeviceID implements memmap.MappingIdentity.
func (f *file) DeviceID() uint64 { return f.fs().dev }

// InodeID implements memmap.MappingIdentity.
func (f *file) InodeID() uint64 { return f.at.inode.num }

// Msync implements memmap.MappingIdentity: there is nowhere to write it.
func (f *file) Msync(memmap.MappableRange) error { return nil }
