// Package syscalls is the list of system calls that guests can make: the x86-64
// table of Linux 6.18, a short function a call, a file a subject.
//
//	table.go       which function answers which number
//	signatures.go  what all the numbers are called, and their arguments
//	args.go        hostile numbers into typed ones; values in and out of the guest
//	memory.go mmap.go madvise.go mlock.go numa.go pkey.go memfd.go shm.go processvm.go       mappings
//	io.go rwflags.go splice.go copyrange.go fd.go open.go stat.go dir.go change.go sync.go ioctl.go poll.go       files
//	process.go wait.go prctl.go identity.go caps.go limits.go       processes
//	signal.go timer.go futex.go time.go system.go       the rest
//	format.go constants.go       calls as people read and write them
//
// A function decodes its arguments, checks them in Linux's order, and asks the
// floor below: package mm for memory, vfs for files, sentry for tasks. It holds no
// lock and keeps nothing. Errors carry a unix.Errno for the guest; where a rule
// refused, also the reason.
package syscalls

import (
	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry"
)

// Table returns the x86-64 table. Every number that Linux 6.18 knows has its
// name; those without a function are answered ENOSYS by the kernel, with one event.
func Table() sentry.Table {
	table := make(sentry.Table, len(signatures))
	for nr, s := range signatures {
		table[nr] = sentry.Entry{Name: s.name, NArgs: len(s.args)}
		if nr < len(handlers) {
			table[nr].Fn = handlers[nr]
		}
	}
	return table
}

// Number returns the number of the call name.
func Number(name string) (uint64, bool) {
	for nr, s := range signatures {
		if s.name == name && name != "" {
			return uint64(nr), true
		}
	}
	return 0, false
}

// Name returns the name of call nr, "" if there is no such call.
func Name(nr uint64) string {
	if nr < uint64(len(signatures)) {
		return signatures[nr].name
	}
	return ""
}

