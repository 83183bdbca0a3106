package devfs

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/synth"
)

// kind is one sort of device: what it does on each call.
type kind struct {
	name         string
	major, minor uint32
	open         error // why it cannot be opened
	read         func(fs *FS, p []byte) (int, error)
	write        func(p []byte) (int, error)
	keepsOffset  bool // lseek leaves the offset alone instead of setting it to 0
	mapped       bool // private mappings are memory of zeroes
}

// kinds are Linux's of these names.
var kinds = []kind{
	{name: "null", major: 1, minor: 3, read: readNothing, write: swallow},
	{name: "zero", major: 1, minor: 5, read: readZeroes, write: swallow, mapped: true},
	{name: "full", major: 1, minor: 7, read: readZeroes, write: refuse},
	{name: "random", major: 1, minor: 8, read: readRandom, write: swallow, keepsOffset: true},
	{name: "urandom", major: 1, minor: 9, read: readRandom, write: swallow, keepsOffset: true},
	{name: "tty", major: 5, minor: 0, open: unix.ENXIO},
}

func readNothing(*FS, []byte) (int, error) { return 0, nil }

func readZeroes(_ *FS, p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func readRandom(fs *FS, p []byte) (int, error) {
	n, err := io.ReadFull(fs.Random, p)
	if err != nil {
		return n, fmt.Errorf("%w: random numbers: %v", unix.EIO, err)
	}
	return n, nil
}

func swallow(p []byte) (int, error) { return len(p), nil }

func refuse(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return 0, unix.ENOSPC
}

// node is a device found by its path.
type node struct {
	synth.Attr
	fs   *FS
	kind *kind
}

// Stat implements vfs.Node.
func (n *node) Stat() (unix.Stat_t, error) {
	return unix.Stat_t{
		Dev: n.Dev, Ino: n.Ino, Mode: unix.S_IFCHR | n.Mode, Nlink: 1,
		Rdev: unix.Mkdev(n.kind.major, n.kind.minor), Blksize: 4096,
	}, nil
}

// Open implements vfs.Node.
func (n *node) Open(int) (vfs.File, error) {
	if n.kind.open != nil {
		return nil, fmt.Errorf("%w: there is no such device", n.kind.open)
	}
	if n.kind.mapped {
		return &zero{file{n}}, nil
	}
	return &file{n}, nil
}

// file is an open device.
type file struct{ node *node }

func (f *file) Stat() (unix.Stat_t, error)            { return f.node.Stat() }
func (f *file) Seekable() bool                        { return true }
func (f *file) PRead(p []byte, _ int64) (int, error)  { return f.node.kind.read(f.node.fs, p) }
func (f *file) PWrite(p []byte, _ int64) (int, error) { return f.node.kind.write(p) }
func (f *file) Release() error                        { return nil }
func (f *file) Reopen(flags int) (vfs.File, error)    { return f.node.Open(flags) }

// SeekFrom implements vfs.Seeker: it cannot fail, and leads nowhere.
func (f *file) SeekFrom(pos, _ int64, _ int) (int64, error) {
	if f.node.kind.keepsOffset {
		return pos, nil
	}
	return 0, nil
}

// Ready implements vfs.Waiter.
func (f *file) Ready() int16 { return vfs.PollRead | vfs.PollWrite }

// Wait implements vfs.Waiter: what is neither reading nor writing never comes.
func (f *file) Wait(events int16) (<-chan struct{}, func()) {
	if events&f.Ready() == 0 {
		return nil, func() {}
	}
	now := make(chan struct{})
	close(now)
	return now, func() {}
}

// zero is a device whose private mappings are memory of zeroes.
type zero struct{ file }

// ConfigureMMap implements vfs.Mapper.
func (z *zero) ConfigureMMap(o *memmap.MMapOpts) error {
	if !o.Private {
		return fmt.Errorf("mmap /dev/zero: %w: shared memory is made with MAP_ANONYMOUS", unix.ENODEV)
	}
	o.MaxPerms = memmap.AnyAccess
	o.Name = "/dev/zero"
	return nil
}
