package syscalls

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/memmap"
	"mmsh.dev/mmsh/sentry"
)

// TestTableNamesEveryNumber: every number that Linux 6.18 knows has a name, and
// every name leads back to its number.
func TestTableNamesEveryNumber(t *testing.T) {
	table := Table()
	if got, want := len(table), 470; got != want {
		t.Fatalf("the table has %d rows, want %d (file_setattr is 469)", got, want)
	}
	named := 0
	for nr, e := range table {
		gap := nr > unix.SYS_UPROBE && nr < unix.SYS_PIDFD_SEND_SIGNAL
		if (e.Name == "") != gap {
			t.Errorf("number %d is called %q", nr, e.Name)
		}
		if e.Name == "" {
			continue
		}
		named++
		if got, ok := Number(e.Name); !ok || got != uint64(nr) {
			t.Errorf("Number(%q) = %d, %v; want %d", e.Name, got, ok, nr)
		}
		if e.NArgs > len(sentry.Args{}) {
			t.Errorf("%s has %d arguments", e.Name, e.NArgs)
		}
	}
	if named != 383 {
		t.Errorf("%d calls have names, want 383", named)
	}
	for nr, name := range map[uint64]string{9: "mmap", 25: "mremap", 231: "exit_group", 334: "rseq", 449: "futex_waitv", 462: "mseal"} {
		if Name(nr) != name {
			t.Errorf("Name(%d) = %q, want %q", nr, Name(nr), name)
		}
	}
}

func TestNumberOfNoCall(t *testing.T) {
	for _, name := range []string{"", "nosuchcall", "Mmap"} {
		if nr, ok := Number(name); ok {
			t.Errorf("Number(%q) = %d", name, nr)
		}
	}
	if name := Name(1 << 40); name != "" {
		t.Errorf("a number beyond the table is called %q", name)
	}
}

// TestSignaturesUseKnownKinds: each letter of a signature has a way to be shown.
func TestSignaturesUseKnownKinds(t *testing.T) {
	for _, s := range signatures {
		for _, kind := range []byte(s.args) {
			_, family := argFamilies[kind]
			if !family && !strings.ContainsRune("dluoDxp", rune(kind)) {
				t.Errorf("%s: argument kind %q is not known", s.name, kind)
			}
		}
	}
}

func TestFormat(t *testing.T) {
	minus := func(n uint64) uint64 { return -n }
	for _, c := range []struct {
		nr   uint64
		args sentry.Args
		want string
	}{
		{unix.SYS_MMAP, sentry.Args{0, 0x2000, 3, 0x22, minus(1), 0}, "mmap(0, 0x2000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)"},
		{unix.SYS_MMAP, sentry.Args{0x10000, 1, 0, 0x100020, minus(1), 0}, "mmap(0x10000, 0x1, PROT_NONE, MAP_ANONYMOUS|MAP_FIXED_NOREPLACE, -1, 0)"},
		{unix.SYS_MMAP, sentry.Args{0, 1, 0x80, 5, 3, 0}, "mmap(0, 0x1, 0x80, 5, 3, 0)"},
		{unix.SYS_MPROTECT, sentry.Args{0x1000, 0x1000, 0x01000001}, "mprotect(0x1000, 0x1000, PROT_READ|PROT_GROWSDOWN)"},
		{unix.SYS_MREMAP, sentry.Args{0x1000, 0, 0x2000, 3, 0x5000}, "mremap(0x1000, 0, 0x2000, MREMAP_MAYMOVE|MREMAP_FIXED, 0x5000)"},
		{unix.SYS_MADVISE, sentry.Args{0x1000, 0x1000, 4}, "madvise(0x1000, 0x1000, MADV_DONTNEED)"},
		{unix.SYS_MADVISE, sentry.Args{0x1000, 0x1000, 77}, "madvise(0x1000, 0x1000, 77)"},
		{unix.SYS_OPENAT, sentry.Args{atFDCWD, 0x4000, unix.O_WRONLY | unix.O_CREAT | unix.O_CLOEXEC, 0o644}, "openat(AT_FDCWD, 0x4000, O_WRONLY|O_CREAT|O_CLOEXEC, 0644)"},
		{unix.SYS_OPENAT, sentry.Args{3, 0x4000, 0}, "openat(3, 0x4000, O_RDONLY, 0)"},
		{unix.SYS_CLONE, sentry.Args{0x1200011, 0, 0, 0x5000}, "clone(CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, 0, 0, 0x5000, 0)"},
		{unix.SYS_CLONE, sentry.Args{17}, "clone(SIGCHLD, 0, 0, 0, 0)"},
		{unix.SYS_KILL, sentry.Args{minus(1), 9}, "kill(-1, SIGKILL)"},
		{unix.SYS_FUTEX, sentry.Args{0x5000, 129, 1}, "futex(0x5000, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0)"},
		{unix.SYS_FUTEX, sentry.Args{0x5000, 265, 0}, "futex(0x5000, FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME, 0, 0, 0, 0)"},
		{unix.SYS_LSEEK, sentry.Args{3, minus(5), 1}, "lseek(3, -5, SEEK_CUR)"},
		{unix.SYS_PRLIMIT64, sentry.Args{0, 3, 0, 0x7000}, "prlimit64(0, RLIMIT_STACK, 0, 0x7000)"},
		{unix.SYS_ARCH_PRCTL, sentry.Args{0x1002, 0x7000}, "arch_prctl(ARCH_SET_FS, 0x7000)"},
		{unix.SYS_GETPID, sentry.Args{1, 2, 3}, "getpid()"},
		{400, sentry.Args{1}, "call 400(0x1, 0x0, 0x0, 0x0, 0x0, 0x0)"},
		{1 << 33, sentry.Args{}, "call 8589934592(0x0, 0x0, 0x0, 0x0, 0x0, 0x0)"},
	} {
		if got := Format(c.nr, c.args); got != c.want {
			t.Errorf("Format(%d)\n got %s\nwant %s", c.nr, got, c.want)
		}
	}
}

