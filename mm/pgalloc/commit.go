package pgalloc

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
)

// OvercommitMode says how much memory may be promised: vm.overcommit_memory.
type OvercommitMode uint8

// The modes, by their numbers on Linux.
const (
	OvercommitHeuristic OvercommitMode = iota // all but what is more at once than there is
	OvercommitAlways                          // anything
	OvercommitNever                           // in all no more than Overcommit.limit
)

func (m OvercommitMode) String() string {
	return [...]string{OvercommitHeuristic: "heuristic", OvercommitAlways: "always", OvercommitNever: "never"}[m]
}

// Overcommit is Linux's vm.overcommit_*: how much memory may be promised to all
// processes together before any of it is touched.
type Overcommit struct {
	Mode   OvercommitMode
	Ratio  int32  // vm.overcommit_ratio: the limit of OvercommitNever, in percent of all memory
	KBytes uint64 // vm.overcommit_kbytes: the limit in KiB, instead of Ratio, unless it is 0
}

// DefaultOvercommit is what Linux begins with.
var DefaultOvercommit = Overcommit{Mode: OvercommitHeuristic, Ratio: 50}

// What OvercommitNever keeps back, in bytes: for who has CAP_SYS_ADMIN, and from any one
// process, so that a person can still do something about it (vm.admin_reserve_kbytes,
// vm.user_reserve_kbytes). Of a small memory it is a part only.
const (
	mostAdminReserve = 8 << 20
	mostUserReserve  = 128 << 20
	reserveShare     = 32
)

// mostCommitted is the most that is ever promised, in bytes: more than any machine has,
// and so little that no sum of promises overflows.
const mostCommitted = 1 << 56

// Claim is memory that somebody wants to be promised.
type Claim struct {
	Op     string // the call, for the refusal
	Bytes  uint64
	Mapped uint64 // bytes that the process has mapped already
	Admin  bool   // CAP_SYS_ADMIN
}

// Overcommit returns how much may be promised.
func (f *MemoryFile) Overcommit() Overcommit { return *f.overcommit.Load() }

// SetOvercommit changes how much may be promised; what is promised already stays.
func (f *MemoryFile) SetOvercommit(o Overcommit) { f.overcommit.Store(&o) }

// Commit adds bytes to what is promised to guests, or takes them off. It refuses
// nothing: MayCommit is asked before.
func (f *MemoryFile) Commit(bytes int64) {
	if bytes != 0 && f.committed.Add(bytes) < 0 {
		panic("pgalloc: more memory is given back than was promised")
	}
}

// Committed returns the bytes promised: Linux's Committed_AS.
func (f *MemoryFile) Committed() uint64 { return uint64(f.committed.Load()) }

// CommitLimit returns the most that OvercommitNever lets be promised, in bytes: Linux's
// vm_commit_limit.
func (f *MemoryFile) CommitLimit() uint64 { return uint64(max(0, f.Overcommit().limit(f.RAM()))) }

// RAM returns how many bytes guests believe the machine to have: the limit, or without
// one the host's.
func (f *MemoryFile) RAM() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ramLocked()
}

func (f *MemoryFile) ramLocked() uint64 {
	if f.limit > 0 {
		return f.limit
	}
	return f.hostRAM
}

// limit is in bytes; a negative ratio promises less than nothing.
func (o Overcommit) limit(ram uint64) int64 {
	if o.KBytes > 0 {
		return int64(min(o.KBytes, 1<<52) << 10 &^ (memmap.PageSize - 1))
	}
	return int64(ram/memmap.PageSize) * int64(o.Ratio) / 100 * memmap.PageSize
}

// MayCommit says whether c may be promised: Linux's __vm_enough_memory. The
// refusal is ENOMEM. Several who ask at once may all be told yes, as on Linux.
func (f *MemoryFile) MayCommit(c Claim) error {
	o := f.Overcommit()
	if c.Bytes > mostCommitted || f.Committed() > mostCommitted-c.Bytes {
		return overcommitted(c.Op, "%d kB more would be committed beside %d kB, which is more than can be counted", c.Bytes>>10, f.Committed()>>10)
	}
	if o.Mode == OvercommitAlways {
		return nil
	}
	ram := f.RAM()
	if o.Mode == OvercommitHeuristic {
		if c.Bytes <= ram {
			return nil
		}
		return overcommitted(c.Op, "%d kB at once are more than all memory, %d kB (overcommit is heuristic)", c.Bytes>>10, ram>>10)
	}
	kept := uint64(0)
	if !c.Admin {
		kept = min(mostAdminReserve, ram/reserveShare)
	}
	if c.Mapped > 0 {
		kept += min(c.Mapped/reserveShare, mostUserReserve, ram/reserveShare)
	}
	kept &^= memmap.PageSize - 1
	limit, total := o.limit(ram), f.Committed()+c.Bytes
	if total >= c.Bytes && int64(total) >= 0 && int64(total) < limit-int64(kept) {
		return nil
	}
	return overcommitted(c.Op, "%d kB more would be committed beside %d kB, the limit is %d kB and %d kB of that are kept back (overcommit is never)",
		c.Bytes>>10, f.Committed()>>10, limit>>10, kept>>10)
}

func overcommitted(op, format string, args ...any) error {
	r := memmap.Refuse(op, unix.ENOMEM, format, args...)
	r.Why = memmap.LimitHit
	return r
}

// hostRAM returns the bytes of memory that the host has.
func hostRAM() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 1 << 62 // it does not say: then nothing is more than that
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
