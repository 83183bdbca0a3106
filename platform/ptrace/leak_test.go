package ptrace

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// stubProcesses returns the processes named mmsh-stub that descend from, or are
// traced by, process pid, zombies among them.
func stubProcesses(t testing.TB, pid int) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	var stubs []int
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it is gone
		}
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if strings.HasPrefix(string(text), "Name:\tmmsh-stub\n") && belongs(string(text), pid) {
			stubs = append(stubs, n)
		}
	}
	return stubs
}

// belongs reports whether a status says that the process is traced by a thread
// of pid, or is its child.
func belongs(status string, pid int) bool {
	for _, field := range []string{"PPid", "TracerPid"} {
		_, rest, _ := strings.Cut(status, "\n"+field+":\t")
		value, _, _ := strings.Cut(rest, "\n")
		n, _ := strconv.Atoi(value)
		if n == 0 {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", pid, n)); err == nil {
			return true
		}
	}
	return false
}
