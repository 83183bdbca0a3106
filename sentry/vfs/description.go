package vfs

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// largeFile is O_LARGEFILE as a 64-bit kernel shows it in F_GETFL; package unix
// has the C library's, which is 0.
const largeFile = 0o100000

// settable are the flags that F_SETFL may change.
const settable = unix.O_APPEND | unix.O_ASYNC | unix.O_DIRECT | unix.O_NOATIME | unix.O_NONBLOCK

// Description is an open file: what dup and fork share. It counts its users and
// is safe for concurrent use.
type Description struct {
	file File
	path string
	fs   FS // nil for what was not opened by a path
	refs atomic.Int64

	mu     sync.Mutex // held while the offset is in use
	offset int64

	flags atomic.Int64
	locks atomic.Pointer[heldLocks] // nil: it never had locks of its own
}

// NewDescription returns the description of f with one user. path is what
// /proc/PID/fd shows; flags are O_* as F_GETFL returns them.
func NewDescription(f File, flags int, path string) *Description {
	d := &Description{file: f, path: path}
	d.refs.Store(1)
	d.flags.Store(int64(flags))
	d.tellFlags()
	return d
}

// tellFlags tells the file, if it wants to know.
func (d *Description) tellFlags() {
	if f, ok := d.file.(Flagged); ok {
		f.Flagged(d.Flags())
	}
}

// NewOpenFile is NewDescription of a file of fs, as open(2) would have made it.
func NewOpenFile(fs FS, f File, flags int, path string) *Description {
	if flags&unix.O_PATH == 0 {
		flags |= largeFile
	}
	d := NewDescription(f, flags&^atOpen, path)
	d.fs = fs
	return d
}

// File returns the file.
func (d *Description) File() File { return d.file }

// Path returns what /proc/PID/fd shows.
func (d *Description) Path() string {
	if h, ok := d.file.(handle); ok {
		if p, ok := h.node.(Pather); ok {
			return p.Path()
		}
	}
	if p, ok := d.file.(Pather); ok {
		return p.Path()
	}
	return d.path
}

// Flags returns O_* as F_GETFL does.
func (d *Description) Flags() int { return int(d.flags.Load()) }

// SetFlags is F_SETFL: flags that cannot be changed are ignored.
func (d *Description) SetFlags(flags int) {
	for {
		old := d.flags.Load()
		if d.flags.CompareAndSwap(old, old&^settable|int64(flags)&settable) {
			d.tellFlags()
			return
		}
	}
}

// Stat returns what fstat(2) tells.
func (d *Description) Stat() (unix.Stat_t, error) { return d.file.Stat() }

// Statfs returns what fstatfs(2) tells: ENOSYS for what lies in no file system.
func (d *Description) Statfs() (unix.Statfs_t, error) {
	if d.fs == nil {
		return unix.Statfs_t{}, fmt.Errorf("fstatfs %s: %w: it lies in no file system", d.path, unix.ENOSYS)
	}
	return d.fs.Statfs()
}

