package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

const barrierOnCPU = 1 // MEMBARRIER_CMD_FLAG_CPU

// membarrier(command, flags, cpu). A barrier among processes that run at once is the
// host's own, for all that run there; of one processor it is more than was asked.
func membarrier(t *sentry.Task, a sentry.Args) (uintptr, error) {
	const op = "membarrier"
	command, flags := uint32(a[0]), uint32(a[1])
	if flags != 0 && (command != mm.BarrierPrivateExpeditedRseq || flags != barrierOnCPU) {
		return 0, invalid(op, "unknown flags %#x", flags)
	}
	switch command {
	case mm.BarrierQuery:
		return mm.BarrierAll, nil
	case mm.BarrierRegistrations:
		return uintptr(t.MM().RegisteredBarriers()), nil
	case mm.BarrierRegisterGlobalExpedited, mm.BarrierRegisterPrivateExpedited,
		mm.BarrierRegisterPrivateSync, mm.BarrierRegisterPrivateRseq:
		t.MM().RegisterBarrier(command)
		return 0, nil
	case mm.BarrierGlobal, mm.BarrierGlobalExpedited:
		return 0, hostBarrier()
	case mm.BarrierPrivateExpedited, mm.BarrierPrivateExpeditedSync, mm.BarrierPrivateExpeditedRseq:
		alone, err := t.MM().MayBarrier(command)
		if err != nil || alone {
			return 0, err
		}
		return 0, hostBarrier()
	}
	return 0, invalid(op, "command %#x is not known", command)
}

// hostBarrier orders the memory of all that runs on the host.
func hostBarrier() error {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, mm.BarrierGlobal, 0, 0); errno != 0 {
		return memmap.Refuse("membarrier", unix.EINVAL, "the host has no such barrier: %v", errno)
	}
	return nil
}
