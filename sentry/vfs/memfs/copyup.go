package memfs

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm/shmem"
	"mmsh.dev/mmsh/sentry/vfs"
)

func goTime(t unix.Timespec) time.Time { return time.Unix(t.Unix()) }

// statBelow fills in what the lower file tells of itself. The file system's number
// and the file's own are ours in any case.
func (i *inode) statBelow(st *unix.Stat_t) {
	node, err := i.reach()
	if err != nil {
		return
	}
	low, err := node.Stat()
	if err != nil {
		return
	}
	i.refresh(&low)
	st.Size, st.Blocks, st.Blksize, st.Rdev = low.Size, low.Blocks, low.Blksize, low.Rdev
	if !i.own {
		st.Mode, st.Uid, st.Gid, st.Nlink = low.Mode, low.Uid, low.Gid, low.Nlink
		st.Atim, st.Mtim, st.Ctim = low.Atim, low.Mtim, low.Ctim
	}
}

// openBelow makes sure that the lower file's bytes can be read. fs.mu is held.
func (i *inode) openBelow() error {
	if i.below == nil || i.below.file != nil || i.kind() != unix.S_IFREG {
		return nil
	}
	node, err := i.reach()
	if err != nil {
		return err
	}
	if i.below.file, err = openLow(node); err != nil {
		return err
	}
	if m := i.below.file.mappable; m != nil {
		i.view.set(m) // nothing maps it: nobody had it open
	}
	return nil
}

// copyUp makes the file's bytes ours before they are written: all of them, or none
// if it is truncated anyway. Who has it open or mapped sees what is ours from then
// on. ENOSPC changes nothing. e is held; fs.mu is not.
func (e *entry) copyUp(truncate bool) error {
	i, fs := e.inode, e.inode.fs
	i.copyMu.Lock()
	defer i.copyMu.Unlock()
	fs.mu.Lock()
	if i.below == nil {
		fs.mu.Unlock()
		return nil
	}
	err := e.own()
	if err == nil {
		err = i.openBelow()
	}
	fs.mu.Unlock()
	if err != nil {
		return err
	}
	low := i.below.file
	p := shmem.New(fs.mem)
	low.use(func(f vfs.File) { err = copyData(p, f, truncate) })
	if err != nil {
		p.Drop()
		return fmt.Errorf("copying it for writing: %w", err)
	}
	if err := i.view.replace(p); err != nil {
		p.Drop()
		return err
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	i.pages = p
	i.rest()
	i.below = nil
	return nil
}

// copyData copies what is not a hole, or only the length.
func copyData(p *shmem.Pages, f vfs.File, lengthOnly bool) error {
	st, err := f.Stat()
	if err != nil || lengthOnly {
		return errors.Join(err, p.Resize(uint64(st.Size)))
	}
	buf := make([]byte, 256<<10)
	for off := int64(0); off < st.Size; {
		data, end, err := nextData(f, off, st.Size)
		if err != nil {
			return err
		}
		for off = data; off < end; {
			n, err := f.PRead(buf[:min(int64(len(buf)), end-off)], off)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if n == 0 { // the host cut it short meanwhile
				return p.Resize(uint64(off))
			}
			if k, err := p.WriteAt(buf[:n], uint64(off)); k < n {
				return err
			}
			off += int64(n)
		}
	}
	return p.Resize(uint64(st.Size))
}

// nextData returns the next stretch of data at or behind off in a file of size
// bytes; at the end it is empty.
func nextData(f vfs.File, off, size int64) (data, end int64, err error) {
	s, ok := f.(vfs.Seeker)
	if !ok {
		return off, size, nil
	}
	switch data, err = s.SeekFrom(0, off, unix.SEEK_DATA); {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case err != nil:
		return off, size, nil // no holes are known
	}
	if end, err = s.SeekFrom(0, data, unix.SEEK_HOLE); err != nil {
		end = size
	}
	return min(data, size), min(end, size), nil
}