// Read reads at the shared offset; EBADF if the file is not open for reading.
// commit tells how many of the n bytes read were really used (a guest's buffer
// may end early): the offset moves by that, and Read returns commit's answer. A
// nil commit uses all.
func (d *Description) Read(p []byte, commit func(n int) (int, error)) (int, error) {
	if err := d.may("read", unix.O_WRONLY); err != nil {
		return 0, err
	}
	if commit == nil {
		commit = func(n int) (int, error) { return n, nil }
	}
	if !d.file.Seekable() {
		n, err := d.file.PRead(p, 0)
		if err != nil && n == 0 {
			return 0, err
		}
		return commit(n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.file.PRead(p, d.offset)
	if err != nil && n == 0 {
		return 0, err
	}
	n, err = commit(n)
	d.offset += int64(n)
	return n, err
}

// Claim reads at the shared offset like Read, and returns also where that was. Who
// else reads meanwhile goes on behind it; what could not be used is given back with
// Unclaim.
func (d *Description) Claim(p []byte) (off int64, n int, err error) {
	if err := d.may("read", unix.O_WRONLY); err != nil {
		return 0, 0, err
	}
	if !d.file.Seekable() {
		n, err = d.file.PRead(p, 0)
		return 0, n, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	off = d.offset
	n, err = d.file.PRead(p, off)
	d.offset += int64(n)
	return off, n, err
}

// Unclaim gives back what Claim read from off on, up to end, unless others have moved
// the offset since.
func (d *Description) Unclaim(off, end int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.offset == end {
		d.offset = off
	}
}

// Appending says where a write goes that has an own mind about O_APPEND.
type Appending int

// What a write does with O_APPEND: heed it, append in any case (RWF_APPEND), ignore it
// (RWF_NOAPPEND).
const (
	AsOpened Appending = iota
	AtEnd
	InPlace
)

// Write writes at the shared offset, or at the end with O_APPEND. Fewer bytes
// than p has come with an error or without; ErrWouldBlock says that the rest may
// be written later.
func (d *Description) Write(p []byte) (int, error) { return d.WriteAs(p, AsOpened) }

// WriteAs is Write with its own mind about O_APPEND.
func (d *Description) WriteAs(p []byte, as Appending) (int, error) {
	if err := d.may("write", unix.O_RDONLY); err != nil {
		return 0, err
	}
	if !d.file.Seekable() {
		return d.file.PWrite(p, 0)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, end, err := d.writeAt(p, d.offset, as)
	if n > 0 || err == nil {
		d.offset = end
	}
	return n, err
}

// writeAt writes at off, or at the end, and returns also where that
// ended.
func (d *Description) writeAt(p []byte, off int64, as Appending) (n int, end int64, err error) {
	if as == AtEnd || as == AsOpened && d.Flags()&unix.O_APPEND != 0 {
		if a, ok := d.file.(Appender); ok {
			return a.Append(p)
		}
		st, err := d.file.Stat()
		if err != nil {
			return 0, off, err
		}
		off = st.Size
	}
	n, err = d.file.PWrite(p, off)
	return n, off + int64(n), err
}

// PRead is pread64: it leaves the shared offset alone. ESPIPE for what has no
// offsets, EINVAL for a negative one.
func (d *Description) PRead(p []byte, off int64) (int, error) {
	if err := d.mayAt("pread", unix.O_WRONLY, off, len(p)); err != nil {
		return 0, err
	}
	return d.file.PRead(p, off)
}

// PWrite is pwrite64, PRead's mirror. With O_APPEND it writes at the end whatever
// off is, as Linux does (pwrite(2), BUGS).
func (d *Description) PWrite(p []byte, off int64) (int, error) { return d.PWriteAs(p, off, AsOpened) }

// PWriteAs is PWrite with its own mind about O_APPEND.
func (d *Description) PWriteAs(p []byte, off int64, as Appending) (int, error) {
	if err := d.mayAt("pwrite", unix.O_RDONLY, off, len(p)); err != nil {
		return 0, err
	}
	n, _, err := d.writeAt(p, off, as)
	return n, err
}

// Seek is lseek, SEEK_DATA and SEEK_HOLE included.
func (d *Description) Seek(off int64, whence int) (int64, error) {
	if d.isPath() {
		return 0, fmt.Errorf("lseek %s: %w: opened with O_PATH", d.path, unix.EBADF)
	}
	if whence < unix.SEEK_SET || whence > unix.SEEK_HOLE {
		return 0, fmt.Errorf("lseek %s: %w: whence %d", d.path, unix.EINVAL, whence)
	}
	if !d.file.Seekable() {
		return 0, fmt.Errorf("lseek %s: %w", d.path, unix.ESPIPE)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	pos, err := d.seek(off, whence)
	if err != nil {
		return 0, fmt.Errorf("lseek %s: %w", d.path, err)
	}
	d.offset = pos
	return pos, nil
}

// seek returns where Seek leads. d.mu is held.
func (d *Description) seek(off int64, whence int) (int64, error) {
	if s, ok := d.file.(Seeker); ok {
		return s.SeekFrom(d.offset, off, whence)
	}
	st, err := d.file.Stat()
	if err != nil {
		return 0, err
	}
	return SeekIn(off, whence, d.offset, st.Size)
}

// SeekIn is lseek(2) at pos in a file of size bytes without holes.
func SeekIn(off int64, whence int, pos, size int64) (int64, error) {
	base := int64(0)
	switch whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		base = pos
	case unix.SEEK_END:
		base = size
	case unix.SEEK_DATA, unix.SEEK_HOLE:
		switch {
		case off < 0 || off >= size:
			return 0, fmt.Errorf("%w: offset %d in a file of %d bytes", unix.ENXIO, off, size)
		case whence == unix.SEEK_HOLE:
			return size, nil
		}
		return off, nil
	default:
		return 0, fmt.Errorf("%w: whence %d", unix.EINVAL, whence)
	}
	if base+off < 0 { // also where the sum is no offset any more
		return 0, fmt.Errorf("%w: to %d%+d", unix.EINVAL, base, off)
	}
	return base + off, nil
}

// ReadDir gives the directory's entries from the shared offset on to emit, until
// it refuses one, which is then the next to be read: getdents64. ENOTDIR.
func (d *Description) ReadDir(emit func(Dirent) bool) error {
	_, err := d.ClaimEntries(emit)
	return err
}

// ClaimEntries is ReadDir, and returns also where that began: what could not be used
// is given back with Unclaim.
func (d *Description) ClaimEntries(emit func(Dirent) bool) (start int64, err error) {
	dir, ok := d.file.(Dir)
	if !ok {
		return 0, fmt.Errorf("getdents64 %s: %w", d.path, unix.ENOTDIR)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	start = d.offset
	entries, err := dir.ReadDir(start)
	if err != nil {
		return start, err
	}
	for _, e := range entries {
		if !emit(e) {
			break
		}
		d.offset = e.Next
	}
	return start, nil
}

// IncRef adds a user.
func (d *Description) IncRef() {
	if d.refs.Add(1) <= 1 {
		panic("vfs: reference to a released description of " + d.path)
	}
}

// DecRef drops a user. The last one releases the file, whose error is returned.
func (d *Description) DecRef() error {
	switch n := d.refs.Add(-1); {
	case n > 0:
		return nil
	case n < 0:
		panic("vfs: description of " + d.path + " released twice")
	}
	d.unlock()
	return d.file.Release()
}

func (d *Description) isPath() bool { return d.Flags()&unix.O_PATH != 0 }

// may refuses op if the file was opened only for what without says.
func (d *Description) may(op string, without int) error {
	if d.isPath() {
		return fmt.Errorf("%s %s: %w: opened with O_PATH", op, d.path, unix.EBADF)
	}
	if d.Flags()&unix.O_ACCMODE == without {
		return fmt.Errorf("%s %s: %w: not opened for it", op, d.path, unix.EBADF)
	}
	return nil
}

// mayAt is may for calls that name an offset, in Linux's order.
func (d *Description) mayAt(op string, without int, off int64, n int) error {
	if off < 0 {
		return fmt.Errorf("%s %s: %w: offset %d", op, d.path, unix.EINVAL, off)
	}
	if !d.isPath() && !d.file.Seekable() {
		return fmt.Errorf("%s %s: %w", op, d.path, unix.ESPIPE)
	}
	if err := d.may(op, without); err != nil {
		return err
	}
	if off > math.MaxInt64-int64(n) {
		return fmt.Errorf("%s %s: %w: %d bytes at %d end beyond all offsets", op, d.path, unix.EINVAL, n, off)
	}
	return nil
}
