package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/mm"
)

// constant is a name that C programs use for a number.
type constant struct {
	name  string
	value uint64
}

// Constant returns the value of a constant that calls take, e.g. MREMAP_MAYMOVE.
func Constant(name string) (uint64, bool) {
	for _, family := range families {
		for _, c := range family {
			if c.name == name {
				return c.value, true
			}
		}
	}
	return 0, false
}

var families = [][]constant{
	protBits, mmapTypes, mmapBits, mremapBits, madvices, msyncBits, openModes, openBits, atBits, signals, maskHow,
	clocks, whences, waitBits, cloneBits, futexOps, fcntls, limits, ioctls, archCodes, dirFDs, accessModes,
}

var protBits = []constant{
	{"PROT_READ", unix.PROT_READ}, {"PROT_WRITE", unix.PROT_WRITE}, {"PROT_EXEC", unix.PROT_EXEC}, {"PROT_SEM", protSem},
	{"PROT_GROWSDOWN", protGrowsDown}, {"PROT_GROWSUP", protGrowsUp}, {"PROT_NONE", 0},
}

var mmapTypes = []constant{
	{"MAP_SHARED", unix.MAP_SHARED}, {"MAP_PRIVATE", unix.MAP_PRIVATE},
	{"MAP_SHARED_VALIDATE", unix.MAP_SHARED_VALIDATE}, {"MAP_DROPPABLE", mapDroppable},
}

var mmapBits = []constant{
	{"MAP_FIXED", unix.MAP_FIXED}, {"MAP_ANONYMOUS", unix.MAP_ANONYMOUS}, {"MAP_ANON", unix.MAP_ANONYMOUS},
	{"MAP_32BIT", unix.MAP_32BIT}, {"MAP_GROWSDOWN", unix.MAP_GROWSDOWN}, {"MAP_DENYWRITE", unix.MAP_DENYWRITE},
	{"MAP_EXECUTABLE", unix.MAP_EXECUTABLE}, {"MAP_LOCKED", unix.MAP_LOCKED}, {"MAP_NORESERVE", unix.MAP_NORESERVE},
	{"MAP_POPULATE", unix.MAP_POPULATE}, {"MAP_NONBLOCK", unix.MAP_NONBLOCK}, {"MAP_STACK", unix.MAP_STACK},
	{"MAP_HUGETLB", unix.MAP_HUGETLB}, {"MAP_SYNC", unix.MAP_SYNC}, {"MAP_FIXED_NOREPLACE", unix.MAP_FIXED_NOREPLACE},
	{"MAP_HUGE_2MB", unix.MAP_HUGE_2MB}, {"MAP_HUGE_1GB", unix.MAP_HUGE_1GB}, {"MAP_FILE", 0},
}

var mremapBits = []constant{
	{"MREMAP_MAYMOVE", unix.MREMAP_MAYMOVE}, {"MREMAP_FIXED", unix.MREMAP_FIXED}, {"MREMAP_DONTUNMAP", unix.MREMAP_DONTUNMAP},
}

