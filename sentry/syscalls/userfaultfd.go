package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/vfs"
)

// The requests of a userfaultfd, ioctl_userfaultfd(2).
const (
	uffdioAPI          = 0xc018aa3f
	uffdioRegister     = 0xc020aa00
	uffdioUnregister   = 0x8010aa01
	uffdioWake         = 0x8010aa02
	uffdioCopy         = 0xc028aa03
	uffdioZeroPage     = 0xc020aa04
	uffdioWriteProtect = 0xc018aa06

	uffdAPI          = 0xaa
	uffdAPICalls     = 1<<0x3f | 1<<0 | 1<<1 // API, REGISTER, UNREGISTER
	uffdUserModeOnly = 1
	uffdPath         = "anon_inode:[userfaultfd]"

	uffdDontWake  = 1 << 0 // of COPY and ZEROPAGE
	uffdProtected = 1 << 1 // of COPY
	uffdProtect   = 1 << 0 // of WRITEPROTECT
	uffdProtectDW = 1 << 1
)

// userfaultfd(flags).
func userfaultfd(t *sentry.Task, a sentry.Args) (uintptr, error) {
	flags := int(i32(a[0]))
	if flags&^(unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly) != 0 {
		return 0, invalid("userfaultfd", "flags %#x", flags)
	}
	if flags&uffdUserModeOnly == 0 && t.Process().Credentials().EUID != 0 {
		return 0, memmap.Refuse("userfaultfd", unix.EPERM, "faults in system calls are for the privileged: UFFD_USER_MODE_ONLY")
	}
	f := &uffdFile{ino: t.Process().Context().Tree().NewInode()}
	f.u = mm.NewUserfault(t.MM(), flags&uffdUserModeOnly != 0, func() { f.queue.Notify(vfs.PollRead) })
	d := vfs.NewDescription(f, unix.O_RDONLY|flags&unix.O_NONBLOCK, uffdPath)
	f.nonblock = func() bool { return d.Flags()&unix.O_NONBLOCK != 0 }
	return addFD(t, d, flags&unix.O_CLOEXEC != 0, 0)
}

// uffdFile is a userfaultfd as a descriptor leads to it.
type uffdFile struct {
	u        *mm.Userfault
	ino      uint64
	queue    vfs.WaitQueue
	nonblock func() bool
}

// anonInodes is the device of files that lie nowhere.
var anonInodes = unix.Mkdev(0, 16)

// Stat implements vfs.File.
func (f *uffdFile) Stat() (unix.Stat_t, error) {
	return unix.Stat_t{Dev: anonInodes, Ino: f.ino, Mode: 0o600, Nlink: 1, Blksize: memmap.PageSize}, nil
}

// Seekable implements vfs.File.
func (f *uffdFile) Seekable() bool { return false }

const uffdMsgLen = 32

// PRead gives as many messages as fit.
func (f *uffdFile) PRead(p []byte, _ int64) (int, error) {
	switch {
	case !f.u.Enabled():
		return 0, invalid("read", "UFFDIO_API was not called")
	case len(p) < uffdMsgLen:
		return 0, invalid("read", "%d bytes are less than a message", len(p))
	}
	n := 0
	for len(p)-n >= uffdMsgLen {
		msg, ok := f.u.Read()
		if !ok {
			break
		}
		n += copy(p[n:], bytesOf(&msg))
	}
	if n == 0 {
		return 0, vfs.ErrWouldBlock
	}
	return n, nil
}

// PWrite implements vfs.File.
func (f *uffdFile) PWrite([]byte, int64) (int, error) {
	return 0, invalid("write", "a userfaultfd cannot be written")
}

// Ready implements vfs.Waiter. As in Linux it is an error to poll one whose reads wait.
func (f *uffdFile) Ready() int16 {
	switch {
	case !f.u.Enabled() || !f.nonblock():
		return unix.POLLERR
	case f.u.Readable():
		return unix.POLLIN
	}
	return 0
}

// Wait implements vfs.Waiter.
func (f *uffdFile) Wait(events int16) (<-chan struct{}, func()) {
	return f.queue.Wait(events|vfs.PollRead, func() int16 {
		if f.u.Readable() {
			return vfs.PollRead
		}
		return 0
	})
}

// Release implements vfs.File.
func (f *uffdFile) Release() error {
	f.u.Close(&mm.Actor{Limits: mm.NoLimits(), Origin: memmap.Origin{By: memmap.ByKernel, Op: "close"}})
	return nil
}

// actor is t as who asks f's memory, which need not be t's own.
func (f *uffdFile) actor(t *sentry.Task) *mm.Actor {
	by := *t.Actor("userfaultfd") // copies change the task's own meanwhile
	return &by
}

// uffdRange is struct uffdio_range.
type uffdRange struct{ Start, Len uint64 }

// addrs returns the addresses; what overflows ends before it starts, and is refused.
func (r uffdRange) addrs() memmap.AddrRange {
	return memmap.AddrRange{Start: addr(r.Start), End: addr(r.Start + r.Len)}
}

