package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// randomIoctl are the requests of /dev/random: what would change the numbers needs a
// capability and changes nothing, as enough is mixed into them already.
func randomIoctl(t *sentry.Task, r vfs.RandomSource, request uint32, arg memmap.Addr) error {
	mayChange := t.Process().Credentials().Effective.Has(sentry.CapSysAdmin)
	switch request {
	case unix.RNDGETENTCNT:
		return copyOut(t, arg, int32(r.EntropyBits()))
	case unix.RNDADDTOENTCNT, unix.RNDADDENTROPY, unix.RNDZAPENTCNT, unix.RNDCLEARPOOL, unix.RNDRESEEDCRNG:
	default:
		return unix.EINVAL
	}
	if !mayChange {
		return unix.EPERM
	}
	switch request {
	case unix.RNDADDTOENTCNT:
		bits, err := copyIn[int32](t, arg)
		if err == nil && bits < 0 {
			err = invalid("ioctl", "%d bits of entropy", bits)
		}
		return err
	case unix.RNDADDENTROPY:
		return addEntropy(t, arg)
	}
	return nil
}

// addEntropy is RNDADDENTROPY: a struct rand_pool_info at arg is read, and left alone.
func addEntropy(t *sentry.Task, arg memmap.Addr) error {
	const head = 8
	info, err := copyIn[struct{ Bits, Size int32 }](t, arg)
	switch {
	case err != nil:
		return err
	case info.Bits < 0:
		return invalid("ioctl", "%d bits of entropy", info.Bits)
	case info.Size < 0 || !accessOK(arg+head, uint64(info.Size)):
		return fault("ioctl", arg+head, uint64(uint32(info.Size)))
	}
	buf := make([]byte, min(uint64(info.Size), maxChunk))
	n, err := guestRead(t, "ioctl", arg+head, buf)
	if n == 0 {
		return err
	}
	return nil
}
