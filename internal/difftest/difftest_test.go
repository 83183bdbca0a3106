package difftest

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"

	"mmsh.dev/mmsh/mm"
	"mmsh.dev/mmsh/sentry"
)

func TestMain(m *testing.M) {
	code := m.Run()
	Cleanup()
	os.Exit(code)
}

// TestDifferentialPrograms runs whole programs as anyone would compile them.
func TestDifferentialPrograms(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		args  []string
	}{
		{"hello", []string{"-static"}, []string{"a", "b c", ""}},
		{"hello", []string{"-static-pie"}, []string{"a"}},
		{"bare", []string{"-static", "-nostdlib"}, nil},
		{"malloc", []string{"-static"}, nil},
		{"malloc", []string{"-static-pie"}, nil},
		{"maps", []string{"-static-pie"}, nil},
		{"faults", []string{"-static-pie"}, nil},
	} {
		t.Run(c.name+strings.Join(c.flags, ""), func(t *testing.T) {
			Compare(t, Build(t, c.name, c.flags...), Options{Args: c.args}, Inodes, KernelPages)
		})
	}
}

// calls are the guests that play the table: every call with what is right, wrong
// and hostile.
var calls = []string{
	"mmap", "munmap", "mremap", "brk", "advise", "maps", "rss", "lock", "advice", "mdwe", "policy", "processvm", "remap", "uffd", "lazyfree", "overcommit",
	"droppable", "pagescan", "uffdshared", "special",
	"files", "order", "largepipe", "tail", "fds", "poll", "devices", "memfd", "shm", "mapfiles",
	"fork", "signals", "sigreturn", "faults", "futex", "identity", "caps", "time",
}

func TestDifferentialCalls(t *testing.T) {
	for _, name := range calls {
		t.Run(name, func(t *testing.T) {
			Compare(t, Build(t, name, "-static"), Options{}, Inodes, KernelPages)
		})
	}
}

// Terminals pass on what is written in threads of the host's kernel.
func TestDifferentialTerminals(t *testing.T) {
	for _, name := range []string{"pty", "jobs"} {
		for _, sched := range []sentry.Sched{sentry.SchedDet, sentry.SchedFree} {
			t.Run(fmt.Sprint(name, sched), func(t *testing.T) {
				ComparePaced(t, Build(t, name, "-static"), Options{Sched: sched}, Inodes, KernelPages)
			})
		}
	}
}

// TestAddressSpaceIO: a guest is told the same when the sandbox copies by way of the
// guest's own mappings.
func TestAddressSpaceIO(t *testing.T) {
	for _, name := range []string{"files", "fork", "lock", "maps", "signals", "faults"} {
		t.Run(name, func(t *testing.T) {
			Compare(t, Build(t, name, "-static"), Options{ASIO: mm.ASIOOn}, Inodes, KernelPages)
		})
	}
}

// TestProtectionKeys: guests are on a processor that has none. What Linux says there
// is kept in testdata/pkey.txt; a host without them is asked as well.
func TestProtectionKeys(t *testing.T) {
	guest := Build(t, "pkey", "-static")
	want, err := os.ReadFile("testdata/pkey.txt")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "stdout", string(want), Run(t, guest, Options{}).Stdout)
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(cpu), " ospke") {
		Compare(t, guest, Options{})
	}
}

// TestDifferentialSmaps: who has which pages is what the host says, in smaps,
// smaps_rollup and pagemap; and mem has their bytes.
func TestDifferentialSmaps(t *testing.T) {
	settle(t, "../../loader/testdata/mutations.txt") // which the guest maps
	Compare(t, Build(t, "smaps", "-static"), Options{}, Inodes, Unmeasured)
	Compare(t, Build(t, "pagemap", "-static"), Options{}, Inodes)
}

