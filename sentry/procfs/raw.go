package procfs

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

// rawNode is a file that is no text: each read, and write, asks the process's
// memory as it is then. Who opens it keeps the memory that the process has then,
// also over an exec, but does not keep it alive.
type rawNode struct {
	synth.Attr
	p       *process
	pagemap bool // it is pagemap
	read    func(m *mm.MemoryManager, by *mm.Actor, b []byte, off int64) (int, error)
	write   func(m *mm.MemoryManager, by *mm.Actor, b []byte, off int64) (int, error) // nil: EINVAL, as on Linux
}

// Stat implements vfs.Node.
func (n *rawNode) Stat() (unix.Stat_t, error) {
	return unix.Stat_t{
		Dev: n.Dev, Ino: n.Ino, Mode: unix.S_IFREG | n.Mode, Nlink: 1, Uid: n.UID, Gid: n.GID, Blksize: 1024,
	}, nil
}

// Open implements vfs.Node.
func (n *rawNode) Open(int) (vfs.File, error) { return &raw{n, n.p.p.MM()}, nil }

// raw is an open rawNode.
type raw struct {
	node *rawNode
	mm   *mm.MemoryManager // nil: the process had none
}

func (r *raw) Stat() (unix.Stat_t, error)         { return r.node.Stat() }
func (r *raw) Seekable() bool                     { return true }
func (r *raw) Release() error                     { return nil }
func (r *raw) Reopen(flags int) (vfs.File, error) { return r.node.Open(flags) }

// SeekFrom implements vfs.Seeker: memory has no end to seek from.
func (r *raw) SeekFrom(pos, off int64, whence int) (int64, error) {
	if whence != unix.SEEK_SET && whence != unix.SEEK_CUR {
		return 0, fmt.Errorf("%w: whence %d", unix.EINVAL, whence)
	}
	return vfs.SeekIn(off, whence, pos, 0)
}

// PageTable returns whose pages it tells of, if it is pagemap, for PAGEMAP_SCAN.
func (r *raw) PageTable() (*mm.MemoryManager, bool) { return r.mm, r.node.pagemap }

func (r *raw) PRead(b []byte, off int64) (int, error) {
	if r.node.read == nil {
		return 0, fmt.Errorf("%w: it can only be written", unix.EINVAL)
	}
	return r.access(r.node.read, b, off)
}

func (r *raw) PWrite(b []byte, off int64) (int, error) {
	if r.node.write == nil {
		return 0, fmt.Errorf("%w: it can only be read", unix.EINVAL)
	}
	return r.access(r.node.write, b, off)
}

// access calls f with the memory, if there still is one: else nothing is done.
func (r *raw) access(f func(*mm.MemoryManager, *mm.Actor, []byte, int64) (int, error), b []byte, off int64) (int, error) {
	if r.mm == nil || !r.mm.IncUsers() {
		return 0, nil
	}
	by := actor()
	defer r.mm.DecUsers(by)
	return f(r.mm, by, b, off)
}

// entrySize is what pagemap has for a page, in bytes.
const entrySize = 8

// readPagemap reads whole entries from the one at off on, up to the end of what a
// process may map.
func readPagemap(m *mm.MemoryManager, _ *mm.Actor, b []byte, off int64) (int, error) {
	if off%entrySize != 0 || len(b)%entrySize != 0 {
		return 0, fmt.Errorf("%w: %d bytes at %d are not whole entries", unix.EINVAL, len(b), off)
	}
	first, end := uint64(off)/entrySize, uint64(m.Layout().Max)/memmap.PageSize
	if first >= end {
		return 0, nil
	}
	pages := min(uint64(len(b))/entrySize, end-first)
	start := memmap.Addr(first * memmap.PageSize)
	for i, entry := range m.Pagemap(memmap.AddrRange{Start: start, End: start + memmap.Addr(pages*memmap.PageSize)}) {
		binary.LittleEndian.PutUint64(b[i*entrySize:], entry)
	}
	return int(pages * entrySize), nil
}

// clearRefs is clear_refs: 1 to 3 forget which pages were accessed, which nobody keeps; 4
// makes all pages soft-clean, 5 begins VmHWM anew. Linux looks at 12 bytes at most.
func clearRefs(m *mm.MemoryManager, by *mm.Actor, b []byte, _ int64) (int, error) {
	text := strings.TrimSpace(string(b[:min(len(b), 12)]))
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 || n > 5 {
		return 0, fmt.Errorf("%w: clear_refs takes 1 to 5, not %q", unix.EINVAL, text)
	}
	switch n {
	case 4:
		m.ClearSoftDirty(by)
	case 5:
		m.ResetMaxRSS()
	}
	return len(b), nil
}

// readMem reads what the process could make readable for itself.
func readMem(m *mm.MemoryManager, by *mm.Actor, b []byte, off int64) (int, error) {
	return memResult(m.CopyIn(by, memmap.Addr(off), b, mm.IOOpts{IgnorePermissions: true}))
}

// writeMem writes over permissions where that is copy-on-write: in private memory.
func writeMem(m *mm.MemoryManager, by *mm.Actor, b []byte, off int64) (int, error) {
	if len(b) > 0 {
		ar, ok := memmap.Addr(off).ToRange(uint64(len(b)))
		if !ok {
			return 0, fmt.Errorf("%w: %d bytes at %#x wrap around", unix.EIO, len(b), off)
		}
		for _, v := range m.VMAs(ar) {
			if !v.Private && !v.Perms.Write {
				ar.End = max(ar.Start, v.AR.Start)
				break
			}
		}
		if b = b[:ar.Length()]; len(b) == 0 {
			return 0, fmt.Errorf("%w: %#x is shared and not writable", unix.EIO, off)
		}
	}
	return memResult(m.CopyOut(by, memmap.Addr(off), b, mm.IOOpts{IgnorePermissions: true}))
}

// memResult is what a copy is to a reader of mem: something, or EIO.
func memResult(n int, err error) (int, error) {
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("%w: %w", unix.EIO, err)
}
