package debugger

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// Reason says why the world stands still, by the words that `expect stop` uses.
type Reason string

// The reasons.
const (
	Start       Reason = "start"     // loaded, before the first instruction
	Step        Reason = "step"      // the instructions asked for are done
	Syscall     Reason = "syscall"   // a system call is done
	Fault       Reason = "fault"     // an access was refused, and nobody handles it
	Signal      Reason = "signal"    // another signal that nobody handles
	Exit        Reason = "exit"      // the process ended by itself
	Killed      Reason = "killed"    // the process ended by a signal
	Died        Reason = "died"      // the stub was killed by somebody else
	Trap        Reason = "trap"      // a breakpoint instruction or a trap of the engine
	Deadlock    Reason = "deadlock"  // every thread waits for another
	Interrupted Reason = "interrupt" // a person asked for it
)

// Stop is why and where the world stands still.
type Stop struct {
	Reason   Reason
	PID, TID int32
	Addr     memmap.Addr // of the instruction that comes next
	Symbol   string      // of Addr: main+0x4
	Event    uint64      // the newest event

	Signal unix.Signal // Fault, Signal, Killed
	Code   int32       // its si_code
	Fault  memmap.Addr // Fault: the address that was refused
	Access memmap.AccessType
	Cause  memmap.Cause // Fault: why it was refused
	Why    error        // Fault: the engine's reason
	Exit   int          // Exit: the status
	Call   *Call        // Syscall
	Detail string       // Died: what happened

	ended bool // the process is at its end
}

// Ended reports whether the stopped process is at its end.
func (s *Stop) Ended() bool { return s.ended }

// setStatus fills s from a wait status.
func (s *Stop) setStatus(status uint32) {
	w := unix.WaitStatus(status)
	if w.Signaled() {
		s.Reason, s.Signal = Killed, w.Signal()
		return
	}
	s.Reason, s.Exit = Exit, w.ExitStatus()
}

func (s *Stop) setSignal(r *sentry.Report) {
	s.Reason, s.Signal, s.Code = Signal, unix.Signal(r.Signal), r.Code
	if !isFault(r) {
		return
	}
	switch s.Signal {
	case unix.SIGTRAP:
		s.Reason = Trap
	default:
		s.Reason = Fault
		s.Fault, s.Access, s.Cause, s.Why = r.Addr, r.Access, r.Cause, r.Err
	}
}

// ExitStatus is what a shell would show of the stopped program: its status, or
// 128 and the signal's number; ok is false if it has not ended.
func (s *Stop) ExitStatus() (status int, ok bool) {
	switch s.Reason {
	case Exit:
		return s.Exit, true
	case Killed:
		return 128 + int(s.Signal), true
	case Died:
		return 128 + int(unix.SIGKILL), true
	}
	return 0, false
}

// SignalCode names a si_code of sig as signal.h does: SEGV_ACCERR.
func SignalCode(sig unix.Signal, code int32) string {
	if name, ok := signalCodes[sig][code]; ok {
		return name
	}
	if name, ok := anyCodes[code]; ok {
		return name
	}
	return fmt.Sprint(code)
}

// SignalNumber returns the number of a si_code's name.
func SignalNumber(sig unix.Signal, name string) (int32, bool) {
	for _, codes := range []map[int32]string{signalCodes[sig], anyCodes} {
		for code, n := range codes {
			if n == name {
				return code, true
			}
		}
	}
	return 0, false
}

var signalCodes = map[unix.Signal]map[int32]string{
	unix.SIGSEGV: {1: "SEGV_MAPERR", 2: "SEGV_ACCERR", 3: "SEGV_BNDERR", 4: "SEGV_PKUERR"},
	unix.SIGBUS:  {1: "BUS_ADRALN", 2: "BUS_ADRERR", 3: "BUS_OBJERR", 4: "BUS_MCEERR_AR", 5: "BUS_MCEERR_AO"},
	unix.SIGFPE: {1: "FPE_INTDIV", 2: "FPE_INTOVF", 3: "FPE_FLTDIV", 4: "FPE_FLTOVF", 5: "FPE_FLTUND",
		6: "FPE_FLTRES", 7: "FPE_FLTINV", 8: "FPE_FLTSUB"},
	unix.SIGILL: {1: "ILL_ILLOPC", 2: "ILL_ILLOPN", 3: "ILL_ILLADR", 4: "ILL_ILLTRP", 5: "ILL_PRVOPC",
		6: "ILL_PRVREG", 7: "ILL_COPROC", 8: "ILL_BADSTK"},
	unix.SIGTRAP: {1: "TRAP_BRKPT", 2: "TRAP_TRACE", 3: "TRAP_BRANCH", 4: "TRAP_HWBKPT"},
	unix.SIGCHLD: {1: "CLD_EXITED", 2: "CLD_KILLED", 3: "CLD_DUMPED", 4: "CLD_TRAPPED", 5: "CLD_STOPPED", 6: "CLD_CONTINUED"},
}

var anyCodes = map[int32]string{0: "SI_USER", -1: "SI_QUEUE", -2: "SI_TIMER", -6: "SI_TKILL", 0x80: "SI_KERNEL"}
