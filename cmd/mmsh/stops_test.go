package main

import (
	"testing"
)

// storeTo10 is movl $1, 0x10: a store where nothing is mapped.
var storeTo10 = []byte{0xc7, 0x04, 0x25, 0x10, 0, 0, 0, 1, 0, 0, 0}

// exit7 is exit(7).
var exit7 = []byte{0xbf, 7, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05}

func TestARefusedAccessStopsAndContinueKills(t *testing.T) {
	file := program(t, storeTo10...)
	r := mmsh(t, "", "--batch", "-c", `run
expect stop fault at 0x400078
expect signal SIGSEGV SEGV_MAPERR 0x10
expect $_ == 0x10
why $_ w
continue
expect exit SIGSEGV
expect stop killed
vmas
expect error nothing continue`, file)
	if r.status != 1 {
		t.Errorf("status %d", r.status)
	}
	needs(t, "output", r.out, `stopped: SIGSEGV SEGV_MAPERR: write at 0x10 refused, no-mapping · pid 2 tid 2 · `, `✗ a vma maps 0x10`, `stopped: killed by SIGSEGV`, `PT_LOAD\[0\]`)
	needs(t, "standard error", r.err, `^-c:10: expect: .*the program has ended: .run. starts it again\n$`)
	if r := mmsh(t, "", "run", file); r.status != 128+11 || r.out != "" {
		t.Errorf("mmsh run: status %d, output %q", r.status, r.out)
	}
}

func TestABreakpointInstructionIsATrap(t *testing.T) {
	r := mmsh(t, "", "--batch", "-c", "run; expect stop trap at 0x400079; continue; expect exit SIGTRAP", program(t, append([]byte{0xcc}, exit7...)...))
	if r.status != 0 {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
}

func TestStepsAreInstructionsAndCallsAreWhole(t *testing.T) {
	r := mmsh(t, "", "--batch", "-c", `expect stop start at 0x400078
stepi
expect stop step at 0x40007d
expect $rdi == 7
stepi 2
expect stop exit
expect exit 7
run
expect exit 7 pid 2`, program(t, exit7...))
	if r.status != 0 {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
}

func TestStepSyscallStopsBehindTheCall(t *testing.T) {
	getpid := []byte{0xb8, 39, 0, 0, 0, 0x0f, 0x05}
	r := mmsh(t, "", "--batch", "-c", "ss; expect stop syscall at 0x40007f; expect $rax == 2; ss; expect stop exit", program(t, append(getpid, exit7...)...))
	if r.status != 0 {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
	needs(t, "output", r.out, `stopped: getpid\(\) = 2 · `)
}

func TestLookingChangesNothing(t *testing.T) {
	r := play(t, `mmap 64k rw; let a = $_; x/4gx $a; hexdump $a,4k; string $a; info $a; print *$a; expect pages $a,64k "................"; expect rss == 0`)
	if r.status != 0 {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
}

func TestTheFirstProgramCanBeSeenAfterItsEnd(t *testing.T) {
	r := play(t, `demo cow; run; expect exit 0; expect exit 7 pid 3; vmas; pmas; maps; x/2gx $sp; expect rss > 0; on 3 vmas; on 3 maps; kill; expect error nothing ps`)
	if r.status != 1 {
		t.Errorf("status %d", r.status)
	}
	needs(t, "standard error", r.err, `^-c:1: expect: .*there is no process`)
	needs(t, "output", r.out, `process 3 has ended: its last state, holding no page`)
}