var madvices = []constant{
	{"MADV_NORMAL", unix.MADV_NORMAL}, {"MADV_RANDOM", unix.MADV_RANDOM}, {"MADV_SEQUENTIAL", unix.MADV_SEQUENTIAL},
	{"MADV_WILLNEED", unix.MADV_WILLNEED}, {"MADV_DONTNEED", unix.MADV_DONTNEED}, {"MADV_FREE", unix.MADV_FREE},
	{"MADV_REMOVE", unix.MADV_REMOVE}, {"MADV_DONTFORK", unix.MADV_DONTFORK}, {"MADV_DOFORK", unix.MADV_DOFORK},
	{"MADV_MERGEABLE", unix.MADV_MERGEABLE}, {"MADV_UNMERGEABLE", unix.MADV_UNMERGEABLE},
	{"MADV_HUGEPAGE", unix.MADV_HUGEPAGE}, {"MADV_NOHUGEPAGE", unix.MADV_NOHUGEPAGE},
	{"MADV_DONTDUMP", unix.MADV_DONTDUMP}, {"MADV_DODUMP", unix.MADV_DODUMP},
	{"MADV_WIPEONFORK", unix.MADV_WIPEONFORK}, {"MADV_KEEPONFORK", unix.MADV_KEEPONFORK},
	{"MADV_COLD", unix.MADV_COLD}, {"MADV_PAGEOUT", unix.MADV_PAGEOUT},
	{"MADV_POPULATE_READ", unix.MADV_POPULATE_READ}, {"MADV_POPULATE_WRITE", unix.MADV_POPULATE_WRITE},
	{"MADV_DONTNEED_LOCKED", unix.MADV_DONTNEED_LOCKED}, {"MADV_COLLAPSE", unix.MADV_COLLAPSE},
	{"MADV_GUARD_INSTALL", mm.MadvGuardInstall}, {"MADV_GUARD_REMOVE", mm.MadvGuardRemove},
	{"MADV_HWPOISON", mm.MadvHWPoison}, {"MADV_SOFT_OFFLINE", mm.MadvSoftOffline},
}

var msyncBits = []constant{
	{"MS_ASYNC", unix.MS_ASYNC}, {"MS_INVALIDATE", unix.MS_INVALIDATE}, {"MS_SYNC", unix.MS_SYNC},
}

var openModes = []constant{{"O_RDONLY", unix.O_RDONLY}, {"O_WRONLY", unix.O_WRONLY}, {"O_RDWR", unix.O_RDWR}}

// O_TMPFILE and O_SYNC hold bits of others and come first.
var openBits = []constant{
	{"O_TMPFILE", unix.O_TMPFILE}, {"O_SYNC", unix.O_SYNC}, {"O_CREAT", unix.O_CREAT}, {"O_EXCL", unix.O_EXCL},
	{"O_NOCTTY", unix.O_NOCTTY}, {"O_TRUNC", unix.O_TRUNC}, {"O_APPEND", unix.O_APPEND}, {"O_NONBLOCK", unix.O_NONBLOCK},
	{"O_DSYNC", unix.O_DSYNC}, {"O_ASYNC", unix.O_ASYNC}, {"O_DIRECT", unix.O_DIRECT}, {"O_LARGEFILE", 0x8000},
	{"O_DIRECTORY", unix.O_DIRECTORY}, {"O_NOFOLLOW", unix.O_NOFOLLOW}, {"O_NOATIME", unix.O_NOATIME},
	{"O_CLOEXEC", unix.O_CLOEXEC}, {"O_PATH", unix.O_PATH},
}

var dirFDs = []constant{{"AT_FDCWD", atFDCWD}}

var atBits = []constant{
	{"AT_SYMLINK_NOFOLLOW", unix.AT_SYMLINK_NOFOLLOW}, {"AT_EACCESS", unix.AT_EACCESS}, {"AT_REMOVEDIR", unix.AT_REMOVEDIR},
	{"AT_SYMLINK_FOLLOW", unix.AT_SYMLINK_FOLLOW}, {"AT_NO_AUTOMOUNT", unix.AT_NO_AUTOMOUNT}, {"AT_EMPTY_PATH", unix.AT_EMPTY_PATH},
}

var accessModes = []constant{{"R_OK", unix.R_OK}, {"W_OK", unix.W_OK}, {"X_OK", unix.X_OK}, {"F_OK", unix.F_OK}}

var signals = signalNames()

// signalNames are SIGHUP … SIGSYS by number.
func signalNames() (names []constant) {
	for s := unix.Signal(1); s < 32; s++ {
		names = append(names, constant{unix.SignalName(s), uint64(s)})
	}
	return names
}

var maskHow = []constant{{"SIG_BLOCK", unix.SIG_BLOCK}, {"SIG_UNBLOCK", unix.SIG_UNBLOCK}, {"SIG_SETMASK", unix.SIG_SETMASK}}

