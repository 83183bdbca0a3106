package lang

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// constants are the words of the memory calls' headers.
var constants = map[string]uint64{
	"PROT_NONE": unix.PROT_NONE, "PROT_READ": unix.PROT_READ, "PROT_WRITE": unix.PROT_WRITE,
	"PROT_EXEC": unix.PROT_EXEC, "PROT_GROWSDOWN": unix.PROT_GROWSDOWN, "PROT_GROWSUP": unix.PROT_GROWSUP,

	"MAP_SHARED": unix.MAP_SHARED, "MAP_PRIVATE": unix.MAP_PRIVATE,
	"MAP_SHARED_VALIDATE": unix.MAP_SHARED_VALIDATE, "MAP_DROPPABLE": unix.MAP_DROPPABLE,
	"MAP_FIXED": unix.MAP_FIXED, "MAP_FIXED_NOREPLACE": unix.MAP_FIXED_NOREPLACE,
	"MAP_ANONYMOUS": unix.MAP_ANONYMOUS, "MAP_ANON": unix.MAP_ANON, "MAP_32BIT": unix.MAP_32BIT,
	"MAP_GROWSDOWN": unix.MAP_GROWSDOWN, "MAP_DENYWRITE": unix.MAP_DENYWRITE,
	"MAP_EXECUTABLE": unix.MAP_EXECUTABLE, "MAP_LOCKED": unix.MAP_LOCKED,
	"MAP_NORESERVE": unix.MAP_NORESERVE, "MAP_POPULATE": unix.MAP_POPULATE,
	"MAP_NONBLOCK": unix.MAP_NONBLOCK, "MAP_STACK": unix.MAP_STACK, "MAP_HUGETLB": unix.MAP_HUGETLB,
	"MAP_SYNC": unix.MAP_SYNC, "MAP_FILE": unix.MAP_FILE,

	"MREMAP_MAYMOVE": unix.MREMAP_MAYMOVE, "MREMAP_FIXED": unix.MREMAP_FIXED,
	"MREMAP_DONTUNMAP": unix.MREMAP_DONTUNMAP,

	"MADV_NORMAL": unix.MADV_NORMAL, "MADV_RANDOM": unix.MADV_RANDOM,
	"MADV_SEQUENTIAL": unix.MADV_SEQUENTIAL, "MADV_WILLNEED": unix.MADV_WILLNEED,
	"MADV_DONTNEED": unix.MADV_DONTNEED, "MADV_FREE": unix.MADV_FREE, "MADV_REMOVE": unix.MADV_REMOVE,
	"MADV_DONTFORK": unix.MADV_DONTFORK, "MADV_DOFORK": unix.MADV_DOFORK,
	"MADV_HWPOISON": unix.MADV_HWPOISON, "MADV_SOFT_OFFLINE": 101,
	"MADV_MERGEABLE": unix.MADV_MERGEABLE, "MADV_UNMERGEABLE": unix.MADV_UNMERGEABLE,
	"MADV_HUGEPAGE": unix.MADV_HUGEPAGE, "MADV_NOHUGEPAGE": unix.MADV_NOHUGEPAGE,
	"MADV_DONTDUMP": unix.MADV_DONTDUMP, "MADV_DODUMP": unix.MADV_DODUMP,
	"MADV_WIPEONFORK": unix.MADV_WIPEONFORK, "MADV_KEEPONFORK": unix.MADV_KEEPONFORK,
	"MADV_COLD": unix.MADV_COLD, "MADV_PAGEOUT": unix.MADV_PAGEOUT,
	"MADV_POPULATE_READ": unix.MADV_POPULATE_READ, "MADV_POPULATE_WRITE": unix.MADV_POPULATE_WRITE,
	"MADV_DONTNEED_LOCKED": unix.MADV_DONTNEED_LOCKED, "MADV_COLLAPSE": unix.MADV_COLLAPSE,
	"MADV_GUARD_INSTALL": 102, "MADV_GUARD_REMOVE": 103, // Linux 6.13

	"MS_ASYNC": unix.MS_ASYNC, "MS_INVALIDATE": unix.MS_INVALIDATE, "MS_SYNC": unix.MS_SYNC,
	"MCL_CURRENT": unix.MCL_CURRENT, "MCL_FUTURE": unix.MCL_FUTURE, "MCL_ONFAULT": unix.MCL_ONFAULT,
	"MLOCK_ONFAULT": 1,

	"MPOL_DEFAULT": unix.MPOL_DEFAULT, "MPOL_PREFERRED": unix.MPOL_PREFERRED,
	"MPOL_BIND": unix.MPOL_BIND, "MPOL_INTERLEAVE": unix.MPOL_INTERLEAVE, "MPOL_LOCAL": unix.MPOL_LOCAL,
	"MPOL_PREFERRED_MANY": unix.MPOL_PREFERRED_MANY, "MPOL_WEIGHTED_INTERLEAVE": 6,
	"MPOL_F_NODE": unix.MPOL_F_NODE, "MPOL_F_ADDR": unix.MPOL_F_ADDR,
	"MPOL_F_MEMS_ALLOWED": unix.MPOL_F_MEMS_ALLOWED, "MPOL_MF_STRICT": unix.MPOL_MF_STRICT,
	"MPOL_MF_MOVE": unix.MPOL_MF_MOVE, "MPOL_MF_MOVE_ALL": unix.MPOL_MF_MOVE_ALL,

	"MFD_CLOEXEC": unix.MFD_CLOEXEC, "MFD_ALLOW_SEALING": unix.MFD_ALLOW_SEALING,
	"O_RDONLY": unix.O_RDONLY, "O_WRONLY": unix.O_WRONLY, "O_RDWR": unix.O_RDWR,
	"O_CREAT": unix.O_CREAT, "O_EXCL": unix.O_EXCL, "O_TRUNC": unix.O_TRUNC, "O_APPEND": unix.O_APPEND,
	"O_CLOEXEC": unix.O_CLOEXEC, "O_NONBLOCK": unix.O_NONBLOCK, "O_NOFOLLOW": unix.O_NOFOLLOW,
	"O_DIRECTORY": unix.O_DIRECTORY, "O_PATH": unix.O_PATH, "O_TMPFILE": unix.O_TMPFILE,
	"O_SYNC": unix.O_SYNC, "O_DSYNC": unix.O_DSYNC, "O_DIRECT": unix.O_DIRECT, "O_NOATIME": unix.O_NOATIME,
	"AT_FDCWD": 1<<64 - 100,
	"SEEK_SET": unix.SEEK_SET, "SEEK_CUR": unix.SEEK_CUR, "SEEK_END": unix.SEEK_END,
}

