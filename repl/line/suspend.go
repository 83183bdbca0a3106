package line

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// suspend stops our process group, as Ctrl-Z asks, with the terminal restored; it
// returns when we go on. Where nobody could continue us it does nothing.
func (t *Terminal) suspend() {
	if signal.Ignored(syscall.SIGTSTP) || orphaned() {
		return
	}
	// The stop may come after kill has returned; the SIGCONT that ends it cannot
	// come before.
	goOn := make(chan os.Signal, 1)
	signal.Notify(goOn, syscall.SIGCONT)
	defer signal.Stop(goOn)
	if err := syscall.Kill(0, syscall.SIGTSTP); err == nil {
		<-goOn
	}
}

// orphaned reports whether no ancestor outside our process group shares our session:
// the kernel then ignores SIGTSTP, for there is no shell to continue us.
func orphaned() bool {
	group := syscall.Getpgrp()
	session, err := getsid(0)
	if err != nil {
		return true
	}
	for pid := syscall.Getppid(); pid > 1; {
		g, err := syscall.Getpgid(pid)
		if err != nil {
			return true
		}
		if g != group {
			s, err := getsid(pid)
			return err != nil || s != session
		}
		if pid, err = parentOf(pid); err != nil {
			return true
		}
	}
	return true
}

func getsid(pid int) (int, error) {
	sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sid), nil
}

// parentOf returns the parent of a process. Its name, in parentheses, may hold blanks.
func parentOf(pid int) (int, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/stat: no parent", pid)
	}
	return strconv.Atoi(string(fields[1]))
}
