// Package vfs is files as guests see them: paths, descriptors, and the things
// behind them. It knows no task and no memory manager.
//
//	Table        descriptor → Description          table.go
//	Description  an open file: offset, flags       description.go
//	Context      working directory → Tree          context.go, open.go
//	Tree         path → Node, over mounted FSs     tree.go
//	Node         a file that was found → File      node.go
//	File         what can be done with it          this file
//
// The file systems and files themselves are in the packages below: hostfs, devfs,
// memfs, pipe, pty, stdio; /proc is sentry/procfs. Calls never block: what cannot go on
// answers ErrWouldBlock, and who called waits by Waiter.
//
// Locks: a Table's and a Context's are leaves but for reading a Tree; a
// Description's is held while its File reads or writes, and while the guest's
// memory is written from within Read's commit.
package vfs

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// File is what a descriptor leads to: the behaviour of one open file. Errors are
// unix.Errno, wrapped with reasons.
type File interface {
	// Stat returns what fstat(2) tells.
	Stat() (unix.Stat_t, error)
	// PRead reads at off: 0 and nil at the end of the file. A File that cannot seek
	// ignores off. ErrWouldBlock if nothing is there yet.
	PRead(p []byte, off int64) (int, error)
	// PWrite writes at off.
	PWrite(p []byte, off int64) (int, error)
	// Seekable reports whether offsets mean something.
	Seekable() bool
	// Release is called when the last descriptor is closed.
	Release() error
}

// ErrWouldBlock is what a File answers that cannot go on now: the caller waits
// (Waiter) and asks again, or returns it as it is with O_NONBLOCK.
const ErrWouldBlock = unix.EAGAIN

// Syncer is a File whose bytes have a place behind memory that they can be written
// to.
type Syncer interface {
	// Sync writes out what was changed, and returns what failed since this open file
	// was last told. dataOnly: attributes that no reader of the bytes needs may wait
	// (fdatasync).
	Sync(dataOnly bool) error
	// SyncRange writes the bytes [off, end) out, nothing else.
	SyncRange(off, end int64) error
}

// Appender is a File that can be written to at its end, which nobody moves
// meanwhile.
type Appender interface {
	// Append returns also where the end is then.
	Append(p []byte) (n int, end int64, err error)
}

// Mapper is a File that can be mapped: it sets Mappable and Identity (with no
// reference for the caller) and MaxPerms. One that leaves Mappable nil is a device of
// zeroes: its mappings are anonymous memory, private or shared, of the caller's making.
type Mapper interface {
	ConfigureMMap(o *memmap.MMapOpts) error
}

// What polls say of data and of room: POLLIN and POLLOUT with their twins.
const (
	PollRead  = unix.POLLIN | 0x040  // POLLRDNORM
	PollWrite = unix.POLLOUT | 0x100 // POLLWRNORM
)

// Waiter is a File that can be waited for.
type Waiter interface {
	// Ready returns the POLL* events that hold now.
	Ready() int16
	// Wait returns a channel that is closed as soon as any of events may hold, and a
	// function that gives the wait up. The channel may be nil: none ever comes.
	Wait(events int16) (<-chan struct{}, func())
}

// External is a Waiter that waits for the world outside: a person, a host's
// process. Others are moved by guests alone.
type External interface {
	External() bool
}

// Dir is a File that is a directory.
type Dir interface {
	// ReadDir returns the entries from the one numbered from on.
	ReadDir(from int64) ([]Dirent, error)
}

// Dirent is a directory entry.
type Dirent struct {
	Name  string
	Inode uint64
	Type  uint8 // DT_*
	Next  int64 // the number of the entry behind it
}

// Reopener is a File that open(2) can open again through /proc/PID/fd.
type Reopener interface {
	// Reopen returns another open file of the same thing; flags are O_*.
	Reopen(flags int) (File, error)
}

// Seeker is a File that has an own idea of lseek(2): devices, sparse files.
type Seeker interface {
	// SeekFrom returns the new offset; pos is the current one.
	SeekFrom(pos, off int64, whence int) (int64, error)
}

// Sink is a File that does not look at what is written to it: /dev/null.
type Sink interface {
	// Swallow takes n bytes, wherever they are, and returns how many it took.
	Swallow(n int) (int, error)
}

// RandomSource is a File of random numbers, which has ioctls of its own.
type RandomSource interface {
	// EntropyBits returns how many bits of entropy the numbers are made of.
	EntropyBits() int
}

// Sealer is a File that can be sealed (memfd_create(2)). Seals are F_SEAL_*.
type Sealer interface {
	AddSeals(seals uint32) error
	Seals() (uint32, error)
}

// Queued is a File that knows how many bytes wait to be read (FIONREAD).
type Queued interface {
	Queued() (int, error)
}
