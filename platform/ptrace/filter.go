package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneSpace and cloneContext are the flags of the two clones that stubs make:
// a keeper with memory of its own, and a context beside its keeper. Both are
// processes, not threads: group stops, exit and exec stay private. The
// descriptor table is one for all. SIGCHLD is ignored by every stub, so a child
// that its tracer has seen end is gone.
const (
	cloneSpace   = unix.CLONE_FILES | uint32(unix.SIGCHLD)
	cloneContext = unix.CLONE_VM | unix.CLONE_FILES | uint32(unix.SIGCHLD)
)

// allowed are the calls that we inject or that the stub's own code makes, each
// with the value its first argument must have, or -1. The guest's calls never
// come here: PTRACE_SYSEMU stops them before.
var allowed = []struct {
	nr  uint32
	arg int64
}{
	{unix.SYS_MMAP, -1},
	{unix.SYS_MUNMAP, -1},
	{unix.SYS_CLONE, int64(cloneSpace)},
	{unix.SYS_CLONE, int64(cloneContext)},
	{unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG},
	{unix.SYS_GETPPID, -1},
	{unix.SYS_PAUSE, -1},
	{unix.SYS_RECVMSG, socketFD},
	{unix.SYS_CLOSE, -1},
	{unix.SYS_EXIT_GROUP, -1},
}

// Offsets in struct seccomp_data.
const (
	dataNr   = 0
	dataArch = 4
	dataArg0 = 16
)

// filterProgram returns the seccomp filter of all stubs. What it refuses it
// traps: the vsyscall page is the one way in which a guest can meet it.
func filterProgram() []unix.SockFilter {
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	skipUnless := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: skip}
	}
	answer := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
	}
	prog := []unix.SockFilter{
		load(dataArch),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AUDIT_ARCH_X86_64, Jt: 1},
		answer(unix.SECCOMP_RET_TRAP),
	}
	for _, a := range allowed {
		if a.arg < 0 {
			prog = append(prog, load(dataNr), skipUnless(a.nr, 1), answer(unix.SECCOMP_RET_ALLOW))
			continue
		}
		prog = append(prog,
			load(dataNr), skipUnless(a.nr, 5),
			load(dataArg0), skipUnless(uint32(a.arg), 3),
			load(dataArg0+4), skipUnless(0, 1),
			answer(unix.SECCOMP_RET_ALLOW))
	}
	return append(prog, answer(unix.SECCOMP_RET_TRAP))
}

// installFilter makes all stubs subject to the filter, and unable to gain privileges by any means.
func (z *zygote) installFilter() error {
	if _, err := z.first.call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return err
	}
	prog := filterProgram()
	text := unsafe.Slice((*byte)(unsafe.Pointer(&prog[0])), len(prog)*int(unsafe.Sizeof(prog[0])))
	const textAt = 64
	copy(z.scratch.bytes[textAt:], text)
	fprog := (*struct {
		len    uint16
		filter uint64
	})(unsafe.Pointer(&z.scratch.bytes[0]))
	fprog.len, fprog.filter = uint16(len(prog)), uint64(z.at.slots)+textAt
	_, err := z.first.call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, uintptr(z.at.slots))
	return err
}