func TestConstant(t *testing.T) {
	for name, want := range map[string]uint64{
		"MREMAP_MAYMOVE": 1, "MREMAP_DONTUNMAP": 4, "PROT_READ": 1, "PROT_NONE": 0, "MAP_ANONYMOUS": 0x20, "MAP_ANON": 0x20,
		"MAP_FIXED_NOREPLACE": 0x100000, "MADV_DONTNEED": 4, "MADV_GUARD_INSTALL": 102, "SIGSEGV": 11, "AT_FDCWD": ^uint64(99),
		"O_CLOEXEC": 0x80000, "CLONE_VM": 0x100, "RLIMIT_AS": 9, "MS_SYNC": 4,
	} {
		if got, ok := Constant(name); !ok || got != want {
			t.Errorf("Constant(%s) = %#x, %v; want %#x", name, got, ok, want)
		}
	}
	if v, ok := Constant("MAP_NOSUCH"); ok {
		t.Errorf("MAP_NOSUCH is %#x", v)
	}
}

// TestConstantsAreUnique: a name means one number.
func TestConstantsAreUnique(t *testing.T) {
	seen := make(map[string]uint64)
	for _, family := range families {
		for _, c := range family {
			if old, ok := seen[c.name]; ok && old != c.value {
				t.Errorf("%s is %#x and %#x", c.name, old, c.value)
			}
			seen[c.name] = c.value
		}
	}
}

func TestAccessOK(t *testing.T) {
	for _, c := range []struct {
		at   memmap.Addr
		n    uint64
		want bool
	}{
		{0, 0, true}, {0, taskSize, true}, {0, taskSize + 1, false}, {1, taskSize, false}, {taskSize, 0, true}, {taskSize, 1, false},
		{1 << 63, 1, false}, {^memmap.Addr(0), 1, false}, {^memmap.Addr(0), 2, false}, {5, ^uint64(0), false},
	} {
		if got := accessOK(c.at, c.n); got != c.want {
			t.Errorf("accessOK(%v, %#x) = %v", c.at, c.n, got)
		}
	}
}

// TestVectorDropFirst: what is left of a vector after n bytes were moved, for
// every n, and the original is as it was.
func TestVectorDropFirst(t *testing.T) {
	v := vector{{Start: 10, End: 13}, {Start: 20, End: 20}, {Start: 30, End: 35}, {Start: 40, End: 41}}
	bytes := func(v vector) (all []memmap.Addr) {
		for _, ar := range v {
			for a := ar.Start; a < ar.End; a++ {
				all = append(all, a)
			}
		}
		return all
	}
	all := bytes(v)
	if v.total() != uint64(len(all)) {
		t.Fatalf("total is %d, want %d", v.total(), len(all))
	}
	for n := range len(all) + 2 {
		rest := bytes(v.dropFirst(uint64(n)))
		want := all[min(n, len(all)):]
		if len(rest) != len(want) || len(rest) > 0 && rest[0] != want[0] {
			t.Errorf("dropFirst(%d) leaves %v, want %v", n, rest, want)
		}
	}
	if len(bytes(v)) != len(all) {
		t.Errorf("dropFirst changed the vector to %v", v)
	}
}

// However large a pipe is, a call holds a bounded number of bytes: many of them at once
// must not exhaust the shell.
func TestPiped(t *testing.T) {
	for _, c := range []struct {
		count      uint64
		room, lead int
		want       uint64
	}{{100, 16, 0, 100}, {1 << 40, 16, 0, 16 * 4096}, {1 << 40, 16, 100, 16*4096 - 100}, {1 << 40, 1 << 16, 0, maxChunk}} {
		if got := piped(c.count, c.room, c.lead); got != c.want {
			t.Errorf("%d bytes into %d slots from %d on: %d, want %d", c.count, c.room, c.lead, got, c.want)
		}
	}
}