var clocks = []constant{
	{"CLOCK_REALTIME", unix.CLOCK_REALTIME}, {"CLOCK_MONOTONIC", unix.CLOCK_MONOTONIC},
	{"CLOCK_PROCESS_CPUTIME_ID", unix.CLOCK_PROCESS_CPUTIME_ID}, {"CLOCK_THREAD_CPUTIME_ID", unix.CLOCK_THREAD_CPUTIME_ID},
	{"CLOCK_MONOTONIC_RAW", unix.CLOCK_MONOTONIC_RAW}, {"CLOCK_REALTIME_COARSE", unix.CLOCK_REALTIME_COARSE},
	{"CLOCK_MONOTONIC_COARSE", unix.CLOCK_MONOTONIC_COARSE}, {"CLOCK_BOOTTIME", unix.CLOCK_BOOTTIME},
	{"CLOCK_REALTIME_ALARM", unix.CLOCK_REALTIME_ALARM}, {"CLOCK_BOOTTIME_ALARM", unix.CLOCK_BOOTTIME_ALARM}, {"CLOCK_TAI", unix.CLOCK_TAI},
}

var whences = []constant{
	{"SEEK_SET", unix.SEEK_SET}, {"SEEK_CUR", unix.SEEK_CUR}, {"SEEK_END", unix.SEEK_END}, {"SEEK_DATA", unix.SEEK_DATA}, {"SEEK_HOLE", unix.SEEK_HOLE},
}

var waitBits = []constant{
	{"WNOHANG", unix.WNOHANG}, {"WUNTRACED", unix.WUNTRACED}, {"WSTOPPED", unix.WSTOPPED}, {"WEXITED", unix.WEXITED},
	{"WCONTINUED", unix.WCONTINUED}, {"WNOWAIT", unix.WNOWAIT}, {"__WNOTHREAD", waitNoThread}, {"__WALL", waitAll}, {"__WCLONE", waitClone},
}

var cloneBits = []constant{
	{"CLONE_VM", unix.CLONE_VM}, {"CLONE_FS", unix.CLONE_FS}, {"CLONE_FILES", unix.CLONE_FILES}, {"CLONE_SIGHAND", unix.CLONE_SIGHAND},
	{"CLONE_PIDFD", unix.CLONE_PIDFD}, {"CLONE_PTRACE", unix.CLONE_PTRACE}, {"CLONE_VFORK", unix.CLONE_VFORK},
	{"CLONE_PARENT", unix.CLONE_PARENT}, {"CLONE_THREAD", unix.CLONE_THREAD}, {"CLONE_NEWNS", unix.CLONE_NEWNS},
	{"CLONE_SYSVSEM", unix.CLONE_SYSVSEM}, {"CLONE_SETTLS", unix.CLONE_SETTLS}, {"CLONE_PARENT_SETTID", unix.CLONE_PARENT_SETTID},
	{"CLONE_CHILD_CLEARTID", unix.CLONE_CHILD_CLEARTID}, {"CLONE_UNTRACED", unix.CLONE_UNTRACED},
	{"CLONE_CHILD_SETTID", unix.CLONE_CHILD_SETTID}, {"CLONE_NEWCGROUP", unix.CLONE_NEWCGROUP}, {"CLONE_NEWUTS", unix.CLONE_NEWUTS},
	{"CLONE_NEWIPC", unix.CLONE_NEWIPC}, {"CLONE_NEWUSER", unix.CLONE_NEWUSER}, {"CLONE_NEWPID", unix.CLONE_NEWPID},
	{"CLONE_NEWNET", unix.CLONE_NEWNET}, {"CLONE_IO", unix.CLONE_IO},
}

