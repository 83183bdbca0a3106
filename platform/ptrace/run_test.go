package ptrace

import (
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/platform"
)

// assemble joins pieces of code.
func assemble(pieces ...[]byte) []byte {
	var code []byte
	for _, p := range pieces {
		code = append(code, p...)
	}
	return code
}

// Pieces of code.
var (
	syscallInsn = []byte{0x0f, 0x05}
	getppid     = []byte{0xb8, 110, 0, 0, 0, 0x0f, 0x05} // mov eax, 110; syscall
)

func TestGuestRunsMapsAndFaults(t *testing.T) {
	g := newGuest(t, testPlatform(t),
		0xb8, 110, 0, 0, 0, 0x0f, 0x05, // mov eax, 110; syscall
		0x89, 0x04, 0x25, 0x00, 0x10, 0x50, 0x00, // mov [0x501000], eax
		0xb8, 60, 0, 0, 0, 0x0f, 0x05, // mov eax, 60; syscall
	)
	g.expectCall(unix.SYS_GETPPID)
	if rip := uint64(codeAt) + 7; g.regs.Rip != rip {
		t.Errorf("rip %#x, want %#x behind the call", g.regs.Rip, rip)
	}
	g.regs.Rax = 4711
	want := platform.Stop{Kind: platform.Fault, Addr: 0x501000, Access: memmap.Write, Signal: unix.SIGSEGV, Code: segvMapErr}
	g.expect(want)
	g.mapAt(0x501000, dataOff, memmap.Read) // now it is there, but read-only
	want.Code = segvAccErr
	g.expect(want)
	g.mapAt(0x501000, dataOff, memmap.ReadWrite)
	g.expectCall(unix.SYS_EXIT)
	var b [4]byte
	if _, err := unix.Pread(g.file.fd, b[:], dataOff); err != nil || b != [4]byte{0x67, 0x12} {
		t.Errorf("the file holds % x (%v), want what getppid answered", b, err)
	}
}
