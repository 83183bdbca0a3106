package procfs_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mmsh.dev/mmsh/mm/pagecache"
	"mmsh.dev/mmsh/mm/pgalloc"
	"mmsh.dev/mmsh/platform/ptrace"
	"mmsh.dev/mmsh/sentry"
	"mmsh.dev/mmsh/sentry/procfs"
	"mmsh.dev/mmsh/sentry/syscalls"
	"mmsh.dev/mmsh/sentry/vfs"
	"mmsh.dev/mmsh/sentry/vfs/devfs"
	"mmsh.dev/mmsh/sentry/vfs/hostfs"
)

// world is a kernel whose guests see the host's files, /dev and /proc.
type world struct {
	*sentry.Kernel
	tree   *vfs.Tree
	stdout *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	mem, err := pgalloc.New(pgalloc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	host, err := hostfs.New("/", pagecache.New(mem))
	if err != nil {
		t.Fatal(err)
	}
	stubs, err := ptrace.New()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{tree: vfs.NewTree(host), stdout: &bytes.Buffer{}}
	w.tree.Mount("/dev", devfs.New())
	w.Kernel, err = sentry.New(sentry.Config{
		Platform: stubs, Memory: mem, Calls: syscalls.Table(), Tree: w.tree, Stdout: w.stdout,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.tree.Mount("/proc", procfs.New(w.Kernel))
	t.Cleanup(func() {
		w.Shutdown()
		for _, err := range []error{stubs.Close(), host.Close(), mem.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

// load loads a program, which stands at its first instruction until h is released.
func (w *world) load(t *testing.T, args, env []string) (*sentry.Process, *sentry.Hold) {
	t.Helper()
	h := w.Hold("load")
	p, err := w.Load(h, sentry.LoadOptions{Path: args[0], Args: args, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return p, h
}

// build compiles testdata/cat.c.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cat")
	args := append([]string{"-nostdlib", "-O1", "-fno-stack-protector", "-o", path, "testdata/cat.c"}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return path
}

// sections splits what cat writes.
func sections(out string) map[string]string {
	all := make(map[string]string)
	for _, s := range strings.Split(out, "== ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		all[name] = text
	}
	return all
}

// A program reads of itself what it reads on the host with randomisation off.
func TestTextsAreTheHosts(t *testing.T) {
	files := []string{"/proc/self/maps", "/proc/self/cmdline", "/proc/self/comm", "/proc/self/environ", "/proc/self/auxv",
		"/proc/self/statm", "/proc/self/stat", "/proc/self/status", "/proc/self/limits", "/proc/thread-self/comm"}
	env := []string{"A=b", "EMPTY="}
	for name, flags := range map[string][]string{"static": {"-static"}, "static PIE": {"-static-pie", "-fPIE"}} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{build(t, flags...)}, files...)
			cmd := exec.Command("setarch", append([]string{"-R"}, args...)...)
			cmd.Env = env
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			p, h := w.load(t, args, env)
			done := p.Tasks()[0].Done()
			h.Release()
			<-done
			host, ours := sections(string(out)), sections(w.stdout.String())
			if !strings.Contains(host["/proc/self/maps"], "[vvar_vclock]") {
				t.Log("the host's kernel is older than 6.13: what depends on its vdso is not compared")
				host, ours = independent(host), independent(ours)
			}
			for _, f := range files {
				if a, b := comparable(f, host[f]), comparable(f, ours[f]); a != b {
					t.Errorf("%s: on the host\n%s\nhere\n%s", f, a, b)
				}
			}
		})
	}
}

// independent returns the texts that do not depend on the kernel's version.
func independent(texts map[string]string) map[string]string {
	kept := make(map[string]string)
	for _, f := range []string{"cmdline", "comm", "environ", "limits"} {
		kept["/proc/self/"+f] = texts["/proc/self/"+f]
	}
	return kept
}

// comparable returns what must agree of a file: not what depends on when and where
// it is read.
func comparable(file, text string) string {
	switch filepath.Base(file) {
	case "maps":
		return regexp.MustCompile(`(?m)[0-9a-f]{2}:[0-9a-f]{2} \d+ +`).ReplaceAllString(text, "DEV INO ")
	case "auxv":
		return fmt.Sprintf("%x", text)
	case "statm": // size, code, data
		return strings.Join(pick(strings.Fields(text), 0, 3, 4, 5, 6), " ")
	case "stat": // not the priority, which is that of who runs the test; comm, vsize, where things are; exit_signal; and how many fields
		words := strings.Fields(text)
		return fmt.Sprint(len(words), pick(words, 1, 6, 19, 22, 25, 26, 27, 37, 44, 45, 46, 47, 48, 49, 50, 51))
	case "status": // the lines of ours that say what does not depend on the host
		var kept []string
		for line := range strings.Lines(text) {
			switch name, _, _ := strings.Cut(line, ":"); name {
			case "Name", "Umask", "State", "Ngid", "TracerPid", "Uid", "Gid", "VmPeak", "VmSize", "VmLck", "VmPin", "RssAnon", "VmData", "VmStk", "VmExe", "VmLib",
				"VmSwap", "HugetlbPages", "CoreDumping", "Threads", "SigBlk", "SigPnd", "ShdPnd", "Kthread", "RssShmem":
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	case "limits": // the form, and what is the same everywhere
		return strings.Join(pick(strings.Split(text, "\n"), 0, 1, 2, 3, 4, 10, 11), "\n") + fmt.Sprint(strings.Count(text, "\n"))
	}
	return text
}

func pick(words []string, at ...int) []string {
	var some []string
	for _, i := range at {
		if i < len(words) {
			some = append(some, words[i])
		}
	}
	return some
}

// read returns what a file says to caller.
func (w *world) read(t *testing.T, path string, caller vfs.Caller) string {
	t.Helper()
	c, err := w.tree.NewContext("/")
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Open(vfs.Where{Path: path, Caller: caller}, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.DecRef() }()
	b := make([]byte, 1<<16)
	n, err := d.Read(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}