var futexOps = []constant{
	{"FUTEX_WAIT", futexWait}, {"FUTEX_WAKE", futexWake}, {"FUTEX_REQUEUE", 3}, {"FUTEX_CMP_REQUEUE", 4}, {"FUTEX_WAKE_OP", 5},
	{"FUTEX_LOCK_PI", 6}, {"FUTEX_UNLOCK_PI", futexUnlockPI}, {"FUTEX_TRYLOCK_PI", 8}, {"FUTEX_WAIT_BITSET", futexWaitBitset},
	{"FUTEX_WAKE_BITSET", futexWakeBitset}, {"FUTEX_WAIT_REQUEUE_PI", 11}, {"FUTEX_CMP_REQUEUE_PI", 12}, {"FUTEX_LOCK_PI2", 13},
	{"FUTEX_PRIVATE_FLAG", futexPrivate}, {"FUTEX_CLOCK_REALTIME", futexClockRealtime},
}

var fcntls = []constant{
	{"F_DUPFD", unix.F_DUPFD}, {"F_GETFD", unix.F_GETFD}, {"F_SETFD", unix.F_SETFD}, {"F_GETFL", unix.F_GETFL}, {"F_SETFL", unix.F_SETFL},
	{"F_GETLK", unix.F_GETLK}, {"F_SETLK", unix.F_SETLK}, {"F_SETLKW", unix.F_SETLKW}, {"F_SETOWN", unix.F_SETOWN}, {"F_GETOWN", unix.F_GETOWN},
	{"F_DUPFD_CLOEXEC", unix.F_DUPFD_CLOEXEC}, {"F_SETPIPE_SZ", unix.F_SETPIPE_SZ}, {"F_GETPIPE_SZ", unix.F_GETPIPE_SZ},
	{"FD_CLOEXEC", unix.FD_CLOEXEC},
}

var limits = []constant{
	{"RLIMIT_CPU", unix.RLIMIT_CPU}, {"RLIMIT_FSIZE", unix.RLIMIT_FSIZE}, {"RLIMIT_DATA", unix.RLIMIT_DATA}, {"RLIMIT_STACK", unix.RLIMIT_STACK},
	{"RLIMIT_CORE", unix.RLIMIT_CORE}, {"RLIMIT_RSS", unix.RLIMIT_RSS}, {"RLIMIT_NPROC", unix.RLIMIT_NPROC}, {"RLIMIT_NOFILE", unix.RLIMIT_NOFILE},
	{"RLIMIT_MEMLOCK", unix.RLIMIT_MEMLOCK}, {"RLIMIT_AS", unix.RLIMIT_AS}, {"RLIMIT_LOCKS", unix.RLIMIT_LOCKS},
	{"RLIMIT_SIGPENDING", unix.RLIMIT_SIGPENDING}, {"RLIMIT_MSGQUEUE", unix.RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", unix.RLIMIT_NICE},
	{"RLIMIT_RTPRIO", unix.RLIMIT_RTPRIO}, {"RLIMIT_RTTIME", unix.RLIMIT_RTTIME},
}

var ioctls = []constant{
	{"TCGETS", unix.TCGETS}, {"TCSETS", unix.TCSETS}, {"TCSETSW", unix.TCSETSW}, {"TCSETSF", unix.TCSETSF}, {"TIOCGWINSZ", unix.TIOCGWINSZ},
	{"TIOCSWINSZ", unix.TIOCSWINSZ}, {"TIOCGPGRP", unix.TIOCGPGRP}, {"TIOCSPGRP", unix.TIOCSPGRP}, {"FIONREAD", fioNRead},
	{"FIONBIO", fioNBio}, {"FIOCLEX", fioClex}, {"FIONCLEX", fioNClex}, {"FIGETBSZ", figetBsz},
}

var archCodes = []constant{
	{"ARCH_SET_GS", archSetGS}, {"ARCH_SET_FS", archSetFS}, {"ARCH_GET_FS", archGetFS}, {"ARCH_GET_GS", archGetGS}, {"ARCH_GET_CPUID", archGetCPUID},
}
