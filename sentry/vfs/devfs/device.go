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
	read         func(fs *FS, p []byte) (int, error)
	write        error // why no byte is taken; nil: all are
}

// kinds are Linux's of these names.
var kinds = []kind{
	{name: "null", major: 1, minor: 3, read: readNothing},
	{name: "zero", major: 1, minor: 5, read: readZeroes},
	{name: "full", major: 1, minor: 7, read: readZeroes, write: unix.ENOSPC},
	{name: "random", major: 1, minor: 8, read: readRandom},
	{name: "urandom", major: 1, minor: 9, read: readRandom},
	{name: "tty", major: 5, minor: 0},
	{name: "console", major: 5, minor: 1},
}

// mode is who may use the device: the console is root's.
func (k *kind) mode() uint32 {
	if k.name == "console" {
		return 0o600
	}
	return 0o666
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

// node is a device found by its path.
type node struct {
	synth.Attr
	fs   *FS
	kind *kind
	pid  int32 // who found it
}

// Stat implements vfs.Node.
func (n *node) Stat() (unix.Stat_t, error) {
	return unix.Stat_t{
		Dev: n.Dev, Ino: n.Ino, Mode: unix.S_IFCHR | n.Mode, Nlink: 1,
		Rdev: unix.Mkdev(n.kind.major, n.kind.minor), Blksize: blockSize,
	}, nil
}

// Open implements vfs.Node.
func (n *node) Open(flags int) (vfs.File, error) {
	f := file{n}
	switch n.kind.name {
	case "tty":
		return n.openTTY(flags)
	case "console":
		return nil, fmt.Errorf("%w: the console is no terminal of this world", unix.ENODEV)
	case "zero":
		return &zero{sink{f}}, nil
	case "random", "urandom":
		return &random{f}, nil
	}
	return &sink{f}, nil
}

// openTTY opens the terminal that controls who found the node: ENXIO if none does.
func (n *node) openTTY(flags int) (vfs.File, error) {
	if n.fs.Jobs != nil {
		if tty := n.fs.Jobs.Controlling(n.pid); tty != nil {
			return tty.Open(flags, n.Stat)
		}
	}
	return nil, fmt.Errorf("%w: no terminal controls process %d", unix.ENXIO, n.pid)
}

// file is an open device.
type file struct{ node *node }

func (f *file) Stat() (unix.Stat_t, error)            { return f.node.Stat() }
func (f *file) Seekable() bool                        { return true }
func (f *file) PRead(p []byte, _ int64) (int, error)  { return f.node.kind.read(f.node.fs, p) }
func (f *file) PWrite(p []byte, _ int64) (int, error) { return f.swallow(len(p)) }
func (f *file) Release() error                        { return nil }
func (f *file) Reopen(flags int) (vfs.File, error)    { return f.node.Open(flags) }

// SeekFrom implements vfs.Seeker: it cannot fail, and leads nowhere.
func (f *file) SeekFrom(int64, int64, int) (int64, error) { return 0, nil }

// Ready implements vfs.Waiter. /dev/random wants no more randomness than it has.
func (f *file) Ready() int16 {
	if f.node.kind.name == "random" {
		return vfs.PollRead
	}
	return vfs.PollRead | vfs.PollWrite
}

// Wait implements vfs.Waiter: what is neither reading nor writing never comes.
func (f *file) Wait(events int16) (<-chan struct{}, func()) {
	if events&f.Ready() == 0 {
		return nil, func() {}
	}
	now := make(chan struct{})
	close(now)
	return now, func() {}
}

// swallow takes n bytes, if the device takes any.
func (f *file) swallow(n int) (int, error) {
	if err := f.node.kind.write; err != nil {
		return 0, err
	}
	return n, nil
}

// sink is a device that does not look at what is written to it.
type sink struct{ file }

// Swallow implements vfs.Sink.
func (s *sink) Swallow(n int) (int, error) { return s.swallow(n) }

// random is a device of random numbers.
type random struct{ file }

// EntropyBits implements vfs.RandomSource: what Linux says once it has enough.
func (r *random) EntropyBits() int { return 256 }

// zero is a device whose mappings are memory of zeroes. It is the identity of the
// private ones, which hold no reference: a device stays.
type zero struct{ sink }

// ConfigureMMap implements vfs.Mapper.
func (z *zero) ConfigureMMap(o *memmap.MMapOpts) error {
	o.MaxPerms = memmap.AnyAccess
	if o.Private {
		o.Identity = z
	}
	return nil
}

// IncRef implements memmap.MappingIdentity.
func (z *zero) IncRef() {}

// DecRef implements memmap.MappingIdentity.
func (z *zero) DecRef() {}

// MappedName implements memmap.MappingIdentity.
func (z *zero) MappedName() string { return "/dev/" + z.node.kind.name }

// DeviceID implements memmap.MappingIdentity.
func (z *zero) DeviceID() uint64 { return z.node.Dev }

// InodeID implements memmap.MappingIdentity.
func (z *zero) InodeID() uint64 { return z.node.Ino }

// Msync implements memmap.MappingIdentity: there is nowhere to write it.
func (z *zero) Msync(memmap.MappableRange) error { return nil }

// MayNotWait implements vfs.Impatient: nothing here is waited for.
func (f *file) MayNotWait() bool { return true }

// Unspliced implements vfs.Unspliced, as Linux: of what reads nothing there is nothing
// to splice.
func (f *file) Unspliced() bool { return f.node.kind.name == "null" }