// handlers are the calls that are answered, by number.
var handlers = [...]sentry.Syscall{
	// Memory.
	unix.SYS_MMAP:     mmap,
	unix.SYS_MUNMAP:   munmap,
	unix.SYS_MPROTECT: mprotect,
	unix.SYS_MREMAP:   mremap,
	unix.SYS_BRK:      brk,
	unix.SYS_MADVISE:  madvise,
	unix.SYS_MSYNC:    msync,
	unix.SYS_MINCORE:  mincore,

	unix.SYS_MLOCK:      mlock,
	unix.SYS_MLOCK2:     mlock2,
	unix.SYS_MUNLOCK:    munlock,
	unix.SYS_MLOCKALL:   mlockall,
	unix.SYS_MUNLOCKALL: munlockall,
	unix.SYS_MSEAL:      mseal,

	unix.SYS_PROCESS_MADVISE:   processMadvise,
	unix.SYS_PROCESS_VM_READV:  processVMReadv,
	unix.SYS_PROCESS_VM_WRITEV: processVMWritev,

	unix.SYS_REMAP_FILE_PAGES: remapFilePages,
	unix.SYS_MEMBARRIER:       membarrier,

	unix.SYS_PKEY_MPROTECT: pkeyMprotect,
	unix.SYS_PKEY_ALLOC:    pkeyAlloc,
	unix.SYS_PKEY_FREE:     pkeyFree,

	unix.SYS_MBIND:                   mbind,
	unix.SYS_SET_MEMPOLICY:           setMempolicy,
	unix.SYS_GET_MEMPOLICY:           getMempolicy,
	unix.SYS_SET_MEMPOLICY_HOME_NODE: setMempolicyHomeNode,

	// Reading and writing.
	unix.SYS_READ:     read,
	unix.SYS_WRITE:    write,
	unix.SYS_READV:    readv,
	unix.SYS_WRITEV:   writev,
	unix.SYS_PREAD64:  pread64,
	unix.SYS_PWRITE64: pwrite64,
	unix.SYS_PREADV:   preadv,
	unix.SYS_PWRITEV:  pwritev,
	unix.SYS_PREADV2:  preadv2,
	unix.SYS_PWRITEV2: pwritev2,
	unix.SYS_SENDFILE: sendfile,
	unix.SYS_SPLICE:   splice,
	unix.SYS_TEE:      tee,
	unix.SYS_VMSPLICE: vmsplice,

	unix.SYS_COPY_FILE_RANGE: copyFileRange,
	unix.SYS_READAHEAD:       readahead,
	unix.SYS_CACHESTAT:       cachestat,

	unix.SYS_NAME_TO_HANDLE_AT: nameToHandleAt,
	unix.SYS_OPEN_BY_HANDLE_AT: openByHandleAt,

	// Descriptors.
	unix.SYS_CLOSE:       closeFD,
	unix.SYS_CLOSE_RANGE: closeRange,
	unix.SYS_DUP:         dup,
	unix.SYS_DUP2:        dup2,
	unix.SYS_DUP3:        dup3,
	unix.SYS_FCNTL:       fcntl,
	unix.SYS_LSEEK:       lseek,
	unix.SYS_FLOCK:       flock,
	unix.SYS_PIPE:        pipe1,
	unix.SYS_PIPE2:       pipe2,
	unix.SYS_FSYNC:       fsync,
	unix.SYS_FDATASYNC:   fdatasync,
	unix.SYS_FADVISE64:   fadvise64,
	unix.SYS_IOCTL:       ioctl,
	unix.SYS_POLL:        poll,
	unix.SYS_PPOLL:       ppoll,
	unix.SYS_SELECT:      selectFDs,
	unix.SYS_PSELECT6:    pselect6,

	// Paths.
	unix.SYS_OPEN:       open,
	unix.SYS_OPENAT:     openat,
	unix.SYS_OPENAT2:    openat2,
	unix.SYS_CREAT:      creat,
	unix.SYS_STAT:       stat,
	unix.SYS_LSTAT:      lstat,
	unix.SYS_FSTAT:      fstat,
	unix.SYS_NEWFSTATAT: newfstatat,
	unix.SYS_STATX:      statx,
	unix.SYS_STATFS:     statfs,
	unix.SYS_FSTATFS:    fstatfs,
	unix.SYS_ACCESS:     access,
	unix.SYS_FACCESSAT:  faccessat,
	unix.SYS_FACCESSAT2: faccessat2,
	unix.SYS_READLINK:   readlink,
	unix.SYS_READLINKAT: readlinkat,
	unix.SYS_GETCWD:     getcwd,
	unix.SYS_CHDIR:      chdir,
	unix.SYS_FCHDIR:     fchdir,
	unix.SYS_CHROOT:     chroot,
	unix.SYS_GETDENTS64: getdents64,
	unix.SYS_GETDENTS:   getdents,
	unix.SYS_UMASK:      umask,

	// Extended attributes.
	unix.SYS_SETXATTR:     setxattr(byPath),
	unix.SYS_LSETXATTR:    setxattr(byLink),
	unix.SYS_FSETXATTR:    setxattr(byFD),
	unix.SYS_GETXATTR:     getxattr(byPath),
	unix.SYS_LGETXATTR:    getxattr(byLink),
	unix.SYS_FGETXATTR:    getxattr(byFD),
	unix.SYS_LISTXATTR:    listxattr(byPath),
	unix.SYS_LLISTXATTR:   listxattr(byLink),
	unix.SYS_FLISTXATTR:   listxattr(byFD),
	unix.SYS_REMOVEXATTR:  removexattr(byPath),
	unix.SYS_LREMOVEXATTR: removexattr(byLink),
	unix.SYS_FREMOVEXATTR: removexattr(byFD),

	unix.SYS_SETXATTRAT:    setxattrat,
	unix.SYS_GETXATTRAT:    getxattrat,
	unix.SYS_LISTXATTRAT:   listxattrat,
	unix.SYS_REMOVEXATTRAT: removexattrat,

	// Changes of the tree.
	unix.SYS_MKDIR:     mkdir,
	unix.SYS_MKDIRAT:   mkdirat,
	unix.SYS_RMDIR:     rmdir,
	unix.SYS_UNLINK:    unlink,
	unix.SYS_UNLINKAT:  unlinkat,
	unix.SYS_RENAME:    rename,
	unix.SYS_RENAMEAT:  renameat,
	unix.SYS_RENAMEAT2: renameat2,
	unix.SYS_LINK:      link,
	unix.SYS_LINKAT:    linkat,
	unix.SYS_MKNOD:     mknod,
	unix.SYS_MKNODAT:   mknodat,
	unix.SYS_SYMLINK:   symlink,
	unix.SYS_SYMLINKAT: symlinkat,
	unix.SYS_CHMOD:     chmod,
	unix.SYS_FCHMOD:    fchmod,
	unix.SYS_FCHMODAT:  fchmodat,
	unix.SYS_CHOWN:     chown,
	unix.SYS_FCHOWN:    fchown,
	unix.SYS_LCHOWN:    lchown,
	unix.SYS_FCHOWNAT:  fchownat,
	unix.SYS_UTIMENSAT: utimensat,
	unix.SYS_TRUNCATE:  truncate,
	unix.SYS_FTRUNCATE: ftruncate,
	unix.SYS_FALLOCATE: fallocate,
	unix.SYS_SYNC:      syncAll,
	unix.SYS_SYNCFS:    syncfs,

	unix.SYS_SYNC_FILE_RANGE: syncFileRange,

	unix.SYS_MOUNT:         mount,
	unix.SYS_UMOUNT2:       umount2,
	unix.SYS_PIVOT_ROOT:    refuseFixed,
	unix.SYS_FSOPEN:        refuseFixed,
	unix.SYS_FSCONFIG:      fsconfig,
	unix.SYS_FSMOUNT:       refuseFixed,
	unix.SYS_FSPICK:        refuseFixed,
	unix.SYS_OPEN_TREE:     openTree,
	unix.SYS_MOVE_MOUNT:    refuseFixed,
	unix.SYS_MOUNT_SETATTR: refuseFixed,

	unix.SYS_MEMFD_CREATE: memfdCreate,
	unix.SYS_SHMGET:       shmget,
	unix.SYS_SHMAT:        shmat,
	unix.SYS_SHMDT:        shmdt,
	unix.SYS_SHMCTL:       shmctl,

	// Processes.
	unix.SYS_GETPID:          getpid,
	unix.SYS_GETTID:          gettid,
	unix.SYS_GETPPID:         getppid,
	unix.SYS_GETPGID:         getpgid,
	unix.SYS_GETPGRP:         getpgrp,
	unix.SYS_GETSID:          getsid,
	unix.SYS_SETPGID:         setpgid,
	unix.SYS_SETSID:          setsid,
	unix.SYS_FORK:            fork,
	unix.SYS_CLONE:           clone,
	unix.SYS_EXIT:            exit,
	unix.SYS_EXIT_GROUP:      exitGroup,
	unix.SYS_WAIT4:           wait4,
	unix.SYS_WAITID:          waitid,
	unix.SYS_PRCTL:           prctl,
	unix.SYS_ARCH_PRCTL:      archPrctl,
	unix.SYS_PERSONALITY:     personality,
	unix.SYS_SET_TID_ADDRESS: setTIDAddress,
	unix.SYS_SET_ROBUST_LIST: setRobustList,
	unix.SYS_GET_ROBUST_LIST: getRobustList,
	unix.SYS_RSEQ:            rseq,

	// Who one is.
	unix.SYS_GETUID:    getuid,
	unix.SYS_GETEUID:   geteuid,
	unix.SYS_GETGID:    getgid,
	unix.SYS_GETEGID:   getegid,
	unix.SYS_GETRESUID: getresuid,
	unix.SYS_GETRESGID: getresgid,
	unix.SYS_GETGROUPS: getgroups,
	unix.SYS_SETUID:    setuid,
	unix.SYS_SETGID:    setgid,
	unix.SYS_SETREUID:  setreuid,
	unix.SYS_SETREGID:  setregid,
	unix.SYS_SETRESUID: setresuid,
	unix.SYS_SETRESGID: setresgid,
	unix.SYS_SETFSUID:  setfsuid,
	unix.SYS_SETFSGID:  setfsgid,
	unix.SYS_CAPGET:    capget,
	unix.SYS_CAPSET:    capset,

	// Limits and use.
	unix.SYS_PRLIMIT64: prlimit64,
	unix.SYS_GETRLIMIT: getrlimit,
	unix.SYS_SETRLIMIT: setrlimit,
	unix.SYS_GETRUSAGE: getrusage,
	unix.SYS_TIMES:     times,

	// Signals.
	unix.SYS_KILL:              kill,
	unix.SYS_TKILL:             tkill,
	unix.SYS_TGKILL:            tgkill,
	unix.SYS_RT_SIGACTION:      rtSigaction,
	unix.SYS_RT_SIGPROCMASK:    rtSigprocmask,
	unix.SYS_RT_SIGRETURN:      rtSigreturn,
	unix.SYS_RT_SIGPENDING:     rtSigpending,
	unix.SYS_RT_SIGSUSPEND:     rtSigsuspend,
	unix.SYS_RT_SIGTIMEDWAIT:   rtSigtimedwait,
	unix.SYS_RT_SIGQUEUEINFO:   rtSigqueueinfo,
	unix.SYS_RT_TGSIGQUEUEINFO: rtTgsigqueueinfo,
	unix.SYS_SIGALTSTACK:       sigaltstack,
	unix.SYS_PAUSE:             pause,
	unix.SYS_RESTART_SYSCALL:   restartSyscall,

	// Time.
	unix.SYS_CLOCK_GETTIME:   clockGettime,
	unix.SYS_CLOCK_GETRES:    clockGetres,
	unix.SYS_CLOCK_NANOSLEEP: clockNanosleep,
	unix.SYS_NANOSLEEP:       nanosleep,
	unix.SYS_GETTIMEOFDAY:    gettimeofday,
	unix.SYS_TIME:            timeCall,
	unix.SYS_ALARM:           alarm,
	unix.SYS_SETITIMER:       setitimer,
	unix.SYS_GETITIMER:       getitimer,

	// The rest.
	unix.SYS_FUTEX:             futex,
	unix.SYS_USERFAULTFD:       userfaultfd,
	unix.SYS_UNAME:             uname,
	unix.SYS_SYSINFO:           sysinfo,
	unix.SYS_GETRANDOM:         getrandom,
	unix.SYS_SCHED_YIELD:       schedYield,
	unix.SYS_SCHED_GETAFFINITY: schedGetaffinity,
	unix.SYS_GETCPU:            getcpu,
}
