#include "textflag.h"

// stub is the code of every stub process. It is never called here: its bytes are
// copied to stubCode in the zygote (stub.go). It uses no stack and no memory but
// the request slots. A tracer sets all registers, starts it at its first byte
// and waits for the int3:
//
//	rbx = 0  one system call from the registers
//	rbx = 1  r13 system calls from the slots at r12, up to the first that fails
//	rbx = 2  clone: the child goes to sleep, the parent on to int3
//	rbx = 3  sleep
//
// It ends with eight int3, by which its length is found.
TEXT stub<>(SB), NOSPLIT|NOFRAME, $0-0
	CMPQ BX, $1
	JEQ  batch
	CMPQ BX, $2
	JEQ  clone
	JHI  sleep
	SYSCALL
	BYTE $0xcc

batch:
	MOVQ 0(R12), AX
	MOVQ 8(R12), DI
	MOVQ 16(R12), SI
	MOVQ 24(R12), DX
	MOVQ 32(R12), R10
	MOVQ 40(R12), R8
	MOVQ 48(R12), R9
	SYSCALL
	CMPQ AX, $-4095
	JCC  done
	ADDQ $64, R12
	DECQ R13
	JNE  batch

done:
	BYTE $0xcc

	// The child dies with its parent. If the parent, r15, died before the child
	// could say so, it leaves.
clone:
	SYSCALL
	TESTQ AX, AX
	JNE   done
	MOVL  $157, AX // prctl
	MOVL  $1, DI   // PR_SET_PDEATHSIG
	MOVL  $9, SI   // SIGKILL
	SYSCALL
	MOVL  $110, AX // getppid
	SYSCALL
	CMPQ  AX, R15
	JNE   leave

sleep:
	MOVL $34, AX // pause
	SYSCALL
	JMP  sleep

leave:
	XORL DI, DI
	MOVL $231, AX // exit_group
	SYSCALL
	BYTE $0xcc; BYTE $0xcc; BYTE $0xcc; BYTE $0xcc
	BYTE $0xcc; BYTE $0xcc; BYTE $0xcc; BYTE $0xcc
	RET

// func stubText() unsafe.Pointer
TEXT ·stubText(SB), NOSPLIT, $0-8
	MOVQ $stub<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