// Constant returns the value of a constant of the memory calls' headers: PROT_ MAP_
// MREMAP_ MADV_ MS_ MCL_ MLOCK_ MPOL_ and the like. Expressions know them after symbols.
func Constant(name string) (uint64, bool) {
	v, ok := constants[name]
	return v, ok
}

func constantNames() []string { return slices.Sorted(maps.Keys(constants)) }

// mapWords are mmap's plain words.
var mapWords = map[string]uint64{
	"shared": unix.MAP_SHARED, "private": unix.MAP_PRIVATE, "fixed": unix.MAP_FIXED,
	"noreplace": unix.MAP_FIXED_NOREPLACE, "populate": unix.MAP_POPULATE, "locked": unix.MAP_LOCKED,
	"noreserve": unix.MAP_NORESERVE, "growsdown": unix.MAP_GROWSDOWN, "stack": unix.MAP_STACK,
	"32bit": unix.MAP_32BIT, "hugetlb": unix.MAP_HUGETLB,
}

// MapWord returns the MAP_* bits of one of mmap's plain words (shared private fixed
// noreplace populate locked noreserve growsdown stack 32bit hugetlb) or of constants
// joined by |: MAP_PRIVATE|MAP_FIXED.
func MapWord(s string) (flags uint64, ok bool) {
	if flags, ok = mapWords[s]; ok {
		return flags, true
	}
	return joined(s, "MAP_")
}

// openWords are open's plain words.
var openWords = map[string]uint64{
	"r": unix.O_RDONLY, "w": unix.O_WRONLY, "rw": unix.O_RDWR, "create": unix.O_CREAT, "excl": unix.O_EXCL,
	"trunc": unix.O_TRUNC, "append": unix.O_APPEND, "cloexec": unix.O_CLOEXEC, "path": unix.O_PATH, "tmpfile": unix.O_TMPFILE,
}

// OpenWord returns the O_* bits of one of open's plain words (r w rw create excl
// trunc append cloexec path tmpfile) or of constants joined by |: O_RDWR|O_CREAT.
func OpenWord(s string) (flags uint64, ok bool) {
	if flags, ok = openWords[s]; ok {
		return flags, true
	}
	return joined(s, "O_")
}

// joined returns the union of constants joined by |, all with one prefix.
func joined(s, prefix string) (bits uint64, ok bool) {
	for part := range strings.SplitSeq(s, "|") {
		part = strings.TrimSpace(part)
		v, known := constants[part]
		if !known || !strings.HasPrefix(part, prefix) {
			return 0, false
		}
		bits |= v
	}
	return bits, true
}
