package ptrace

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// processesOf returns the processes of a session, zombies among them. Each zygote's
// first process makes a session of its own number, which no stub can leave.
func processesOf(t testing.TB, session int) []int {
	t.Helper()
	dir, err := os.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it is gone
		}
		// pid (comm) state ppid pgrp session …
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 3 && fields[3] == strconv.Itoa(session) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitGone waits until a session has no process that lives. Zombies are the
// business of whoever has become their parent.
func waitGone(t testing.TB, session int) {
	t.Helper()
	for {
		living := 0
		for _, pid := range processesOf(t, session) {
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				continue // it is gone
			}
			living += waitEnd(t, pid, fd)
			unix.Close(fd)
		}
		if living == 0 || t.Failed() {
			return
		}
	}
}

// waitEnd waits until the process behind a pidfd has ended, and returns 1 if it had
// not before.
func waitEnd(t testing.TB, pid, fd int) int {
	t.Helper()
	const patience = 10_000 // ms
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, _ := unix.Poll(fds, 0); n == 1 {
		return 0
	}
	for {
		n, err := unix.Poll(fds, patience)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Errorf("stub %d lives on after %d ms", pid, patience)
		}
		return 1
	}
}
