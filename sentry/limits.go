package sentry

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
)

// Limits returns the resource limits as prlimit64 shows them, which
// callers may change while the process is held.
func (p *Process) Limits() *RLimits { return &p.limits }

// RLimit is a soft and a hard limit.
type RLimit struct{ Cur, Max uint64 }

// RLimits are the limits by RLIMIT_* number.
type RLimits [16]RLimit

// defaultLimits are what a Linux system gives a login; they do not depend on
// the host, so that layouts and transcripts do not.
func defaultLimits(maxProcs int) (l RLimits) {
	for i := range l {
		l[i] = RLimit{mm.Infinity, mm.Infinity}
	}
	l[unix.RLIMIT_STACK].Cur = 8 << 20
	l[unix.RLIMIT_CORE].Cur = 0
	l[unix.RLIMIT_NOFILE] = RLimit{1024, 1 << 20}
	l[unix.RLIMIT_NPROC] = RLimit{uint64(maxProcs), uint64(maxProcs)}
	l[unix.RLIMIT_MEMLOCK] = RLimit{8 << 20, 8 << 20}
	l[rlimitSigPending] = RLimit{maxQueued, maxQueued}
	l[rlimitMsgQueue] = RLimit{819200, 819200}
	l[rlimitNice] = RLimit{}
	l[rlimitRTPrio] = RLimit{}
	return l
}

// RLIMIT_* that x/sys/unix does not name.
const (
	rlimitSigPending = 11
	rlimitMsgQueue   = 12
	rlimitNice       = 13
	rlimitRTPrio     = 14
)
