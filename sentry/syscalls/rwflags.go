package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// Flags of preadv2 and pwritev2 (RWF_*).
const (
	rwfHighPriority = 0x1
	rwfDSync        = 0x2
	rwfSync         = 0x4
	rwfNoWait       = 0x8
	rwfAppend       = 0x10
	rwfNoAppend     = 0x20
	rwfAtomic       = 0x40
	rwfDontCache    = 0x80
	rwfNoSignal     = 0x100
)

// rwMode is how a transfer is to be made, other than its file says.
type rwMode struct {
	noWait   bool          // EAGAIN rather than to wait
	noSignal bool          // a broken pipe raises no SIGPIPE
	appends  vfs.Appending // what a write does with O_APPEND
	sync     bool          // the file is written out behind a write,
	dataOnly bool          // its bytes at least
}

// modeOf checks the flags of a transfer over v in Linux's order (kiocb_set_rw_flags):
// where nothing is to be moved nobody looks at them.
func modeOf(op string, d *vfs.Description, v vector, flags uint32, writes bool) (m rwMode, err error) {
	if flags == 0 || v.total() == 0 {
		return m, nil
	}
	const known = rwfHighPriority | rwfDSync | rwfSync | rwfNoWait | rwfAppend | rwfNoAppend | rwfAtomic | rwfDontCache | rwfNoSignal
	impatient, ok := d.File().(vfs.Impatient)
	switch {
	case flags&^known != 0:
		return m, memmap.Refuse(op, unix.EOPNOTSUPP, "flags %#x are not known", flags)
	case flags&rwfAppend != 0 && flags&rwfNoAppend != 0:
		return m, invalid(op, "both at the end and in place")
	case flags&rwfNoWait != 0 && (!ok || !impatient.MayNotWait()):
		return m, memmap.Refuse(op, unix.EOPNOTSUPP, "%s may have to be waited for", d.Path())
	case flags&(rwfAtomic|rwfDontCache) != 0:
		return m, memmap.Refuse(op, unix.EOPNOTSUPP, "%s has neither untorn nor uncached transfers", d.Path())
	}
	m = rwMode{
		noWait:   flags&rwfNoWait != 0,
		noSignal: flags&rwfNoSignal != 0,
		sync:     writes && flags&(rwfSync|rwfDSync) != 0,
		dataOnly: flags&rwfSync == 0,
	}
	switch {
	case flags&rwfAppend != 0:
		m.appends = vfs.AtEnd
	case flags&rwfNoAppend != 0:
		m.appends = vfs.InPlace
	}
	return m, nil
}

// settle writes out what was written, if the flags say so.
func (m rwMode) settle(d *vfs.Description) error {
	if s, ok := d.File().(vfs.Syncer); ok && m.sync {
		return s.Sync(m.dataOnly)
	}
	return nil
}

// offsetOrShared is the offset of preadv2 and pwritev2: -1 is the shared one.
func offsetOrShared(op string, v uint64) (int64, error) {
	if int64(v) == shared {
		return shared, nil
	}
	return atOffset(op, v)
}

// preadv2(fd, iov, count, offset, _, flags): the lower half of the offset is all of it.
func preadv2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	off, err := offsetOrShared("preadv2", a[3])
	if err != nil {
		return 0, err
	}
	return readAs(t, "preadv2", i32(a[0]), off, uint32(a[5]), func() (vector, error) { return importVector(t, "preadv2", addr(a[1]), a[2]) })
}

// pwritev2(fd, iov, count, offset, _, flags).
func pwritev2(t *sentry.Task, a sentry.Args) (uintptr, error) {
	off, err := offsetOrShared("pwritev2", a[3])
	if err != nil {
		return 0, err
	}
	return writeAs(t, "pwritev2", i32(a[0]), off, uint32(a[5]), func() (vector, error) { return importVector(t, "pwritev2", addr(a[1]), a[2]) })
}