// settle has the host write a file out, so that it finds its pages clean.
func settle(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestDifferentialAuto: a larger fault window changes how much is resident, and
// nothing else; neither does running all tasks at once.
func TestDifferentialAuto(t *testing.T) {
	resident := map[string]bool{"rss": true, "advise": true, "lock": true, "advice": true, "policy": true, "shm": true, "lazyfree": true, "uffd": true, "droppable": true, "pagescan": true, "uffdshared": true} // they print what is resident
	for _, name := range calls {
		if resident[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			Compare(t, Build(t, name, "-static"), Options{Auto: true, Sched: sentry.SchedFree}, Inodes, KernelPages)
		})
	}
}

// TestDifferentialBusybox runs Debian's busybox-static: a program that we did not
// write, as far as it goes without starting others.
func TestDifferentialBusybox(t *testing.T) {
	const busybox = "/bin/busybox"
	poem, err := os.ReadFile("testdata/data/poem.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"", "true", "false", "nosuchapplet", "echo a b", "printf %s-%d\\n x 7", "seq 1 5", "cat data/poem.txt", "cat data/none", "cat -", "wc data/poem.txt",
		"head -n 2 data/poem.txt", "tail -n 1 data/poem.txt", "sort data/poem.txt", "sort -r -k 2", "uniq -c", "grep -n a.page data/poem.txt", "grep none data/poem.txt",
		"sed -e s/is/was/g data/poem.txt", "tr a-z A-Z", "cut -d _ -f 1", "rev data/poem.txt", "nl data/poem.txt", "od -c data/poem.txt", "hexdump -C data/poem.txt",
		"md5sum data/poem.txt data/hole", "sha256sum data/poem.txt", "sha512sum", "cksum data/poem.txt", "base64 data/poem.txt", "ls data", "ls -s data", "ls -ln /nowhere",
		"find data -name poem*", "stat data/poem.txt", "readlink data/link", "readlink -f data/link", "realpath data/link", "basename /a/b.c .c", "dirname /a/b",
		"expr 6 * 7", "test -d data", "test -f data", "pwd", "id", "whoami", "env", "uname -s", "hostname", "arch", "nproc", "sleep 0.01", "date -u -d @1000000000",
		"cal 9 1752", "factor 1234567890", "dd if=data/poem.txt bs=7 count=3", "cmp data/poem.txt data/link", "diff data/poem.txt data/hole", "split -n", "tee",
		"mkdir data", "rm data/none", "which busybox", "yes --help", "awk {print(NR,$2)} data/poem.txt", "dc 6 7 * p", "du data/poem.txt", "fold -w 10 data/poem.txt", "paste data/poem.txt data/poem.txt",
	} {
		t.Run(line, func(t *testing.T) {
			Compare(t, busybox, Options{Args: strings.Fields(line), Stdin: string(poem)})
		})
	}
	for _, script := range []string{
		"echo $((6*7)); exit 5", "for i in 1 2 3; do echo $i; done | while read x; do echo got $x; done", "f() { echo in f $1; return 3; }; f a; echo $?",
		"x=$(echo sub); echo $x; (exit 4); echo $?", "read a; echo $a; read b; echo $b", "trap 'echo trapped' USR1; kill -USR1 $$; echo after", "cd data; pwd; echo *",
		"(echo child; kill -9 $BASHPID) & wait $!; echo $?", "(exit 3) & wait $!; echo $?", "case poem in p*) echo yes;; esac; ulimit -s; umask", "nosuchprogram",
	} {
		t.Run("sh "+script, func(t *testing.T) {
			Compare(t, busybox, Options{Args: []string{"sh", "-c", script}, Stdin: string(poem)})
		})
	}
}

// TestDifferentialTerminal: a guest on a terminal finds what it finds natively.
func TestDifferentialTerminal(t *testing.T) {
	prog := Build(t, "tty", "-static")
	want := onTerminal(t, func(tty *os.File) { Native(t, prog, Options{TTY: tty}) })
	got := onTerminal(t, func(tty *os.File) { Run(t, prog, Options{TTY: tty}) })
	diff(t, "terminal", want, got)
}

