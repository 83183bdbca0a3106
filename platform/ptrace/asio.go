package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

var _ platform.AddressSpaceIO = (*AddressSpace)(nil)

// CopyOut implements platform.AddressSpaceIO by process_vm_writev.
func (as *AddressSpace) CopyOut(addr memmap.Addr, src []byte) int {
	return as.transfer(unix.SYS_PROCESS_VM_WRITEV, addr, src)
}

// CopyIn implements platform.AddressSpaceIO by process_vm_readv.
func (as *AddressSpace) CopyIn(addr memmap.Addr, dst []byte) int {
	return as.transfer(unix.SYS_PROCESS_VM_READV, addr, dst)
}

// transfer copies between b and addr, with the keeper's help, which has the same
// memory. The stub's own pages lie outside the user range. A keeper that ended is not
// asked: its number may have become a stranger's.
func (as *AddressSpace) transfer(call uintptr, addr memmap.Addr, b []byte) int {
	ar, ok := addr.ToRange(uint64(len(b)))
	if !ok || ar.IsEmpty() || !as.p.at.userRange().IsSupersetOf(ar) || !as.keeper.alive() {
		return 0
	}
	local := unix.Iovec{Base: &b[0], Len: uint64(len(b))}
	remote := unix.RemoteIovec{Base: uintptr(addr), Len: len(b)}
	n, _, e := unix.Syscall6(call, uintptr(as.HostPID()), uintptr(unsafe.Pointer(&local)), 1,
		uintptr(unsafe.Pointer(&remote)), 1, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}
