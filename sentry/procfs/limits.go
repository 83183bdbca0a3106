package procfs

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
)

// RLIMIT_* that x/sys/unix does not name.
const (
	rlimitSigPending = 11
	rlimitMsgQueue   = 12
	rlimitNice       = 13
	rlimitRTPrio     = 14
	rlimitRTTime     = 15
)

// limitNames are the lines of limits by RLIMIT_* number.
var limitNames = [...]struct{ name, unit string }{
	unix.RLIMIT_CPU:     {"Max cpu time", "seconds"},
	unix.RLIMIT_FSIZE:   {"Max file size", "bytes"},
	unix.RLIMIT_DATA:    {"Max data size", "bytes"},
	unix.RLIMIT_STACK:   {"Max stack size", "bytes"},
	unix.RLIMIT_CORE:    {"Max core file size", "bytes"},
	unix.RLIMIT_RSS:     {"Max resident set", "bytes"},
	unix.RLIMIT_NPROC:   {"Max processes", "processes"},
	unix.RLIMIT_NOFILE:  {"Max open files", "files"},
	unix.RLIMIT_MEMLOCK: {"Max locked memory", "bytes"},
	unix.RLIMIT_AS:      {"Max address space", "bytes"},
	unix.RLIMIT_LOCKS:   {"Max file locks", "locks"},
	rlimitSigPending:    {"Max pending signals", "signals"},
	rlimitMsgQueue:      {"Max msgqueue size", "bytes"},
	rlimitNice:          {"Max nice priority", ""},
	rlimitRTPrio:        {"Max realtime priority", ""},
	rlimitRTTime:        {"Max realtime timeout", "us"},
}

func (p *process) limits() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units")
	for i, l := range p.p.Limits() {
		n := limitNames[i]
		if n.unit != "" {
			n.unit = fmt.Sprintf("%-10s", n.unit)
		}
		fmt.Fprintf(&b, "%-25s %-20s %-20s %s\n", n.name, amount(l.Cur), amount(l.Max), n.unit)
	}
	return b.Bytes(), nil
}

func amount(n uint64) string {
	if n == mm.Infinity {
		return "unlimited"
	}
	return fmt.Sprint(n)
}