// TestTerminalPrograms: the host's programs that look at their terminal find what they
// find natively, its name in /dev/pts included.
func TestTerminalPrograms(t *testing.T) {
	const ld, busybox = "/lib64/ld-linux-x86-64.so.2", "/bin/busybox"
	number := regexp.MustCompile(`/dev/pts/\d+`) // another one each time
	for _, line := range []string{
		busybox + " tty", busybox + " stty -a", busybox + " stty -g", busybox + " stty size", busybox + " stty raw -echo", busybox + " stat -c %F,%t,%a /dev/tty",
		busybox + " sh -c stty${IFS}-echo;echo${IFS}$?", ld + " /usr/bin/tty", ld + " /usr/bin/stty -a", ld + " /usr/bin/stty sane", ld + " /usr/bin/stty -echo rows 7",
	} {
		t.Run(line, func(t *testing.T) {
			words := strings.Fields(line)
			o := Options{Args: words[1:]}
			want := onTerminal(t, func(tty *os.File) { o.TTY = tty; Native(t, words[0], o) })
			got := onTerminal(t, func(tty *os.File) { o.TTY = tty; Run(t, words[0], o) })
			diff(t, "terminal", number.ReplaceAllString(want, "/dev/pts/N"), number.ReplaceAllString(got, "/dev/pts/N"))
		})
	}
}

// onTerminal calls run with a new terminal on which a line is typed, and returns
// what appears on it.
func onTerminal(t *testing.T, run func(tty *os.File)) string {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 33, Cols: 101}); err != nil {
		t.Fatal(err)
	}
	if _, err := master.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	// The host echoes in its own time: what run prints comes after that.
	output := bufio.NewReader(master)
	echo, err := output.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	screen := make(chan string)
	go func() {
		all, _ := io.ReadAll(output) // ends with EIO when the terminal is closed
		screen <- echo + string(all)
	}()
	run(tty)
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	return <-screen
}

// What TestDifferentialScripts plays.
var (
	scripts = flag.Int("scripts", 100, "random scripts of memory calls to play")
	first   = flag.Int("first-script", 0, "the first script's seed")
	length  = flag.Int("script-calls", 60, "calls of a script")
)

// TestDifferentialScripts plays random memory calls, faults and forks.
func TestDifferentialScripts(t *testing.T) {
	prog := Build(t, "script", "-static")
	for seed := *first; seed < *first+*scripts; seed++ {
		for _, o := range []Options{{}, {Auto: true, Sched: sentry.SchedFree}} {
			t.Run(fmt.Sprintf("%d auto %v", seed, o.Auto), func(t *testing.T) {
				o.Args = []string{strconv.Itoa(seed), strconv.Itoa(*length)}
				if o.Auto {
					o.Args = append(o.Args, "no-mincore")
				}
				Compare(t, prog, o, Inodes, Joined)
			})
		}
		if t.Failed() {
			t.Fatalf("seed %d: see the first line that differs", seed)
		}
	}
}

// TestHostile: a guest makes calls at random, with numbers that are wrong in every
// way. It is not run natively. Nothing it does may break the sandbox: no panic, no
// hang, no page or stub left.
func TestHostile(t *testing.T) {
	for _, seed := range []string{"1", "2", "3", "4"} {
		for _, sched := range []sentry.Sched{sentry.SchedDet, sentry.SchedFree} {
			t.Run(fmt.Sprintf("seed %s sched %d", seed, sched), func(t *testing.T) {
				r := Run(t, Build(t, "hostile", "-static"), Options{Args: []string{seed}, Sched: sched})
				if r.Status != "exit 0" || r.Stdout != "survived\n" {
					t.Errorf("the guest ended so:\n%v", r)
				}
				for _, note := range strings.Split(r.Notes, "\n") {
					if note != "" && !strings.Contains(note, "unknown system call") {
						t.Errorf("the kernel notes: %s", note)
					}
				}
			})
		}
	}
}