// ioctl answers a request.
func (f *uffdFile) ioctl(t *sentry.Task, request uint32, arg memmap.Addr) error {
	if request == uffdioAPI {
		return f.api(t, arg)
	}
	if !f.u.Enabled() {
		return invalid("userfaultfd", "UFFDIO_API was not called")
	}
	switch request {
	case uffdioRegister:
		return f.register(t, arg)
	case uffdioUnregister, uffdioWake:
		r, err := copyIn[uffdRange](t, arg)
		if err != nil {
			return err
		}
		if request == uffdioWake {
			return f.u.Wake(r.addrs())
		}
		return f.u.Unregister(f.actor(t), r.addrs())
	case uffdioCopy:
		return f.copy(t, arg)
	case uffdioZeroPage:
		return f.fills(t, arg, uffdDontWake, func(dst memmap.AddrRange, _ uint64) (uint64, error) { return f.u.Zero(f.actor(t), dst) })
	case uffdioPoison:
		return f.fills(t, arg, uffdDontWake, func(dst memmap.AddrRange, _ uint64) (uint64, error) { return f.u.Poison(f.actor(t), dst) })
	case uffdioContinue:
		return f.fills(t, arg, uffdDontWake|uffdContinueProtects, func(dst memmap.AddrRange, mode uint64) (uint64, error) {
			return f.u.Continue(f.actor(t), dst, mode&uffdContinueProtects != 0)
		})
	case uffdioMove:
		return f.move(t, arg)
	case uffdioWriteProtect:
		return f.writeProtect(t, arg)
	}
	return invalid("userfaultfd", "request %#x is not known", request)
}

// uffdioAPIArg is struct uffdio_api.
type uffdioAPIArg struct{ API, Features, Ioctls uint64 }

// api is UFFDIO_API: what cannot be had is answered with zeroes.
func (f *uffdFile) api(t *sentry.Task, arg memmap.Addr) error {
	v, err := copyIn[uffdioAPIArg](t, arg)
	if err != nil {
		return err
	}
	if v.API != uffdAPI {
		err = invalid("userfaultfd", "API %#x is not %#x", v.API, uffdAPI)
	} else if unknown := v.Features &^ uint64(mm.UserfaultFeatures); unknown != 0 {
		err = invalid("userfaultfd", "features %#x are not known", unknown)
	}
	if err == nil {
		if err := copyOut(t, arg, uffdioAPIArg{v.API, uint64(mm.UserfaultFeatures), uffdAPICalls}); err != nil {
			return err
		}
		err = f.u.Enable(mm.UserfaultFeature(v.Features))
	}
	if err != nil {
		if fault := copyOut(t, arg, uffdioAPIArg{}); fault != nil {
			return fault
		}
	}
	return err
}

func (f *uffdFile) register(t *sentry.Task, arg memmap.Addr) error {
	v, err := copyIn[struct {
		uffdRange
		Mode uint64
	}](t, arg)
	if err != nil {
		return err
	}
	calls, err := f.u.Register(f.actor(t), v.addrs(), mm.UserfaultMode(v.Mode))
	if err != nil {
		return err
	}
	return copyOut(t, arg+24, calls)
}

// copy is UFFDIO_COPY. What was done is told in the structure, also if nothing was; to
// come less far than asked is EAGAIN.
func (f *uffdFile) copy(t *sentry.Task, arg memmap.Addr) error {
	v, err := copyIn[struct{ Dst, Src, Len, Mode uint64 }](t, arg)
	if err != nil {
		return err
	}
	dst := uffdRange{v.Dst, v.Len}
	switch {
	case v.Len == 0 || v.Src+v.Len <= v.Src:
		return invalid("userfaultfd", "%#x bytes from %#x", v.Len, v.Src)
	case v.Mode&^(uffdDontWake|uffdProtected) != 0:
		return invalid("userfaultfd", "mode %#x", v.Mode)
	}
	if err := f.u.Check(dst.addrs()); err != nil {
		return err
	}
	done, err := f.u.Copy(f.actor(t), dst.addrs(), v.Mode&uffdProtected != 0, func(off uint64, page []byte) error {
		return t.CopyIn(addr(v.Src+off), page)
	})
	return f.filled(t, arg+32, dst, done, err, v.Mode)
}

// errnoIn returns the errno in err.
func errnoIn(err error) (errno unix.Errno) {
	errors.As(err, &errno)
	return errno
}

// filled ends a call that filled done bytes of dst: it tells how many at out, wakes who
// waits for them, and answers err if there are none.
func (f *uffdFile) filled(t *sentry.Task, out memmap.Addr, dst uffdRange, done uint64, err error, mode uint64) error {
	told := int64(done)
	if done == 0 {
		told = -int64(errnoIn(err))
	}
	if told == -int64(unix.ESRCH) {
		return err
	}
	if fault := copyOut(t, out, told); fault != nil {
		return fault
	}
	if done == 0 {
		return err
	}
	if mode&uffdDontWake == 0 {
		_ = f.u.Wake(uffdRange{dst.Start, done}.addrs()) // a range that was checked
	}
	if done < dst.Len {
		return memmap.Refuse("userfaultfd", unix.EAGAIN, "%#x of %#x bytes are done: %v", done, dst.Len, err)
	}
	return nil
}

func (f *uffdFile) writeProtect(t *sentry.Task, arg memmap.Addr) error {
	v, err := f.rangeAndMode(t, arg)
	if err != nil {
		return err
	}
	if v.Mode&^(uffdProtect|uffdProtectDW) != 0 || v.Mode == uffdProtect|uffdProtectDW {
		return invalid("userfaultfd", "mode %#x", v.Mode)
	}
	if err := f.u.WriteProtect(f.actor(t), v.addrs(), v.Mode&uffdProtect != 0); err != nil || v.Mode != 0 {
		return err
	}
	return f.u.Wake(v.addrs())
}
