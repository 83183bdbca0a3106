package syscalls

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

// taskSize is the end of user addresses on x86-64 with four levels of page tables.
const taskSize = 0x7ffffffff000

// addr is an argument that is an address.
func addr(v uint64) memmap.Addr { return memmap.Addr(v) }

// i32 is an argument of C type int: Linux looks at its lower half only.
func i32(v uint64) int32 { return int32(v) }

// accessOK is the kernel's access_ok: n bytes at a are user memory, mapped or not.
func accessOK(a memmap.Addr, n uint64) bool {
	end := uint64(a) + n
	return end >= n && end <= taskSize
}

// bytesOf is the memory of *v, which holds no pointers: a structure in the
// kernel's layout.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// copyIn reads a structure in the kernel's layout: EFAULT.
func copyIn[T any](t *sentry.Task, at memmap.Addr) (v T, err error) {
	err = t.CopyIn(at, bytesOf(&v))
	return v, err
}

// copyOut writes a structure in the kernel's layout: EFAULT.
func copyOut[T any](t *sentry.Task, at memmap.Addr, v T) error {
	return t.CopyOut(at, bytesOf(&v))
}

// copyOutUnlessNull is copyOut where the guest may not want to know.
func copyOutUnlessNull[T any](t *sentry.Task, at memmap.Addr, v T) error {
	if at == 0 {
		return nil
	}
	return copyOut(t, at, v)
}

// guestWrite writes src at a and returns how much of it fitted into mapped memory.
func guestWrite(t *sentry.Task, op string, a memmap.Addr, src []byte) (int, error) {
	return t.MM().CopyOut(t.WaitingActor(op), a, src, mm.IOOpts{})
}

// guestRead reads at a and returns how much of dst could be filled.
func guestRead(t *sentry.Task, op string, a memmap.Addr, dst []byte) (int, error) {
	return t.MM().CopyIn(t.WaitingActor(op), a, dst, mm.IOOpts{})
}

// fault is the reason of an EFAULT that is known before memory is touched.
func fault(op string, a memmap.Addr, n uint64) error {
	return memmap.Refuse(op, unix.EFAULT, "%#x bytes at %v reach beyond user addresses", n, a)
}

// invalid is EINVAL with a reason.
func invalid(op, format string, args ...any) error {
	return memmap.Refuse(op, unix.EINVAL, "%s", fmt.Sprintf(format, args...))
}
