package hostfs

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/memmap/safemem"
	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/sentry/vfs"
)

// file is a regular file of the host, open for reading. Opens of one file share
// its pages and the host's descriptor.
type file struct {
	*pagecache.Handle // ConfigureMMap, Release
	fs                *FS
}

// openFile makes a file of fd, which it takes over.
func openFile(fs *FS, fd int, name string, huge bool) (vfs.File, error) {
	st, err := stat(fd)
	if err != nil {
		_ = fs.fds.close(fd)
		return nil, err
	}
	pages := fs.cache.Open(keyOf(&st), backing{fs, fd, huge})
	return &file{pagecache.NewHandle(pages, name), fs}, nil
}

func (f *file) fd() int { return hostFD(f.File()) }

func (f *file) Stat() (unix.Stat_t, error) { return stat(f.fd()) }
func (f *file) Seekable() bool             { return true }

func (f *file) PRead(p []byte, off int64) (int, error) { return f.File().ReadAt(p, uint64(off)) }

func (f *file) PWrite([]byte, int64) (int, error) {
	return 0, fmt.Errorf("%w: the tree is read-only", unix.EROFS)
}

// SeekFrom implements vfs.Seeker: the host knows the holes.
func (f *file) SeekFrom(pos, off int64, whence int) (int64, error) {
	if whence == unix.SEEK_DATA || whence == unix.SEEK_HOLE {
		return unix.Seek(f.fd(), off, whence)
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return vfs.SeekIn(off, whence, pos, st.Size)
}

// Reopen implements vfs.Reopener.
func (f *file) Reopen(flags int) (vfs.File, error) {
	n := node{fs: f.fs, fd: f.fd(), path: f.Name()[1:]}
	return n.openFile(flags)
}

// backing is a host descriptor as a pagecache.Backing.
type backing struct {
	fs   *FS
	fd   int
	huge bool // HugeAligned
}

// HugeAligned says whether the host places large mappings of the file where huge
// pages begin.
func (b backing) HugeAligned() bool { return b.huge }

// hugeAligned says so of a file system: those whose files have Linux's
// thp_get_unmapped_area.
func hugeAligned(kind int64) bool {
	return kind == unix.EXT4_SUPER_MAGIC || kind == unix.XFS_SUPER_MAGIC || kind == unix.BTRFS_SUPER_MAGIC
}

// FD returns the host's descriptor, for a cache that has it mapped.
func (b backing) FD() int { return b.fd }

// Hole returns how many bytes of whole pages in [off, end) lie in holes: none if the host
// does not know.
func (b backing) Hole(off, end uint64) uint64 {
	n := uint64(0)
	for off < end {
		data, err := unix.Seek(b.fd, int64(off), unix.SEEK_DATA)
		if err == unix.ENXIO {
			return n + end - off
		}
		if err != nil {
			return n
		}
		from := min(uint64(data)&^(memmap.PageSize-1), end)
		n += from - off
		hole, err := unix.Seek(b.fd, data, unix.SEEK_HOLE)
		if next, ok := memmap.PageRoundUp(uint64(hole)); err == nil && ok && next > off {
			off = next
			continue
		}
		return n
	}
	return n
}

func (b backing) Close() error { return b.fs.fds.close(b.fd) }

func (b backing) Size() (uint64, error) {
	st, err := stat(b.fd)
	return uint64(st.Size), err
}

func (b backing) ReadToBlocksAt(dsts safemem.Seq, off uint64) (uint64, error) {
	done := uint64(0)
	for ; !dsts.IsEmpty(); dsts = dsts.DropFirst(uint64(len(dsts.Head()))) {
		n, err := b.read(dsts.Head(), off+done)
		done += uint64(n)
		if err != nil {
			return done, err
		}
		if n < len(dsts.Head()) {
			break
		}
	}
	if done == 0 && !dsts.IsEmpty() {
		return 0, io.EOF
	}
	return done, nil
}

// read is pread64 once, over signals.
func (b backing) read(p []byte, off uint64) (int, error) {
	for {
		n, err := unix.Pread(b.fd, p, int64(off))
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
