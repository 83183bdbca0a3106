package procfs_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mmsh.dev/mmsh/sentry/vfs"
)

// list returns a directory's names but for the two dots.
func (w *world) list(t *testing.T, path string, caller vfs.Caller) []string {
	t.Helper()
	c, err := w.tree.NewContext("/")
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Open(vfs.Where{Path: path, Caller: caller}, unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.DecRef() }()
	var names []string
	err = d.ReadDir(func(e vfs.Dirent) bool {
		st, err := c.Stat(vfs.Where{Path: e.Name, At: d, Caller: caller}, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || !strings.HasPrefix(e.Name, ".") && (st.Ino != e.Inode || uint32(e.Type)<<12 != st.Mode&unix.S_IFMT) {
			t.Errorf("%s/%s: %+v, %v", path, e.Name, st, err)
		}
		if !strings.HasPrefix(e.Name, ".") {
			names = append(names, e.Name)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// /proc lists the processes, self is who asks, and each directory can be walked.
func TestDirectories(t *testing.T) {
	w := newWorld(t)
	path := build(t, "-static")
	p, h := w.load(t, []string{path, "x"}, nil)
	defer h.Release()
	me := vfs.Caller{PID: p.PID(), TID: p.PID()}
	if got := w.list(t, "/proc", me); !slices.Equal(got, []string{"mounts", "self", "thread-self", "cpuinfo", "filesystems", "loadavg", "locks", "meminfo", "stat", "swaps", "sys", "sysvipc",
		"uptime", "version", "vmstat", "2"}) {
		t.Errorf("/proc: %v", got)
	}
	if got := w.list(t, "/proc/self/task", me); !slices.Equal(got, []string{"2"}) {
		t.Errorf("tasks: %v", got)
	}
	if got := w.list(t, "/proc/thread-self/fd", me); !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("descriptors: %v", got)
	}
	if got := w.list(t, "/proc/2", me); len(got) != 23 || !slices.Equal(got, w.list(t, "/proc/self", me)) {
		t.Errorf("/proc/2: %v", got)
	}
	if got := w.read(t, "/proc/2/cmdline", me); got != path+"\x00x\x00" {
		t.Errorf("cmdline %q", got)
	}
	c, _ := w.tree.NewContext("/")
	for link, want := range map[string]string{"self": "2", "self/exe": path, "self/cwd": "/", "self/root": "/", "thread-self": "2/task/2"} {
		if got, err := c.Readlink(vfs.Where{Path: "/proc/" + link, Caller: me}); got != want || err != nil {
			t.Errorf("%s: %q, %v", link, got, err)
		}
	}
	for bad, want := range map[string]unix.Errno{
		"3": unix.ENOENT, "02": unix.ENOENT, "-2": unix.ENOENT, "+2": unix.ENOENT, "self/none": unix.ENOENT, "self/fd/9": unix.ENOENT,
		"self/maps/x": unix.ENOTDIR, "self/task/3": unix.ENOENT, "self/task/2/task": unix.ENOENT, "99999999999": unix.ENOENT,
	} {
		if _, err := c.Stat(vfs.Where{Path: "/proc/" + bad, Caller: me}, 0); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", bad, err, want)
		}
	}
}

// Descriptors are opened again through fd: the same file, with an offset of its own.
func TestDescriptorsAreOpenedAgain(t *testing.T) {
	w := newWorld(t)
	p, h := w.load(t, []string{build(t, "-static")}, nil)
	defer h.Release()
	who := vfs.Caller{PID: p.PID(), TID: p.PID()}
	c := p.Context()
	d, err := c.Open(vfs.Where{Path: "testdata/../testdata"}, unix.O_RDONLY, 0)
	if err == nil {
		_ = d.DecRef()
		t.Fatal("the working directory is not /")
	}
	file, err := c.Open(vfs.Where{Path: p.Image().Path()}, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.FDs().Add(file, false, 7, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(100, unix.SEEK_SET); err != nil {
		t.Fatal(err)
	}
	if got := w.read(t, "/proc/self/fd/7", who); !strings.HasPrefix(got, "\x7fELF") {
		t.Errorf("%.10q", got)
	}
	if _, err := c.Open(vfs.Where{Path: "/proc/self/fd/7", Caller: who}, unix.O_RDWR, 0); !errors.Is(err, unix.EROFS) {
		t.Errorf("for writing: %v", err)
	}
	if _, err := c.Open(vfs.Where{Path: "/proc/self/fd/7/x", Caller: who}, unix.O_RDONLY, 0); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	out, err := c.Open(vfs.Where{Path: "/dev/stdout", Caller: who}, unix.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write([]byte("again")); err != nil || w.stdout.String() != "again" {
		t.Errorf("%q, %v", w.stdout, err)
	}
	_ = out.DecRef()
	dir, err := c.Open(vfs.Where{Path: "/proc"}, unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.FDs().Add(dir, false, 8, 100); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Readlink(vfs.Where{Path: "/proc/self/fd/8/self", Caller: who}); got != "2" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A blank process has a directory, and nothing to say of a program.
func TestBlankProcess(t *testing.T) {
	w := newWorld(t)
	h := w.Hold("blank")
	defer h.Release()
	p, err := w.LoadBlank(h)
	if err != nil {
		t.Fatal(err)
	}
	who := vfs.Caller{PID: p.PID(), TID: p.PID()}
	for _, f := range []string{"cmdline", "environ", "auxv"} {
		if got := w.read(t, "/proc/self/"+f, who); got != "" {
			t.Errorf("%s: %q", f, got)
		}
	}
	for _, f := range []string{"stat", "statm", "status", "maps", "limits", "comm"} {
		if w.read(t, "/proc/self/"+f, who) == "" {
			t.Errorf("%s is empty", f)
		}
	}
	if _, err := p.Context().Readlink(vfs.Where{Path: "/proc/self/exe", Caller: who}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("exe: %v", err)
	}
}

// What /proc says of the machine has the form that programs expect.
func TestMachine(t *testing.T) {
	w := newWorld(t)
	p, h := w.load(t, []string{build(t, "-static")}, nil)
	defer h.Release()
	who := vfs.Caller{PID: p.PID(), TID: p.PID()}
	for _, c := range []struct{ file, form string }{
		{"stat", `^cpu  \d+ 0 \d+ \d+ 0 0 0 0 0 0\n(cpu\d+ \d+ 0 \d+ \d+ 0 0 0 0 0 0\n)+intr 0\nctxt 0\nbtime \d+\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq( \d+){11}\n$`},
		{"loadavg", `^1\.00 1\.00 1\.00 1/1 2\n$`},
		{"uptime", `^\d+\.\d\d \d+\.\d\d\n$`},
		{"version", `^Linux version 6\.18\.0 \(mmsh\) \(go[0-9.]+.*\) #1 SMP PREEMPT_DYNAMIC\n$`},
		{"vmstat", `^nr_free_pages \d+\nnr_anon_pages \d+\nnr_file_pages \d+\nnr_shmem 0\npgfault \d+\npgmajfault \d+\n$`},
		{"swaps", `^Filename\t`},
		{"sys/kernel/osrelease", `^6\.18\.0\n$`},
		{"sys/kernel/ostype", `^Linux\n$`},
		{"sys/kernel/pid_max", `^4194304\n$`},
		{"sys/kernel/cap_last_cap", `^40\n$`},
		{"sys/kernel/hostname", `^[^\n]+\n$`},
		{"sys/kernel/random/uuid", `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$`},
	} {
		if got := w.read(t, "/proc/"+c.file, who); !regexp.MustCompile(c.form).MatchString(got) {
			t.Errorf("%s:\n%s", c.file, got)
		}
	}
	if n := strings.Count(w.read(t, "/proc/cpuinfo", who), "processor\t:"); n == 0 {
		t.Error("cpuinfo knows no processor")
	}
}
